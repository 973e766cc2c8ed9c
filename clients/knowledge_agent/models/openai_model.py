"""Any endpoint that speaks chat completions: Ollama, llama.cpp, vLLM, LM Studio, OpenAI. The one file that knows `openai`.

This API has no citations: passages are sent as fenced text with a number, and the agent checks the answer's markers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import openai

from knowledge_agent.errors import ModelUnavailable, NoToolCalls, WrongSetup
from knowledge_agent.models.chat_model import RETRIES, refusal_of, tool_call
from knowledge_agent.models.streaming import broken, read_turn, unreachable
from knowledge_agent.prompting import fenced, shown
from knowledge_agent.types import (
    Ended,
    Message,
    OnEvent,
    Reply,
    TextPiece,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    UserMessage,
)

DEFAULT_MODEL = "gpt-5.5"  # at OpenAI only; the model in the examples of SDK 3.57
HOSTED = "https://api.openai.com"
NO_KEY = """\
No key for the OpenAI API. Set OPENAI_API_KEY, or use a local model, which needs none:
  ollama pull llama3.1
  knowledge-agent --api openai --base-url http://127.0.0.1:11434/v1 --model llama3.1 "your question"
(mixtral and gemma3 work the same way.)"""
NO_MODEL = "Name the model of this endpoint with --model, as its server names it (Ollama: `ollama list`)."

_ENDED: dict[str, Ended] = {
    "tool_calls": "tools", "function_call": "tools", "length": "length", "content_filter": "refusal",
}  # fmt: skip


class OpenAIModel:
    """A model behind a chat-completions endpoint. Key and base URL come from the SDK's own variables unless given."""

    def __init__(self, model: str | None = None, *, base_url: str | None = None, timeout: float = 120.0) -> None:
        url = base_url or os.environ.get("OPENAI_BASE_URL") or f"{HOSTED}/v1"
        self._hosted = url.startswith(HOSTED)
        key = os.environ.get("OPENAI_API_KEY")
        if self._hosted and not key:
            raise WrongSetup(NO_KEY)
        if not self._hosted and not model:
            raise WrongSetup(NO_MODEL)
        self.name = model or DEFAULT_MODEL
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",  # the SDK requires a key; local servers ignore it
            base_url=url, max_retries=RETRIES, timeout=timeout,
            # Documents go to the endpoint that the user named, and to none that it redirects to.
            http_client=openai.DefaultAsyncHttpx2Client(follow_redirects=False),
        )  # fmt: skip

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
            "messages": [{"role": "system", "content": system}, *_wire(messages)],
            "stream": True,
            "stream_options": {"include_usage": True},
            # OpenAI's newer models refuse the old name; many local servers know no other.
            ("max_completion_tokens" if self._hosted else "max_tokens"): max_tokens,
        }
        if tools:
            request["tools"] = [_tool(each) for each in tools]
            request["tool_choice"] = "auto" if may_call else "none"
        turn = _Turn(on_event)
        try:
            await read_turn(lambda: self._client.chat.completions.create(**request), turn, is_break=_is_break)
        except openai.APIStatusError as error:
            raise _refused(error, self.name, with_tools=bool(tools)) from error
        except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
            raise broken(turn, _failed(error, self._client.base_url)) from error
        return turn.reply()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _is_break(error: Exception) -> bool:
    return isinstance(error, openai.APIError | httpx2.HTTPError)


def _failed(error: Exception, url: object) -> str:
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        return f"{unreachable(url, error)} Is its server running?"
    return f"The model's endpoint at {url} failed: {error}"


def _refused(error: openai.APIStatusError, model: str, *, with_tools: bool) -> ModelUnavailable | WrongSetup:
    said = error.message
    text = refusal_of(error.status_code, said, model, "OPENAI_API_KEY")
    if error.status_code in (401, 403):
        return WrongSetup(text)
    # Ollama: 400 "... does not support tools"; vLLM: 400 "... requires --enable-auto-tool-choice"; llama.cpp: 500
    # "tools param requires --jinja flag".
    if with_tools and error.status_code in (400, 422, 500, 501) and "tool" in said.lower():
        return NoToolCalls(text)
    return ModelUnavailable(text)


class _Turn:
    """One turn, as far as it has been received; a `PartialTurn`."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self.shown = 0
        self.forget()

    def forget(self) -> None:
        self._text = ""
        self._refusal = ""
        self._calls: dict[int, list[str]] = {}  # index -> id, name, and the arguments as far as they were received
        self._ended: str | None = None
        self._usage = Usage()

    @property
    def complete(self) -> bool:
        return self._ended is not None

    def hear(self, chunk: Any) -> None:
        """Process one chunk of the stream."""
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            cached = (details.cached_tokens if details else None) or 0
            self._usage = Usage(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0, cached)
        for choice in chunk.choices or []:
            delta = choice.delta
            if delta is not None and delta.content:
                self._text += delta.content
                self.shown += len(delta.content)
                self._on_event(TextPiece(delta.content))
            self._refusal += (delta.refusal if delta is not None else None) or ""
            for piece in (delta.tool_calls if delta is not None else None) or []:
                self._hear_call(piece)
            self._ended = choice.finish_reason or self._ended

    def _hear_call(self, piece: Any) -> None:
        call = self._calls.setdefault(piece.index, [f"call_{len(self._calls)}", "", ""])
        call[0] = piece.id or call[0]
        if piece.function is not None:
            call[1] += piece.function.name or ""
            call[2] += piece.function.arguments or ""

    def reply(self) -> Reply:
        """Return the whole turn."""
        calls = tuple(tool_call(*self._calls[index]) for index in sorted(self._calls))
        ended = "refusal" if self._refusal else _ENDED.get(self._ended or "", "done")
        if calls and ended == "done":  # some servers say "stop" although they call
            ended = "tools"
        return Reply(
            text=self._text, calls=() if ended in ("refusal", "length") else calls, ended=ended, usage=self._usage,
            explanation=self._refusal,
        )  # fmt: skip


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": dict(spec.schema)}
    return {"type": "function", "function": function}


def _wire(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    for message in messages:
        if isinstance(message, UserMessage):
            parts = [*(shown(each) for each in message.passages), message.text]
            yield {"role": "user", "content": "\n\n".join(parts)}
        elif isinstance(message, Reply):
            yield _assistant(message)
        else:
            for result in message.results:
                yield {"role": "tool", "tool_call_id": result.call.id, "content": _tool_text(result)}


def _assistant(reply: Reply) -> dict[str, Any]:
    made: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.calls:
        made["tool_calls"] = [_call(each) for each in reply.calls]
    return made


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(dict(call.arguments), ensure_ascii=False)}
    return {"id": call.id, "type": "function", "function": function}


def _tool_text(result: ToolResult) -> str:
    head = "The call failed: " if result.failed else ""
    said = [head + fenced(result.text)] if result.text or not result.passages else []
    return "\n\n".join([*(shown(each) for each in result.passages), *said])
