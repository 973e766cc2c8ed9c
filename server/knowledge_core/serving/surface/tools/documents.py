"""The tools that read what is stored: `get_document`, `list_collections`, `list_documents`."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from knowledge_core.cursors import pack, request_digest, unpack
from knowledge_core.engine import Engine
from knowledge_core.errors import CursorExpired, KnowledgeCoreError
from knowledge_core.serving.surface.collections import collection_named, collection_names, view_of_collection
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import (
    CollectionItem,
    CollectionsResult,
    DocumentItem,
    DocumentResult,
    DocumentsResult,
)
from knowledge_core.serving.surface.tools.answering import answer
from knowledge_core.serving.surface.tools.pages import STRUCTURE_CAP, Room, brief, ending, listed, told, whole
from knowledge_core.serving.surface.tools.parameters import (
    ALWAYS_LOADED,
    READ_ONLY,
    CollectionName,
    Cursor,
    Filter,
    MaxTokens,
)
from knowledge_core.storage.view import StoredDocument
from knowledge_core.verbs.read import Excerpt, read

LIST_BYTES = 7_000  # of the text block of a list: the default answer stays under 8 KB
ROOM_OF_SOURCES = 2_000  # characters of the folders named of one collection
MOST_FIELDS = 30  # metadata fields named of one collection
ALL_COLLECTIONS = "list_collections"  # what its cursors begin with
LEAST_TOKENS = 100  # of a passage, however large the rest of its document's answer is

GET = (
    "Read a stored document's text: from its start, or by `lines`, by `page`, or by a hit's `chunk` with its "
    "neighbours (`around`). Long texts are paged by cursor."
)
LIST_COLLECTIONS = "List the collections: documents, chunks, model, source folders, metadata fields, freshness."
LIST_DOCUMENTS = "List the documents of a collection in the order of their ids, filtered and paged."


def add(server: KnowledgeServer, engine: Engine) -> None:
    """Register the three tools."""

    @server.tool(name="get_document", title="Get document", description=GET, annotations=READ_ONLY)
    def get_document_tool(
        id: Annotated[str, Field(description="Document id, as in a hit.")],
        collection: CollectionName = "default",
        lines: Annotated[str | None, Field(description='"120-180", "120-" or "120".')] = None,
        chunk: Annotated[int | None, Field(description="As in a hit.")] = None,
        around: Annotated[int, Field(description="Neighbours on each side of chunk.")] = 1,
        page: Annotated[int | None, Field(description="From 1.")] = None,
        max_tokens: MaxTokens = None,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, DocumentResult]:
        def passage(budget: int | None) -> Excerpt:
            return read(view, id, lines=lines, chunk=chunk, around=around, page=page, max_tokens=budget, cursor=cursor)

        with view_of_collection(engine, collection) as view:
            result = _document(collection, passage(max_tokens))
            while len(result.model_dump_json()) > STRUCTURE_CAP and len(result.text.encode()) > 3 * LEAST_TOKENS:
                # As JSON, with its metadata, it takes more than its bytes told: half of it, with a cursor for the rest.
                result = _document(collection, passage(max(len(result.text.encode()) // 6, LEAST_TOKENS)))
        return answer(result, _render_document(result))

    @server.tool(
        name="list_collections", title="List collections", description=LIST_COLLECTIONS, annotations=READ_ONLY,
        meta=ALWAYS_LOADED,
    )  # fmt: skip
    def list_collections_tool(cursor: Cursor = None) -> Annotated[CallToolResult, CollectionsResult]:
        result = _collections(engine, _after(cursor, ALL_COLLECTIONS))
        lines = [*map(_render_collection, result.collections), *ending(result.notices, result.cursor)]
        if not result.total:
            lines.insert(0, "No collection yet. Index a folder or documents first, with the `index` tool.")
        return answer(result, "\n".join(lines))

    @server.tool(name="list_documents", title="List documents", description=LIST_DOCUMENTS, annotations=READ_ONLY)
    def list_documents_tool(
        collection: CollectionName = "default",
        filter: Filter = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 50,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, DocumentsResult]:
        with view_of_collection(engine, collection) as view:
            allowed = view.allowed(filter)
            total = view.counts().documents if allowed is None else allowed.documents
            asked = request_digest(["list_documents", collection, filter])
            stored = view.documents(filter, limit + 1, _after(cursor, asked))
        result = _page(collection, stored, limit, total, asked)
        return answer(result, _render_documents(result))


def _document(collection: str, passage: Excerpt) -> DocumentResult:
    document = passage.stored.document
    return DocumentResult(
        id=document.id, collection=collection, title=document.title, uri=document.uri,
        metadata=dict(document.metadata), lines=str(passage.lines), total_lines=passage.total_lines,
        page=passage.page, pages=len(document.pages) or None, text=passage.text, truncated=passage.truncated,
        cursor=passage.cursor, notices=[],
    )  # fmt: skip


def _render_document(result: DocumentResult) -> str:
    page = f", page {result.page} of {result.pages}" if result.page else ""
    head = f"{result.title or result.id} ({result.id}), lines {result.lines} of {result.total_lines}{page}:"
    return "\n".join([head, result.text, *ending(result.notices, result.cursor)])


def _collections(engine: Engine, after: str | None) -> CollectionsResult:
    """Return the collections from the first name above `after`; one that cannot be read hides none of the others."""
    names = collection_names(engine)
    rest = [name for name in names if after is None or name > after]
    room, shown, notices = Room(), list[CollectionItem](), list(engine.notices)
    seen = 0
    for name in rest:
        try:
            item = _bounded(collection_item(engine, name))
        except KnowledgeCoreError as error:
            notices.append(f"{name} cannot be read: {error}")
        else:
            if not room.takes(_render_collection(item), item):
                break
            shown.append(item)
        seen += 1
    cursor = pack([ALL_COLLECTIONS, rest[seen - 1]]) if seen < len(rest) else None
    return CollectionsResult(
        collections=shown, total=len(names), truncated=cursor is not None, cursor=cursor, notices=told(notices)
    )


def _bounded(item: CollectionItem) -> CollectionItem:
    """Return a collection's item with as many folders and fields as an answer should hold of one, and how many not."""
    room, sources = ROOM_OF_SOURCES, list[str]()
    for source in item.sources:
        room -= len(source)
        if sources and room < 0:
            break
        sources.append(source)
    fields = dict(list(item.fields.items())[:MOST_FIELDS])
    return item.model_copy(
        update={
            "sources": sources,
            "sources_left_out": len(item.sources) - len(sources) or None,
            "fields": fields,
            "fields_left_out": len(item.fields) - len(fields) or None,
        }
    )


def collection_item(engine: Engine, name: str) -> CollectionItem:
    """Return what is told of one collection."""
    collection = collection_named(engine, name)
    with collection.view() as view:
        counts, fields, indexed_at = view.counts(), view.fields(), view.last_indexed()
    return CollectionItem(
        name=name, documents=counts.documents, known=counts.known, chunks=counts.chunks,
        model=collection.contract.model, dimensions=collection.contract.dimensions,
        sources=[source.path for source in collection.sources()], fields=fields, indexed_at=indexed_at,
    )  # fmt: skip


def _render_collection(item: CollectionItem) -> str:
    waiting = f" ({item.known - item.documents} more not embedded yet)" if item.known > item.documents else ""
    sources = f"; from {', '.join(item.sources)}{_and_more(item.sources_left_out)}" if item.sources else ""
    names = listed(list(item.fields), ROOM_OF_SOURCES)
    fields = f"; metadata: {names}{_and_more(item.fields_left_out)}" if item.fields else ""
    when = f"; last indexed {item.indexed_at}" if item.indexed_at else ""
    return (
        f"{item.name}: {item.documents} documents{waiting}, {item.chunks} chunks, "
        f"{item.model} ({item.dimensions} dimensions){sources}{fields}{when}"
    )


def _and_more(left_out: int | None) -> str:
    return f" and {left_out} more" if left_out else ""


def _page(collection: str, stored: list[StoredDocument], limit: int, total: int, asked: str) -> DocumentsResult:
    items = (
        DocumentItem(
            id=each.document.id, title=each.document.title, uri=each.document.uri, chunks=each.chunks,
            metadata=dict(each.document.metadata), indexed_at=each.indexed_at,
        )
        for each in stored[:limit]
    )  # fmt: skip
    documents = whole(items, _render_item, Room(text=LIST_BYTES))
    truncated = len(documents) < len(stored)
    cursor = pack([asked, documents[-1].id]) if truncated else None
    return DocumentsResult(
        collection=collection, documents=documents, total=total, truncated=truncated, cursor=cursor, notices=[]
    )


def _render_item(item: DocumentItem) -> str:
    metadata = "".join(f"; {name}={brief(str(value), 60)}" for name, value in list(item.metadata.items())[:8])
    title = f" — {item.title}" if item.title and item.title != item.id else ""
    return f"{item.id}{title} ({item.chunks} chunks{metadata})"


def _render_documents(result: DocumentsResult) -> str:
    head = f"{len(result.documents)} of {result.total} documents of {result.collection!r}:"
    return "\n".join([head, *map(_render_item, result.documents), *ending(result.notices, result.cursor)])


def _after(cursor: str | None, asked: str) -> str | None:
    """Return what the page before ended with. asked: what a cursor of this request begins with."""
    if cursor is None:
        return None
    match unpack(cursor):
        case [begins, str(last)] if begins == asked:
            return last
    raise CursorExpired(
        "The cursor belongs to another request. Repeat the other arguments exactly, or ask again without the cursor."
    )
