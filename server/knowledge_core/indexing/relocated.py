"""Which known source a moved or renamed folder is: the one whose own folder is gone and whose files it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from knowledge_core.storage.collection import FileState, Source

SHARE = 0.5  # of a source's documents that must be found at their places with their sizes; some may have changed since


def relocated(sources: Iterable[Source], states: Mapping[str, FileState], sizes: Mapping[str, int]) -> Source | None:
    """Return the source whose files these are; the one with the most of them found, ties by name. None: none's.

    sources: those whose folders are gone.
    states: what is remembered of their documents, by id.
    sizes: bytes of the files found, by their paths below the folder.
    """
    best: tuple[float, Source] | None = None
    for source in sources:
        prefix = source.name + "/"
        own = {id.removeprefix(prefix): state.size for id, state in states.items() if id.startswith(prefix)}
        if not own:
            continue
        share = sum(sizes.get(relative) == size for relative, size in own.items()) / len(own)
        if share >= SHARE and (best is None or share > best[0]):
            best = (share, source)
    return None if best is None else best[1]
