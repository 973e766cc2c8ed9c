"""What `kcore doctor` verifies of one collection: the record in itself, and every key on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from knowledge_core.quantising import quantise
from knowledge_core.storage.lexical_index import LexicalIndex
from knowledge_core.storage.record.log import RecordLog
from knowledge_core.storage.values import Finding
from knowledge_core.storage.vectors.snapshot import VectorSnapshot
from knowledge_core.storage.vectors.vector_index import VectorIndex
from knowledge_core.storage.view import View

BATCH = 8_192  # vectors compared together: 25 MB at 768 dimensions
NORM_TOLERANCE = 2e-3  # of a float16 vector


def check(view: View, record_log: RecordLog, vectors: VectorIndex, words: LexicalIndex) -> list[Finding]:
    """Return what was found, in words; "damaged" where something is wrong.

    view: of the newest generation. Call it under the collection's lock.
    """
    return [
        *_record(view, record_log),
        *_vectors(view, record_log, vectors.snapshot().without_slots()),
        *_graph(vectors.snapshot()),
        *_words(view, record_log, words, vectors),
    ]


def _record(view: View, record_log: RecordLog) -> Iterator[Finding]:
    problems = record_log.integrity()
    if problems:
        yield Finding(
            "damaged", f"The record fails SQLite's checks: {'; '.join(problems[:3])}. Restore it from a copy."
        )
        return
    wrong = record_log.wrong_chunks()
    if wrong:
        yield Finding("damaged", f"{wrong} chunks do not lie within their document.")
    counts = view.counts()
    waiting = counts.known - counts.documents
    more = f"; {waiting} more wait to be embedded" if waiting else ""
    yield Finding(
        "ok", f"Record: {counts.documents} documents, {counts.chunks} chunks, {counts.vectors} vectors, sound{more}."
    )


def _vectors(view: View, record_log: RecordLog, row_file: VectorSnapshot) -> Iterator[Finding]:
    """Compare with the record both the rows that searches read and those of the row file, which graphs are made of."""
    keys = record_log.keys_since(0)
    held = view.all_keys()
    if not np.array_equal(keys, held):
        lacking, extra = len(np.setdiff1d(keys, held)), len(np.setdiff1d(held, keys))
        yield Finding("damaged", f"VectorIndex: {lacking} keys are lacking, {extra} are too many.", repairable=True)
        return
    broken = different = 0
    for begin in range(0, len(keys), BATCH):
        batch = record_log.vectors(keys[begin : begin + BATCH], view.contract.dimensions, normalised=False)
        norms = np.linalg.norm(batch, axis=1)
        good = np.isfinite(norms) & (np.abs(norms - 1) < NORM_TOLERANCE)
        broken += int((~good).sum())
        sound = np.where(good[:, None], batch, 0) / np.where(good, norms, 1)[:, None]
        expected = quantise(sound.astype(np.float32))
        rows = view.quantised(keys[begin : begin + BATCH])[1], row_file.rows(keys[begin : begin + BATCH])
        different += int((np.logical_or(*((expected != each).any(axis=1) for each in rows)) & good).sum())
    if broken:
        yield Finding(
            "damaged", f"Record: {broken} vectors are not finite or not of norm 1; index their documents again."
        )
    if different:
        yield Finding("damaged", f"VectorIndex: {different} vectors differ from the record's.", repairable=True)
    if not (broken or different):
        yield Finding("ok", f"VectorIndex: all {len(keys)} keys are there and equal to the record's.")


def _graph(vectors: VectorSnapshot) -> Iterator[Finding]:
    graph = vectors.graph
    if graph is None:
        return
    last, blocks = graph.facts.last, vectors.without_slots().blocks(BATCH)
    lacking = graph.lacking((keys[keys <= last], rows[keys <= last]) for keys, rows in blocks)
    if not graph.is_sound():
        yield Finding("damaged", "VectorIndex: the graph's file differs from its checksum.", repairable=True)
    elif lacking:
        yield Finding(
            "damaged", f"VectorIndex: the graph lacks {lacking} keys, or holds other vectors for them.", repairable=True
        )
    else:
        since = vectors.since_graph
        yield Finding(
            "ok", f"VectorIndex: the graph holds all but the latest {since} keys, which are compared one by one."
        )


def _words(view: View, record_log: RecordLog, words: LexicalIndex, vectors: VectorIndex) -> Iterator[Finding]:
    there, expected = words.snapshot().numbers(), set(record_log.chunks_since(0).tolist())
    if there != expected:
        yield Finding(
            "damaged",
            f"LexicalIndex: {len(expected - there)} chunks are lacking, {len(there - expected)} are too many.",
            repairable=True,
        )
    else:
        yield Finding("ok", f"LexicalIndex: all {len(expected)} chunks are there.")
    if not vectors.generation == words.generation == view.generation:
        yield Finding("damaged", "The derived indexes are of another generation than the record.", repairable=True)
