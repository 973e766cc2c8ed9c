"""The verb `list_documents`: the documents of a collection, page by page, in the order of their ids.

A page goes on after an id, not after a number of documents: what is written between two pages moves none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from knowledge_core.cursors import decode_after, encode_after, request_digest
from knowledge_core.storage.view import StoredDocument, View


@dataclass(frozen=True)
class DocumentsPage:
    """Some documents of a list.

    documents: without their text, in the order of their ids. total: how many documents the whole list has.
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
    limit: int = 50,
    cursor: str | None = None,
    fits: Fits = lambda document: True,
) -> DocumentsPage:
    """Return the documents that a filter allows, as many as fit, `limit` at most, and one even if it does not fit.

    cursor: of the page before; None for the first page.

    Raises:
        InvalidFilter: see `View.allowed`. CursorExpired: the cursor belongs to another collection or filter.
    """
    allowed = view.allowed(filter)
    request = request_digest(["list_documents", view.name, filter])
    after = None if cursor is None else ("", decode_after(cursor, request))
    stored = view.documents(filter, limit + 1, after)
    shown = tuple(takewhile(fits, stored[:limit])) or tuple(stored[:1])
    return DocumentsPage(
        documents=shown,
        total=view.counts().documents if allowed is None else allowed.documents,
        cursor=encode_after(shown[-1].document.id, request) if len(shown) < len(stored) else None,
    )
