"""A collection's chunks and vectors under another contract, made beside those that answer, then put in their place.

The tables `next_chunks` and `next_vectors` lie in the record's own file, so that the switch is one transaction: before it
every reader sees the old contract whole, after it the new one. Rules kept here:
- `next_done` names the documents that are made. A document that changes or goes meanwhile takes its rows along (a changed
  one is a new row of `documents`): so the documents that are missing in `next_done` are those that are left to do;
- numbers and keys begin far above the old ones: no number is ever used for two things;
- what was made stays through crashes and cancelled jobs, and is used for the same contract only.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt

from knowledge_core.contract import EmbeddingContract
from knowledge_core.errors import ContractMismatch, InvalidInput
from knowledge_core.storage.gil_pauses import with_pauses
from knowledge_core.storage.record.sqlite import parsed, stored_form, transaction, translated
from knowledge_core.storage.values import Waiting
from knowledge_core.types import Chunk, Document, Heading, Span, passage_digest

HEADROOM = 2**32  # numbers and keys that the old tables can still hand out before the switch

_TABLES = (
    "CREATE TABLE next_contract (contract TEXT NOT NULL)",
    "CREATE TABLE next_vectors (key INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, vector BLOB NOT NULL)",
    """CREATE TABLE next_chunks (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        document INTEGER NOT NULL REFERENCES documents (number) ON DELETE CASCADE,
        position INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, first_line INTEGER NOT NULL,
        last_line INTEGER NOT NULL, page INTEGER, heading TEXT NOT NULL,
        key INTEGER NOT NULL REFERENCES next_vectors (key), text_digest INTEGER, UNIQUE (document, position))""",
    "CREATE TABLE next_done (document INTEGER PRIMARY KEY REFERENCES documents (number) ON DELETE CASCADE)",
)
_NAMES = ("next_done", "next_chunks", "next_vectors", "next_contract")  # in an order in which they can be dropped

Alone = Callable[[], AbstractContextManager[None]]


class Reembedding:
    """The tables of a change of contract, on the record's writing connection.

    Every call raises CollectionNotFound where the collection was closed, and StorageError where the disk refuses.

    alone: keeps the collection's other writers out; each method is in such a block.
    written: called after each write, in the same block: readers are replaced, so that the write-ahead log stays short.
    """

    def __init__(self, connection: sqlite3.Connection, name: str, alone: Alone, written: Callable[[], None]) -> None:
        self._connection, self._name, self._alone, self._written = connection, name, alone, written

    def go_on(self, connection: sqlite3.Connection) -> None:
        """Use this connection from now on: the record was closed, and opened again."""
        self._connection = connection

    def contract(self) -> EmbeddingContract | None:
        """Return the contract that is being moved to; None while nothing is."""
        with self._alone(), translated(self._name):
            there = self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'next_contract'").fetchone()
            row = self._connection.execute("SELECT contract FROM next_contract").fetchone() if there else None
        return None if row is None else EmbeddingContract.from_json(row[0])

    def begin(self, contract: EmbeddingContract) -> None:
        """Make the tables, unless they are there for the same contract; those of another contract are dropped.

        contract: with its probe.
        """
        there = self.contract()
        if there is not None and there.model == contract.model and not there.differences(contract):
            return
        with self._alone(), transaction(self._connection, self._name):
            self._drop()
            for statement in _TABLES:
                self._connection.execute(statement)
            for table in ("chunks", "vectors"):
                self._connection.execute(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ? + coalesce("
                    "(SELECT seq FROM sqlite_sequence WHERE name = ?), 0))",
                    (f"next_{table}", HEADROOM, table),
                )
            self._connection.execute("INSERT INTO next_contract VALUES (?)", (contract.to_json(),))

    def discard(self) -> bool:
        """Drop what was made; say whether there was anything."""
        with self._alone():
            there = self.contract() is not None
            with transaction(self._connection, self._name):
                self._drop()
            self._written()
        return there

    def left(self) -> int:
        """Return how many documents are left to be made."""
        with self._alone(), translated(self._name):
            (count,) = self._connection.execute(
                "SELECT count(*) FROM documents WHERE number NOT IN (SELECT document FROM next_done)"
            ).fetchone()
        return int(count)

    def waiting(self, characters: int) -> list[Waiting]:
        """Return the next documents that are left, in order: about `characters` of text in all, and one document at least."""
        found: list[Waiting] = []
        size = 0
        with self._alone(), translated(self._name):
            rows = self._connection.execute(
                "SELECT number, id, text, title, uri, metadata, media_type, pages, headings, lines_of_file FROM documents "
                "WHERE number NOT IN (SELECT document FROM next_done) ORDER BY number"
            )
            for number, id, text, title, uri, metadata, media_type, pages, headings, own in rows:
                spans = tuple(Span(start, end) for start, end in parsed(pages, []))
                outline = tuple(Heading(*each) for each in parsed(headings, []))
                document = Document(id, text, title, uri, parsed(metadata, {}), media_type, spans, outline, bool(own))
                found.append(Waiting(number, document))
                size += len(text)
                if size >= characters:
                    break
            rows.close()
        return found

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return which of these embedded texts, named by their digests, have no vector under the other contract yet."""
        with self._alone(), translated(self._name):
            there = {
                digest
                for digest in with_pauses(digests)
                if self._connection.execute(
                    "SELECT 1 FROM next_vectors WHERE digest = ?", (bytes.fromhex(digest),)
                ).fetchone()
            }
        return set(digests) - there

    def write(
        self,
        contract: EmbeddingContract,
        made: Sequence[tuple[Waiting, Sequence[Chunk]]],
        vectors: Mapping[str, npt.NDArray[np.float32]],
    ) -> None:
        """Keep what was made of documents, in one transaction. A document that went meanwhile is left out.

        contract: the one that is being moved to.
        made: documents with their chunks.
        vectors: digest of the embedded text -> (dim,) float32, norm 1; for texts that `missing` named.

        Raises:
            InvalidInput: a vector is broken or lacking; nothing was written.
            StorageError: the disk refused; nothing was written.
        """
        stored = {bytes.fromhex(digest): stored_form(vector) for digest, vector in vectors.items()}
        with self._alone():
            with transaction(self._connection, self._name):
                self._connection.executemany(
                    "INSERT INTO next_vectors (digest, vector) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING",
                    with_pauses(stored.items()),
                )
                for waiting, chunks in with_pauses(made):
                    there = self._connection.execute(
                        "SELECT 1 FROM documents WHERE number = ?", (waiting.number,)
                    ).fetchone()
                    if there:
                        self._insert(contract, waiting, chunks)
            # In the same block: outside of it, another thread's write may be open, which must not be published.
            self._written()

    def switch(self) -> EmbeddingContract:
        """Put the new tables in the place of the old ones, in one transaction; return the contract that holds now.

        The log is emptied: everything derived has to be rebuilt from scratch.

        Raises:
            ContractMismatch: not every document is made yet; nothing was changed.
        """
        contract = self.contract()
        if contract is None or self.left():
            raise ContractMismatch(f"Collection {self._name!r} is not wholly embedded under the other contract yet.")
        with self._alone(), transaction(self._connection, self._name):
            self._connection.execute("DELETE FROM next_vectors WHERE key NOT IN (SELECT key FROM next_chunks)")
            for table in ("chunks", "vectors"):  # in this order: chunks refer to vectors
                self._connection.execute(f"DROP TABLE {table}")
            for table in ("vectors", "chunks"):
                self._connection.execute(f"ALTER TABLE next_{table} RENAME TO {table}")
            self._connection.execute("CREATE INDEX chunks_by_key ON chunks (key)")
            self._connection.execute("CREATE INDEX chunks_by_text ON chunks (text_digest) WHERE text_digest NOT NULL")
            for name in ("next_done", "next_contract"):
                self._connection.execute(f"DROP TABLE {name}")
            self._connection.execute("UPDATE documents SET embedded_title = NULL")  # made under their own titles
            self._connection.execute("DELETE FROM log")
            self._connection.execute(
                "DELETE FROM meta WHERE name = 'calibration'"
            )  # it was measured with the other model
            (generation,) = self._connection.execute(
                "UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value"
            ).fetchone()
            for name, value in (("contract", contract.to_json()), ("log_from", str(generation))):
                self._connection.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (name, value),
                )
        return contract

    def _insert(self, contract: EmbeddingContract, waiting: Waiting, chunks: Sequence[Chunk]) -> None:
        for part in chunks:
            digest = contract.digest(part.text, part.title(waiting.document.title))
            row = self._connection.execute(
                "SELECT key FROM next_vectors WHERE digest = ?", (bytes.fromhex(digest),)
            ).fetchone()
            if row is None:
                raise InvalidInput(
                    f"A chunk of document {waiting.document.id!r} has no vector; embed it and write again."
                )
            self._connection.execute(
                "INSERT OR REPLACE INTO next_chunks (document, position, start, end, first_line, last_line, page, heading, "
                "key, text_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    waiting.number, part.position, part.span.start, part.span.end, part.lines.first, part.lines.last,
                    part.page, json.dumps(part.heading), int(row[0]), passage_digest(part.text),
                ),
            )  # fmt: skip
        self._connection.execute("INSERT OR IGNORE INTO next_done VALUES (?)", (waiting.number,))

    def _drop(self) -> None:
        for name in _NAMES:
            self._connection.execute(f"DROP TABLE IF EXISTS {name}")
