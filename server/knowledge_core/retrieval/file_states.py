"""What became of the files of hits since they were indexed: changed, moved, gone, or not readable for now."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from knowledge_core.storage.values import FileState
from knowledge_core.types import Pending

CHANGED = "changed since"
GONE = "gone"
MOVED = "moved to "
MOST_LOOKED_AT = 2_000  # entries of folders, and changed files, that are looked at for one answer


class FileStates:
    """Says what became of files. It asks the disk, so that an answer never says more than is true.

    pending: as of `Engine.pending`. is_allowed: whether a path lies inside the roots.
    """

    def __init__(
        self,
        pending: Callable[[str], Pending] = lambda name: Pending(),
        is_allowed: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self._pending, self._is_allowed = pending, is_allowed
        self._left = MOST_LOOKED_AT

    def of(self, collection: str, states: Mapping[str, FileState]) -> dict[str, str]:
        """Return what became of the files of a collection's documents, by id; those that are as they were are left out."""
        said = {id: self._said(collection, state) for id, state in states.items()}
        return {id: what for id, what in said.items() if what}

    def _said(self, collection: str, state: FileState) -> str:
        try:
            found = os.stat(state.path or "")
        except FileNotFoundError:
            place = self._new_place(collection, state)
            return GONE if place is None else f"{MOVED}{place}"
        except OSError as error:
            return f"not readable now: {error.strerror}"
        if (found.st_size, found.st_mtime_ns) != (state.size, state.mtime_ns):
            return CHANGED
        return f"not readable now: {state.unreadable}" if state.unreadable else ""

    def _new_place(self, collection: str, state: FileState) -> str | None:
        """Return where a file of the same size and time lies: among those that changed lately, or in the same folder."""
        for path in sorted(self._pending(collection).files):
            if self._is_same(path, state):
                return path
        folder = os.path.dirname(state.path or "")
        if not self._is_allowed(folder):
            return None
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return None
        for name in names:
            if not name.startswith(".") and self._is_same(os.path.join(folder, name), state):
                return os.path.join(folder, name)
        return None

    def _is_same(self, path: str, state: FileState) -> bool:
        if self._left <= 0 or Path(path).suffix != Path(state.path or "").suffix:
            return False
        self._left -= 1
        try:
            about = os.lstat(path)
        except OSError:
            return False
        return (about.st_size, about.st_mtime_ns) == (state.size, state.mtime_ns)
