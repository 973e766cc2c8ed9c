"""The tool `list_documents`."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from knowledge_core.engine import Engine
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import brief
from knowledge_core.retrieval.answers.notices import about_filter
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.pages import Room, bounded_notices, ending
from knowledge_core.serving.surface.calls.parameters import READ_ONLY, CollectionName, Cursor, Filter
from knowledge_core.serving.surface.calls.whereabouts import of_filtered
from knowledge_core.serving.surface.collections import view_of_collection
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import DocumentItem, DocumentsResult
from knowledge_core.storage.view import StoredDocument
from knowledge_core.verbs.documents import Sort, list_documents

LIST_BYTES = 7_000  # of the text block: the default answer stays under 8 KB
LIST_DOCUMENTS = "List a collection's documents by id or latest first (what is new), filtered and paged."


def add(server: KnowledgeServer, engine: Engine) -> None:
    """Register `list_documents`."""
    tool = ListDocumentsTool(engine)
    server.add_tool(
        tool.call, name="list_documents", title="List documents", description=LIST_DOCUMENTS, annotations=READ_ONLY
    )


class ListDocumentsTool:
    """The tool `list_documents`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(
        self,
        collection: CollectionName = "default",
        filter: Filter = None,
        sort: Annotated[Sort, Field(description="Times: latest first.")] = "id",
        since: Annotated[
            str | None, Field(description='Modified (or indexed_at, if sorted so) since "7d", "friday", "2026-11-28".')
        ] = None,
        until: Annotated[str | None, Field(description="Likewise; a day is included.")] = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 50,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, DocumentsResult]:
        room = Room(text=LIST_BYTES)

        def fits(document: StoredDocument) -> bool:
            item = _item(document)
            return room.takes(_rendered_item(item, sort), item)

        with view_of_collection(self._engine, collection) as view:
            page = list_documents(
                view, filter=filter, sort=sort, since=since, until=until, limit=limit, cursor=cursor, fits=fits
            )
            notices = about_filter([view], filter)
        if not page.total:
            notices += of_filtered(self._engine, filter, [collection])
        result = DocumentsResult(
            collection=collection, documents=[_item(each) for each in page.documents], total=page.total,
            since=page.bounds.since, until=page.bounds.until, truncated=page.cursor is not None, cursor=page.cursor,
            notices=bounded_notices(notices),
        )  # fmt: skip
        return answer(result, _rendered(result, sort))


def _item(stored: StoredDocument) -> DocumentItem:
    document = stored.document
    return DocumentItem(
        id=document.id, title=document.title, uri=document.uri, chunks=stored.chunks, metadata=dict(document.metadata),
        modified=stored.modified, indexed_at=stored.indexed_at,
    )  # fmt: skip


def _rendered_item(item: DocumentItem, sort: Sort) -> str:
    metadata = "".join(
        f"; {one_line(name)}={one_line(brief(str(value), 60))}" for name, value in list(item.metadata.items())[:8]
    )
    title = f" — {one_line(item.title)}" if item.title and item.title != item.id else ""
    time = {"id": "", "modified": f"{item.modified}  ", "indexed_at": f"{item.indexed_at}  "}[sort]
    return f"{time}{one_line(item.id)}{title} ({item.chunks} chunks{metadata})"


def _rendered(result: DocumentsResult, sort: Sort) -> str:
    what = "indexed" if sort == "indexed_at" else "modified"
    ends = [f"{side} {end}" for side, end in (("since", result.since), ("until", result.until)) if end]
    bounds = f", {what} {' '.join(ends)}" if ends else ""
    order = "" if sort == "id" else f", latest {what} first"
    head = f"{len(result.documents)} of {result.total} documents of {result.collection!r}{bounds}{order}:"
    lines = [_rendered_item(item, sort) for item in result.documents]
    return "\n".join([head, *lines, *ending(result.notices, result.cursor)])
