"""The verb `list_documents`: the documents of a collection, page by page, in the order of their ids or the latest first.

A page goes on after a document, not after a number of documents: what is written between two pages moves none of the
others. An age like "7d" is counted from the first page's time on all pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from knowledge_core.cursors import OF_ANOTHER_REQUEST, pack, request_digest, unpack
from knowledge_core.errors import CursorExpired, InvalidInput
from knowledge_core.language.moments import moment
from knowledge_core.storage.view import StoredDocument, View

Sort = Literal["id", "modified", "indexed_at"]


@dataclass(frozen=True)
class Bounds:
    """Between which moments a list's documents were changed or indexed: ISO 8601, UTC, both included; None: no bound."""

    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class DocumentsPage:
    """Some documents of a list.

    documents: without their text, in the list's order. total: how many documents the whole list has.
    bounds: that were taken. cursor: asks for what follows; None where the list ends here.
    """

    documents: tuple[StoredDocument, ...]
    total: int
    bounds: Bounds
    cursor: str | None


Fits = Callable[[StoredDocument], bool]
"""Called once per document of a page, in order, until it says no: whether that document still fits into the answer."""


def list_documents(
    view: View,
    *,
    filter: Mapping[str, Any] | None = None,
    sort: Sort = "id",
    since: str | None = None,
    until: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
    fits: Fits = lambda document: True,
) -> DocumentsPage:
    """Return the documents that a filter allows, as many as fit, `limit` at most, and one even if it does not fit.

    sort: "id", or the time whose latest comes first, ties by id.
    since, until: see `moments.moment`; they bound "indexed_at" where that sorts, else "modified".
    cursor: of the page before; None for the first page.

    Raises:
        InvalidInput: a moment is none, or `since` lies after `until`. InvalidFilter: see `View.allowed`.
        CursorExpired: the cursor belongs to another collection or request.
    """
    request = request_digest(["list_documents", view.name, filter, sort, since, until])
    after, bounds = (None, _bounds(since, until)) if cursor is None else _resumed(cursor, request)
    within = _within(filter, "indexed_at" if sort == "indexed_at" else "modified", bounds)
    allowed = view.allowed(within)
    stored = view.documents(within, limit + 1, after, sort)
    shown = tuple(takewhile(fits, stored[:limit])) or tuple(stored[:1])
    goes_on = len(shown) < len(stored)
    return DocumentsPage(
        documents=shown,
        total=view.counts().documents if allowed is None else allowed.documents,
        bounds=bounds,
        cursor=_cursor(request, shown[-1], sort, bounds) if goes_on else None,
    )


def _bounds(since: str | None, until: str | None) -> Bounds:
    found = Bounds(
        None if since is None else moment(since, "since"),
        None if until is None else moment(until, "until"),
    )
    if found.since and found.until and found.since > found.until:
        raise InvalidInput(f"since ({found.since}) lies after until ({found.until}), so nothing can lie between them.")
    return found


def _within(filter: Mapping[str, Any] | None, time: str, bounds: Bounds) -> Mapping[str, Any] | None:
    """Return a filter that allows only what also lies within the bounds."""
    limits = {operator: end for operator, end in (("$gte", bounds.since), ("$lte", bounds.until)) if end is not None}
    if not limits:
        return filter
    if not filter:
        return {time: limits}
    return {**filter, time: limits} if time not in filter else {"$and": [filter, {time: limits}]}


def _cursor(request: str, last: StoredDocument, sort: Sort, bounds: Bounds) -> str:
    time = {"id": "", "modified": last.modified, "indexed_at": last.indexed_at}[sort]
    return pack([request, time, last.document.id, bounds.since or "", bounds.until or ""])


def _resumed(cursor: str, request: str) -> tuple[tuple[str, str], Bounds]:
    match unpack(cursor):
        case [of, str(time), str(id), str(since), str(until)] if of == request:
            return (time, id), Bounds(since or None, until or None)
    raise CursorExpired(OF_ANOTHER_REQUEST)
