"""What is derived from a collection's record: vectors, graph and words, kept in step with it and rebuilt when lost.

One writer at a time calls this, under the collection's lock; readers hold the snapshots.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from knowledge_core.contract import EmbeddingContract
from knowledge_core.errors import StorageError
from knowledge_core.storage.catching_up import catch_up
from knowledge_core.storage.lexical_index import LexicalIndex
from knowledge_core.storage.losses import note
from knowledge_core.storage.record.document_store import DocumentStore, Written
from knowledge_core.storage.vectors.graph_building import GraphBuilder
from knowledge_core.storage.vectors.vector_index import VectorIndex

log = logging.getLogger(__name__)

SAVE_EVERY = 2_000  # changed keys between two saves of the vectors: at most as many are read again after a crash
LOG_KEPT = 200_000  # rows of the record's log; beyond, those that both indexes are past are pruned


@dataclass(frozen=True)
class _Indexes:
    vectors: VectorIndex
    words: LexicalIndex


class Derived:
    """The derived indexes of one collection: one object for as long as it is open, whatever its contract.

    They are opened by the first use under a contract. Where the disk refuses that, the use raises StorageError, and the
    next one tries again.

    lock: the collection's, under which a new graph is published.
    published: called, with the lock held, when one was, and when all words were read again.
    """

    def __init__(
        self, store: DocumentStore, contract: EmbeddingContract, lock: threading.RLock, published: Callable[[], None]
    ) -> None:
        self._store, self._contract = store, contract
        self._name = store.path.parent.name
        self.builder = GraphBuilder(lock, published)
        self._published = published
        self._indexes: _Indexes | None = None
        self._unsaved = 0
        self._filled = False  # whether no chunk lacks what an earlier version did not store

    @property
    def vectors(self) -> VectorIndex:
        """Return the vectors under the present contract."""
        return self._opened().vectors

    @property
    def words(self) -> LexicalIndex:
        """Return the words, as they are titled under the present contract."""
        return self._opened().words

    def move(self, contract: EmbeddingContract) -> None:
        """Let go of what is open; from now on everything is of another contract. Asks nothing of the disk."""
        self._let_go()
        self._contract = contract

    def _opened(self) -> _Indexes:
        """Return what is there, as far as it is of this record and contract; empty where it is not."""
        if self._indexes is not None:
            return self._indexes
        same = replace(self._contract, probe=None, weights="").to_json()
        record = self._store.meta("identity")
        tag = hashlib.sha256(f"{record}\0{same}".encode()).hexdigest()[:32]
        folder = self._store.path.parent
        with ThreadPoolExecutor(1) as beside:  # both are read whole for their checksums: 0.8 s each of a million chunks
            loading = beside.submit(LexicalIndex.load, folder / "lexical", tag=tag, record=record)
            vectors = VectorIndex.load(folder, dimensions=self._contract.dimensions, tag=tag, record=record)
            words = loading.result()
        self._note_loss(vectors, words)
        for reason in (vectors.discarded, words.discarded):
            if reason:
                log.warning(
                    "collection %s: a derived index was discarded and is rebuilt from the record (%s)",
                    self._name,
                    reason,
                )
        self._indexes = _Indexes(vectors, words)
        self.builder.serve(vectors)
        return self._indexes

    def _note_loss(self, vectors: VectorIndex, words: LexicalIndex) -> None:
        """Keep the proof that the record is behind, if it is: catching up would wipe it out."""
        record_log, reached = self._store.record_log, max(vectors.claimed, words.claimed)
        generation = record_log.generation()
        if reached <= generation:
            return
        lost = back = None
        if words.generation == reached:
            known, there = words.snapshot().numbers(), set(record_log.chunks_since(0).tolist())
            lost, back = len(known - there), len(there - known)
        note(self._store.path.parent, generation, reached, lost, back)
        log.error(
            "collection %s: the record is behind: at generation %d, its indexes had reached %d",
            self._name, generation, reached,
        )  # fmt: skip
        for index in (vectors, words):  # what claims too much must not be found again once it is rebuilt
            if index.claimed > generation:
                index.clear()

    def _let_go(self) -> None:
        self.builder.serve(None)
        if self._indexes is not None:
            self._indexes.words.close()
            self._indexes = None

    def catch_up(self) -> None:
        """Bring everything to the record's generation; begin to build a graph if one is due.

        Raises:
            StorageError: the disk refused; snapshots stay, and the next call goes on.
        """
        catch_up(self._store.record_log, self.vectors, self.words)
        self.builder.look()

    def reword(self, after: int, most: int) -> int | None:
        """Fill in what an earlier version did not store of chunks' texts, then word chunks anew that one worded.

        Up to `most` chunks at a time, whose numbers are greater than `after`.

        Return the number of the last one; None where nothing is left to do.

        Raises:
            StorageError: the disk refused; it can be called again.
        """
        words = self.words
        if not self._filled:
            self._filled = not self._store.fill_text_digests(most)
            return after
        if not words.is_former:
            return None
        numbers = self._store.record_log.chunks_after(after, most)
        if not len(numbers):
            words.reworded()
            self._published()
            return None
        words.apply(words.generation, self._store.record_log.lexical_texts(numbers), [])
        return int(numbers[-1])

    def take(self, written: Written) -> None:
        """Take what one change did to the record.

        An index that failed before lacks more than this change: then it is left to `catch_up`, from the log.

        Raises:
            StorageError: the disk refused; `catch_up` brings the rest.
        """
        if self.vectors.generation == self.words.generation == written.generation - 1:
            self.vectors.apply(written.generation, written.keys, written.vectors, written.removed_keys)
            self.words.apply(written.generation, written.chunks, written.removed_chunks)

    def save_now_and_then(self, written: Written) -> None:
        """Save the vectors when enough of them changed; then shorten the log, as both indexes are past it."""
        self._unsaved += len(written.keys) + len(written.removed_keys)
        if self._unsaved >= SAVE_EVERY and self.save():
            self._store.record_log.prune(written.generation, LOG_KEPT)
            self._unsaved = 0

    def save(self) -> bool:
        """Save the vectors; say whether that succeeded. They are derived: a refusal only costs the next opening time."""
        if self._indexes is None:
            return False
        try:
            self._indexes.vectors.save()
        except StorageError as error:
            log.warning(
                "collection %s: the vectors were not saved, the next opening reads them again: %s", self._name, error
            )
            return False
        return True

    def clear(self) -> None:
        """Forget everything; `catch_up` rebuilds it.

        Raises:
            StorageError: the disk refused; the next `catch_up` goes on with what is left.
        """
        self.vectors.clear()
        self.words.clear()

    def close(self) -> None:
        """Let go of the files. A graph that is being built is not published any more."""
        self.builder.stop()
        self._let_go()
