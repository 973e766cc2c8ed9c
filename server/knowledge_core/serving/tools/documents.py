"""The tools that read what is stored: `get_document`, `list_collections`, `list_documents`."""

from __future__ import annotations

import base64
import json
from typing import Annotated

from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from knowledge_core.engine import Engine
from knowledge_core.errors import CursorExpired
from knowledge_core.reading import Passage, read
from knowledge_core.serving.mcp_server import KnowledgeServer
from knowledge_core.serving.results import (
    CollectionItem,
    CollectionsResult,
    DocumentItem,
    DocumentResult,
    DocumentsResult,
)
from knowledge_core.serving.tools.common import CollectionName, Cursor, Filter, MaxTokens, answer
from knowledge_core.storage.view import StoredDocument

READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
LIST_BYTES = 7_000  # of the text block of a list: the default answer stays under 8 KB

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
        with engine.collection(collection).view() as view:
            passage = read(
                view, id, lines=lines, chunk=chunk, around=around, page=page, max_tokens=max_tokens, cursor=cursor
            )
        result = _document(collection, passage)
        return answer(result, _render_document(result))

    @server.tool(name="list_collections", title="List collections", description=LIST_COLLECTIONS, annotations=READ_ONLY)
    def list_collections_tool() -> Annotated[CallToolResult, CollectionsResult]:
        result = CollectionsResult(
            collections=[collection_item(engine, name) for name in engine.names()], notices=engine.notices
        )
        text = "\n".join(map(_render_collection, result.collections))
        text = text or "No collection yet. Index a folder or documents first, with the `index` tool."
        return answer(result, "\n".join([text, *engine.notices]))

    @server.tool(name="list_documents", title="List documents", description=LIST_DOCUMENTS, annotations=READ_ONLY)
    def list_documents_tool(
        collection: CollectionName = "default",
        filter: Filter = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 50,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, DocumentsResult]:
        with engine.collection(collection).view() as view:
            allowed = view.allowed(filter)
            total = view.counts().documents if allowed is None else allowed.documents
            after = _after(cursor)
            stored = view.documents(filter, limit + 1, after)
        result = _page(collection, stored, limit, total)
        return answer(result, _render_documents(result))


def _document(collection: str, passage: Passage) -> DocumentResult:
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
    more = f'\n[more follows: cursor="{result.cursor}"]' if result.cursor else ""
    return f"{head}\n{result.text}{more}"


def collection_item(engine: Engine, name: str) -> CollectionItem:
    """Return what is told of one collection."""
    collection = engine.collection(name)
    with collection.view() as view:
        counts, fields, indexed_at = view.counts(), view.fields(), view.last_indexed()
    return CollectionItem(
        name=name, documents=counts.documents, known=counts.known, chunks=counts.chunks,
        model=collection.contract.model, dimensions=collection.contract.dimensions,
        sources=[source.path for source in collection.sources()], fields=dict(list(fields.items())[:30]),
        indexed_at=indexed_at,
    )  # fmt: skip


def _render_collection(item: CollectionItem) -> str:
    waiting = f" ({item.known - item.documents} more not embedded yet)" if item.known > item.documents else ""
    sources = f"; from {', '.join(item.sources)}" if item.sources else ""
    fields = f"; metadata: {', '.join(item.fields)}" if item.fields else ""
    when = f"; last indexed {item.indexed_at}" if item.indexed_at else ""
    return (
        f"{item.name}: {item.documents} documents{waiting}, {item.chunks} chunks, "
        f"{item.model} ({item.dimensions} dimensions){sources}{fields}{when}"
    )


def _page(collection: str, stored: list[StoredDocument], limit: int, total: int) -> DocumentsResult:
    documents: list[DocumentItem] = []
    size = 0
    for each in stored[:limit]:
        document = each.document
        item = DocumentItem(
            id=document.id, title=document.title, uri=document.uri, chunks=each.chunks,
            metadata=dict(document.metadata), indexed_at=each.indexed_at,
        )  # fmt: skip
        size += len(_render_item(item).encode()) + 1
        if documents and size > LIST_BYTES:
            break
        documents.append(item)
    truncated = len(documents) < len(stored)
    cursor = _cursor(documents[-1].id) if truncated else None
    return DocumentsResult(
        collection=collection, documents=documents, total=total, truncated=truncated, cursor=cursor, notices=[]
    )


def _render_item(item: DocumentItem) -> str:
    metadata = "".join(f"; {name}={str(value)[:60]}" for name, value in list(item.metadata.items())[:8])
    title = f" — {item.title}" if item.title and item.title != item.id else ""
    return f"{item.id}{title} ({item.chunks} chunks{metadata})"


def _render_documents(result: DocumentsResult) -> str:
    head = f"{len(result.documents)} of {result.total} documents of {result.collection!r}:"
    more = [f'[more follow: cursor="{result.cursor}"]'] if result.cursor else []
    return "\n".join([head, *map(_render_item, result.documents), *more])


def _cursor(id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(["after", id]).encode()).decode().rstrip("=")


def _after(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        kind, id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if kind == "after" and isinstance(id, str):
            return id
    except (ValueError, TypeError, RecursionError):
        pass
    raise CursorExpired("This cursor is not one of list_documents. Call again without it.")
