"""The local socket between pipes and the owner: where it lies, who may use it, and how both sides prove that they may.

It is a Unix domain socket in a private folder (own user, 0700). Where Unix sockets are not used (Windows, or with
KNOWLEDGE_CORE_TRANSPORT=tcp) it is a port on loopback, and each side proves that it can read the secret in the data
directory before anything else is said. Standard library only: the thin pipe imports this.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

TRANSPORT_VARIABLE = "KNOWLEDGE_CORE_TRANSPORT"
LONGEST_PATH = 100  # bytes; with the closing NUL, 104 fail on macOS and 108 on Linux
BACKLOG = 64  # pipes that may wait in the socket's queue while the owner imports its libraries
SECRET_FILE = "owner.secret"
_MODE = 0o700


def unix_sockets() -> bool:
    """Say whether Unix domain sockets are to be used here."""
    return sys.platform != "win32" and os.environ.get(TRANSPORT_VARIABLE, "").lower() != "tcp"


def listen(home: Path, note: Callable[[str], None]) -> tuple[socket.socket, dict[str, Any]]:
    """Return a listening socket of a data directory, and the address that goes into its lock file.

    Only the holder of the lock may call this: a socket that a dead owner left is replaced. note: called with one sentence
    per place that could not be used.

    Raises:
        OSError: the system refuses sockets of either kind.
    """
    if unix_sockets():
        for folder in _folders(home):
            try:
                return _listen_unix(folder / _name(home))
            except OSError as error:
                note(f"no socket in {folder}: {error}")
    return _listen_tcp(home)


def unlink(address: Mapping[str, Any]) -> None:
    """Remove a Unix socket's name, so that nobody can connect any more."""
    if "unix" in address:
        with contextlib.suppress(OSError):
            os.unlink(address["unix"])


def mark(address: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return what tells a Unix socket's name from any other file that takes its place; None where nothing is there.

    The name can be lost while the socket lives: cleaners of temporary folders delete what nobody wrote to for days. Then
    nobody can connect any more. Of a port: always the same.
    """
    if "unix" not in address:
        return ()
    try:
        found = os.lstat(address["unix"])
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def dial(address: Mapping[str, Any], timeout: float) -> socket.socket:
    """Connect to an address from a lock file. timeout: in seconds; it stays set on the returned socket.

    Raises:
        OSError: nobody listens there, or it is not this user's socket.
    """
    if "unix" in address:
        path = str(address["unix"])
        found = os.lstat(path)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
            raise ConnectionRefusedError(f"{path} is not a socket of this user")
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: Any = path
    else:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        target = ("127.0.0.1", int(address.get("tcp", 0)))
    made.settimeout(timeout)
    try:
        made.connect(target)
    except BaseException:
        made.close()
        raise
    return made


def _listen_unix(path: Path) -> tuple[socket.socket, dict[str, Any]]:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OSError(f"the path {path} is too long for a socket")
    _make_private(path.parent)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(f"{path} is in the way and is no socket")
        os.unlink(path)  # left by a dead owner: this process holds the lock
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        os.chmod(path, 0o600)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made, {"unix": str(path)}


def _listen_tcp(home: Path) -> tuple[socket.socket, dict[str, Any]]:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.bind(("127.0.0.1", 0))
        made.listen(BACKLOG)
        _write_secret(home)
    except BaseException:
        made.close()
        raise
    return made, {"tcp": made.getsockname()[1]}


def _name(home: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(home))).hexdigest()[:16] + ".sock"


def _folders(home: Path) -> Iterator[Path]:
    """Yield the folders that may hold the socket, best first: the system's run-time, temporary, data directory."""
    import tempfile

    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        yield Path(runtime) / "knowledge-core"
    yield Path(tempfile.gettempdir()) / f"knowledge-core-{os.getuid()}"
    yield home / "run"


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter; where it exists, check that it is one, and correct its mode.

    Raises:
        OSError: the path is somebody else's, a link, or no folder.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, _MODE)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    if stat.S_IMODE(found.st_mode) != _MODE:
        os.chmod(folder, _MODE)


# -- the proof, on loopback only ---------------------------------------------------------------------------------------


def nonce() -> str:
    """Return fresh randomness for one handshake."""
    return os.urandom(16).hex()


def proof(home: Path, side: str, *nonces: str) -> str:
    """Return what only a reader of the data directory's secret can compute: HMAC-SHA256 (hex) over side and nonces.

    Raises:
        OSError: the secret cannot be read.
    """
    import hmac

    secret = (home / SECRET_FILE).read_bytes()
    return hmac.new(secret, "|".join((side, *nonces)).encode(), "sha256").hexdigest()


def same(given: object, expected: str) -> bool:
    """Compare two proofs in constant time."""
    import hmac

    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _write_secret(home: Path) -> None:
    from knowledge_core.files import replacing

    with replacing(home / SECRET_FILE, mode=0o600) as file:
        file.write(os.urandom(32).hex().encode())
