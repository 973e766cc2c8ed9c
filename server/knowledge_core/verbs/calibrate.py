"""The verb `calibrate`: measure how well the model reads a collection, by snippets of the collection's own texts.

The result decides how much weight hybrid search gives to the model here (`retrieval.fusion.earned`). No labels are needed:
about 200 snippets are embedded as queries, and what counts is the rank of each snippet's own text among fifty; in a
collection of fewer chunks, the share of the other texts that are farther off. Deterministic: the same collection gives
the same result, whatever the order of insertion. Snippets are embedded a few at a time, with no lock and no view held, so
that searches run in between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import ContractMismatch
from knowledge_core.quantising import quantise
from knowledge_core.retrieval.snippet_questions import AMONG, expected_reciprocal_rank, snippet_question
from knowledge_core.storage.collection import Calibration, Collection
from knowledge_core.storage.view import View
from knowledge_core.types import Progress, ReportProgress, Task, Vectors, titled

VERSION = 1  # of the method; a result of another version is measured again
FEWEST = 4  # chunks; among fewer, any model finds the right one
GROWTH = 1.5  # times the chunks at the last measurement; then the next one is due
QUESTIONS = 200  # snippets: 1 to 2 s of MiniLM's time on two cores
COMPARED = 2_000  # texts among which a snippet's own text is ranked
AT_ONCE = 16  # snippets per batch of bulk work: a search waits for at most 0.1 s of it


def measurement_due(view: View) -> bool:
    """Say whether a collection should be measured: it has enough chunks, and was never measured or has grown by half since.

    A collection that has outgrown the method for few chunks is due, too.
    """
    chunks = view.counts().chunks
    known = view.calibration
    if chunks < FEWEST or known is None or known.version != VERSION:
        return chunks >= FEWEST
    return chunks >= GROWTH * known.chunks or known.chunks < AMONG <= chunks


def quick(view: View) -> bool:
    """Say whether a call can wait for the measurement: at most fifty snippets, 0.1 s of MiniLM."""
    return view.counts().chunks < AMONG


def calibrate(collection: Collection, embedder: Embedder, progress: ReportProgress) -> Calibration:
    """Measure how well the model reads a collection, and record the result.

    progress: called between batches; where it raises, nothing is recorded.

    Raises:
        ModelUnavailable, Busy: the model cannot be used now; nothing was recorded.
        ContractMismatch: the embedder is of another model than the collection.
        StorageError, CollectionNotFound: the result could not be recorded.
    """
    with collection.view() as view:
        contract = view.contract
        if contract != embedder.static_contract:
            raise ContractMismatch(f"Collection {collection.name!r} has moved to another model meanwhile.")
        chunks = view.counts().chunks
        questions = _questions(view)
        keys = np.unique(np.concatenate([view.keys_by_digest(COMPARED), *(each.own for each in questions)]))
        rows = view.quantised(keys)[1].astype(np.float32)
    asked = _embedded([each.text for each in questions], embedder, progress)
    better = [_better(rows, keys, vector, each.own) for vector, each in zip(asked, questions, strict=True)]
    found = [expected_reciprocal_rank(before, others) for before, others in better]
    farther = [1.0 - before / others for before, others in better if others]
    known = Calibration(_mean(found), chunks, VERSION, _mean(farther))
    collection.set_calibration(known, contract)
    return known


def _mean(shares: Sequence[float]) -> float:
    return math.fsum(shares) / len(shares) if shares else 0.0


@dataclass(frozen=True)
class _Question:
    """A snippet, and the keys that count as its answer: of its chunk and of the neighbouring chunks."""

    text: str
    own: npt.NDArray[np.int64]


def _questions(view: View) -> list[_Question]:
    keys = view.keys_by_digest(QUESTIONS)
    digests = view.key_digests(keys)
    chunks = view.chunks(places[0].number for places in view.places_of_keys(keys).values())
    questions = []
    for chunk in sorted(chunks.values(), key=lambda chunk: digests[chunk.key]):
        # Only the first chunk gets the title: many chunks share it, so that it would not tell them apart.
        title = "" if chunk.position else titled(chunk.title, chunk.heading)
        beside = [
            place.key for place in view.places_of_document(chunk.document) if abs(place.position - chunk.position) <= 1
        ]
        text = snippet_question(f"{title}\n{chunk.text}".strip(), digests[chunk.key])
        if text.strip():
            questions.append(_Question(text, np.unique(np.array(beside, np.int64))))
    return questions


def _embedded(texts: Sequence[str], embedder: Embedder, progress: ReportProgress) -> Vectors:
    made = []
    for begin in range(0, len(texts), AT_ONCE):
        progress(Progress(begin, len(texts), f"trying {begin} of {len(texts)} questions", unit="questions"))
        made.append(embedder.embed(texts[begin : begin + AT_ONCE], Task.QUERY))
    progress(Progress(len(texts), len(texts), "counting", unit="questions"))
    return np.concatenate(made) if made else np.empty((0, embedder.static_contract.dimensions), np.float32)


def _better(
    rows: npt.NDArray[np.float32], keys: npt.NDArray[np.int64], vector: npt.NDArray[np.float32],
    own: npt.NDArray[np.int64],
) -> tuple[int, int]:  # fmt: skip
    """Return how many other texts are nearer than the nearest of the own ones, and the number of all others.

    rows: (n, dim), int8 values as float32, so that sums are exact. keys: of the rows. own: the keys of the answer.
    """
    products = np.einsum("ij,j->i", rows, quantise(vector[np.newaxis])[0].astype(np.float32))
    is_own = np.isin(keys, own)
    return int((products[~is_own] > products[is_own].max()).sum()), int((~is_own).sum())
