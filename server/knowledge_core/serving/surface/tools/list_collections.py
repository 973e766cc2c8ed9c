"""The tool `list_collections`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, TypeVar

from mcp_types import CallToolResult

from knowledge_core.cursors import decode_after, encode_after
from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import brief, listed
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.pages import bounded_notices, default_room, ending
from knowledge_core.serving.surface.calls.parameters import ALWAYS_LOADED, READ_ONLY, Cursor
from knowledge_core.serving.surface.collections import collection_named, collection_names, losses_of
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import CollectionItem, CollectionsResult, SourceDetail
from knowledge_core.storage.collection import Collection, Source
from knowledge_core.types import Pending
from knowledge_core.verbs.sources import patterns_told, source_states

_Item = TypeVar("_Item")

ROOM_OF_SOURCES = 2_000  # characters of the folders named per collection
LONGEST_PATTERNS = 200  # characters of what a source's patterns say
MOST_MOUNTS = 10  # folders of a source that are looked at
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
    sources = list(within(item.sources, len, ROOM_OF_SOURCES))
    details = list(within(item.source_details, lambda each: len(_told(each)), ROOM_OF_SOURCES))
    fields = dict(list(item.fields.items())[:MOST_FIELDS])
    return item.model_copy(
        update={
            "sources": sources,
            "sources_left_out": len(item.sources) - len(sources) or None,
            "source_details": details,
            "fields": fields,
            "fields_left_out": len(item.fields) - len(fields) or None,
        }
    )


def collection_item(engine: Engine, name: str) -> CollectionItem:
    """Return what there is to say of one collection, all its folders and fields included."""
    collection = collection_named(engine, name)
    with collection.view() as view:
        counts, fields, indexed_at = view.counts(), view.fields(), view.last_indexed()
    pending = engine.pending(name)
    details = source_details(collection, pending)
    return CollectionItem(
        name=name, documents=counts.documents, known=counts.known, chunks=counts.chunks,
        model=collection.contract.model, dimensions=collection.contract.dimensions,
        sources=[each.path for each in details], source_details=details, fields=fields, indexed_at=indexed_at,
        catching_up=pending.catching_up or None,
    )  # fmt: skip


def _rendered_item(item: CollectionItem) -> str:
    waiting = f" ({item.known - item.documents} more not embedded yet)" if item.known > item.documents else ""
    told = [_told(each) for each in item.source_details] or [one_line(each) for each in item.sources]
    left_out = len(item.sources) + (item.sources_left_out or 0) - len(told)
    sources = f"; from {', '.join(told)}{_and_more(left_out)}" if told else ""
    names = listed(list(item.fields), ROOM_OF_SOURCES)
    fields = f"; metadata: {names}{_and_more(item.fields_left_out)}" if item.fields else ""
    when = f"; last indexed {item.indexed_at}" if item.indexed_at else ""
    looked = "; its folders are being looked through for changes" if item.catching_up else ""
    return (
        f"{item.name}: {item.documents} documents{waiting}, {item.chunks} chunks, "
        f"{item.model} ({item.dimensions} dimensions){sources}{fields}{when}{looked}"
    )


def source_details(collection: Collection, pending: Pending) -> list[SourceDetail]:
    """Return what there is to say of each source of a collection, by name."""
    states = source_states(collection)
    changed = Counter(_source_of(path, [state.source for state in states]) for path in pending.files)
    return [
        SourceDetail(
            name=state.source.name, path=state.source.path, documents=state.documents,
            patterns=brief(patterns_told(state.source), LONGEST_PATTERNS) or None, whole=state.source.whole,
            watched=state.source.watch, by_person=state.source.by_person, gone=state.gone,
            not_mounted=None if state.gone else _not_mounted(state.source), deleted=state.deleted,
            pending=changed[state.source.name],
        )
        for state in states
    ]  # fmt: skip


def _source_of(path: str, sources: Sequence[Source]) -> str:
    """Return the name of the source in whose folder a path lies, the innermost of several; "" for none."""
    around = [each for each in sources if path.startswith(each.path.rstrip(os.sep) + os.sep)]
    return max(around, key=lambda each: len(each.path)).name if around else ""


def _not_mounted(source: Source) -> list[str] | None:
    """Return the folders of a source on which another file system lay, and lies no more."""
    return [
        each for each in source.mounts[:MOST_MOUNTS] if not os.path.ismount(os.path.join(source.path, each))
    ] or None


def _told(detail: SourceDetail) -> str:
    """Return one source as the text tells it: its folder, and what is not as one would expect."""
    facts = [f"{detail.documents} documents"]
    facts += [] if detail.whole else ["only files that were named"]
    facts += [detail.patterns] if detail.patterns else []
    facts += ["watched"] if detail.watched else []
    facts += [] if detail.by_person else ["no person has named it"]
    facts += ["its folder is gone"] if detail.gone else []
    facts += (
        [f"not mounted: {listed([*map(one_line, detail.not_mounted)], LONGEST_PATTERNS)}"] if detail.not_mounted else []
    )
    facts += [f"{detail.deleted} deleted here and kept out"] if detail.deleted else []
    facts += [f"{detail.pending} changed and not indexed yet"] if detail.pending else []
    return f"{one_line(detail.path)} ({'; '.join(facts)})"


def within(items: Sequence[_Item], size: Callable[[_Item], int], room: int) -> Iterator[_Item]:
    """Yield the first items, as many as have room, and always the first."""
    for place, each in enumerate(items):
        room -= size(each)
        if place and room < 0:
            break
        yield each


def _and_more(left_out: int | None) -> str:
    return f" and {left_out} more" if left_out else ""
