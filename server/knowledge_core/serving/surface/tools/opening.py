"""Collections opened for the length of a call, each with the embedder of its contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from knowledge_core.engine import Engine
from knowledge_core.errors import CollectionNotFound
from knowledge_core.verbs.search import Searched


@contextmanager
def opened(engine: Engine, names: Sequence[str] | None) -> Iterator[list[Searched]]:
    """Yield the named collections (None: all), each with one view that stays the same until the end."""
    chosen = list(dict.fromkeys(names)) if names else engine.names()
    if not chosen:
        raise CollectionNotFound(
            "There is no collection yet. Index a folder or documents first, with the `index` tool."
        )
    with ExitStack() as stack:
        searched = []
        for name in chosen:
            collection = engine.collection(name)
            view = stack.enter_context(collection.view())
            searched.append(Searched(name, view, engine.embedder_of(collection, view.contract)))
        yield searched
