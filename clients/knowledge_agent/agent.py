"""The agent: a question in, an answer with sources out. Read this file to build your own.

There are two ways. The pipeline retrieves once and generates. The agentic way lets the model call the server's tools
until it has what it needs or the budget is used up. Rules kept here:
- a model reaches only tools that the server declares read-only, unless the user allowed writing; this is checked on
  each call, whatever tools the model was offered;
- where collections were chosen, no call reaches another one;
- what tools return is data: it never becomes an instruction, a system prompt or a tool's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from knowledge_agent.errors import ModelUnavailable, NoToolCalls, ToolFailed, WrongSetup
from knowledge_agent.mcp_client import ServerConnection, connected
from knowledge_agent.models.chat_model import ChatModel
from knowledge_agent.prompting import (
    AGENT,
    CLOSING,
    DOUBT,
    NOTHING,
    PIPELINE,
    REWRITE,
    as_messages,
    conversation,
    trimmed,
    within,
)
from knowledge_agent.retrieval import Shelf, finds_nothing, is_doubtful, passages_of_hits, tool_result
from knowledge_agent.summarising import gathered, summarised
from knowledge_agent.turn import Turn
from knowledge_agent.types import (
    Answer,
    Budget,
    Event,
    Message,
    Notice,
    OnEvent,
    Prices,
    TextPiece,
    ToolCall,
    ToolResult,
    ToolResults,
    ToolSpec,
    ToolUsed,
    UserMessage,
)

USELESS = {"embed"}  # a generative model cannot read vectors
MOST_MISWRITTEN = 3  # rounds in a row in which all calls of a model are malformed; after that it is given up


def _ignore(event: Event) -> None: ...


class Agent:
    """Answers questions from a knowledge server's documents, one at a time. `Agent.connect` makes one with its parts.

    pipeline: search once and generate, instead of letting the model call tools.
    collections: the only ones to look in; empty: all.
    limit: the number of hits that the pipeline searches for.
    budget: what one question may take.
    prices: for the cost of an answer; None: costs are not computed.
    history_tokens: how much of the conversation is sent along with a question.
    allow_write: let the model call tools that change or delete documents.
    """

    def __init__(
        self,
        model: ChatModel,
        server: ServerConnection,
        *,
        pipeline: bool = False,
        collections: Sequence[str] = (),
        limit: int = 8,
        budget: Budget = Budget(),  # noqa: B008  frozen
        prices: Prices | None = None,
        history_tokens: int = 4_000,
        allow_write: bool = False,
    ) -> None:
        self.history: list[tuple[str, str]] = []
        self.shelf = Shelf()
        self._model = model
        self._server = server
        self._pipeline = pipeline
        self._collections = tuple(collections)
        self._limit = limit
        self._budget = budget
        self._prices = prices
        self._history_tokens = history_tokens
        self._allow_write = allow_write

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        *,
        api: Literal["anthropic", "openai"] = "anthropic",
        model: str | None = None,
        base_url: str | None = None,
        server: str | None = None,
        server_command: Sequence[str] | None = None,
        **options: Any,
    ) -> AsyncIterator[Agent]:
        """Yield an agent with a model and a server, which are both closed at the end of the block.

        api, model, base_url: see `chat_model`.
        server, server_command: URL, or command, of the knowledge server; see `mcp_client.connected`.
        options: those of `Agent`.

        Raises:
            WrongSetup: a key, a model's name or a command is missing; the message says which.
        """
        chat = chat_model(api, model, base_url)
        try:
            async with connected(server, server_command) as knowledge:
                yield cls(chat, knowledge, **options)
        finally:
            await chat.close()

    async def ask(self, question: str, on_event: OnEvent = _ignore) -> Answer:
        """Answer a question as the next one of the conversation.

        on_event: called with pieces of text, tool calls and notices as they come.

        Raises:
            AgentError: there is no answer; the message says what to do.
        """
        if not question.strip():
            raise WrongSetup("The question is empty.")
        turn = Turn("pipeline" if self._pipeline else "agent", self._budget, self._prices, on_event)
        return await self._answered(question, turn, lambda: self._either_way(question, turn))

    async def summarise(
        self, kind: Literal["document", "collection", "cluster"], name: str, on_event: OnEvent = _ignore
    ) -> Answer:
        """Summarise a document (its id), a collection (its name) or a cluster (its id or label), with sources.

        Raises:
            AgentError: there is no summary; the message says what to do.
        """
        turn = Turn("summary", self._budget, self._prices, on_event)

        async def work() -> str:
            passages, notice = await gathered(self._server, self.shelf, kind, name, self._collections, self._budget)
            if notice:
                turn.hear(Notice(notice))
            return await summarised(self._model, passages, turn, self._budget)

        return await self._answered(f"Summarise the {kind} {name}", turn, work)

    def reset(self) -> None:
        """Forget the conversation."""
        self.history.clear()
        self.shelf = Shelf()

    async def _answered(self, question: str, turn: Turn, work: Callable[[], Awaitable[str]]) -> Answer:
        try:
            async with asyncio.timeout(self._budget.seconds) as limit:
                text = await work()
        except TimeoutError:
            if not limit.expired():
                raise
            text = turn.out_of_time()
        answer = turn.answer(text, self.shelf)
        self.history.append((question, answer.text))
        return answer

    async def _either_way(self, question: str, turn: Turn) -> str:
        if self._pipeline:
            return await self._retrieve_then_generate(question, turn)
        try:
            return await self._converse(question, turn)
        except NoToolCalls as error:
            turn.hear(Notice(f"This model takes no tools; answering from one search instead. ({error})"))
            turn.mode = "pipeline"
            return await self._retrieve_then_generate(question, turn)

    # The pipeline: one search, one reply.

    async def _retrieve_then_generate(self, question: str, turn: Turn) -> str:
        query = await self._self_contained(question, turn)
        asked: dict[str, Any] = {"query": query, "limit": self._limit, **self._where()}
        found = (await self._server.call("search", asked)).structure
        turn.searches.append(query)
        turn.nothing_found += finds_nothing(found)
        if not found.get("hits"):
            turn.hear(TextPiece(NOTHING))
            return NOTHING
        every = await passages_of_hits(self._server, self.shelf, list(found["hits"]))
        passages = within(every, self._budget.context_tokens)
        turn.hear(ToolUsed("search", asked, len(passages), failed=False))
        told = f"{DOUBT}\n\n{question}" if is_doubtful(found) else question
        reply = await self._model.reply(
            PIPELINE, [*self._past(), UserMessage(told, passages)], [], turn.hear,
            max_tokens=self._budget.answer_tokens,
        )  # fmt: skip
        return turn.add(reply).text

    async def _self_contained(self, question: str, turn: Turn) -> str:
        """Return a query that can be understood without the conversation."""
        past = trimmed(self.history, self._history_tokens)
        if not past:
            return question
        reply = await self._model.reply(
            REWRITE, [UserMessage(conversation(past, question))], [], _ignore, max_tokens=200
        )
        return turn.add(reply).text.strip().strip('"') or question

    # The agentic way: the model calls tools until it answers.

    async def _converse(self, question: str, turn: Turn) -> str:
        tools = await self._tools()
        messages: list[Message] = [*self._past(), UserMessage(question)]
        miswritten = 0
        while True:
            closing = turn.exhausted()
            if closing:
                messages.append(UserMessage(CLOSING))
                turn.hear(Notice("The budget for searching is used up; answering from what was found."))
            reply = turn.add(
                await self._model.reply(
                    AGENT, messages, tools, turn.hear, max_tokens=self._budget.answer_tokens, may_call=not closing
                )
            )
            if closing or not reply.calls:
                return reply.text
            miswritten = miswritten + 1 if all(call.problem for call in reply.calls) else 0
            if miswritten == MOST_MISWRITTEN:
                raise ModelUnavailable(
                    f"The model wrote malformed tool arguments {MOST_MISWRITTEN} times in a row. Use --pipeline, which "
                    "needs no tool calls, or another model."
                )
            messages += [reply, ToolResults(tuple([await self._use(call, tools, turn) for call in reply.calls]))]

    async def _tools(self) -> list[ToolSpec]:
        """Return the tools that the model may call: the useful ones that only read, or that write where that is allowed."""
        return [
            each
            for each in await self._server.tools()
            if (each.read_only or self._allow_write) and each.name not in USELESS
        ]

    async def _use(self, call: ToolCall, tools: Sequence[ToolSpec], turn: Turn) -> ToolResult:
        """Make a call, if it is permitted; the model gets the error of one that is not, or that fails."""
        try:
            arguments = self._permitted(call, tools)
            given = await self._server.call(call.name, arguments)
            result, nothing = await tool_result(self._server, self.shelf, call, given, self._budget.context_tokens // 2)
        except ToolFailed as error:
            turn.hear(ToolUsed(call.name, call.arguments, 0, failed=True))
            return ToolResult(call, str(error), failed=True)
        if call.name == "search":
            turn.searches.append(str(arguments.get("query", "")))
            turn.nothing_found += nothing
        turn.hear(ToolUsed(call.name, arguments, len(result.passages), failed=False))
        return result

    def _permitted(self, call: ToolCall, tools: Sequence[ToolSpec]) -> Mapping[str, Any]:
        """Return the arguments to make a call with, limited to the chosen collections.

        Raises:
            ToolFailed: the call is not permitted; the message says why.
        """
        names = [each.name for each in tools]
        if call.name not in names:
            raise ToolFailed(f"There is no tool {call.name!r} here. There are: {', '.join(names)}.")
        if call.problem:
            raise ToolFailed(call.problem)
        if not self._collections or call.name == "list_collections":
            return call.arguments
        if call.name == "search":
            return {**call.arguments, **self._where()}
        wanted = call.arguments.get("collection", self._collections[0])
        if wanted not in self._collections:
            raise ToolFailed(f"Only these collections may be used: {', '.join(self._collections)}.")
        takes = any("collection" in each.schema.get("properties", {}) for each in tools if each.name == call.name)
        return {**call.arguments, "collection": wanted} if takes and "texts" not in call.arguments else call.arguments

    def _where(self) -> dict[str, Any]:
        return {"collections": list(self._collections)} if self._collections else {}

    def _past(self) -> list[Message]:
        return as_messages(trimmed(self.history, self._history_tokens))


def chat_model(api: str, model: str | None = None, base_url: str | None = None) -> ChatModel:
    """Return the model behind an API.

    api: "anthropic" or "openai". model: its name; None: the API's default. base_url: the endpoint's address; None: the
    SDK's own.

    Raises:
        WrongSetup: the key or the model's name is missing, or the SDK is not installed.
    """
    try:
        if api == "anthropic":
            from knowledge_agent.models.anthropic_model import AnthropicModel

            return AnthropicModel(model, base_url=base_url)
        if api == "openai":
            from knowledge_agent.models.openai_model import OpenAIModel

            return OpenAIModel(model, base_url=base_url)
    except ModuleNotFoundError as missing:
        raise WrongSetup(f"{missing.name} is not installed: pip install 'knowledge-core[agent]'") from missing
    raise WrongSetup(f"--api is {api!r}; it must be anthropic or openai.")
