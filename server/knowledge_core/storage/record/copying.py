"""A record read at one moment and copied into one file, while its collection is written by whichever process holds it.

A reader of a write-ahead log sees one moment and keeps no writer waiting. So the copy is made within one read transaction:
begun anew at each step, SQLite's backup would start from the beginning whenever somebody wrote, and beside a busy writer it
would never end. The copy is one file: whoever copies it need not know of any `-wal`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from knowledge_core.contract import EmbeddingContract
from knowledge_core.errors import StorageDamaged, StorageError, StorageFull
from knowledge_core.files import NO_SPACE
from knowledge_core.storage.record.migrations import refuse_newer
from knowledge_core.storage.record.sqlite import FILE, connect, refuse_without_record, translated

STEP_PAGES = 2048  # of 8 KB: 16 MB between two looks at Ctrl-C; fewer are no faster
RESTORED_FROM = "restored_from"  # in the table `meta`: the identity of the record that a copy was restored from

# Result codes of https://www.sqlite.org/rescode.html that speak of what is read, not of where it is written to
_READ, _SHORT_READ, _CORRUPT_FILE_SYSTEM, _CORRUPT, _NOT_A_DATABASE = 266, 522, 8458, 11, 26
_OF_SOURCE = (_READ, _SHORT_READ, _CORRUPT_FILE_SYSTEM)
_FULL = 13
# https://www.sqlite.org/fileformat2.html#the_database_header: read and write version; 2 is a write-ahead log, 1 is none
_VERSIONS_AT, _NO_LOG = 18, b"\x01\x01"

Copied = Callable[[int, int], None]
"""Told of the bytes that are copied so far, and of all. What it raises ends the copying."""


@dataclass(frozen=True)
class RecordFacts:
    """What a record holds at one moment.

    identity: of the record, for its whole life. generation: number of its latest change.
    restored_from: the identity of the record that this one was restored from; "": it was not.
    state: SHA-256 of everything that can change in a record: two records of one state hold the same.
    schema: version of its tables.
    model: that its vectors are of. dimensions: of them. max_length: see `EmbeddingContract`.
    """

    identity: str
    generation: int
    restored_from: str
    state: str
    schema: int
    documents: int
    chunks: int
    vectors: int
    model: str
    dimensions: int
    max_length: int


class PinnedRecord:
    """A record as it was at one moment, whatever is written since. See `pinned`."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection, self._name = connection, name
        self.facts = _facts(connection, self._name)
        (pages,), (size,) = (connection.execute(f"PRAGMA {each}").fetchone() for each in ("page_count", "page_size"))
        self.bytes = int(pages * size)

    def copy_to(self, path: Path, copied: Copied) -> None:
        """Write the record into a new file that needs no other file beside it, check it, and flush it.

        path: in a folder that nobody else writes to; there is no such file yet.

        Raises:
            StorageDamaged: the record itself cannot be read, or the copy does not pass SQLite's checks.
            StorageFull, StorageError: the place of the copy refused.
        """
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(_private(path)) as copy:
                self._connection.backup(
                    copy, pages=STEP_PAGES,
                    progress=lambda _, left, pages: copied((pages - left) * self.bytes // max(pages, 1), self.bytes),
                )  # fmt: skip
            with open(path, "r+b") as file:
                file.seek(_VERSIONS_AT)
                file.write(_NO_LOG)
                file.flush()
                os.fsync(file.fileno())
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            if code & 0xFF in (_CORRUPT, _NOT_A_DATABASE) or code in _OF_SOURCE:
                with translated(self._name):
                    raise
            raise _refused(error, full=code & 0xFF == _FULL) from error
        except OSError as error:
            raise _refused(error, full=error.errno in NO_SPACE) from error
        _refuse_unsound(path, self._name)


@contextmanager
def pinned(folder: Path) -> Iterator[PinnedRecord]:
    """Yield the record of a collection as it is now, until the end of the block. It may be open elsewhere.

    Raises:
        CollectionNotFound: there is none in this folder.
        StorageDamaged: its record is gone or damaged. StorageError: it cannot be read.
    """
    refuse_without_record(folder)
    with translated(folder.name):
        connection = connect(folder / FILE, read_only=True)
    with closing(connection):
        with translated(folder.name):
            connection.execute("BEGIN")
            record = PinnedRecord(connection, folder.name)
        yield record


def adopt(folder: Path) -> RecordFacts:
    """Check a copy that was put into a folder of its own, and make it a record of its own; return what it held.

    It gets an identity of its own, since two histories begin with it: what was derived from the former record, or
    remembered of it, must not count for this one.

    Raises:
        StorageDamaged: it is no sound record, or does something by itself when it is written to.
    """
    name = folder.name
    _refuse_unsound(folder / FILE, name)
    with translated(name), closing(_private(folder / FILE)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone():
            raise StorageDamaged(f"The copy of {name!r} holds triggers or views, which no record of ours has.")
        facts = _facts(connection, name)
        for each, value in (("identity", uuid.uuid4().hex), (RESTORED_FROM, facts.identity)):
            connection.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (each, value)
            )
    return facts


def _private(path: Path) -> sqlite3.Connection:
    """Open a file that is ours alone: without locks, which some network drives lack, and without a log beside it."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?nolock=1", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = OFF")  # flushed as a whole, at the end
    connection.execute("PRAGMA journal_mode = OFF")
    return connection


def _refuse_unsound(path: Path, name: str) -> None:
    with translated(name), closing(_private(path)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
        if not found and connection.execute("PRAGMA foreign_key_check").fetchone():
            found = ["dangling references"]
    if found:
        raise StorageDamaged(f"The record of collection {name!r} fails SQLite's checks: {'; '.join(found)}.")


def _refused(error: Exception, *, full: bool) -> StorageError:
    if full:
        return StorageFull("No space left where the copy is written. Free some space there, or choose another place.")
    return StorageError(
        f"The place of the copy refused: {error}. It may be full, read-only, removed, or unable to hold a file of this "
        "size (FAT32: 4 GB)."
    )


def _facts(connection: sqlite3.Connection, name: str) -> RecordFacts:
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    refuse_newer(schema, name)
    meta = {str(key): str(value) for key, value in connection.execute("SELECT name, value FROM meta")}
    lacking = [key for key in ("identity", "generation", "contract", "name") if key not in meta]
    if lacking:
        raise StorageDamaged(f"The record of collection {name!r} lacks its {lacking[0]}.")
    if not meta["generation"].isdecimal():
        raise StorageDamaged(f"The record of collection {name!r} has no number as its generation.")
    contract = EmbeddingContract.from_json(meta["contract"])
    documents, chunks, vectors = (
        int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        for table in ("documents", "chunks", "vectors")
    )
    return RecordFacts(
        meta["identity"], int(meta["generation"]), meta.get(RESTORED_FROM, ""), _state(connection, meta, schema),
        schema, documents, chunks, vectors, contract.model, contract.dimensions, contract.max_length,
    )  # fmt: skip


def _state(connection: sqlite3.Connection, meta: dict[str, str], schema: int) -> str:
    """Return a digest of what tells one moment of a record from every other.

    The generation alone does not: after an older record was put back, the same numbers are given out again. Documents are
    told by their digests, which change with all that is made of them, or where they are marked as damaged. Of the other
    tables, small ones are read whole, and of large ones what every write to them changes.
    """
    parts: list[Iterable[object]] = [[schema], sorted(meta.items())]
    parts.append(connection.execute("SELECT id, digest FROM documents ORDER BY number"))
    parts.append(connection.execute("SELECT * FROM sources ORDER BY name"))
    parts.append(connection.execute("SELECT * FROM jobs ORDER BY id"))
    parts.append(
        connection.execute(
            "SELECT job, state, count(*), count(inline) FROM plan GROUP BY job, state ORDER BY job, state"
        )
    )
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'next_contract'").fetchone():
        parts.append(connection.execute("SELECT contract FROM next_contract"))
        for table, number in (("next_vectors", "key"), ("next_chunks", "number"), ("next_done", "document")):
            parts.append(connection.execute(f"SELECT count(*), max({number}) FROM {table}"))
    digest = hashlib.sha256()
    for part in parts:
        for row in part:
            digest.update(json.dumps(row, default=bytes.hex).encode() + b"\n")
        digest.update(b"\n")
    return digest.hexdigest()
