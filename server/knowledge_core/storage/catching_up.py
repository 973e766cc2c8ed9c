"""How a derived index catches up with the record: from the log where it reaches back far enough, else from scratch."""

from __future__ import annotations

from knowledge_core.storage.lexical_index import LexicalIndex
from knowledge_core.storage.record.log import Log
from knowledge_core.storage.vectors.vector_index import VectorIndex

BATCH = 4_096  # keys or chunks that are read and handed on together; 4,096 chunks of text are a few MB


def catch_up(log: Log, vectors: VectorIndex, words: LexicalIndex) -> None:
    """Bring both indexes to the record's generation. Applying a change again gives the same, so a crash is harmless."""
    generation = log.generation()
    if vectors.generation != generation or vectors.newest > generation:
        _follow_keys(log, vectors, generation)
    if words.generation != generation:
        _follow_chunks(log, words, generation)


def _follow_keys(log: Log, vectors: VectorIndex, generation: int) -> None:
    if vectors.newest > generation:
        vectors.clear()
    elif vectors.generation < log.complete_since():
        vectors.clear(keep_graph=True)  # a key's vector never changes: what the graph holds is right, or gone
    since = vectors.generation
    dimensions = vectors.snapshot().dimensions
    keys = log.keys_since(since)
    removed = log.removed_keys_since(since)
    for begin in range(0, len(keys), BATCH):
        batch = keys[begin : begin + BATCH]
        vectors.apply(since, batch, log.vectors(batch, dimensions), [])
    vectors.apply(generation, keys[:0], log.vectors(keys[:0], dimensions), removed)


def _follow_chunks(log: Log, words: LexicalIndex, generation: int) -> None:
    since = words.generation
    # From 0 always anew: what was interrupted on the way may have left entries that are gone from the record since.
    if not since or since > generation or since < log.complete_since():
        words.clear()
        since = 0
    numbers = log.chunks_since(since)
    for begin in range(0, len(numbers), BATCH):
        # Still the old generation: after a crash here the batch is applied again.
        words.apply(since, log.lexical_texts(numbers[begin : begin + BATCH]), [])
    words.apply(generation, [], log.removed_chunks_since(since))
