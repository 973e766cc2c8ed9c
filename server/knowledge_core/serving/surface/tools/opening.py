"""Collections opened for the length of a call, and their models compared before anything is embedded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from knowledge_core.engine import Engine
from knowledge_core.errors import CollectionNotFound
from knowledge_core.verbs.search import Searched


def check_models(engine: Engine, over: Sequence[Searched]) -> None:
    """Make sure that what is about to be embedded compares with what these collections hold; loads their models.

    Raises:
        ModelUnavailable: one cannot be loaded. ContractMismatch: one gives other vectors now.
    """
    for each in over:
        engine.check_contract(engine.collection(each.name), each.embedder, each.view.contract)


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
            searched.append(Searched(name, view, engine.embedder_under(view.contract)))
        yield searched
