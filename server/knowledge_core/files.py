"""Files that are there whole or not at all, also after power loss; and how many a process may have open.

Rules kept here: a file is written beside its name, flushed, and renamed over the name; then the folder is flushed, too.
What the disk refuses leaves the old file as it was and nothing beside it, and becomes one of our errors here. Standard
library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from knowledge_core.errors import StorageError, StorageFull

TEMPORARY = ".new"
"""Suffix of a file that is being written. One that is found after a crash may be deleted."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # a full disk, and a user's quota
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)  # of this process, and of the whole system
# What the limit on open files is raised to: 6 per collection and one per client, for thousands of both. macOS refuses what
# is above a limit of its kernel's (10,240 in older versions), so smaller ones are tried, too.
DESCRIPTORS_TRIED = (65_536, 24_576, 10_240, 4_096, 1_024)
RAISING = (
    "To raise the limit: raise it where the clients are started (`ulimit -n 4096`; systemd: LimitNOFILE; macOS: `launchctl "
    "limit maxfiles`), then run `kcore stop`."
)
UNKNOWN_LIMIT = 8_192  # Windows has no such limit; its C library has this one


@contextmanager
def replacing(path: Path, *, mode: int | None = None, suffix: str = TEMPORARY) -> Iterator[BinaryIO]:
    """Yield a file to write to, which takes the name `path` at the end of the block; if that fails, nothing changes.

    Args:
        path: a symbolic link is replaced itself, not what it points to.
        mode: the permissions of the file, from its first byte; None for those that the system gives a new file.
        suffix: of the name that the file has until then, in the same folder. What lies there is deleted, so a folder that
            others write to as well needs one that is ours alone.

    Raises:
        OSError: the disk refused. `replace_file` makes one of our errors of it.
    """
    beside = path.parent / f"{path.name}{suffix}"
    try:
        with _new_file(beside, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        flush_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # the caller gets the first failure
            beside.unlink(missing_ok=True)
        raise


def _new_file(path: Path, mode: int | None) -> BinaryIO:
    if mode is None:
        return path.open("wb")
    path.unlink(missing_ok=True)  # it may have other permissions
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags, mode & 0o700), "wb")
    try:
        os.chmod(path, mode)  # what the user's mask took from it
    except BaseException:
        file.close()
        raise
    return file


def replace_file(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Make `path` hold the parts, one after the other, or leave it as it was. One thread at a time may replace a file.

    Raises:
        StorageFull: no space is left on the device.
        StorageError: the disk refused for another reason.
    """
    try:
        with replacing(path) as file:
            file.writelines(parts)
    except OSError as error:
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
    if error.errno in NO_DESCRIPTOR:
        return StorageError(no_descriptor(f"to open {name}"))
    return StorageError(
        f"Cannot write or remove {name}: {error.strerror or error}. Check the data directory and try again."
    )


# -- how many files may be open -------------------------------------------------------------------------------------------


def descriptor_limit() -> int:
    """Return how many files, sockets included, this process may have open at once."""
    try:
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except (ImportError, OSError, ValueError):
        return UNKNOWN_LIMIT
    return DESCRIPTORS_TRIED[0] if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> int:
    """Let this process have as many files open as the system allows without asking; return how many that are.

    Shells give 256 (macOS) or 1,024, out of habit: each process may raise that to a hard limit, which is far above.
    """
    try:
        import resource
    except ImportError:
        return UNKNOWN_LIMIT
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in DESCRIPTORS_TRIED:
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft == resource.RLIM_INFINITY or wanted <= soft:
            break
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    return descriptor_limit()


def out_of_descriptors(error: BaseException) -> bool:
    """Say whether an error came because no more files can be opened. Libraries tell it in many words, or in none.

    So where the error itself does not say it, a file is opened to see.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in NO_DESCRIPTOR
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as refused:
        return refused.errno in NO_DESCRIPTOR
    return False


def no_descriptor(what: str) -> str:
    """Return the message for whoever could not do something because too many files are open. what: "to open notes"."""
    return (
        f"Too many files are open {what}: this process may have {descriptor_limit()}. Close clients, or name fewer "
        f"collections in one call, and try again. {RAISING}"
    )
