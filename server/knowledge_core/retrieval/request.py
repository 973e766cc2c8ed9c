"""What a search is asked, and which of it is refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from knowledge_core.errors import InvalidInput
from knowledge_core.storage.filter_bounds import check_bounds

Mode = Literal["hybrid", "semantic", "lexical"]

LONGEST_QUERY = 10_000  # characters
LARGEST_LIMIT = 100
TOKEN_BUDGET = (100, 20_000)
MOST_EXAMPLES = 100


@dataclass(frozen=True)
class Examples:
    """What hits should be like, or unlike. ids: of documents, or "id#position" for one chunk."""

    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchRequest:
    """One of query and like; unlike only beside like. cursor: of an earlier answer to the same request.

    max_tokens: budget of the answer, estimated as UTF-8 bytes / 3; at least one hit always comes.
    explain: fill `Hit.parts`.
    """

    query: str | None = None
    like: Examples | None = None
    unlike: Examples | None = None
    limit: int = 8
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    cursor: str | None = None
    explain: bool = False


def validate(request: SearchRequest) -> None:
    """Raise InvalidInput (InvalidFilter for the filter) for the first value of the request that cannot be used."""
    if (request.query is None) == (request.like is None):
        given = "neither" if request.query is None else "both"
        raise InvalidInput(f"Give a query, or like (examples to be near to): one of the two, not {given}.")
    if request.unlike is not None and request.like is None:
        raise InvalidInput("unlike only bends what like asks for: give like too, or leave unlike out.")
    if request.mode not in get_args(Mode):
        raise InvalidInput(f"mode is {request.mode!r}; it must be one of {', '.join(get_args(Mode))}.")
    if request.like is not None and request.mode == "lexical":
        raise InvalidInput("mode is 'lexical', but like compares meanings: leave mode out, or give a query.")
    if not 1 <= request.limit <= LARGEST_LIMIT:
        raise InvalidInput(f"limit is {request.limit}; it must be from 1 to {LARGEST_LIMIT}. A cursor reads on.")
    least, most = TOKEN_BUDGET
    if request.max_tokens is not None and not least <= request.max_tokens <= most:
        raise InvalidInput(f"max_tokens is {request.max_tokens}; it must be from {least} to {most}.")
    check_bounds(request.filter)
    if request.query is not None:
        _check_text("query", request.query)
    for name, examples in (("like", request.like), ("unlike", request.unlike)):
        if examples is not None:
            _check_examples(name, examples)


def _check_text(name: str, text: str) -> None:
    if not text.strip():
        raise InvalidInput(f"{name} is empty; write a question, some keywords or a passage.")
    if len(text) > LONGEST_QUERY:
        raise InvalidInput(f"{name} has {len(text):,} characters; at most {LONGEST_QUERY:,} are allowed. Shorten it.")


def _check_examples(name: str, examples: Examples) -> None:
    count = len(examples.ids) + len(examples.texts)
    if not 1 <= count <= MOST_EXAMPLES:
        raise InvalidInput(f"{name} has {count} examples; give 1 to {MOST_EXAMPLES}, as ids or texts.")
    for text in examples.texts:
        _check_text(f"{name}.texts", text)
