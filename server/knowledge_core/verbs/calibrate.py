"""The verb `calibrate`: how well does the model read this collection? Measured by questions made of its own texts.

Hybrid search leans on the model as far as it earned that here (`retrieval.fusion.earned`). No labels are needed: the
model is asked for about 200 snippets of the collection, and what counts is where the texts that they are from come out
among fifty; in a collection of fewer chunks, the share of the others that are farther off. Deterministic: the same
collection gives the same, whatever the order of insertion. Snippets are embedded with no lock and no view held, a few
at a time, so that searches go between.
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

VERSION = 1  # of the questions and of how they are counted; another one is measured anew
FEWEST = 4  # chunks; among fewer, anything is found
GROWTH = 1.5  # times the chunks of the last time
QUESTIONS = 200  # 1 to 2 s of MiniLM's time on two cores
COMPARED = 2_000  # texts among which a question's own must come out
AT_ONCE = 16  # snippets embedded together, in the lane of bulk work: a search waits for 0.1 s of it


def measurement_due(view: View) -> bool:
    """Say whether a collection is large enough, and not measured yet, or grew by half or beyond few chunks since."""
    chunks = view.counts().chunks
    known = view.calibration
    if chunks < FEWEST or known is None or known.version != VERSION:
        return chunks >= FEWEST
    return chunks >= GROWTH * known.chunks or known.chunks < AMONG <= chunks


def quick(view: View) -> bool:
    """Say whether measuring takes no longer than a call may wait: fifty snippets, 0.1 s of MiniLM, at most."""
    return view.counts().chunks < AMONG


def calibrate(collection: Collection, embedder: Embedder, progress: ReportProgress) -> Calibration:
    """Measure how well the model reads a collection, and record it.

    progress: called between batches; what it raises ends the work, and nothing is recorded.

    Raises:
        ModelUnavailable, Busy: nothing was recorded. ContractMismatch: the embedder is of another model. StorageError,
        CollectionNotFound: it could not be.
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
    """A snippet, and the keys that are an answer: of its chunk and of the chunks beside it."""

    text: str
    own: npt.NDArray[np.int64]


def _questions(view: View) -> list[_Question]:
    keys = view.keys_by_digest(QUESTIONS)
    digests = view.key_digests(keys)
    chunks = view.chunks(places[0].number for places in view.places_of_keys(keys).values())
    questions = []
    for chunk in sorted(chunks.values(), key=lambda chunk: digests[chunk.key]):
        # A title that many chunks share tells nothing of which one it is.
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
    """Return how many other texts are nearer than the best of the own ones, and how many others there are.

    rows: int8 as float32, so that sums are exact.
    """
    products = np.einsum("ij,j->i", rows, quantise(vector[np.newaxis])[0].astype(np.float32))
    is_own = np.isin(keys, own)
    return int((products[~is_own] > products[is_own].max()).sum()), int((~is_own).sum())
