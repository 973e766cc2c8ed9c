"""A folder that one process at a time works in: the lock goes with the process, however that ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knowledge_core.errors import Busy
from knowledge_core.paths import try_lock

LOCK = "backup.lock"
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # what the systems answer where another process has the lock


@contextmanager
def alone_in(folder: Path, what: str) -> Iterator[None]:
    """Keep other backups and restores out of a folder until the end of the block. what: for the message.

    Where the disk has no locks, as some network drives, nobody is kept out.

    Raises:
        Busy: another process works there. OSError: the folder cannot be written.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(folder / LOCK, flags, 0o600), "r+", encoding="utf-8") as file:
        try:
            try_lock(file)
        except OSError as error:
            if error.errno in _HELD:
                raise Busy(
                    f"Another process is working on {what} now. Wait until it has ended, then try again."
                ) from None
        yield
