"""Why a document is in no collection that was searched: where else it is, and what kept its file out of the index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError, quoted
from knowledge_core.ingestion.walking.ignoring import ignoring, is_ignored
from knowledge_core.ingestion.walking.places import is_inside
from knowledge_core.ingestion.walking.tally import Lasting
from knowledge_core.serving.surface.collections import collection_named, collection_names, view_of_collection
from knowledge_core.storage.collection import Collection, Source
from knowledge_core.types import composed

MOST_LOOKED_INTO = 20  # collections


def why_absent(engine: Engine, searched: Sequence[str], id: str) -> str:
    """Return in a sentence why none of the collections that were searched has a document, and what to do."""
    for name in [each for each in collection_names(engine) if each not in searched][:MOST_LOOKED_INTO]:
        with suppress(KnowledgeCoreError), view_of_collection(engine, name) as view:
            if view.state(id) is not None:
                return f"{quoted(id)} is in collection {name!r}, which was not searched."
    for name in searched:
        with suppress(KnowledgeCoreError):
            if told := _why_absent_of(engine, collection_named(engine, name), composed(id)):
                return f"{quoted(id)} is not indexed: {told}"
    return f"There is no document {quoted(id)}. list_documents shows the ids there are."


def _why_absent_of(engine: Engine, collection: Collection, id: str) -> str:
    for kept in collection.kept_out():
        if kept.id == id:
            return f"it was deleted here on {kept.deleted_at[:10]}; a person brings it back with `kcore index --restore PATH`."
    source = next((each for each in collection.sources() if id.startswith(f"{each.name}/")), None)
    if source is None:
        return ""
    relative = id.removeprefix(f"{source.name}/")
    path = Path(source.path, relative)
    if not is_inside(path, engine.roots.all()):
        return ""
    if str(path) in engine.pending(collection.name).files:
        return "its file changed and is not indexed yet; the index catches up by itself."
    return _left_out(engine, source, relative) if os.path.lexists(path) else "its source has no such file."


def _left_out(engine: Engine, source: Source, relative: str) -> str:
    reason = Lasting(source.patterns, "").reason(relative)
    if reason is not None:
        return f"its file is {reason} by the patterns of its source; `kcore sources` shows them."
    parts = relative.split("/")
    prefixes = ["/".join(parts[:end]) + "/" for end in range(1, len(parts))]
    if any(is_ignored(each, [ignoring(engine.ignored())]) for each in (*prefixes, relative)):
        return "its file is left out by `kcore ignore`."
    if not source.whole:
        return "only files that were named are indexed of its folder; index it by its path."
    return "its file is there; index its path to see whether it is read, and if not why."
