"""The tool `list_collections`."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult

from knowledge_core.cursors import decode_after, encode_after
from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.near_names import listed
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.pages import bounded_notices, default_room, ending
from knowledge_core.serving.surface.calls.parameters import ALWAYS_LOADED, READ_ONLY, Cursor
from knowledge_core.serving.surface.collections import collection_named, collection_names, losses_of
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import CollectionItem, CollectionsResult
from knowledge_core.serving.surface.tools.search import behind_notices
from knowledge_core.verbs.sources import source_states

ROOM_OF_SOURCES = 2_000  # characters of the folders named per collection
MOST_FIELDS = 30  # metadata fields named per collection
REQUEST = "list_collections"  # the request that its cursors belong to

LIST_COLLECTIONS = "List the collections: documents, chunks, model, source folders, metadata fields, freshness."


def add(server: KnowledgeServer, engine: Engine) -> None:
    """Register `list_collections`."""
    tool = ListCollectionsTool(engine)
    server.add_tool(
        tool.call,
        name="list_collections",
        title="List collections",
        description=LIST_COLLECTIONS,
        annotations=READ_ONLY,
        meta=ALWAYS_LOADED,
    )


class ListCollectionsTool:
    """The tool `list_collections`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(self, cursor: Cursor = None) -> Annotated[CallToolResult, CollectionsResult]:
        result = _page(self._engine, None if cursor is None else decode_after(cursor, REQUEST))
        lines = [*map(_rendered_item, result.collections), *ending(result.notices, result.cursor)]
        if not result.total:
            lines.insert(0, "No collection yet. Index a folder or documents first, with the `index` tool.")
        return answer(result, "\n".join(lines))


def _page(engine: Engine, last: str | None) -> CollectionsResult:
    """Return the collections from the first name above `last`; one that cannot be read hides none of the others."""
    names = collection_names(engine)
    rest = [name for name in names if last is None or name > last]
    room, shown, notices = default_room(), list[CollectionItem](), [*engine.notices, *engine.waiting_roots.values()]
    seen = 0
    for name in rest:
        try:
            item = _bounded(collection_item(engine, name))
        except KnowledgeCoreError as error:
            notices.append(f"{name} cannot be read: {error}")
        else:
            if not room.takes(_rendered_item(item), item):
                break
            shown.append(item)
            notices += behind_notices(engine, [name])
            notices += losses_of(engine, [name], in_brief=False)
        seen += 1
    cursor = encode_after(rest[seen - 1], REQUEST) if seen < len(rest) else None
    return CollectionsResult(
        collections=shown,
        total=len(names),
        truncated=cursor is not None,
        cursor=cursor,
        notices=bounded_notices(notices),
    )


def _bounded(item: CollectionItem) -> CollectionItem:
    """Return a collection's item with as many folders and fields as an answer should hold per collection.

    How many were left out is counted in it.
    """
    room, shown = ROOM_OF_SOURCES, 0
    for told in item.source_details:
        room -= len(told)
        if shown and room < 0:
            break
        shown += 1
    sources = item.sources[:shown]
    fields = dict(list(item.fields.items())[:MOST_FIELDS])
    return item.model_copy(
        update={
            "sources": sources,
            "source_details": item.source_details[:shown],
            "sources_left_out": len(item.sources) - len(sources) or None,
            "fields": fields,
            "fields_left_out": len(item.fields) - len(fields) or None,
        }
    )


def collection_item(engine: Engine, name: str) -> CollectionItem:
    """Return what there is to say of one collection, all its folders and fields included."""
    collection = collection_named(engine, name)
    with collection.view() as view:
        counts, fields, indexed_at = view.counts(), view.fields(), view.last_indexed()
    states = source_states(collection)
    return CollectionItem(
        name=name, documents=counts.documents, known=counts.known, chunks=counts.chunks,
        model=collection.contract.model, dimensions=collection.contract.dimensions,
        sources=[each.source.path for each in states], source_details=[each.told() for each in states],
        fields=fields, indexed_at=indexed_at,
    )  # fmt: skip


def _rendered_item(item: CollectionItem) -> str:
    waiting = f" ({item.known - item.documents} more not embedded yet)" if item.known > item.documents else ""
    sources = (
        f"; from {', '.join(item.source_details)}{_and_more(item.sources_left_out)}" if item.source_details else ""
    )
    names = listed(list(item.fields), ROOM_OF_SOURCES)
    fields = f"; metadata: {names}{_and_more(item.fields_left_out)}" if item.fields else ""
    when = f"; last indexed {item.indexed_at}" if item.indexed_at else ""
    return (
        f"{item.name}: {item.documents} documents{waiting}, {item.chunks} chunks, "
        f"{item.model} ({item.dimensions} dimensions){sources}{fields}{when}"
    )


def _and_more(left_out: int | None) -> str:
    return f" and {left_out} more" if left_out else ""
