"""Where the data directory is, and who holds it. Standard library only: the thin pipe imports this.

A data directory has at most one owner: the process that holds the lock on `owner.lock`. The operating system
releases the lock when that process ends, however it ends. The file's content says who holds it and where it listens,
but only the lock proves it: the content may have been written by a process that is dead.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from knowledge_core import __version__
from knowledge_core.errors import DataDirectoryHeld, StorageError

HOME_VARIABLE = "KNOWLEDGE_CORE_HOME"
CONFIG_VARIABLE = "KNOWLEDGE_CORE_CONFIG"
LOCK_FILE = "owner.lock"
LOGS = "logs"  # folder of the owner's log, in the data directory
IGNORED = "ignore"  # file of the patterns that hold in all sources, in the data directory
COLLECTIONS = "collections"  # folder of the collections, in the data directory

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: IO[str]) -> None:
        """Lock a file until it is closed, or the process ends; an OSError where another process has it."""
        # Locks one byte far beyond the content, so that others can still read who holds it.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def try_lock(file: IO[str]) -> None:
        """Lock a file until it is closed, or the process ends; an OSError where another process has it."""
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def data_directory(home: str | None = None) -> Path:
    """Return the data directory: `home`, else $KNOWLEDGE_CORE_HOME, else ~/.knowledge-core. Not created here."""
    chosen = home or os.environ.get(HOME_VARIABLE) or "~/.knowledge-core"
    return Path(os.path.abspath(os.path.expanduser(chosen)))


def is_data_directory(folder: Path) -> bool:
    """Say whether a folder is a data directory, this process's or another's, by whatever name it is reached."""
    return os.path.isfile(folder / LOCK_FILE) and os.path.isdir(folder / COLLECTIONS)


def data_directory_around(path: Path) -> Path | None:
    """Return the data directory that a path is or lies in; None where it lies in none. path: absolute, links resolved."""
    return next((folder for folder in (path, *path.parents) if is_data_directory(folder)), None)


def config_path(home: Path, explicit: str | None = None) -> tuple[Path, bool]:
    """Return the configuration's path, and whether it was named explicitly (then the file must exist).

    explicit: `--config`; without it $KNOWLEDGE_CORE_CONFIG, else `config.yaml` in the data directory.
    """
    named = explicit or os.environ.get(CONFIG_VARIABLE)
    return (Path(os.path.abspath(os.path.expanduser(named))), True) if named else (home / "config.yaml", False)


@dataclass(frozen=True)
class Holder:
    """The process that wrote the lock file last. address: where that process listens; None: nowhere."""

    pid: int
    command: str
    started: float
    version: str
    address: Mapping[str, Any] | None

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started))
        return f"process {self.pid} (`{self.command}`, since {since})"


def holder(home: Path) -> Holder | None:
    """Return what the lock file says; None if it cannot be read. The process that it names may be dead."""
    try:
        said = json.loads((home / LOCK_FILE).read_text(encoding="utf-8"))
        address = said.get("address")
        if not isinstance(address, dict | None):
            return None
        return Holder(int(said["pid"]), str(said["command"]), float(said["started"]), str(said["version"]), address)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_held(home: Path) -> bool:
    """Say whether a process holds the data directory now."""
    try:
        with open(home / LOCK_FILE, "a+", encoding="utf-8") as file:
            try:
                try_lock(file)
            except OSError:
                return True
    except OSError:
        pass  # no such folder, or not ours to write: nobody holds what nobody can lock
    return False


class OwnerLock:
    """The lock that makes this process the owner of a data directory, from construction until `release`.

    Raises:
        DataDirectoryHeld: another process holds it; the message names that process and the ways out.
        StorageError: the directory cannot be made or written.
    """

    def __init__(self, home: Path, command: str) -> None:
        self._home = home
        self._command = command
        self._started = time.time()
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
            try_lock(self._file)
        except OSError as error:
            self._file.close()
            raise DataDirectoryHeld(held_message(home)) from error
        self.announce(None)

    def announce(self, address: Mapping[str, Any] | None) -> None:
        """Write this process into the lock file, and the address where it can be reached."""
        said = {
            "pid": os.getpid(),
            "command": self._command,
            "started": self._started,
            "version": __version__,
            "address": address,
        }
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(said))
        self._file.flush()

    def still_there(self) -> bool:
        """Say whether the lock file is still the one that is locked: somebody may have removed or replaced the directory."""
        try:
            return os.path.samestat(os.stat(self._home / LOCK_FILE), os.fstat(self._file.fileno()))
        except (OSError, ValueError):
            return False

    def release(self) -> None:
        """Let go of the data directory. Doing it twice does nothing."""
        self._file.close()

    def __enter__(self) -> OwnerLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def held_message(home: Path) -> str:
    """Return the error message for whoever finds a data directory held by another process."""
    return (
        f"The data directory {home} is held by {holder(home) or 'another process'}. Use that one (its client), close "
        f"it and try again, or work in another data directory with --home or {HOME_VARIABLE}."
    )
