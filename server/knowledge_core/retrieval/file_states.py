"""What became of the files of an answer's hits since they were indexed: changed, moved, gone, or not readable for now.

Each file is looked at once per answer, and for files that are gone at most `MOST_ENTRIES` others, in the allowed roots alone.
A file is taken for one that was moved by its size and its time, without being read; a file that is indexed itself is not.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from knowledge_core.near_names import brief
from knowledge_core.storage.values import FileState
from knowledge_core.types import Pending, composed

MOST_ENTRIES = 2_000  # of folders that are looked at for one answer
LONGEST_REASON = 200  # characters of why a file cannot be read
CHANGED, GONE, MOVED = "changed since", "gone", "moved to"


@dataclass(frozen=True)
class Surroundings:
    """Where files of a collection may have gone to; what takes time is asked only when a file is gone.

    folders: returns name -> folder of the sources. roots: returns the allowed roots, resolved.
    pending: what is known to have changed and is not indexed yet.
    """

    folders: Callable[[], Mapping[str, str]] = dict
    roots: Callable[[], Sequence[Path]] = tuple
    pending: Pending = field(default_factory=Pending)


Stat = tuple[int, int]  # bytes, and when it was changed (ns since 1970)
NOWHERE = Surroundings()
Recorded = Callable[[Iterable[str]], Mapping[str, FileState]]
"""Returns what is remembered of the files of these documents, by id: `View.files`."""


class FileStates:
    """The states of one answer's files."""

    def __init__(self) -> None:
        self._left = MOST_ENTRIES
        self._listed: dict[str, list[tuple[str, Stat]]] = {}
        self._changed: dict[frozenset[str], list[tuple[str, Stat]]] = {}
        self._told: dict[str, str | None] = {}

    def of(self, known: FileState, around: Surroundings, recorded: Recorded) -> str | None:
        """Return what became of a file: "changed since", "moved to PATH", "gone" or "not readable now: WHY".

        None: it is as it was indexed, or the document was given by its text.
        """
        if known.path is None:
            return None
        if known.path not in self._told:
            self._told[known.path] = self._state(known, known.path, around, recorded)
        return self._told[known.path]

    def _state(self, known: FileState, path: str, around: Surroundings, recorded: Recorded) -> str | None:
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            moved = self._moved(known, path, around, recorded)
            return GONE if moved is None else f"{MOVED} {moved}"
        except (OSError, ValueError) as error:
            return _unreadable(getattr(error, "strerror", None) or str(error))
        if known.unreadable:
            return _unreadable(known.unreadable)
        same = (found.st_size, found.st_mtime_ns) == (known.size, known.mtime_ns)
        return None if same and (not known.ctime_ns or _ctime_ns(found) in (0, known.ctime_ns)) else CHANGED

    def _moved(self, known: FileState, path: str, around: Surroundings, recorded: Recorded) -> str | None:
        """Return the only path that a vanished file may have now; None where there is none, or one of several."""
        wanted = (known.size, known.mtime_ns)
        folders = around.folders()
        source = folders.get(known.source or "")
        roots = around.roots()
        near = [each for each, of in self._pending(around.pending.files, roots) if of == wanted]
        if not near:
            near = [each for each, of in self._entries(path, source, roots) if of == wanted]
        ids = {each: id for each in near for id in _ids(each, folders)}
        indexed = recorded(ids.values()) if ids else {}
        new = {each for each in near if ids.get(each) not in indexed and each != path}
        return new.pop() if len(new) == 1 else None

    def _pending(self, files: frozenset[str], roots: Sequence[Path]) -> list[tuple[str, Stat]]:
        """Return those files that are known to have changed, and are there; as many as are looked at."""
        if files not in self._changed:
            few = list(islice(files, self._left))
            self._left -= len(few)
            self._changed[files] = [found for each in few if (found := _file(each, roots)) is not None]
        return self._changed[files]

    def _entries(self, path: str, source: str | None, roots: Sequence[Path]) -> Iterator[tuple[str, Stat]]:
        """Yield the files beside a path, in its source's folder, and in the folders directly in that."""
        for folder in dict.fromkeys([os.path.dirname(path), *([source] if source else [])]):
            yield from self._files_in(folder, roots)
        for folder in self._folders_in(source) if source else ():
            yield from self._files_in(folder, roots)

    def _files_in(self, folder: str, roots: Sequence[Path]) -> list[tuple[str, Stat]]:
        if folder not in self._listed:
            self._listed[folder] = list(self._stats(folder)) if _is_allowed(folder, roots) else []
        return self._listed[folder]

    def _stats(self, folder: str) -> Iterator[tuple[str, Stat]]:
        for entry in self._scanned(folder):
            try:
                entry.path.encode()
                if entry.is_file(follow_symlinks=False):
                    about = entry.stat(follow_symlinks=False)
                    yield entry.path, (about.st_size, about.st_mtime_ns)
            except (OSError, UnicodeEncodeError):
                continue  # it went meanwhile, or its name is none that an answer can hold

    def _folders_in(self, folder: str) -> list[str]:
        return [entry.path for entry in self._scanned(folder) if entry.is_dir(follow_symlinks=False)]

    def _scanned(self, folder: str) -> list[os.DirEntry[str]]:
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if self._left <= 0:
                        break
                    self._left -= 1
                    found.append(entry)
        except OSError:
            return found
        return found


def _ids(path: str, folders: Mapping[str, str]) -> Iterator[str]:
    """Yield the id that a document of this file would have in the innermost of these folders."""
    inside = [(folder, name) for name, folder in folders.items() if Path(path).is_relative_to(folder)]
    if inside:
        folder, name = max(inside, key=lambda each: len(each[0]))
        yield composed(f"{name}/{Path(path).relative_to(folder).as_posix()}")


def _file(path: str, roots: Sequence[Path]) -> tuple[str, Stat] | None:
    try:
        path.encode()
        about = os.lstat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(about.st_mode) or not _is_allowed(os.path.dirname(path), roots):
        return None
    return path, (about.st_size, about.st_mtime_ns)


def _is_allowed(folder: str, roots: Sequence[Path]) -> bool:
    resolved = Path(os.path.realpath(folder))
    return any(resolved.is_relative_to(root) for root in roots)


def _unreadable(why: str) -> str:
    return f"not readable now: {brief(why, LONGEST_REASON)}"


def _ctime_ns(about: os.stat_result) -> int:
    """Return when a file, or what is known of it, was last changed; 0 where the system tells another time instead."""
    return 0 if sys.platform == "win32" else about.st_ctime_ns
