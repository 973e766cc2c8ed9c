"""The request of a search, and which requests are refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from knowledge_core.errors import InvalidInput, quoted
from knowledge_core.storage.filter_bounds import check_bounds

Mode = Literal["hybrid", "semantic", "lexical"]

LONGEST_QUERY = 10_000  # characters, of a query or an example
LARGEST_LIMIT = 100  # hits
TOKEN_BUDGET = (100, 20_000)  # the least and the most of `max_tokens`
MOST_QUERIES = 8  # wordings of one question
LONGEST_HALF_LIFE = 36_500  # days
MOST_EXAMPLES = 100  # of `like`, and of `unlike`


@dataclass(frozen=True)
class Examples:
    """What hits should be like, or unlike.

    ids: of documents, or "id#position" for one chunk. texts: given in the request.
    """

    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchRequest:
    """What to search for: a query or examples, one of the two.

    Attributes:
        query: a question, some keywords or a passage.
        like: examples of what to find.
        unlike: examples of what not to find; only together with `like`.
        limit: of the hits, 1..100.
        mode: which indexes are asked; examples are never asked for by words.
        filter: which documents may be found; see `filters.parse`. None for all.
        max_tokens: budget of the answer, 100..20,000, estimated as UTF-8 bytes / 3. One hit is returned in any case.
        cursor: of an earlier answer to the same request.
        explain: fill `Hit.parts`.
        per_document: hits of one document at most, 1..100; None for all.
        why_not: id of a document: a notice says where it stands for the query, and what kept it out.
        queries: other wordings of the query, `MOST_QUERIES` with it at most; only together with `query`.
        recency: days after which a document's date counts half, among hits that are nearly as good; None: not at all.
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
    per_document: int | None = None
    queries: tuple[str, ...] = ()
    recency: float | None = None
    why_not: str | None = None

    @property
    def wordings(self) -> tuple[str, ...]:
        """Return the query and its other wordings, each once; nothing where there is no query."""
        return tuple(dict.fromkeys([self.query, *self.queries])) if self.query is not None else ()


def validate(request: SearchRequest) -> None:
    """Check a request.

    Raises:
        InvalidInput: a value cannot be used. InvalidFilter: the filter is too large or too deep.
    """
    if (request.query is None) == (request.like is None):
        given = "neither" if request.query is None else "both"
        raise InvalidInput(f"Give a query, or like (examples to be near to): one of the two, not {given}.")
    if request.unlike is not None and request.like is None:
        raise InvalidInput("unlike only bends what like asks for: give like too, or leave unlike out.")
    if request.mode not in get_args(Mode):
        raise InvalidInput(f"mode is {quoted(request.mode)}; it must be one of {', '.join(get_args(Mode))}.")
    if request.like is not None and request.mode == "lexical":
        raise InvalidInput("mode is 'lexical', but like compares meanings: leave mode out, or give a query.")
    if not 1 <= request.limit <= LARGEST_LIMIT:
        raise InvalidInput(f"limit is {request.limit}; it must be from 1 to {LARGEST_LIMIT}. A cursor reads on.")
    if request.per_document is not None and not 1 <= request.per_document <= LARGEST_LIMIT:
        raise InvalidInput(f"per_document is {request.per_document}; it must be from 1 to {LARGEST_LIMIT}.")
    if request.recency is not None and not 0 < request.recency <= LONGEST_HALF_LIFE:
        raise InvalidInput(
            f"recency is {request.recency:g}; it is a half-life in days, above 0 and at most {LONGEST_HALF_LIFE:,}."
        )
    if request.queries and request.query is None:
        raise InvalidInput("queries are other wordings of query: give query, too.")
    if len(request.queries) >= MOST_QUERIES:
        raise InvalidInput(f"There are {len(request.queries) + 1} queries; give {MOST_QUERIES} at most.")
    for each in request.queries:
        _check_text("queries", each)
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
