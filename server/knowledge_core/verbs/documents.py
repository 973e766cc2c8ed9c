"""The verb `list_documents`: the documents of a collection, page by page, in the order of their ids or the latest first.

A page goes on after a document, not after a number of documents: what is written between two pages moves none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from knowledge_core.cursors import decode_after, encode_after, request_digest
from knowledge_core.language.moments import moment
from knowledge_core.storage.view import Order, StoredDocument, View


@dataclass(frozen=True)
class DocumentsPage:
    """Some documents of a list.

    documents: without their text, in their order. total: how many documents the whole list has.
    cursor: asks for what follows; None where the list ends here.
    """

    documents: tuple[StoredDocument, ...]
    total: int
    cursor: str | None


Fits = Callable[[StoredDocument], bool]
"""Called once per document of a page, in order, until it says no: whether that document still fits into the answer."""


def list_documents(
    view: View,
    *,
    filter: Mapping[str, Any] | None = None,
    order: Order = "id",
    since: str | None = None,
    until: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
    fits: Fits = lambda document: True,
) -> DocumentsPage:
    """Return the documents that a filter allows, as many as fit, `limit` at most, and one even if it does not fit.

    order: by ids; or by a time, the latest first, ties by id.
    since, until: bounds, as of `moments.moment`, of the time that orders; of "modified" where ids do. `until` is not in it.
    cursor: of the page before; None for the first page.

    Raises:
        InvalidFilter: see `View.allowed`. InvalidInput: a bound is no moment.
        CursorExpired: the cursor belongs to another collection or filter.
    """
    request = request_digest(["list_documents", view.name, filter, order, since, until])
    bounded = _bounded(filter, order, since, until)
    allowed = view.allowed(bounded)
    after = None if cursor is None else _place(decode_after(cursor, request))
    stored = view.documents(bounded, limit + 1, after, order)
    shown = tuple(takewhile(fits, stored[:limit])) or tuple(stored[:1])
    return DocumentsPage(
        documents=shown,
        total=view.counts().documents if allowed is None else allowed.documents,
        cursor=encode_after(_after(shown[-1], order), request) if len(shown) < len(stored) else None,
    )


def bounds(since: str | None, until: str | None) -> dict[str, str]:
    """Return the bounds of a list as a filter on a time: ISO 8601, UTC."""
    now = datetime.now().astimezone()
    given = {} if since is None else {"$gte": moment(since, "since", now=now)}
    return given if until is None else {**given, "$lt": moment(until, "until", now=now, end=True)}


def _bounded(
    filter: Mapping[str, Any] | None, order: Order, since: str | None, until: str | None
) -> Mapping[str, Any] | None:
    times = bounds(since, until)
    if not times:
        return filter
    of_time = {"indexed_at" if order == "indexed_at" else "modified": times}
    return {"$and": [filter, of_time]} if filter else of_time


def _after(stored: StoredDocument, order: Order) -> str:
    time = {"id": "", "modified": stored.modified, "indexed_at": stored.indexed_at}[order]
    return f"{time} {stored.document.id}"


def _place(after: str) -> tuple[str, str]:
    time, _, id = after.partition(" ")
    return time, id
