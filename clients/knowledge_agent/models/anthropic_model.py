"""Claude, and any other model behind Anthropic's Messages API. The one file that knows the `anthropic` SDK.

Passages are sent as `search_result` blocks with citations, one text block per paragraph, so that the API itself says
which lines a claim rests on. Tools and system prompt come first in a request and never change within a conversation; a
cache mark after them, and one after the last message, let the endpoint reuse what it has processed before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2

from knowledge_agent.citing import occurs
from knowledge_agent.errors import ModelUnavailable, NoToolCalls, WrongSetup
from knowledge_agent.models.chat_model import RETRIES, refusal_of, tool_call
from knowledge_agent.models.streaming import broken, read_turn, unreachable
from knowledge_agent.prompting import fenced
from knowledge_agent.types import (
    Citation,
    Ended,
    Message,
    OnEvent,
    Passage,
    Reply,
    TextPiece,
    ToolCall,
    ToolResult,
    ToolResults,
    ToolSpec,
    Usage,
    UserMessage,
)

DEFAULT_MODEL = "claude-sonnet-5-5"  # the newest Sonnet that SDK 2.14 names: between the others in price and strength
NO_KEY = """\
No key for the Anthropic API. Set ANTHROPIC_API_KEY (https://platform.claude.com), or use a local model:
  ollama pull llama3.1
  knowledge-agent --api openai --base-url http://127.0.0.1:11434/v1 --model llama3.1 "your question"
(mixtral and gemma3 work the same way.)"""

_CACHED = {"cache_control": {"type": "ephemeral"}}
_PASSING = ("overloaded_error", "api_error", "rate_limit_error")  # temporary; within a stream the SDK retries none
_ENDED: dict[str, Ended] = {
    "tool_use": "tools", "max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "refusal",
}  # fmt: skip


class AnthropicModel:
    """A model behind the Messages API. Key and base URL come from the SDK's own variables unless given."""

    def __init__(self, model: str | None = None, *, base_url: str | None = None, timeout: float = 120.0) -> None:
        self.name = model or DEFAULT_MODEL
        try:
            self._client = anthropic.AsyncAnthropic(
                base_url=base_url, max_retries=RETRIES, timeout=timeout,
                # Documents go to the endpoint that the user named, and to none that it redirects to.
                http_client=anthropic.DefaultAsyncHttpxClient(follow_redirects=False),
            )  # fmt: skip
        except anthropic.AnthropicError as error:
            raise WrongSetup(f"{NO_KEY}\n({error})") from error
        if not (self._client.api_key or self._client.auth_token or self._client.credentials):
            raise WrongSetup(NO_KEY)

    async def reply(
        self,
        system: str,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        on_event: OnEvent,
        *,
        max_tokens: int,
        may_call: bool = True,
    ) -> Reply:
        """Return the model's next turn; see `ChatModel.reply`."""
        request: dict[str, Any] = {
            "model": self.name,
            "max_tokens": max_tokens,
            "system": [{"type": "text", "text": system, **_CACHED}],
            "messages": list(_wire(messages)),
        }
        if tools:
            request["tools"] = [
                {"name": each.name, "description": each.description, "input_schema": each.schema} for each in tools
            ]
            request["tool_choice"] = {"type": "auto" if may_call else "none"}
        turn = _Turn(_in_order(messages), on_event)
        try:
            await read_turn(lambda: self._client.messages.create(**request, stream=True), turn, is_break=_is_break)
        except anthropic.APIStatusError as error:
            raise _refused(error, self.name, with_tools=bool(tools)) from error
        except (anthropic.AnthropicError, httpx2.HTTPError) as error:
            raise broken(turn, unreachable(self._client.base_url, error)) from error
        return turn.reply()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _is_break(error: Exception) -> bool:
    if isinstance(error, anthropic.APIStatusError):
        return error.type in _PASSING
    return isinstance(error, anthropic.APIConnectionError | httpx2.HTTPError)


def _refused(error: anthropic.APIStatusError, model: str, *, with_tools: bool) -> ModelUnavailable | WrongSetup:
    said = error.api_message or error.message
    status = 529 if error.type == "overloaded_error" else error.status_code
    if status in (401, 403):
        return WrongSetup(refusal_of(status, said, model, "ANTHROPIC_API_KEY"))
    kind = NoToolCalls if with_tools and status == 400 and "does not support tool" in said else ModelUnavailable
    return kind(refusal_of(status, said, model, "ANTHROPIC_API_KEY"))


@dataclass
class _Block:
    kind: str
    start: Mapping[str, Any]
    text: str = ""
    json: str = ""
    signature: str = ""
    citations: list[Citation] = field(default_factory=list)


class _Turn:
    """One turn, as far as it has been received; a `PartialTurn`."""

    def __init__(self, passages: Sequence[Passage], on_event: OnEvent) -> None:
        self._passages = passages
        self._on_event = on_event
        self.shown = 0
        self.forget()

    def forget(self) -> None:
        self._blocks: list[_Block] = []
        self._usage = Usage()
        self._ended: str | None = None
        self._explanation = ""
        self.complete = False

    def hear(self, event: Any) -> None:
        """Process one event of the stream."""
        if event.type == "message_start":
            self._count(event.message.usage)
        elif event.type == "content_block_start":
            start = event.content_block.to_dict()
            self._blocks.append(_Block(event.content_block.type, start))
            self._tell(start.get("text") or "")
        elif event.type == "content_block_delta":
            self._hear_delta(self._blocks[event.index], event.delta)
        elif event.type == "content_block_stop":
            self._tell(_markers(self._blocks[event.index].citations))
        elif event.type == "message_delta":
            self._ended = event.delta.stop_reason
            details = getattr(event.delta, "stop_details", None)
            self._explanation = getattr(details, "explanation", None) or ""
            self._count(event.usage)
        elif event.type == "message_stop":
            self.complete = True

    def _hear_delta(self, block: _Block, delta: Any) -> None:
        if delta.type in ("text_delta", "thinking_delta"):
            piece = delta.text if delta.type == "text_delta" else delta.thinking
            block.text += piece
            if delta.type == "text_delta":
                self._tell(piece)
        elif delta.type == "input_json_delta":
            block.json += delta.partial_json
        elif delta.type == "signature_delta":
            block.signature += delta.signature
        elif delta.type == "citations_delta" and delta.citation.type == "search_result_location":
            made = _citation(delta.citation, self._passages)
            if made is not None:
                block.citations.append(made)

    def _tell(self, piece: str) -> None:
        if piece:
            self.shown += len(piece)
            self._on_event(TextPiece(piece))

    def _count(self, usage: Any) -> None:
        """Take over the token counts. They are totals, so the latest ones count."""
        cached = usage.cache_read_input_tokens
        if usage.input_tokens is not None:
            everything = usage.input_tokens + (usage.cache_creation_input_tokens or 0) + (cached or 0)
            self._usage = Usage(everything or self._usage.input, self._usage.output, cached or self._usage.cached)
        self._usage = Usage(self._usage.input, usage.output_tokens, self._usage.cached)

    def reply(self) -> Reply:
        """Return the whole turn."""
        texts = [block for block in self._blocks if block.kind == "text"]
        calls = tuple(_call(block) for block in self._blocks if block.kind == "tool_use")
        ended = _ENDED.get(self._ended or "", "done")
        return Reply(
            text="".join(_full(block) + _markers(block.citations) for block in texts),
            calls=() if ended in ("refusal", "length") else calls,
            citations=tuple(citation for block in texts for citation in block.citations),
            ended=ended,
            usage=self._usage,
            own=[own for block in self._blocks if (own := _own(block)) is not None],
            explanation=self._explanation,
        )


def _full(block: _Block) -> str:
    return str(block.start.get("text") or "") + block.text


def _call(block: _Block) -> ToolCall:
    if not block.json and block.start.get("input"):
        return ToolCall(block.start["id"], block.start["name"], block.start["input"])
    return tool_call(block.start["id"], block.start["name"], block.json)


def _markers(citations: Sequence[Citation]) -> str:
    numbers = dict.fromkeys(each.passage.number for each in citations)
    return "".join(f" [{number}]" for number in numbers)


def _own(block: _Block) -> dict[str, Any] | None:
    """Return a block in the form in which it is sent back to the API; None for one that is not sent.

    Citations are left out: their indices count the search results of one request, and later requests hold others.
    """
    if block.kind == "text":
        return {"type": "text", "text": _full(block)} if _full(block).strip() else None
    if block.kind == "tool_use":
        call = _call(block)
        return {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}
    if block.kind == "thinking":
        thinking = str(block.start.get("thinking") or "") + block.text
        signature = block.signature or block.start.get("signature") or ""
        return {"type": "thinking", "thinking": thinking, "signature": signature}
    return dict(block.start) if block.kind == "redacted_thinking" else None


def _citation(found: Any, passages: Sequence[Passage]) -> Citation | None:
    if not 0 <= found.search_result_index < len(passages):
        return None
    passage = passages[found.search_result_index]
    paragraphs = _paragraphs(passage)[found.start_block_index : found.end_block_index]
    verified = occurs(found.cited_text, passage.text)
    if not paragraphs:
        return Citation(passage, found.cited_text.strip(), passage.lines, verified)
    first, last = paragraphs[0][1], paragraphs[-1][2]
    lines = f"{first}-{last}" if last > first else str(first)
    return Citation(passage, found.cited_text.strip(), lines, verified)


def _paragraphs(passage: Passage) -> list[tuple[str, int, int]]:
    """Return the paragraphs of a passage, none of them blank: text, and first and last line in the document."""
    found: list[tuple[str, int, int]] = []
    fresh = True
    for number, line in enumerate(passage.text.split("\n"), start=passage.first_line):
        if not line.strip():
            fresh = True
        elif fresh:
            found.append((line + "\n", number, number))
            fresh = False
        else:
            text, first, _ = found[-1]
            found[-1] = (text + line + "\n", first, number)
    return found


def _in_order(messages: Sequence[Message]) -> list[Passage]:
    """Return all passages in the order of their blocks in the request; citation indices refer to it."""
    found: list[Passage] = []
    for message in messages:
        if isinstance(message, UserMessage):
            found += [each for each in message.passages if _paragraphs(each)]
        elif isinstance(message, ToolResults):
            found += [each for result in message.results for each in result.passages if _paragraphs(each)]
    return found


def _wire(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    last = len(messages) - 1
    for place, message in enumerate(messages):
        if isinstance(message, Reply):
            own = message.own if message.own else [{"type": "text", "text": message.text or "(nothing)"}]
            yield {"role": "assistant", "content": own}
            continue
        if isinstance(message, UserMessage):
            blocks = [_search_result(each) for each in message.passages if _paragraphs(each)]
            blocks.append({"type": "text", "text": message.text})
        else:
            blocks = [_tool_result(each) for each in message.results]
        if place == last:
            blocks[-1] = {**blocks[-1], **_CACHED}
        yield {"role": "user", "content": blocks}


def _search_result(passage: Passage) -> dict[str, Any]:
    return {
        "type": "search_result",
        "source": passage.uri or passage.document,
        "title": f"{passage.title or passage.document} (lines {passage.lines})",
        "content": [{"type": "text", "text": text} for text, _, _ in _paragraphs(passage)],
        "citations": {"enabled": True},
    }


def _tool_result(result: ToolResult) -> dict[str, Any]:
    blocks = [_search_result(each) for each in result.passages if _paragraphs(each)]
    if result.text or not blocks:
        blocks.append({"type": "text", "text": fenced(result.text)})
    return {"type": "tool_result", "tool_use_id": result.call.id, "content": blocks, "is_error": result.failed}
