"""The tokens of the HTTP door: who shows one may use it. One file in the data directory, readable by its owner only.

The file is JSON: `{"version": 1, "tokens": [{"name": "default", "scopes": ["all"], "token": "kcore_..."}]}`.

Rules kept here:
- the default token is stored as it is, because `kcore serve --http` shows it again; later ones may be stored as digests;
- an entry opens the door only if all of it is understood: a name, a readable token, the scope "all". What a newer version
  wrote beside that is kept when the file is written again, and opens nothing;
- a file that other users can read is worth nothing: its tokens count no more, and opening the store replaces them;
- a token is compared in constant time, and appears in no message.

Standard library only: `kcore setup` reads this file without a server.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge_core.errors import StorageDamaged, StorageError, StorageTooNew
from knowledge_core.files import replacing, storage_refusal

TOKENS_FILE = "http-tokens.json"  # in the data directory
VERSION = 1
DEFAULT = "default"  # the name of the token that is made by itself
ALL = "all"  # the only scope today: every tool, every collection
MODE = 0o600
LARGEST_FILE = 1 << 20  # bytes; a thousand times what one token takes
_PREFIX = "kcore_"  # so that scanners for secrets, and people, see what it is
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_REPLACE = "`kcore serve --http --new-token` writes it anew; then set up its clients again."

Stamp = tuple[int, ...]
Entries = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Opened:
    """What opening the store gave.

    Attributes:
        token: the default token.
        notice: what a person must be told; "" for nothing.
    """

    token: str
    notice: str = ""


class TokenStore:
    """The tokens of one data directory. Each question looks whether the file has changed, so a replaced token ends at once."""

    def __init__(self, home: Path) -> None:
        self.path = home / TOKENS_FILE
        self._read_at: Stamp | None = None
        self._accepted: tuple[bytes, ...] = ()

    def open(self) -> Opened:
        """Return the default token; make it where there is none, and replace it where other users could read it.

        Raises:
            StorageDamaged: the file is not what we write; it is left as it is.
            StorageTooNew: a newer version wrote it.
            StorageError: it cannot be read or written, or cannot be kept from other users.
        """
        try:
            entries, stamp = self._entries()
        except FileNotFoundError:
            self._create(_whole([]))
            entries, stamp = self._entries()  # the one that is there: another process may have made it first
        if _is_shared(stamp):
            hidden = [entry for entry in entries if "token" not in entry]
            return Opened(
                self._write(hidden),
                f"Other users of this machine could read {self.path}: its token was replaced. Set up its clients again.",
            )
        token = _default(entries)
        return Opened(token if token is not None else self._write(entries))

    def replace(self) -> str:
        """Replace the default token, and the whole file where it is damaged, and return the new token.

        Raises:
            StorageTooNew: a newer version wrote the file.
            StorageError: it cannot be written, or cannot be kept from other users.
        """
        entries: Entries = []
        with contextlib.suppress(FileNotFoundError, StorageDamaged):
            entries, stamp = self._entries()
            if _is_shared(stamp):
                entries = [entry for entry in entries if "token" not in entry]
        return self._write(entries)

    def accepts(self, given: bytes) -> bool:
        """Say whether a token opens the door now.

        Raises:
            StorageError: the file is missing, damaged, or readable for other users; nothing opens the door then.
        """
        try:
            if self._read_at is None or _stamp(os.stat(self.path)) != self._read_at:
                entries, stamp = self._entries()
                if _is_shared(stamp):
                    raise StorageError(f"{TOKENS_FILE} can be read by other users of this machine. {_REPLACE}")
                self._accepted = tuple(entry["token"].encode() for entry in entries if _opens(entry))
                self._read_at = stamp
        except OSError as error:
            raise StorageError(f"{TOKENS_FILE} cannot be read ({error.strerror}). {_REPLACE}") from error
        matches = [hmac.compare_digest(given, token) for token in self._accepted]  # all of them, whichever matches
        return any(matches)

    def _entries(self) -> tuple[Entries, Stamp]:
        try:
            with open(self.path, "rb") as file:
                stamp = _stamp(os.fstat(file.fileno()))
                content = file.read(LARGEST_FILE)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read ({error.strerror}). Mend its permissions.") from error
        return _parsed(content, self.path), stamp

    def _write(self, entries: Entries) -> str:
        """Write the file with a new default token in place of the former, and return that token."""
        whole = _whole([entry for entry in entries if entry.get("name") != DEFAULT])
        try:
            # A suffix of this process's own: another one may be writing, too, and the later rename counts.
            with replacing(self.path, mode=MODE, suffix=f".{os.getpid()}.new") as file:
                file.write(whole)
        except OSError as error:
            raise storage_refusal(error, TOKENS_FILE) from error
        return self._written()

    def _create(self, whole: bytes) -> None:
        """Make the file, unless another process does so first; nobody ever sees half of it."""
        beside = self.path.with_name(f"{TOKENS_FILE}.{os.getpid()}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(beside, mode=MODE) as file:
                file.write(whole)
            try:
                os.link(beside, self.path)  # unlike a rename, it replaces nothing
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links
                beside.replace(self.path)
            beside.unlink(missing_ok=True)
        except OSError as error:
            raise storage_refusal(error, TOKENS_FILE) from error
        self._written()

    def _written(self) -> str:
        """Return the default token that lies there now.

        Raises:
            StorageError: the file system keeps no permissions.
        """
        try:
            entries, stamp = self._entries()
        except FileNotFoundError as error:
            raise storage_refusal(error, TOKENS_FILE) from error
        if _is_shared(stamp):
            raise StorageError(
                f"{self.path} cannot be kept from other users of this machine: its file system keeps no permissions. Use "
                "a data directory elsewhere (--home), or open the door without a token (--no-token)."
            )
        token = _default(entries)
        assert token is not None
        return token


def _whole(others: Entries) -> bytes:
    token = _PREFIX + secrets.token_urlsafe(32)  # 256 bits
    made = {"name": DEFAULT, "scopes": [ALL], "token": token}
    return json.dumps({"version": VERSION, "tokens": [made, *others]}, indent=2).encode() + b"\n"


def _parsed(content: bytes, path: Path) -> Entries:
    try:
        said = json.loads(content)
        version, entries = said["version"], said["tokens"]
        if type(version) is not int or not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise StorageDamaged(f"{path} is damaged: it is not what this program writes. {_REPLACE}") from None
    if version > VERSION:
        raise StorageTooNew(f"{path} was written by a newer version of Knowledge Core. Upgrade, or remove the file.")
    return entries


def _default(entries: Entries) -> str | None:
    return next((entry["token"] for entry in entries if entry.get("name") == DEFAULT and _opens(entry)), None)


def _opens(entry: Mapping[str, Any]) -> bool:
    token, scopes = entry.get("token"), entry.get("scopes")
    return (
        isinstance(entry.get("name"), str)
        and isinstance(token, str)
        and len(token) >= 16  # an empty one would let everybody in
        and token.isascii()
        and token.isprintable()
        and isinstance(scopes, list)
        and ALL in scopes
    )


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_mode


def _is_shared(stamp: Stamp) -> bool:
    return os.name != "nt" and bool(stamp[4] & _OTHERS)  # on Windows, the profile folder's access list guards it
