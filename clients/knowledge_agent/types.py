"""What is known: passages, messages, replies, answers. Frozen values without behaviour of their own.

Messages are neutral; `models/` turns them into their API's form. This file knows no API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Passage:
    """A piece of a document as the server gave it.

    number: how answers cite it, from 1, unique within a conversation. first_line: of `text` in the document, from 1.
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
        """Return the range as people write it: "12-18", or "12"."""
        return f"{self.first_line}-{self.last_line}" if self.last_line > self.first_line else str(self.first_line)


@dataclass(frozen=True)
class Citation:
    """A passage that an answer names. quote: words said to stand in it, "" where only the passage is named.

    verified: the quote occurs in the passage (white space, case and kinds of quotation marks aside).
    """

    passage: Passage
    quote: str
    lines: str
    verified: bool


@dataclass(frozen=True)
class ToolSpec:
    """A tool of the server, as a model is told of it. schema: JSON Schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]
    read_only: bool
    idempotent: bool


@dataclass(frozen=True)
class ToolCall:
    """A model's wish to call a tool. problem: what is wrong with the arguments as the model wrote them, else ""."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class ToolResult:
    """What a call gave: passages that can be cited, and text about them. text: the server's words, data to a model."""

    call: ToolCall
    text: str
    passages: tuple[Passage, ...] = ()
    failed: bool = False


@dataclass(frozen=True)
class UserMessage:
    """What the user says. passages: retrieved for it; they stand before the text."""

    text: str
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens as the endpoint counted them. cached: the part of `input` that came from its prompt cache."""

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
    """A model's whole turn.

    text: with `[n]` markers, n a passage's number. citations: those that the API itself vouches for. own: the turn in
    the API's form, which goes back to it unchanged. explanation: of a refusal, if it gave one.
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
    """What the calls of one reply gave, in their order."""

    results: tuple[ToolResult, ...]


Message = UserMessage | Reply | ToolResults


@dataclass(frozen=True)
class TextPiece:
    """A piece of the answer, as it comes."""

    text: str


@dataclass(frozen=True)
class ToolUsed:
    """A tool was called. passages: how many it gave."""

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
    """What one question may take. None: no limit. An exhausted budget ends the search, not the answer.

    steps: replies of the model in all; 12 leave ten rounds of tools. tokens: input and output of all steps together.
    seconds: from question to answer; then whatever is there is the answer. cost: in the currency of the prices.
    answer_tokens: the longest single reply. context_tokens: of retrieved text in one request, estimated as UTF-8
    bytes / 3, the estimate of the server's own budgets.
    """

    steps: int = 12
    tokens: int | None = 200_000
    seconds: float | None = 180.0
    cost: float | None = None
    answer_tokens: int = 4_096
    context_tokens: int = 12_000


@dataclass(frozen=True)
class Prices:
    """Money per million tokens, as the user was told them. Cached input counts as input: an upper bound."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        """Return what this usage costs at most."""
        return (usage.input * self.input + usage.output * self.output) / 1e6


@dataclass(frozen=True)
class Answer:
    """What `Agent.ask` returns.

    text: with `[n]` markers. citations: in order of appearance. sources: the cited passages, each once, by number.
    doubtful: quotations of the answer that occur in no cited passage. grounded: the answer cites something, and every
    quotation was found. stopped: why it ended before the model was done, else "". cost: None without prices.
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
