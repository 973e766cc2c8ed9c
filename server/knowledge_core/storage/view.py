"""One generation of a collection, to read from: nothing in it changes, whatever is written meanwhile.

A view pins three things that belong together: a snapshot of the record, one of the vectors, and a searcher of the words.
It says what can be asked; `record/reading.py` knows how the record is asked. Several threads may use one view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge_core.contract import EmbeddingContract
from knowledge_core.errors import DocumentNotFound, quoted
from knowledge_core.language.lexical_query import Counting, LexicalQuery, Phrase
from knowledge_core.language.phrases import having
from knowledge_core.near_names import near_names
from knowledge_core.quantising import Rows, quantise, scale
from knowledge_core.storage.lexical_index import LexicalSnapshot
from knowledge_core.storage.record import reading, soundness
from knowledge_core.storage.record.evaluated_filters import EvaluatedFilters
from knowledge_core.storage.record.reading import Order as Order
from knowledge_core.storage.record.reading import StoredTexts as StoredTexts
from knowledge_core.storage.record.snapshot import RecordSnapshot
from knowledge_core.storage.values import (
    Allowed,
    Counts,
    FileState,
    Keys,
    Moments,
    Place,
    StoredChunk,
    StoredDocument,
    Unsound,
)
from knowledge_core.storage.vectors.int8_scan import inner_products
from knowledge_core.storage.vectors.snapshot import Nearest, VectorSnapshot
from knowledge_core.types import Vectors, composed

__all__ = ["Allowed", "Counts", "Place", "StoredChunk", "StoredDocument", "StoredTexts", "View"]

RESCORED = 30  # candidates beyond the limit whose cosine is computed again: the true ten lie among them (recall 0.999)
SAMPLED = 2_000  # vectors whose cosines tell how unusual one is; 384 dimensions: 0.8 MB per view, 0.05 ms per query
READ_FOR_PHRASE = 400  # chunks that hold all words of a phrase, and are read to see whether they stand together
TEXTS_AT_ONCE = 4_000_000  # bytes of texts that are read at a time: some milliseconds of the disk, and little memory
IDS_FOR_HINTS = 20_000  # ids looked through for "did you mean"; more would take longer than the hint is worth


class View:
    """What one generation holds. Made by `Collection`; closed by it when nobody uses it any more.

    name: of the collection.
    contract: under which its chunks were embedded.
    generation: of the record.
    calibration: how well the model reads this collection; None before that was measured.
    users: how many hold it; guarded by `Access`.
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
        self.calibration = reading.calibration(self._record)
        self.users = 0

    def close(self) -> None:
        """Let go of the snapshot, so that SQLite can reuse what only it needed."""
        self._record.close()

    # -- what there is ---------------------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """Return how much there is."""
        if self._counts is None:
            self._counts = reading.counts(self._record)
        return self._counts

    def fields(self) -> dict[str, str]:
        """Return the metadata fields there are and the JSON types of their values ("text", "integer|real")."""
        return self._filters.fields(self._record)

    def unknown_fields(self, filter: Mapping[str, Any] | None) -> list[str]:
        """Return the fields that a filter which was accepted names and no document has, in the filter's order."""
        return self._filters.unknown(self._record, filter)

    def last_indexed(self) -> str | None:
        """Return when a document was last indexed: ISO 8601, UTC; None while there is none."""
        return reading.last_indexed(self._record)

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

        vectors: (q, dim) float32, norm 1. `RESCORED` more than `limit` are taken by their int8 rows, and compared again by
        the record's float16.
        """
        found = self._vectors.nearest(vectors, limit + RESCORED, None if allowed is None else allowed.keys)
        return [
            Nearest(self._rescored(query, [key for key, _ in each.found], limit), each.exact)
            for query, each in zip(vectors, found, strict=True)
        ]

    def words(self, query: LexicalQuery, limit: int, allowed: Allowed | None = None) -> list[tuple[int, float]]:
        """Return the chunks that hold something of the query, as (number, score 0..1), best first, ties by number."""
        phrases = [(phrase.weight, self._with_phrase(phrase)) for phrase in query.phrases]
        phrases = [(weight, numbers) for weight, numbers in phrases if numbers]
        return self._words.search(query, limit, None if allowed is None else allowed.chunks, phrases)

    def _with_phrase(self, phrase: Phrase) -> list[int]:
        """Return the chunks that have a phrase, of those `READ_FOR_PHRASE` that hold its words most often."""
        has = having(phrase.text)
        chunks = self.chunks(self._words.holding(phrase.words, READ_FOR_PHRASE))
        return [number for number, each in chunks.items() if has("\n".join([each.title, *each.heading, each.text]))]

    @property
    def lexicon(self) -> Counting:
        """Return what knows how often terms occur here: what `lexical_query.weighed` needs."""
        return self._words

    def spread(self, vector: Vectors) -> tuple[float, float]:
        """Return mean and mean square of a query's cosines with a fixed sample of the collection; (0, 0) where it is empty.

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
        return reading.chunks(self._record, numbers)

    def places_of_document(self, id: str) -> list[Place]:
        """Return where a document's chunks lie, in text order; none if there is no such document. Reads no text."""
        return reading.places_of_document(self._record, composed(id))

    def places_of_keys(self, keys: Iterable[int], allowed: Allowed | None = None) -> dict[int, list[Place]]:
        """Return where the chunks lie that have each of these keys, ascending by number. Reads no text."""
        return reading.places_of_keys(self._record, keys, allowed)

    def places_of_texts(self, digests: Iterable[int], allowed: Allowed | None = None) -> list[Place]:
        """Return where the chunks lie whose `Place.text` is one of these, ascending by number, some thousands at most."""
        return reading.places_of_texts(self._record, digests, allowed)

    def keys_of_chunks(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return the key of each of these chunks, by their numbers."""
        return reading.keys_of_chunks(self._record, numbers)

    def chunks_of_document(self, id: str) -> list[StoredChunk]:
        """Return a document's chunks in text order; none if there is no such document."""
        return reading.chunks_of_document(self._record, composed(id))

    def all_chunk_numbers(self) -> Keys:
        """Return the numbers of all chunks, ascending: (n,)."""
        return reading.all_chunk_numbers(self._record)

    # -- documents -------------------------------------------------------------------------------------------------

    def document(self, id: str) -> StoredDocument:
        """Return one document with its text.

        Raises:
            DocumentNotFound: names the nearest ids there are.
        """
        found = reading.document(self._record, composed(id))
        if found is None:
            raise DocumentNotFound(self._not_found(id), id)
        return found

    def documents(
        self,
        filter: Mapping[str, Any] | None = None,
        limit: int = 50,
        after: tuple[str, str] | None = None,
        order: Order = "id",
    ) -> list[StoredDocument]:
        """Return documents without their text: in the order of their ids, or the latest by a time first, ties by id.

        after: time ("" where ids order) and id of the document that the first one follows; None: from the beginning.

        Raises:
            InvalidFilter: see `filters.parse`.
        """
        return reading.documents(self._record, self._filters.condition(self._record, filter), limit, order, after)

    def documents_by_id(self, ids: Sequence[str]) -> dict[str, StoredDocument]:
        """Return documents without their text, by their ids; those that are not there are left out."""
        stored = reading.documents(self._record, reading.one_of(ids), len(ids), "id", None)
        return {each.document.id: each for each in stored}

    def document_ids(self, filter: Mapping[str, Any] | None = None) -> list[str]:
        """Return the ids of all documents that a filter allows, in order.

        Raises:
            InvalidFilter: see `filters.parse`.
        """
        found = reading.document_ids(self._record, self._filters.condition(self._record, filter))
        if filter and not found:
            self._filters.check_nothing(self._record, filter)
        return found

    def texts(
        self, filter: Mapping[str, Any] | None = None, begin: str = "", among: Sequence[str] | None = None
    ) -> Iterator[StoredTexts]:
        """Yield the texts of the documents that a filter allows, in the order of the ids, some at a time.

        What is yielded at once has about `TEXTS_AT_ONCE` bytes, or is one document. Nothing is held open in between.

        begin: the id from which on. among: only these documents, instead of a filter.

        Raises:
            InvalidFilter: see `filters.parse`.
        """
        condition = reading.one_of(among) if among is not None else self._filters.condition(self._record, filter)
        some = reading.texts(self._record, condition, begin, included=True, room=TEXTS_AT_ONCE)
        while some.ids:
            yield some
            some = reading.texts(self._record, condition, some.ids[-1], included=False, room=TEXTS_AT_ONCE)

    def document_keys(self, filter: Mapping[str, Any] | None = None) -> dict[str, list[int]]:
        """Return for each document that a filter allows, in the order of the ids, the keys of its chunks.

        Raises:
            InvalidFilter: see `filters.parse`.
        """
        found = reading.document_keys(self._record, self._filters.condition(self._record, filter))
        if filter and not found:
            self._filters.check_nothing(self._record, filter)
        return found

    def files(self, ids: Iterable[str]) -> dict[str, FileState]:
        """Return what is remembered of the files that these documents were read from, by id; inline ones are left out."""
        return reading.files(self._record, ids)

    def moments(self, ids: Iterable[str]) -> dict[str, Moments]:
        """Return what documents say of their own times, by id."""
        return reading.moments(self._record, ids)

    def documents_by_source(self) -> dict[str, int]:
        """Return how many documents each source has, by its name."""
        return reading.documents_by_source(self._record)

    def of_size(self, size: int, limit: int) -> list[str]:
        """Return the ids of up to `limit` documents whose files had this many bytes, in order."""
        return reading.of_size(self._record, size, limit)

    def holds_below(self, under: str) -> bool:
        """Say whether there is a document whose id begins so."""
        return reading.holds_below(self._record, under)

    def of_other_versions(self, version: str) -> list[tuple[str, str | None]]:
        """Return id and path of the documents that another version of reading and cutting made, in id order.

        version: what the digests of the others begin with. A path is None where the document was given by its text.
        """
        return [] if reading.read_by(self._record) == version else reading.of_other_versions(self._record, version)

    def state(self, id: str) -> FileState | None:
        """Return what is remembered of one document, to see whether it changed; None if it is not there."""
        return reading.state(self._record, composed(id))

    def document_numbers(self, *, marked: bool = False) -> Keys:
        """Return the numbers of all documents' rows, ascending: (n,). marked: of those alone that are to be read again."""
        return soundness.marked(self._record) if marked else soundness.document_numbers(self._record)

    def unsound(self, numbers: Sequence[int] | Keys) -> list[Unsound]:
        """Return those of these documents that are not as they were stored, or are marked to be read again."""
        return soundness.unsound(self._record, self.contract, numbers)

    def documents_of_keys(self, keys: Sequence[int] | Keys) -> list[int]:
        """Return the numbers of the documents that have a chunk with one of these keys, ascending."""
        return soundness.documents_of_keys(self._record, keys)

    # -- vectors ---------------------------------------------------------------------------------------------------

    def vectors(self, keys: Sequence[int] | Keys) -> Vectors:
        """Return (n, dim) float32, norm 1, in the order of the keys.

        Raises:
            KeyError: a key is not there.
        """
        return reading.vectors(self._record, keys, self.contract.dimensions)

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return which of these embedded texts, named by their digests, have no vector."""
        return reading.missing(self._record, digests)

    def all_keys(self) -> Keys:
        """Return the keys of all vectors, ascending: (n,)."""
        return self._vectors.keys

    def quantised(self, keys: Sequence[int] | Keys | None = None) -> tuple[Keys, npt.NDArray[np.int8]]:
        """Return keys (n,) and their int8 rows (n, dim), whose integer products are exact; None: all, in their order.

        Raises:
            KeyError: a key is not there.
        """
        wanted = self._vectors.keys if keys is None else np.asarray(keys, np.int64)
        return wanted, self._vectors.rows(wanted)

    def keys_by_digest(self, limit: int) -> Keys:
        """Return up to `limit` keys: those whose texts have the smallest digests, a sample that insertion cannot change."""
        return reading.keys_by_digest(self._record, limit)

    def key_digests(self, keys: Sequence[int] | Keys) -> dict[int, str]:
        """Return the SHA-256 (hex) of the text that each key stands for: an order that insertion does not change."""
        return reading.key_digests(self._record, keys)

    def _not_found(self, id: str) -> str:
        close = near_names(id, reading.first_document_ids(self._record, IDS_FOR_HINTS), 3)
        hint = (
            f" Did you mean {' or '.join(map(quoted, close))}?" if close else " `list_documents` shows those there are."
        )
        return f"Collection {self.name!r} has no document {quoted(id)}.{hint}"
