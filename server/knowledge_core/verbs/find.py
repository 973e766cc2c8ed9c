"""The verb `find`: every line of the stored texts that holds a text or matches a regular expression, with a true count.

The order is that of the collections' names, then of the documents' ids, then of the lines. A page goes on after a line, not
after a number of lines: what is written between two pages moves none of the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knowledge_core.cursors import OF_ANOTHER_REQUEST, moved, pack, request_digest, unpack
from knowledge_core.errors import CursorExpired, InvalidFilter, InvalidInput, KnowledgeCoreError, StorageError
from knowledge_core.retrieval.answers.hits import Searched
from knowledge_core.retrieval.answers.notices import about_pending
from knowledge_core.retrieval.fair_semaphore import FairSemaphore
from knowledge_core.retrieval.lines.found import Fits, FoundLine, page_of_lines
from knowledge_core.retrieval.lines.passes import Counted, Wanted, lines_of
from knowledge_core.retrieval.lines.patterns import Match
from knowledge_core.retrieval.lines.scanners import Scan, Stopped, scanner
from knowledge_core.retrieval.lines.scanning import LONGEST_SHOWN, Line
from knowledge_core.retrieval.request import LARGEST_LIMIT, TOKEN_BUDGET
from knowledge_core.storage.filter_bounds import check_bounds

__all__ = ["FindRequest", "FindResponse", "Fits", "FoundLine", "Match", "find"]

PASSES = FairSemaphore(max((os.cpu_count() or 1) // 2, 1))  # a pass takes one core: the others are for searches

LONGEST_QUERY = 10_000  # characters: a longer pattern is none, and cannot be cut
NOTHING = "No line matches. Capitals count: match: 'regex' with (?i) before the query ignores them."
SHORTENED = f"Of a line with more than {LONGEST_SHOWN} characters a part is shown; get_document(id, lines) has all."


@dataclass(frozen=True)
class FindRequest:
    """What to find.

    Attributes:
        query: a text that lines hold, or a regular expression that they match.
        match: which of the two.
        limit: of the lines, 1..100.
        filter: in which documents; see `filters.parse`. None for all.
        max_tokens: budget of the answer, as of a search.
        cursor: of an earlier answer to the same request.
    """

    query: str
    match: Match
    limit: int = LARGEST_LIMIT
    filter: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    cursor: str | None = None


@dataclass(frozen=True)
class FindResponse:
    """One page of lines, and how many there are in all.

    Attributes:
        lines: in order.
        total: the number of all lines that match.
        documents: in how many documents they are.
        searched: the number of documents that were looked through.
        known: the number of documents that there are, with those that still wait to be embedded.
        truncated: there are fewer lines than asked for, because no more fit into the answer.
        cursor: asks for the next page; None where nothing follows.
        notices: what the caller should know besides.
    """

    lines: tuple[FoundLine, ...]
    total: int
    documents: int
    searched: int
    known: int
    truncated: bool
    cursor: str | None
    notices: tuple[str, ...]


LeftOut = Callable[[str, KnowledgeCoreError], None]
"""Told of a collection that turns out to be damaged while it is read, with its error."""


@dataclass(frozen=True)
class _Place:
    """The last line that was shown. state: digest of the data that the first page was answered from."""

    state: str
    collection: str = ""
    document: str = ""
    line: int = 0


@dataclass
class _Passed:
    """What was found in the collections so far, in order."""

    found: list[tuple[Searched, str, Line]] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    known: int = 0


def find(
    over: Sequence[Searched],
    request: FindRequest,
    fits: Fits = lambda line: True,
    *,
    stopped: Stopped = lambda: False,
    left_out: LeftOut | None = None,
) -> FindResponse:
    """Return the page of matching lines that the request asks for, as far as they fit; the first one in any case.

    over: the collections to look in. stopped: asked now and then; once it says yes, the search ends. left_out: takes the
    error of a damaged collection, and the others answer; without it that error is raised.

    Raises:
        InvalidInput: a value of the request is wrong, or the query is no regular expression. InvalidFilter: no collection
            knows the filter's fields. CursorExpired: the cursor belongs to another request. StorageError: see `left_out`.
        Cancelled: `stopped` said yes.
    """
    _check(request)
    over = sorted(over, key=lambda each: each.name)
    names = [each.name for each in over]
    digest = request_digest(["find", request.query, request.match, request.filter, names])
    state = request_digest({each.name: each.view.generation for each in over})
    after = _Place(state) if request.cursor is None else _resumed(request.cursor, digest)
    with PASSES.one(), scanner(request.query, request.match, stopped) as scan:
        passed = _passed(over, request, scan, after, left_out)
    lines = page_of_lines(passed.found[: request.limit], request.max_tokens, fits)
    return FindResponse(
        lines=tuple(lines),
        total=sum(each.lines for each in passed.counted),
        documents=sum(each.documents for each in passed.counted),
        searched=sum(each.searched for each in passed.counted),
        known=passed.known,
        truncated=len(lines) < min(len(passed.found), request.limit),
        cursor=_cursor(digest, after.state, lines[-1]) if len(lines) < len(passed.found) else None,
        notices=(*_notices(passed, lines), *about_pending(over), *moved(names, after.state, state)),
    )


def _notices(passed: _Passed, lines: Sequence[FoundLine]) -> list[str]:
    nothing = [] if any(each.lines for each in passed.counted) else [NOTHING]
    return [*passed.notices, *nothing, *([SHORTENED] if any(line.cut for line in lines) else [])]


def _check(request: FindRequest) -> None:
    if len(request.query) > LONGEST_QUERY:
        raise InvalidInput(
            f"query has {len(request.query):,} characters; at most {LONGEST_QUERY:,} are allowed. Shorten it."
        )
    if not 1 <= request.limit <= LARGEST_LIMIT:
        raise InvalidInput(f"limit is {request.limit}; it must be from 1 to {LARGEST_LIMIT}. A cursor reads on.")
    least, most = TOKEN_BUDGET
    if request.max_tokens is not None and not least <= request.max_tokens <= most:
        raise InvalidInput(f"max_tokens is {request.max_tokens}; it must be from {least} to {most}.")
    check_bounds(request.filter)


def _passed(
    over: Sequence[Searched], request: FindRequest, scan: Scan, after: _Place, left_out: LeftOut | None
) -> _Passed:
    """Look through the collections one after the other, for one line more than are asked for."""
    wanted = Wanted(request.query, request.match, request.filter)
    passed, refused = _Passed(), list[InvalidFilter]()
    for each in over:
        most = request.limit + 1 - len(passed.found) if each.name >= after.collection else 0
        place = (after.document, after.line) if each.name == after.collection else ("", 0)
        try:
            counted, found = lines_of(each.view, wanted, scan, place, most)
        except InvalidFilter as error:
            refused.append(error)
            passed.notices.append(f"Collection {each.name!r} was left out: {error}")
            continue
        except StorageError as error:
            if left_out is None or len(over) == 1:
                raise
            left_out(each.name, error)
            continue
        passed.known += each.view.counts().known
        passed.counted.append(counted)
        passed.found += [(each, id, line) for id, line in found]
        passed.notices += _about(each, counted)
    if refused and not passed.counted:
        raise refused[0]
    return passed


def _about(one: Searched, counted: Counted) -> list[str]:
    counts = one.view.counts()
    if counts.documents < counts.known:
        return [f"{counts.known - counts.documents} of {counts.known} documents in {one.name!r} are not indexed yet."]
    if counts.documents and not counted.searched:
        return [f"The filter allows nothing in collection {one.name!r}; widen it."]
    return [] if counts.documents else [f"Collection {one.name!r} is empty; index something into it."]


def _cursor(request: str, state: str, last: FoundLine) -> str:
    return pack([request, state, last.collection, last.document, last.lines.first])


def _resumed(cursor: str, request: str) -> _Place:
    match unpack(cursor):
        case [of, str(state), str(collection), str(document), int(line)] if of == request:
            return _Place(state, collection, document, line)
    raise CursorExpired(OF_ANOTHER_REQUEST)
