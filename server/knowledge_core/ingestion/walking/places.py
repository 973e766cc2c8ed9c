"""Whether a path may be read: it is resolved first, and lies inside a root that a person allowed."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from knowledge_core.errors import InvalidInput, PathNotAllowed, quoted
from knowledge_core.near_names import brief, listed
from knowledge_core.paths import data_directory_around

SHOWN = 200  # characters of a path in an error


def allowed(path: Path, roots: Sequence[Path]) -> Path:
    """Return the path resolved, if it lies in a root and is a folder, a regular file, or does not exist.

    Raises:
        PathNotAllowed: it lies outside the roots (the message says which command allows it) or in a data directory, or
            is a special file.
        InvalidInput: it is no path, or a relative one (callers and the owner work in different folders), or too long for
            the file system.
    """
    try:
        expanded = path.expanduser()
        if not expanded.is_absolute():
            raise InvalidInput(
                f"The path {quoted(str(path), SHOWN)} is empty or relative. Give the full path of a file or folder."
            )
        resolved = Path(os.path.realpath(expanded))
        inside = is_inside(resolved, [Path(os.path.realpath(root)) for root in roots])
    except (ValueError, RuntimeError) as error:  # a NUL in it; "~name" of nobody
        why = "it holds a NUL" if isinstance(error, ValueError) else "there is no home folder of that user"
        raise InvalidInput(f"{quoted(str(path), SHOWN)} is no path: {why}.") from error
    if not inside:
        there_are = "none are allowed yet" if not roots else "allowed: " + listed([*map(str, roots)])
        raise PathNotAllowed(
            f"{brief(str(path), SHOWN)} is outside the allowed roots ({there_are}). "
            f"A person can allow it with: kcore roots add {shlex.quote(brief(str(path), SHOWN))}"
        )
    _refuse_unread(path, resolved)
    return resolved


def _refuse_unread(path: Path, resolved: Path) -> None:
    """Raise where a path lies in a data directory, is too long for the file system, or is no file or folder."""
    shown = brief(str(path), SHOWN)
    if around := data_directory_around(resolved):
        raise PathNotAllowed(
            f"{shown} lies in the data directory {around}, which is never indexed. Keep documents elsewhere; a data "
            "directory is moved with --home or KNOWLEDGE_CORE_HOME."
        )
    try:
        mode = os.stat(resolved).st_mode
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidInput(
                f"The path {quoted(str(path))} is too long: the file system takes no such name."
            ) from error
        return  # it does not exist, or may not be looked at: reading it will fail with the reason
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise PathNotAllowed(f"{shown} is a device, a socket or a pipe; only files and folders are read.")


def is_inside(path: Path, roots: Sequence[Path]) -> bool:
    """Say whether a resolved path lies in one of the roots."""
    return any(path.is_relative_to(root) for root in roots)
