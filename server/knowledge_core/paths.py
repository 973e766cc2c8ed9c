"""Where the data directory is, and who holds it. Standard library only.

A data directory has at most one owner: the process that holds the lock on `owner.lock`. The operating system
releases the lock when that process ends, however it ends. The file's content says who holds it, for error messages
only; the lock, not the content, is the truth.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from knowledge_core.errors import DataDirectoryHeld, StorageError

HOME_VARIABLE = "KNOWLEDGE_CORE_HOME"
LOCK_FILE = "owner.lock"

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str]) -> None:
        # Locks one byte far beyond the content, so that others can still read who holds it.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def data_directory(home: str | None = None) -> Path:
    """Return the data directory: `home`, else $KNOWLEDGE_CORE_HOME, else ~/.knowledge-core. Not created here."""
    chosen = home or os.environ.get(HOME_VARIABLE) or "~/.knowledge-core"
    return Path(os.path.abspath(os.path.expanduser(chosen)))


class OwnerLock:
    """The lock that makes this process the owner of a data directory, from construction until `release`.

    Raises:
        DataDirectoryHeld: another process holds it; the message names that process and the ways out.
        StorageError: the directory cannot be made or written.
    """

    def __init__(self, home: Path, command: str) -> None:
        self._home = home
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Append mode: opening must not wipe what the present holder wrote.
            self._file: IO[str] = open(home / LOCK_FILE, "a+", encoding="utf-8")  # noqa: SIM115  # held until release
        except OSError as error:
            raise StorageError(
                f"The data directory {home} cannot be written ({error.strerror}). "
                f"Mend its permissions, or choose another with --home or {HOME_VARIABLE}."
            ) from error
        try:
            _try_lock(self._file)
        except OSError as error:
            self._file.close()
            raise DataDirectoryHeld(_held_message(home)) from error
        self._file.seek(0)
        self._file.truncate()
        json.dump({"pid": os.getpid(), "command": command, "started": time.time()}, self._file)
        self._file.flush()

    def release(self) -> None:
        """Let go of the data directory. Doing it twice does nothing."""
        self._file.close()

    def __enter__(self) -> OwnerLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _held_message(home: Path) -> str:
    who = "another process"
    try:
        holder = json.loads((home / LOCK_FILE).read_text(encoding="utf-8"))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["started"]))
        who = f"process {holder['pid']} (`{holder['command']}`, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the lock alone is the truth; its holder may not have written its name yet
    return (
        f"The data directory {home} is held by {who}. Use that one (its client), close it and try again, "
        f"or work in another data directory with --home or {HOME_VARIABLE}."
    )
