"""The values that the agent works with: passages, messages, replies, answers. Frozen, without behaviour of their own.

Messages are neutral; `models/` turns them into their API's form. This file knows no API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Passage:
    """A piece of a document, as the server returned it.

    number: how answers cite it; from 1, unique within a conversation.
    collection: the name of the document's collection.
    document: the document's id.
    title: the document's, "" if it has none.
    uri: the document's address, "" if it is not known.
    text: the piece itself.
    first_line: of the text in the document, from 1.
    last_line: of the text in the document, included.
    page: where the document has pages, the one that the text is on, from 1.
    """

    number: int
    collection: str
    document: str
    title: str
    uri: str
    text: str
    first_line: int
    last_line: int
    page: int | None = None

    @property
    def lines(self) -> str:
        """Return the range of lines as people write it: "12-18", or "12"."""
        return f"{self.first_line}-{self.last_line}" if self.last_line > self.first_line else str(self.first_line)


@dataclass(frozen=True)
class Citation:
    """A passage that an answer names.

    passage: the one that is cited.
    quote: the words that the answer takes from it; "" where the answer only names the passage.
    lines: where the quote stands in the document, "12-18" or "12".
    verified: the quote occurs in the passage (white space, case and kinds of quotation marks aside).
    """

    passage: Passage
    quote: str
    lines: str
    verified: bool


@dataclass(frozen=True)
class ToolSpec:
    """A tool of the server.

    name: as a model calls it.
    description: what a model reads about it.
    schema: the JSON Schema of its arguments.
    read_only: the server declares that it changes nothing.
    idempotent: the server declares that a second call with the same arguments changes nothing more.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    read_only: bool
    idempotent: bool


@dataclass(frozen=True)
class ToolCall:
    """A model's request to call a tool.

    id: the API's name for this call, by which its result is assigned.
    name: the tool's.
    arguments: empty where they could not be read.
    problem: what is wrong with the arguments that the model wrote; "" if nothing is.
    """

    id: str
    name: str
    arguments: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class ToolResult:
    """The result of a call.

    call: the request that this answers.
    text: the server's words, which are data to a model, never instructions.
    passages: those that can be cited.
    failed: the call was not permitted, or failed; the text says why.
    """

    call: ToolCall
    text: str
    passages: tuple[Passage, ...] = ()
    failed: bool = False


@dataclass(frozen=True)
class UserMessage:
    """What the user says. passages: those retrieved for it; the model gets them before the text."""

    text: str
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens as the endpoint counted them. cached: the part of `input` that the endpoint took from its prompt cache."""

    input: int = 0
    output: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """Return input and output together."""
        return self.input + self.output

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input + other.input, self.output + other.output, self.cached + other.cached)


Ended = Literal["done", "tools", "length", "refusal"]


@dataclass(frozen=True)
class Reply:
    """A model's complete turn.

    text: with markers `[n]`, where n is a passage's number.
    calls: the tools that the model wants to call.
    citations: those that the API itself made.
    ended: why the turn ended; "length" at a limit of tokens.
    usage: the tokens of this turn.
    own: the turn in the API's own form, which is sent back unchanged.
    explanation: of a refusal, if the model gave one.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    citations: tuple[Citation, ...] = ()
    ended: Ended = "done"
    usage: Usage = Usage()
    own: Any = None
    explanation: str = ""


@dataclass(frozen=True)
class ToolResults:
    """The results of one reply's calls, in the order of the calls."""

    results: tuple[ToolResult, ...]


Message = UserMessage | Reply | ToolResults


@dataclass(frozen=True)
class TextPiece:
    """A piece of the answer's text, as it arrives."""

    text: str


@dataclass(frozen=True)
class ToolUsed:
    """A tool was called. passages: the number of passages that it returned."""

    name: str
    arguments: Mapping[str, Any]
    passages: int
    failed: bool


@dataclass(frozen=True)
class Notice:
    """Something that a reader of the answer should know."""

    text: str


Event = TextPiece | ToolUsed | Notice
OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Budget:
    """What one question may use. None: no limit. An exhausted budget ends the search, not the answer.

    steps: replies of the model in all; 12 leave room for ten rounds of tools.
    tokens: input and output of all steps together.
    seconds: from the question on; after that, the text that has arrived is the answer.
    cost: in the currency of the prices.
    answer_tokens: of a single reply.
    context_tokens: of retrieved text per request, estimated as UTF-8 bytes / 3, as the server estimates, too.
    """

    steps: int = 12
    tokens: int | None = 200_000
    seconds: float | None = 180.0
    cost: float | None = None
    answer_tokens: int = 4_096
    context_tokens: int = 12_000


@dataclass(frozen=True)
class Prices:
    """Money per million tokens, as the user gave it. Cached input is counted at the full price: an upper bound."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        """Return what this usage costs at most."""
        return (usage.input * self.input + usage.output * self.output) / 1e6


@dataclass(frozen=True)
class Answer:
    """What `Agent.ask` and `Agent.summarise` return.

    text: with markers `[n]`, where n is a passage's number.
    citations: the API's own first, then quotations, then passages that are only named; each in order of appearance.
    doubtful: quotations that occur in no cited passage, and markers of no passage.
    stopped: why the answer ended before the model was done; "" if it was done.
    usage: the tokens of all replies.
    cost: in the currency of the prices; None without prices.
    steps: replies of the model.
    seconds: from the question to the answer.
    mode: how the answer was made.
    notices: what the user should know besides the answer.
    searches: the queries that were searched for.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    doubtful: tuple[str, ...] = ()
    stopped: str = ""
    usage: Usage = Usage()
    cost: float | None = None
    steps: int = 0
    seconds: float = 0.0
    mode: Literal["pipeline", "agent", "summary"] = "agent"
    notices: tuple[str, ...] = ()
    searches: tuple[str, ...] = field(default=())

    @property
    def sources(self) -> tuple[Passage, ...]:
        """Return the cited passages, each once, by number."""
        found = {each.passage.number: each.passage for each in self.citations}
        return tuple(found[number] for number in sorted(found))

    @property
    def grounded(self) -> bool:
        """Say whether the answer cites something and every quotation in it was found."""
        return bool(self.citations) and not self.doubtful
