"""What the systems do differently when files change; all of it is here.

Linux (inotify(7)): every folder below a watched one costs a watch, of which a user has `fs.inotify.max_user_watches`; where
they do not suffice the source is polled. A queue that overflows loses events without a word: after a storm of changes all of
the source is looked at. A folder that is renamed arrives as one removal and one addition, its files do not.

macOS (FSEvents) and Windows (ReadDirectoryChangesW) were never run here. What their documentation says: FSEvents may tell a
folder only, or a path long after the change, and joins several changes of a file; letters' case is kept, and does not tell
names apart. ReadDirectoryChangesW loses events when its buffer is full. A walk finds out what is there in each of these
cases, since events only say where to look, and all of every source is looked at once an hour.

No system tells what another machine changes on a network drive: such a source is polled.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from knowledge_core.storage.data_directory.file_system import MOUNTS, network_file_system, unescaped

DEBOUNCE = 1_500  # milliseconds for which changes are gathered at most
STEP = 250  # milliseconds between two looks for changes
_FEW_WATCHES = (errno.ENOSPC, errno.EMFILE)  # inotify_add_watch(2): the limit on watches, and on instances


class CannotWatch(Exception):
    """The system refuses to tell of changes in a folder; the message says why."""


class Changes:
    """Tells of changes below folders, for as long as it is kept.

    Raises:
        CannotWatch: the system refuses.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        try:
            self._notify = RustNotify([*folders], False, False, 300, True, True)
        except (OSError, WatchfilesRustInternalError) as error:
            few = getattr(error, "errno", None) in _FEW_WATCHES or "limit" in str(error).lower()
            why = "the limit on watched folders is reached (fs.inotify.max_user_watches)" if few else str(error)
            raise CannotWatch(why) from error

    def next(self, seconds: float) -> list[tuple[bool, str]]:
        """Return what changed, each with whether something came by this path; [] where nothing did for so long.

        Raises:
            CannotWatch: the system tells no more.
        """
        try:
            found = self._notify.watch(DEBOUNCE, STEP, int(1000 * seconds), None)
        except (OSError, RuntimeError, WatchfilesRustInternalError) as error:
            raise CannotWatch(str(error)) from error
        if isinstance(found, str):  # "timeout"
            return []
        return [(kind == 1, path) for kind, path in found]

    def close(self) -> None:
        """Let go of the folders."""
        self._notify.close()


def is_polled(folder: str) -> str | None:
    """Return why nobody tells of changes in a folder; None where the system does."""
    kind = network_file_system(Path(folder))
    return None if kind is None else f"it lies on a network or shared file system ({kind})"


class Mounts:
    """Tells where disks were mounted or taken away: no event says so. On Linux only; elsewhere the look once an hour does."""

    def __init__(self) -> None:
        self._known = _mounts()

    def changed(self) -> set[str]:
        """Return the folders on which a disk was mounted, or from which one was taken, since the last call."""
        former, self._known = self._known, _mounts()
        return {where for where, _ in former ^ self._known}


def _mounts() -> frozenset[tuple[str, str]]:
    """Return all places where disks are mounted, each with what tells that mount from a later one there."""
    try:
        lines = os.fsdecode(MOUNTS.read_bytes()).splitlines()
    except OSError:
        return frozenset()
    fields = (line.split(" ", 5) for line in lines)
    return frozenset((unescaped(each[4]), each[0]) for each in fields if len(each) > 5)


class Clock:
    """Tells whether the machine slept: the wall clock went on, the other one did not."""

    def __init__(self) -> None:
        self._difference = time.time() - time.monotonic()

    def slept(self) -> bool:
        """Say whether it slept for more than a minute since the last call."""
        former, self._difference = self._difference, time.time() - time.monotonic()
        return self._difference - former > 60
