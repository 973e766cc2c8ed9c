"""What `kcore doctor` verifies of one collection: the record in itself, every key on both sides, and texts by their SHA-256.

The rows of the vectors have a checksum of their own. Where the record's vector is another one than that of which a sound row
was made, the record's is the damaged one; else the row is.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from knowledge_core.quantising import Rows, quantise
from knowledge_core.storage.lexical_index import LexicalIndex
from knowledge_core.storage.record.log import RecordLog
from knowledge_core.storage.record.sqlite import remedy
from knowledge_core.storage.values import Finding, Keys, Unsound
from knowledge_core.storage.vectors.snapshot import VectorSnapshot
from knowledge_core.storage.vectors.vector_index import VectorIndex
from knowledge_core.storage.view import View
from knowledge_core.types import Progress, ReportProgress

BATCH = 8_192  # vectors compared together: 25 MB at 768 dimensions
NORM_TOLERANCE = 2e-3  # of a float16 vector
ROUNDED = 1  # by which a row of another machine may differ: its last bit
SAMPLED = 1_000  # texts that are compared unless all are asked for: others after each change
TEXTS_AT_ONCE = 50
NAMED = 5  # documents that are named in a finding


@dataclass(frozen=True)
class Checked:
    """What a check came to.

    rebuild: something derived is wrong. keys: of the record's vectors that are damaged. documents: numbers of the documents
        that are to be read again.
    """

    findings: Sequence[Finding]
    rebuild: bool = False
    keys: Sequence[int] = ()
    documents: Sequence[int] = ()

    def plus(self, more: Checked) -> Checked:
        """Return both as one."""
        return Checked(
            [*self.findings, *more.findings], self.rebuild or more.rebuild,
            [*self.keys, *more.keys], [*self.documents, *more.documents],
        )  # fmt: skip


def check(view: View, record_log: RecordLog, vectors: VectorIndex, words: LexicalIndex) -> Checked:
    """Return what was found, in words; "damaged" where something is wrong.

    view: of the newest generation. Call it under the collection's lock.
    """
    damaged: list[int] = []
    findings = [
        *_record(view, record_log),
        *_vectors(view, record_log, vectors, damaged),
        *_graph(vectors.snapshot()),
        *_words(view, record_log, words, vectors),
    ]
    return Checked(findings, any(each.repairable and each.level == "damaged" for each in findings), damaged)


def check_texts(view: View, damaged: Sequence[int], *, deep: bool, progress: ReportProgress) -> Checked:
    """Compare documents with the checksums with which they were stored, and their chunks with what was embedded.

    damaged: keys whose documents are to be read again, whatever is found here.
    deep: all documents; else a sample of them.
    """
    known = view.document_numbers()
    chosen: Sequence[int] = known.tolist()
    if not deep and len(known) > SAMPLED:
        chosen = random.Random(view.generation).sample(chosen, SAMPLED)
    with_damage = view.documents_of_keys(damaged)
    numbers = sorted({*chosen, *with_damage, *view.document_numbers(marked=True).tolist()})
    found: list[Unsound] = []
    for begin in range(0, len(numbers), TEXTS_AT_ONCE):
        progress(Progress(begin, len(numbers), f"{view.name}: texts compared with their checksums"))
        found += view.unsound(numbers[begin : begin + TEXTS_AT_ONCE])
    documents = sorted({*(each.number for each in found), *with_damage})
    return Checked(list(_texts(found, len(numbers), len(known))), documents=documents)


def _texts(found: Sequence[Unsound], compared: int, known: int) -> Iterator[Finding]:
    again = [each for each in found if (os.path.exists(each.path) if each.path else each.text_is_sound)]
    gone = [each for each in found if each not in again]
    if again:
        yield Finding(
            "damaged",
            f"Record: {len(again)} documents are not as they were stored, or are still to be read again "
            f"({_named(again)}).",
            repairable=True,
        )
    if gone:
        yield Finding(
            "damaged",
            f"Record: {len(gone)} documents are not as they were stored, and no file is there to read again "
            f"({_named(gone)}). Index their texts again, or delete them.",
        )
    of = f"all {known}" if compared >= known else f"{compared:,} of {known:,}"
    more = "" if compared >= known else "; --deep compares all"
    sound = "" if found else ", and are as they were stored"
    yield Finding("ok", f"Texts: {of} were compared with their checksums{sound}{more}.")


def _named(found: Sequence[Unsound]) -> str:
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(repr(each.id[:200]) for each in found[:NAMED]) + more


def _record(view: View, record_log: RecordLog) -> Iterator[Finding]:
    problems = record_log.integrity()
    if problems:
        yield Finding("damaged", f"The record fails SQLite's checks: {'; '.join(problems[:3])}. {remedy(view.name)}")
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


def _vectors(view: View, record_log: RecordLog, vectors: VectorIndex, damaged: list[int]) -> Iterator[Finding]:
    """Compare with the record both the rows that searches read and those of the row file, which graphs are made of.

    damaged: takes the keys of the record's vectors that are damaged themselves.
    """
    keys, held = record_log.keys_since(0), view.all_keys()
    if not np.array_equal(keys, held):
        lacking, extra = len(np.setdiff1d(keys, held)), len(np.setdiff1d(held, keys))
        yield Finding("damaged", f"VectorIndex: {lacking} keys are lacking, {extra} are too many.", repairable=True)
        return
    row_file, sound = vectors.snapshot().without_slots(), vectors.rows_are_sound()
    broken = other = different = 0
    for begin in range(0, len(keys), BATCH):
        batch = keys[begin : begin + BATCH]
        good, expected = _expected(view, record_log, batch)
        shown, kept = view.quantised(batch)[1], row_file.rows(batch)
        far = np.abs(expected.astype(np.int16) - kept).max(axis=1, initial=0) > ROUNDED
        of_record = good & far & (shown == kept).all(axis=1) & sound
        derived = good & ~of_record & ((expected != kept) | (expected != shown)).any(axis=1)
        broken, other, different = (
            broken + int((~good).sum()),
            other + int(of_record.sum()),
            different + int(derived.sum()),
        )
        damaged += batch[~good | of_record].tolist()
    again = "the texts must be embedded again"
    if broken:
        yield Finding("damaged", f"Record: {broken} vectors are not finite or not of norm 1; {again}.")
    if other:
        yield Finding("damaged", f"Record: {other} vectors differ from those that were stored; {again}.")
    if different:
        yield Finding("damaged", f"VectorIndex: {different} vectors differ from the record's.", repairable=True)
    if not (broken or other or different):
        yield Finding("ok", f"VectorIndex: all {len(keys)} keys are there and equal to the record's.")


def _expected(view: View, record_log: RecordLog, keys: Keys) -> tuple[npt.NDArray[np.bool_], Rows]:
    """Return which of the record's vectors are proper, (n,), and the rows that must have been derived from these."""
    batch = record_log.vectors(keys, view.contract.dimensions, normalised=False)
    norms = np.linalg.norm(batch, axis=1)
    good = np.isfinite(norms) & (np.abs(norms - 1) < NORM_TOLERANCE)
    sound = np.where(good[:, None], batch, 0) / np.where(good, norms, 1)[:, None]
    return good, quantise(sound.astype(np.float32))


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
