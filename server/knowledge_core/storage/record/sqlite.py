"""SQLite as the record uses it: how a file is opened, a transaction kept, an error translated, a vector stored.

`synchronous=FULL` and WAL: what a commit acknowledged survives power loss.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge_core.errors import CollectionNotFound, InvalidInput, StorageDamaged, StorageError, StorageFull
from knowledge_core.files import no_descriptor, out_of_descriptors
from knowledge_core.types import Vectors

FILE = "documents.db"
WAL_KEPT = 16 * 2**20  # bytes of the write-ahead log; beyond, it is checkpointed, and cut to this when it starts again
PAGE_SIZE = 8192  # bytes; a float16 vector of 768 takes 1.5 KB, and pages of 4 KB would hold two
NORM_TOLERANCE = 1e-3  # of a new vector, as float32
VECTOR_TYPE = "<f2"  # float16, little-endian on every machine

_RESTS = ("documents.db-*", "documents.db.*", "vectors*", "graph*", "lexical", "behind.json")
_UNDECODABLE = "Could not decode to UTF-8"  # the beginning of what Python's sqlite3 says of such a text
_NAMED = 6  # things of a folder that are named
DIGESTS_AT_ONCE = 250  # of a statement; less than a millisecond, and old SQLite takes 999 parameters at most

# Result codes of https://www.sqlite.org/rescode.html
_FULL, _CORRUPT, _NOT_A_DATABASE, _CANNOT_OPEN, _IO = 13, 11, 26, 14, 10


def remedy(name: str) -> str:
    """Return what to do about a record that cannot be used. name: of the collection."""
    return (
        f"Put a backup in its place: `kcore restore BACKUP --collection {name} --replace` (by hand: `kcore stop`, then move "
        f"{FILE}-wal and {FILE}-shm away before a copy of {FILE} is put back). Or set it aside with `kcore doctor --set-aside "
        f"{name}`, or delete it, and index its sources again."
    )


def is_record_folder(folder: Path) -> bool:
    """Say whether a collection lies in a folder, or what is left of one."""
    return (folder / FILE).is_file() or bool(_rests(folder))


def refuse_without_record(folder: Path) -> None:
    """Raise where a collection's record is not there: SQLite would make an empty one, and delete what its log holds.

    Raises:
        CollectionNotFound: nothing of a collection is there.
        StorageDamaged: other things of it are.
    """
    file = folder / FILE
    if not file.is_file():
        left = _rests(folder)
        if not left:
            raise CollectionNotFound(f"No collection {folder.name!r}.")
        named = ", ".join(left[:_NAMED]) + (f" and {len(left) - _NAMED} more" if len(left) > _NAMED else "")
        raise StorageDamaged(
            f"The record of collection {folder.name!r} is gone: {FILE} is missing, and what is left ({named}) cannot take "
            f"its place. {remedy(folder.name)}"
        )
    if not file.stat().st_size:
        raise StorageDamaged(f"The record of collection {folder.name!r} is empty ({FILE}). {remedy(folder.name)}")


def _rests(folder: Path) -> list[str]:
    return sorted(path.name for pattern in _RESTS for path in folder.glob(pattern))


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise SQLite's errors as ours. name: of the collection, for the message.

    Raises:
        StorageFull: no space is left.
        StorageDamaged: the file is no sound database.
        StorageError: SQLite refused for another reason.
        InvalidInput: a text is no Unicode.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"A text for collection {name!r} holds half a surrogate pair (character {error.start}) and is no Unicode. "
            "Remove it and try again."
        ) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if _UNDECODABLE in str(error):  # the message goes on with the text itself
            raise StorageDamaged(
                f"The record of collection {name!r} is damaged (a text is no UTF-8). {remedy(name)}"
            ) from None
        if code == _FULL:
            raise StorageFull(
                f"No space left to write collection {name!r}; nothing of this batch was stored. Free space and try again."
            ) from error
        if code in (_CORRUPT, _NOT_A_DATABASE):
            raise StorageDamaged(
                f"The record of collection {name!r} is damaged ({error}): {FILE}, or the {FILE}-wal beside it, which belongs "
                f"to that very file. {remedy(name)}"
            ) from error
        if code in (_CANNOT_OPEN, _IO) and out_of_descriptors(error):
            raise StorageError(no_descriptor(f"to open collection {name!r}")) from error
        raise StorageError(
            f"The record of collection {name!r} ({FILE} and its {FILE}-wal) refused: {error}. Check the data directory."
        ) from error


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the record. Transactions are begun explicitly, and one thread at a time may use the connection."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        _set_up(connection, read_only=read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, *, read_only: bool) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # `DocumentStore.checkpoint` does it instead, at a moment when it can succeed.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")


def all_rows(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a statement. A text that no longer decodes has U+FFFD in the place of the bytes in question.

    Raises:
        sqlite3.Error: SQLite refused.
    """
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if _UNDECODABLE not in str(error):
            raise
    strict = connection.text_factory
    connection.text_factory = lambda stored: stored.decode("utf-8", "replace")
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.text_factory = strict


def parsed(text: str, otherwise: Any) -> Any:
    """Return what JSON in the record says; `otherwise` where it is damaged, which `kcore doctor` finds and repairs."""
    try:
        return json.loads(text)
    except ValueError:
        return otherwise


@contextmanager
def transaction(connection: sqlite3.Connection, name: str) -> Iterator[None]:
    """Commit at the end of the block; where the block raises, roll everything back. name: of the collection, for messages.

    Raises:
        StorageFull, StorageDamaged, StorageError, InvalidInput: as of `translated`.
    """
    with translated(name):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # SQLite itself rolls back on some errors, a full disk among them.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def known_digests(rows: Callable[[str, Sequence[bytes]], Iterable[tuple[bytes]]], digests: Sequence[str]) -> set[str]:
    """Return those of the embedded texts, named by their digests, that have a vector.

    rows: returns the rows of a statement. One statement for many digests: one for each took six times as long.
    """
    known: set[str] = set()
    for begin in range(0, len(digests), DIGESTS_AT_ONCE):
        asked = [bytes.fromhex(digest) for digest in digests[begin : begin + DIGESTS_AT_ONCE]]
        places = ",".join("?" * len(asked))
        known |= {digest.hex() for (digest,) in rows(f"SELECT digest FROM vectors WHERE digest IN ({places})", asked)}
    return known


def stored_form(vector: npt.NDArray[np.float32]) -> bytes:
    """Return a vector as the record keeps it: float16, little-endian.

    vector: (dim,).

    Raises:
        InvalidInput: it is not finite, or not of norm 1. No vector of a broken engine comes into the record.
    """
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or abs(norm - 1) > NORM_TOLERANCE:
        raise InvalidInput(
            f"A vector has norm {norm:.4g} instead of 1; the embedding engine is broken. Nothing was stored."
        )
    return vector.astype(VECTOR_TYPE).tobytes()


def unit(blobs: Sequence[bytes], dimensions: int) -> Vectors:
    """Return stored vectors as (n, dimensions) float32 of norm 1; a stored zero vector stays zero."""
    rows = np.frombuffer(b"".join(blobs), dtype=VECTOR_TYPE).astype(np.float32).reshape(len(blobs), dimensions)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), np.float32)
