"""How a derived index catches up with the record: from the log where the log reaches back far enough, else from scratch."""

from __future__ import annotations

from knowledge_core.storage.lexical_index import LexicalIndex
from knowledge_core.storage.record.log import RecordLog
from knowledge_core.storage.vectors.vector_index import VectorIndex

BATCH = 4_096  # keys or chunks that are read and handed on together; 4,096 chunks of text are a few MB


def catch_up(record_log: RecordLog, vectors: VectorIndex, words: LexicalIndex) -> None:
    """Bring both indexes to the record's generation. Applying a change again gives the same, so a crash is harmless.

    Raises:
        StorageError: the disk refused; an index that could not follow stays at a former generation, and catches up later.
    """
    generation = record_log.generation()
    if vectors.generation != generation or vectors.newest > generation:
        _follow_keys(record_log, vectors, generation)
    if words.generation != generation:
        _follow_chunks(record_log, words, generation)


def _follow_keys(record_log: RecordLog, vectors: VectorIndex, generation: int) -> None:
    if vectors.newest > generation:
        vectors.clear()
    elif vectors.generation < record_log.complete_since():
        vectors.clear(keep_graph=True)  # a key's vector never changes: what the graph holds is right, or gone
    since = vectors.generation
    dimensions = vectors.snapshot().dimensions
    keys = record_log.keys_since(since)
    removed = record_log.removed_keys_since(since)
    for begin in range(0, len(keys), BATCH):
        batch = keys[begin : begin + BATCH]
        vectors.apply(since, batch, record_log.vectors(batch, dimensions), [])
    vectors.apply(generation, keys[:0], record_log.vectors(keys[:0], dimensions), removed)


def _follow_chunks(record_log: RecordLog, words: LexicalIndex, generation: int) -> None:
    since = words.generation
    # From 0 always from scratch: an interrupted attempt may have left entries that are gone from the record since.
    if not since or since > generation or since < record_log.complete_since():
        words.clear()
        since = 0
    numbers = record_log.chunks_since(since)
    for begin in range(0, len(numbers), BATCH):
        # At the old generation still: after a crash here the batch is applied again.
        words.apply(since, record_log.lexical_texts(numbers[begin : begin + BATCH]), [])
    words.apply(generation, [], record_log.removed_chunks_since(since))
