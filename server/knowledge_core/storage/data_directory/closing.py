"""The data directory closed to the other users of the machine, and a person told where it was not.

On Windows, a folder in a user's profile is closed by its access list, which is not looked at here.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from knowledge_core.paths import COLLECTIONS, LOGS

_OTHERS = 0o077  # the bits of a mode that let the group and everybody in


def close_data_directory(home: Path) -> list[str]:
    """Take the data directory from everybody but its owner; return one sentence for each thing that was not right.

    What we keep in it is taken from them, too, where the folder was open: they may have it open, or linked, elsewhere.
    home: it may be a link; then the folder that it leads to is closed.
    """
    if sys.platform == "win32":
        return []
    found = os.stat(home)
    before = stat.S_IMODE(found.st_mode)
    said = []
    if found.st_uid != os.geteuid():
        said.append(
            f"The data directory belongs to another user of this machine (number {found.st_uid}), who can read and "
            "change everything in it. Make it yours with chown, or choose another with --home."
        )
    if before & _OTHERS and _closed(home, found.st_mode):
        for inside in _entries(home):
            _closed(inside, inside.lstat().st_mode)
        said.append(
            f"The data directory was open to other users of this machine (mode {before:04o}); it is closed now "
            "(0700). They may have read what is stored in it."
        )
    elif before & _OTHERS:
        said.append(
            f"The data directory is open to other users of this machine (mode {before:04o}), and its file system or "
            "its owner does not let it be closed. Choose a folder of your own on a local disk with --home."
        )
    return said


def _closed(path: Path, mode: int) -> bool:
    """Take a file or folder from others, and say whether that worked: some file systems have no modes, and accept all."""
    try:
        os.chmod(path, stat.S_IMODE(mode) & ~_OTHERS | (stat.S_IRWXU if stat.S_ISDIR(mode) else 0))
        return not os.stat(path).st_mode & _OTHERS
    except OSError:
        return False


def _entries(home: Path) -> Iterator[Path]:
    """Yield the files in the data directory, and its own folders with all that is in them; no links, nothing else's."""
    yield from (path for path in home.iterdir() if path.is_file() and not path.is_symlink())
    for own in (COLLECTIONS, LOGS):
        if not (home / own).is_symlink():
            for folder, _, files in os.walk(home / own):
                yield Path(folder)
                yield from (path for path in (Path(folder, name) for name in files) if not path.is_symlink())
