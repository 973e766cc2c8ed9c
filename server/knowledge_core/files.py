"""Files that are there whole or not at all, also after power loss.

Rules it keeps: a file is written beside its name, flushed, and renamed over the name; then the folder is flushed, too. What
the disk refuses leaves the old file as it was and becomes one of our errors here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from knowledge_core.errors import StorageError, StorageFull

TEMPORARY = ".new"
"""Suffix of a file that is being written. One that is found after a crash may be deleted."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # a full disk, and a user's quota


def replace_file(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Make `path` hold the parts, one after the other, or leave it as it was. One thread at a time may replace a file.

    Raises:
        StorageFull: no space is left on the device.
        StorageError: the disk refused for another reason.
    """
    beside = path.with_name(path.name + TEMPORARY)
    try:
        with beside.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise storage_refusal(error, path.name) from error


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        StorageError: the system refused.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_refusal(error, path.name) from error


def flush_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in a folder survive power loss.

    Raises:
        OSError: the system refused.
    """
    if os.name == "nt":  # directories cannot be opened there; NTFS journals renames itself
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def storage_refusal(error: OSError, name: str) -> StorageError:
    """Return our error for what the operating system said about a file, named without its folder."""
    if error.errno in NO_SPACE:
        return StorageFull(f"No space left on the device to write {name}. Free some space and try again.")
    return StorageError(
        f"Cannot write or remove {name}: {error.strerror or error}. Check the data directory and try again."
    )
