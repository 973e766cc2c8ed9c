"""What a walk found by a link though it has a path of its own that counts: a document has one id, and its file one path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from knowledge_core.indexing.surveying import Survey, path_below
from knowledge_core.ingestion.walking.walker import FoundFile
from knowledge_core.storage.collection import Collection, Source
from knowledge_core.types import composed


def found_elsewhere(
    collection: Collection, sources: Iterable[Source], surveys: Iterable[Survey]
) -> Callable[[FoundFile, Survey], bool]:
    """Return what says of a found file whether a link led to what another source holds, or a folder not looked at now.

    sources: the collection's. surveys: all of the call, whose folders are sources, too.
    """
    whole = {source.path: source.name for source in sources if source.whole}
    tops = {Path(path) for path in whole} | {one.folder for one in surveys if one.file is None}

    def is_elsewhere(file: FoundFile, one: Survey) -> bool:
        if composed(file.path.as_posix()) == composed(f"{one.folder.as_posix().rstrip('/')}/{file.relative}"):
            return False
        around = [top for top in tops if file.path.is_relative_to(top)]
        innermost = max(around, key=lambda top: len(top.parts), default=None)
        if innermost is None or not one.level:
            return innermost is not None and not one.folder.is_relative_to(innermost)
        if innermost != one.folder:
            return True
        own = collection.stored_state(f"{whole[str(innermost)]}/{path_below(file.path, innermost).rstrip('/')}")
        return own is not None and own.path == str(file.path)

    return is_elsewhere
