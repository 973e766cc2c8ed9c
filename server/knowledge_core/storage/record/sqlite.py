"""SQLite as the record uses it: how a file is opened, a transaction kept, an error translated, a vector stored.

`synchronous=FULL` and WAL: what a commit acknowledged survives power loss.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from knowledge_core.errors import InvalidInput, StorageDamaged, StorageError, StorageFull
from knowledge_core.files import no_descriptor, out_of_descriptors
from knowledge_core.types import Vectors

FILE = "documents.db"
WAL_KEPT = 16 * 2**20  # bytes of the write-ahead log; beyond, it is checkpointed, and cut to this when it starts again
PAGE_SIZE = 8192  # bytes; a float16 vector of 768 takes 1.5 KB, and pages of 4 KB would hold two
NORM_TOLERANCE = 1e-3  # of a new vector, as float32
VECTOR_TYPE = "<f2"  # float16, little-endian on every machine

# Result codes of https://www.sqlite.org/rescode.html
_FULL, _CORRUPT, _NOT_A_DATABASE, _CANNOT_OPEN, _IO = 13, 11, 26, 14, 10


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
        if code == _FULL:
            raise StorageFull(
                f"No space left to write collection {name!r}; nothing of this batch was stored. Free space and try again."
            ) from error
        if code in (_CORRUPT, _NOT_A_DATABASE):
            raise StorageDamaged(
                f"The record of collection {name!r} is damaged ({error}): {FILE}, or the {FILE}-wal beside it, which belongs "
                f"to that very file. Put a backup in its place with `kcore restore BACKUP --collection {name} --replace`. "
                f"If you copied {FILE} by hand: `kcore stop`, move {FILE}-wal and {FILE}-shm away, and try again. Or delete "
                "the collection and index its sources again."
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
