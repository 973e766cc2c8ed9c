"""One generation of a collection, to read from: nothing in it changes, whatever is written meanwhile.

A view pins three things that belong together: a snapshot of the record, one of the vectors, a searcher of the words.
Several threads may use one view.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge_core.contract import EmbeddingContract
from knowledge_core.errors import DocumentNotFound
from knowledge_core.language.lexical_query import Counting, LexicalQuery
from knowledge_core.near_names import near_names
from knowledge_core.quantising import Rows, quantise, scale
from knowledge_core.storage.gil_pauses import with_pauses
from knowledge_core.storage.lexical_index import LexicalSnapshot
from knowledge_core.storage.record.evaluated_filters import EvaluatedFilters
from knowledge_core.storage.record.filters import parse
from knowledge_core.storage.record.overview import NEWEST
from knowledge_core.storage.record.snapshot import GIVEN, RecordSnapshot, json_list
from knowledge_core.storage.record.sqlite import unit
from knowledge_core.storage.sorted_keys import among
from knowledge_core.storage.values import (
    Allowed,
    Calibration,
    Counts,
    FileState,
    Keys,
    Place,
    StoredChunk,
    StoredDocument,
)
from knowledge_core.storage.vectors.int8_scan import inner_products
from knowledge_core.storage.vectors.snapshot import Nearest, VectorSnapshot
from knowledge_core.types import Document, Lines, Span, Vectors

__all__ = ["Allowed", "Counts", "Place", "StoredChunk", "StoredDocument", "View"]

RESCORED = 30  # candidates beyond the limit whose cosine is computed anew: the true ten lie among them (recall 0.999)
SAMPLED = 2_000  # vectors whose cosines tell how unusual one is; 384 dimensions: 0.8 MB a view, 0.05 ms a query
IDS_FOR_HINTS = 20_000  # ids looked through for "did you mean"; more would take longer than the hint is worth

_CHUNK = (
    "c.number, c.key, d.id, d.title, d.uri, d.metadata, c.position, c.start, c.end, c.first_line, c.last_line, "
    "c.heading, c.page, c.document"
)
_PLACE = "c.number, c.key, d.id, c.position, c.first_line, c.last_line"
_JOINED = "chunks c JOIN documents d ON d.number = c.document WHERE"
_DOCUMENT = (
    "d.id, {text}, d.title, d.uri, d.metadata, d.media_type, d.pages, d.digest, d.source, d.path, d.size, d.mtime_ns, "
    "d.indexed_at, (SELECT count(*) FROM chunks c WHERE c.document = d.number)"
)


class View:
    """What one generation holds. Made by `Collection`; closed by it when nobody uses it any more.

    calibration: how well the model reads this collection; None before that was measured.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        contract: EmbeddingContract,
        vectors: VectorSnapshot,
        words: LexicalSnapshot,
        filters: EvaluatedFilters,
    ) -> None:
        self.name, self.contract, self._filters = name, contract, filters
        self._vectors, self._words = vectors, words
        self._record = RecordSnapshot(path, name)
        self.generation = self._record.generation
        self._counts: Counts | None = None
        self._sample: Rows | None = None
        stored = self._record.rows("SELECT value FROM meta WHERE name = 'calibration'")
        self.calibration = Calibration.from_json(stored[0][0]) if stored else None
        self.users = 0

    def close(self) -> None:
        """Let go of the snapshot, so that SQLite can reuse what only it needed."""
        self._record.close()

    # -- what there is ---------------------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """Return how much there is."""
        if self._counts is None:
            waiting = (
                "SELECT count(DISTINCT p.document) FROM plan p JOIN jobs j ON j.id = p.job WHERE p.state = 'waiting' AND "
                "p.action = 'add' AND j.state IN ('running', 'interrupted') AND p.document NOT IN (SELECT id FROM documents)"
            )
            one = [self._one(f"SELECT count(*) FROM {table}") for table in ("documents", "chunks", "vectors")]
            self._counts = Counts(one[0], one[0] + self._one(waiting), one[1], one[2])
        return self._counts

    def fields(self) -> dict[str, str]:
        """Return the metadata fields there are and the JSON types of their values ("text", "integer|real")."""
        return self._filters.fields(self._record)

    def last_indexed(self) -> str | None:
        """Return when a document was last indexed: ISO 8601, UTC; None while there is none."""
        found = self._record.rows(NEWEST)
        return str(found[0][0]) if found else None

    def allowed(self, filter: Mapping[str, Any] | None) -> Allowed | None:
        """Return what a filter allows; None: everything.

        Raises:
            InvalidFilter: see `filters.parse`.
        """
        if not filter:
            return None
        return self._filters.allowed(self._record, filter)

    # -- search ----------------------------------------------------------------------------------------------------

    def nearest(self, vectors: Vectors, limit: int, allowed: Allowed | None = None) -> list[Nearest]:
        """Return for each query the nearest keys and their cosine, best first, ties by key, and whether that is exact.

        vectors: (q, dim) float32, norm 1. `RESCORED` more than `limit`, by their int8 rows, are compared again with
        the record's float16.
        """
        found = self._vectors.nearest(vectors, limit + RESCORED, None if allowed is None else allowed.keys)
        return [
            Nearest(self._rescored(query, [key for key, _ in each.found], limit), each.exact)
            for query, each in zip(vectors, found, strict=True)
        ]

    def words(self, query: LexicalQuery, limit: int, allowed: Allowed | None = None) -> list[tuple[int, float]]:
        """Return the chunks that hold something of the query, as (number, score 0..1), best first, ties by number."""
        return self._words.search(query, limit, None if allowed is None else allowed.chunks)

    @property
    def lexicon(self) -> Counting:
        """Return what knows how often terms occur here: what `lexical_query.weighed` needs."""
        return self._words

    def spread(self, vector: Vectors) -> tuple[float, float]:
        """Return mean and mean square of a query's cosines with a fixed sample of the collection; 0 where it is empty.

        vector: (1, dim) float32, norm 1.
        """
        if self._sample is None:
            self._sample = self.quantised(self.keys_by_digest(SAMPLED))[1]
        cosines = inner_products(self._sample, quantise(vector)) / scale(self.contract.dimensions) ** 2
        return (float(cosines.mean()), float((cosines * cosines).mean())) if len(cosines) else (0.0, 0.0)

    def _rescored(self, query: npt.NDArray[np.float32], keys: Sequence[int], limit: int) -> list[tuple[int, float]]:
        if not keys:
            return []
        scores = self.vectors(keys) @ query
        ranked = sorted(zip(keys, scores.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
        return ranked[:limit]

    # -- chunks ----------------------------------------------------------------------------------------------------

    def chunks(self, numbers: Iterable[int]) -> dict[int, StoredChunk]:
        """Return chunks by their numbers; those that are not there are left out."""
        rows = self._record.packed(_CHUNK, f"{_JOINED} c.number IN {GIVEN}", numbers)
        return {chunk.number: chunk for chunk in self._chunks(rows)}

    def places_of_document(self, id: str) -> list[Place]:
        """Return where a document's chunks lie, in text order; none if there is no such document. Reads no text."""
        return [
            _place(row)
            for row in self._record.rows(f"SELECT {_PLACE} FROM {_JOINED} d.id = ? ORDER BY c.position", (id,))
        ]

    def places_of_keys(self, keys: Iterable[int], allowed: Allowed | None = None) -> dict[int, list[Place]]:
        """Return where the chunks lie that have each of these keys, ascending by number. Reads no text."""
        rows = sorted(self._record.packed(_PLACE, f"{_JOINED} c.key IN {GIVEN}", keys))
        if allowed is not None and rows:
            inside = among(allowed.chunks, np.array([row[0] for row in rows], np.int64))[1]
            rows = [row for row, is_inside in zip(rows, inside, strict=True) if is_inside]
        found: dict[int, list[Place]] = {}
        for row in rows:
            found.setdefault(row[1], []).append(_place(row))
        return found

    def keys_of_chunks(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return the key of each of these chunks, by their numbers."""
        return dict(self._record.packed("number, key", f"chunks WHERE number IN {GIVEN}", numbers))

    def chunks_of_document(self, id: str) -> list[StoredChunk]:
        """Return a document's chunks in text order; none if there is no such document."""
        return self._chunks(self._record.rows(f"SELECT {_CHUNK} FROM {_JOINED} d.id = ? ORDER BY c.position", (id,)))

    # -- documents -------------------------------------------------------------------------------------------------

    def document(self, id: str) -> StoredDocument:
        """Return one document with its text.

        Raises:
            DocumentNotFound: names the nearest ids there are.
        """
        rows = self._record.rows(f"SELECT {_DOCUMENT.format(text='d.text')} FROM documents d WHERE d.id = ?", (id,))
        if not rows:
            raise DocumentNotFound(self._not_found(id))
        return _document(rows[0])

    def documents(
        self, filter: Mapping[str, Any] | None = None, limit: int = 50, after: str | None = None
    ) -> list[StoredDocument]:
        """Return documents without their text, in the order of their ids, from the first id above `after`."""
        condition = parse(filter, list(self.fields()) if filter else [])
        fields = _DOCUMENT.format(text="''")
        rows = self._record.rows(
            f"SELECT {fields} FROM documents d WHERE d.id > ? AND ({condition.sql}) ORDER BY d.id LIMIT ?",
            (after or "", *condition.parameters, limit),
        )
        return [_document(row) for row in rows]

    def document_ids(self, filter: Mapping[str, Any] | None = None) -> list[str]:
        """Return the ids of all documents that a filter allows, in order."""
        condition = parse(filter, list(self.fields()) if filter else [])
        rows = self._record.rows(
            f"SELECT d.id FROM documents d WHERE {condition.sql} ORDER BY d.id", condition.parameters
        )
        return [row[0] for row in rows]

    def files(self, ids: Iterable[str]) -> dict[str, tuple[str, int, int]]:
        """Return path, size and mtime_ns of the files that these documents were read from; inline ones are left out."""
        rows = self._record.rows(
            f"SELECT id, path, size, mtime_ns FROM documents WHERE path IS NOT NULL AND id IN {GIVEN}",
            (json.dumps(list(ids)),),
        )
        return {id: (path, size, mtime_ns) for id, path, size, mtime_ns in rows}

    def state(self, id: str) -> FileState | None:
        """Return what is remembered of one document, to see whether it changed; None if it is not there."""
        rows = self._record.rows("SELECT digest, source, path, size, mtime_ns FROM documents WHERE id = ?", (id,))
        return FileState(*rows[0]) if rows else None

    def missing(self, digests: Iterable[str]) -> set[str]:
        """Return which of these embedded texts (`text_digest`) have no vector."""
        known = "SELECT 1 FROM vectors WHERE digest = ?"
        return {digest for digest in with_pauses(digests) if not self._record.rows(known, (bytes.fromhex(digest),))}

    def all_chunk_numbers(self) -> Keys:
        """Return the numbers of all chunks, ascending."""
        return np.array([row[0] for row in self._record.rows("SELECT number FROM chunks ORDER BY number")], np.int64)

    def document_keys(self, filter: Mapping[str, Any] | None = None) -> dict[str, list[int]]:
        """Return for each document that a filter allows, in the order of the ids, the keys of its chunks."""
        condition = parse(filter, list(self.fields()) if filter else [])
        rows = self._record.rows(
            f"SELECT d.id, c.key FROM documents d JOIN chunks c ON c.document = d.number WHERE {condition.sql} "
            "ORDER BY d.id, c.position",
            condition.parameters,
        )
        found: dict[str, list[int]] = {}
        for id, key in rows:
            found.setdefault(id, []).append(key)
        return found

    # -- vectors ---------------------------------------------------------------------------------------------------

    def vectors(self, keys: Sequence[int] | Keys) -> Vectors:
        """Return (n, dim) float32, norm 1, in the order of the keys, which must all be there."""
        return unit(self._record.vectors(keys), self.contract.dimensions)

    def all_keys(self) -> Keys:
        """Return the keys of all vectors, ascending."""
        return self._vectors.keys

    def quantised(self, keys: Sequence[int] | Keys | None = None) -> tuple[Keys, npt.NDArray[np.int8]]:
        """Return keys and their int8 rows (n, dim), whose integer products are exact; None: all, by key."""
        wanted = self._vectors.keys if keys is None else np.asarray(keys, np.int64)
        return wanted, self._vectors.rows(wanted)

    def keys_by_digest(self, limit: int) -> Keys:
        """Return up to `limit` keys: those whose texts have the smallest hashes, a sample that insertion cannot change."""
        rows = self._record.rows("SELECT key FROM vectors ORDER BY digest LIMIT ?", (limit,))
        return np.array([row[0] for row in rows], np.int64)

    def key_digests(self, keys: Sequence[int] | Keys) -> dict[int, str]:
        """Return the SHA-256 (hex) of the text that each key stands for: an order that insertion does not change."""
        rows = self._record.packed("key, hex(digest)", f"vectors WHERE key IN {GIVEN}", keys)
        return {key: digest.lower() for key, digest in rows}

    def _chunks(self, rows: Sequence[Sequence[Any]]) -> list[StoredChunk]:
        # Each document's text once, and cut here: SQLite's substr would read a document anew for each of its chunks.
        texts = dict(
            self._record.rows(
                f"SELECT number, text FROM documents WHERE number IN {GIVEN}", (json_list({row[-1] for row in rows}),)
            )
        )
        return [_chunk(row, texts[row[-1]]) for row in rows]

    # -- within ----------------------------------------------------------------------------------------------------

    def _one(self, sql: str) -> int:
        return int(self._record.rows(sql)[0][0])

    def _not_found(self, id: str) -> str:
        ids = [row[0] for row in self._record.rows("SELECT id FROM documents ORDER BY id LIMIT ?", (IDS_FOR_HINTS,))]
        close = near_names(id, ids, 3)
        hint = (
            f" Did you mean {' or '.join(map(repr, close))}?" if close else " `list_documents` shows those there are."
        )
        return f"Collection {self.name!r} has no document {id[:200]!r}.{hint}"


def _place(row: Sequence[Any]) -> Place:
    number, key, document, position, first, last = row
    return Place(number, key, document, position, Lines(first, last))


def _chunk(row: Sequence[Any], text: str) -> StoredChunk:
    (number, key, document, title, uri, metadata, position, start, end, first, last, heading, page, _) = row
    return StoredChunk(
        number, key, document, title, uri, json.loads(metadata), position, Span(start, end), Lines(first, last),
        tuple(json.loads(heading)), page, text[start:end],
    )  # fmt: skip


def _document(row: tuple[Any, ...]) -> StoredDocument:
    (id, text, title, uri, metadata, media_type, pages, *state, chunks) = row
    spans = tuple(Span(start, end) for start, end in json.loads(pages))
    document = Document(id, text, title, uri, json.loads(metadata), media_type, spans)
    digest, source, path, size, mtime_ns, indexed_at = state
    return StoredDocument(document, digest, source, path, size, mtime_ns, indexed_at, chunks)
