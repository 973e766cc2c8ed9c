"""The record: documents, chunks, vectors, jobs and the log of what each generation changed, in one SQLite file.

The writing side: one connection, used under the collection's lock. `jobs` and `record_log` are its tables of their own
subject; `reading.py` is the reading side; nothing above this folder speaks SQL.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from knowledge_core.contract import EmbeddingContract
from knowledge_core.errors import InvalidInput, StorageDamaged
from knowledge_core.storage.gil_pauses import with_pauses
from knowledge_core.storage.lexical_text import lexical_text
from knowledge_core.storage.record.job_table import JobTable
from knowledge_core.storage.record.log import RecordLog
from knowledge_core.storage.record.migrations import migrate
from knowledge_core.storage.record.next_contract import Alone, Reembedding
from knowledge_core.storage.record.source_table import SourceTable
from knowledge_core.storage.record.sqlite import (
    FILE,
    WAL_KEPT,
    connect,
    known_digests,
    remedy,
    stored_form,
    transaction,
    translated,
    unit,
)
from knowledge_core.storage.values import (
    MARKED,
    Calibration,
    Change,
    FileState,
    Found,
    Keys,
    LexicalText,
    NewDocument,
    PlanRow,
)
from knowledge_core.types import Document, Vectors, passage_digest


@dataclass(frozen=True)
class Written:
    """What one change did to the record: what the derived indexes have to follow.

    keys: (n,) int64 of the vectors that came, ascending.
    vectors: (n, dim) float32, norm 1, theirs, as they are stored.
    removed_keys: of the vectors that went, ascending.
    chunks: what the words of those that came are read from.
    removed_chunks: numbers of those that went, ascending.
    """

    generation: int
    keys: Keys
    vectors: Vectors
    removed_keys: list[int]
    chunks: list[LexicalText]
    removed_chunks: list[int]


class DocumentStore:
    """The writing side of the record. Every call is made under the collection's lock."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self.path = folder / FILE
        with translated(name):
            self._connection = connect(self.path, read_only=False)
            try:
                migrate(self._connection, self.path)
            except BaseException:
                self._connection.close()
                raise
        self.jobs = JobTable(self._connection, name)
        self.sources = SourceTable(self._connection, name)
        self.record_log = RecordLog(self._connection, name)

    def reembedding(self, alone: Alone, written: Callable[[], None]) -> Reembedding:
        """Return the tables of a change of contract; the arguments are those of `Reembedding`."""
        return Reembedding(self._connection, self._name, alone, written)

    def carry_on(self, reembedding: Reembedding) -> None:
        """Let a change of contract go on with this store, which was opened in the place of one that was closed."""
        reembedding.go_on(self._connection)

    def close(self) -> None:
        """Let go of the file. SQLite moves the write-ahead log into it, unless a reader still has it open."""
        with translated(self._name):
            self._connection.close()

    def checkpoint(self) -> bool:
        """Move what the write-ahead log holds into the file; say whether all of it is there now. Waits for no reader.

        Once all of it is moved, the next write starts the log from its beginning, if no reader needs the log by then:
        readers that began after the move do not. Whoever keeps a reader open must replace it after a True, else the log
        grows for ever.
        """
        with translated(self._name):
            busy, pages, moved = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return not busy and bool(pages == moved)

    def is_wal_long(self) -> bool:
        """Say whether the write-ahead log is so long that it should be moved into the file."""
        wal = self.path.with_name(f"{FILE}-wal")
        return wal.exists() and wal.stat().st_size > WAL_KEPT

    # -- what the collection is ------------------------------------------------------------------------------------

    def create(self, contract: EmbeddingContract) -> None:
        """Write what makes a new file this collection."""
        with transaction(self._connection, self._name):
            for name, value in (
                ("name", self._name),
                ("identity", uuid.uuid4().hex),
                ("contract", contract.to_json()),
                ("generation", "0"),
                ("created", _now()),
            ):
                self._connection.execute("INSERT INTO meta VALUES (?, ?)", (name, value))

    def meta(self, name: str) -> str:
        """Return one fact of the collection.

        Raises:
            StorageDamaged: it is not there: the file is not a whole collection.
        """
        with translated(self._name):
            row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise StorageDamaged(f"The record of collection {self._name!r} lacks its {name}. {remedy(self._name)}")
        return str(row[0])

    def set_contract(self, contract: EmbeddingContract) -> None:
        """Store the contract with its probe."""
        with transaction(self._connection, self._name):
            self._connection.execute("UPDATE meta SET value = ? WHERE name = 'contract'", (contract.to_json(),))

    def set_calibration(self, calibration: Calibration) -> None:
        """Store how well the model reads the collection: a new generation, as answers may come in another order."""
        with transaction(self._connection, self._name):
            self._next_generation()
            self._connection.execute(
                "INSERT INTO meta VALUES ('calibration', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (calibration.to_json(),),
            )

    def set_read_by(self, version: str) -> None:
        """Store by which version of reading and cutting all documents were read, as far as they could be."""
        with transaction(self._connection, self._name):
            self._connection.execute(
                "INSERT INTO meta VALUES ('read_by', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (version,),
            )

    # -- documents -------------------------------------------------------------------------------------------------

    def write(self, change: Change, contract: EmbeddingContract) -> Written:
        """Apply one change in one transaction.

        Raises:
            StorageFull, StorageError: nothing of it was written.
            InvalidInput: a vector is not finite or not of norm 1, or one is lacking.
        """
        stored = {digest: stored_form(vector) for digest, vector in change.vectors.items()}
        _refuse_twice(new.document.id for new in change.add)
        with transaction(self._connection, self._name):
            generation = self._next_generation()
            orphans: set[int] = set()
            self.sources.keep_out(change.keep_out)
            former = {new.moved_from: self._former(new.moved_from) for new in change.add if new.moved_from}
            gone_ids = [*change.remove, *former, *(new.document.id for new in change.add)]
            removed = self._remove(gone_ids, orphans)
            inserted = self._insert_vectors(stored)
            chunks = [row for new in with_pauses(change.add) for row in self._insert(new, contract, former)]
            gone = self._drop_orphans(orphans | set(inserted))
            self.sources.let_in_within(new.document.id for new in change.add)
            self._touch(change, generation)
            self.jobs.settle(change)
            added = [key for key in inserted if key not in gone]
            self._note(generation, "+k", added)
            self._note(generation, "-k", gone - set(inserted))
            self._note(generation, "+c", (each.number for each in chunks))
            self._note(generation, "-c", removed)
        # As they were stored, not as they came: an index that is rebuilt must be the same to the bit.
        vectors = unit([inserted[key] for key in added], contract.dimensions)
        return Written(generation, np.array(added, np.int64), vectors, sorted(gone), chunks, removed)

    def extend_job(self, id: str, rows: Sequence[PlanRow], report: str, found: Found) -> None:
        """Add to a job's plan, and record what was found and its report so far, in one transaction."""
        with transaction(self._connection, self._name):
            self.sources.set_within(found.sources)
            self.sources.let_in_within(found.let_in)
            self._mark_unreadable(found.unreadable)
            self.jobs.extend_within(id, rows, report, found.covered)

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return which of these embedded texts have no vector yet."""
        with translated(self._name):
            return set(digests) - known_digests(self._connection.execute, digests)

    def states(self, source: str, under: str = "") -> dict[str, FileState]:
        """Return what is remembered of a source's documents, by id. under: of those whose ids begin so."""
        with translated(self._name):
            rows = self._connection.execute(
                "SELECT id, digest, source, path, size, mtime_ns, ctime_ns, unreadable FROM documents WHERE source = ?1 "
                "AND (?2 = '' OR (id >= ?2 AND substr(id, 1, length(?2)) = ?2))",
                (source, under),
            ).fetchall()
        return {row[0]: FileState(*row[1:]) for row in rows}

    def mark(self, documents: Sequence[int], keys: Sequence[int]) -> None:
        """Have documents read again, and texts embedded again, whatever the record holds of them now.

        documents: numbers of their rows. keys: of vectors that no longer count for their texts.
        """
        with transaction(self._connection, self._name):
            self._connection.executemany(
                "UPDATE documents SET digest = ?1 || digest WHERE number = ?2 AND substr(digest, 1, length(?1)) <> ?1",
                ((MARKED, number) for number in documents),
            )
            self._connection.executemany(
                "UPDATE vectors SET digest = randomblob(32) WHERE key = ?", ((key,) for key in keys)
            )

    def fill_text_digests(self, most: int) -> bool:
        """Fill in the digests of up to `most` chunks' texts that an earlier version did not store; say whether some lack it."""
        with transaction(self._connection, self._name):
            rows = self._connection.execute(
                "SELECT number, document, start, end FROM chunks WHERE text_digest IS NULL ORDER BY number LIMIT ?",
                (most,),
            ).fetchall()
            texts = dict(
                self._connection.execute(
                    "SELECT number, text FROM documents WHERE number IN (SELECT value FROM json_each(?))",
                    (json.dumps(list({row[1] for row in rows})),),
                ).fetchall()
            )
            self._connection.executemany(
                "UPDATE chunks SET text_digest = ? WHERE number = ?",
                ((passage_digest(texts[document][start:end]), number) for number, document, start, end in rows),
            )
        return len(rows) == most

    # -- within one transaction ------------------------------------------------------------------------------------

    def _next_generation(self) -> int:
        row = self._connection.execute(
            "UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value"
        ).fetchone()
        return int(row[0])

    def _remove(self, ids: Iterable[str], orphans: set[int]) -> list[int]:
        """Delete documents with their chunks, and return the chunks' numbers, ascending.

        orphans: takes the keys that may have lost their last chunk.
        """
        removed: list[int] = []
        for id in with_pauses(dict.fromkeys(ids)):
            row = self._connection.execute("SELECT number FROM documents WHERE id = ?", (id,)).fetchone()
            if row is None:
                continue
            for number, key in self._connection.execute("SELECT number, key FROM chunks WHERE document = ?", row):
                removed.append(number)
                orphans.add(key)
            self._connection.execute("DELETE FROM chunks WHERE document = ?", row)
            self._connection.execute("DELETE FROM documents WHERE number = ?", row)
        return sorted(removed)

    def _insert_vectors(self, stored: Mapping[str, bytes]) -> dict[int, bytes]:
        """Insert the vectors whose texts have none yet; return these by key, ascending. A text keeps its first vector."""
        inserted = {}
        for digest, blob in with_pauses(stored.items()):
            cursor = self._connection.execute(
                "INSERT INTO vectors (digest, vector) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING",
                (bytes.fromhex(digest), blob),
            )
            if cursor.rowcount:
                inserted[int(cursor.lastrowid or 0)] = blob
        return inserted

    def _former(self, id: str) -> tuple[int | None, str]:
        """Return the number of a document that moves, which it keeps, and when it was indexed; (None, now) if it is gone."""
        row = self._connection.execute("SELECT number, indexed_at FROM documents WHERE id = ?", (id,)).fetchone()
        return (None, _now()) if row is None else (int(row[0]), str(row[1]))

    def _insert(
        self, new: NewDocument, contract: EmbeddingContract, former: Mapping[str, tuple[int | None, str]]
    ) -> list[LexicalText]:
        """Insert a document and its chunks; return what the words of each chunk are read from."""
        document = new.document
        known, indexed_at = former[new.moved_from] if new.moved_from else (None, _now())
        under = document.title if new.embedded_title is None else new.embedded_title
        number = self._connection.execute(
            "INSERT INTO documents (number, id, title, uri, metadata, media_type, pages, headings, lines_of_file, digest, "
            "source, path, size, mtime_ns, ctime_ns, embedded_title, indexed_at, text) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                known, document.id, document.title, document.uri, _metadata(document), document.media_type,
                json.dumps([(page.start, page.end) for page in document.pages]),
                json.dumps([(each.start, each.level, each.name) for each in document.headings]), document.lines_of_file,
                new.digest, new.source, new.path, new.size, new.mtime_ns, new.ctime_ns,
                None if under == document.title else under, indexed_at, document.text,
            ),
        ).lastrowid  # fmt: skip
        rows = []
        for part in with_pauses(new.chunks):
            key = self._key_of(contract.digest(part.text, part.title(under)), document.id)
            cursor = self._connection.execute(
                "INSERT INTO chunks (document, position, start, end, first_line, last_line, page, heading, key, text_digest) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number, part.position, part.span.start, part.span.end, part.lines.first, part.lines.last, part.page,
                    json.dumps(part.heading), key, passage_digest(part.text),
                ),
            )  # fmt: skip
            rows.append(
                lexical_text(
                    int(cursor.lastrowid or 0), document.id, new.path, document.title, document.media_type, part.heading,
                    part.text,
                )
            )  # fmt: skip
        return rows

    def _key_of(self, digest: str, id: str) -> int:
        row = self._connection.execute("SELECT key FROM vectors WHERE digest = ?", (bytes.fromhex(digest),)).fetchone()
        if row is None:
            raise InvalidInput(f"A chunk of document {id!r} has no vector; embed it and write again.")
        return int(row[0])

    def _drop_orphans(self, candidates: set[int]) -> set[int]:
        gone = {
            key
            for key in with_pauses(candidates)
            if self._connection.execute("SELECT 1 FROM chunks WHERE key = ? LIMIT 1", (key,)).fetchone() is None
        }
        self._connection.executemany("DELETE FROM vectors WHERE key = ?", ((key,) for key in with_pauses(gone)))
        return gone

    def _touch(self, change: Change, generation: int) -> None:
        moved = self._connection.executemany(
            "UPDATE documents SET mtime_ns = ?1 WHERE id = ?2 AND mtime_ns <> ?1",
            ((stat.mtime_ns, id) for id, stat in change.touched.items()),
        )
        if moved.rowcount > 0:  # the log names chunks, which stay: a filter on times must be evaluated again
            self._connection.execute(
                "INSERT INTO meta VALUES ('renamed', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(generation),),
            )
        self._connection.executemany(
            "UPDATE documents SET size = ?, ctime_ns = ?, unreadable = '' WHERE id = ?",
            ((stat.size, stat.ctime_ns, id) for id, stat in change.touched.items()),
        )
        self._mark_unreadable(change.unreadable)
        for id, digest in change.digests.items():
            # Not of one that was marked since to be read again: the mark must stay.
            self._connection.execute(
                "UPDATE documents SET digest = ? WHERE id = ? AND substr(digest, 1, ?) <> ?",
                (digest, id, len(MARKED), MARKED),
            )

    def _mark_unreadable(self, unreadable: Mapping[str, str]) -> None:
        self._connection.executemany(
            "UPDATE documents SET unreadable = ? WHERE id = ?", ((why, id) for id, why in unreadable.items())
        )

    def _note(self, generation: int, kind: str, numbers: Iterable[int]) -> None:
        self._connection.executemany(
            "INSERT INTO log VALUES (?, ?, ?)", ((generation, kind, each) for each in with_pauses(numbers))
        )


def _metadata(document: Document) -> str:
    try:
        return json.dumps(dict(document.metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        # SQLite reads JSON strictly: one NaN would break every filter of the collection.
        raise InvalidInput(f"The metadata of document {document.id!r} is not plain JSON: {error}.") from None


def _refuse_twice(ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise InvalidInput(f"Document {id!r} comes twice in one write; give each document an id of its own.")
        seen.add(id)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
