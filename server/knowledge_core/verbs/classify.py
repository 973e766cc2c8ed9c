"""The verb `classify`: give texts or stored documents a label, by its name and description or by its examples.

Labels become vectors: the centroid of a label's examples where it has some, else the vector of its name and description.
A text gets the label with the nearest vector, or "none of these" where even that one is far. Texts given in the call are
embedded for classification, and so are the labels. Stored documents keep their vectors; then labels are embedded as
queries, since document vectors are made to be found by queries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import InvalidInput, quoted
from knowledge_core.storage.view import View
from knowledge_core.types import Task, Vectors
from knowledge_core.unit_vectors import mean_vector

MOST_TEXTS = 10_000  # of one call
MOST_LABELS = 100  # of one call
LONGEST_NAME = 200  # characters; an answer repeats a label's name with every item that gets it
SHARPNESS = 20.0  # of the softmax over cosines: .05 more cosine is e times the share
# The least cosine at which a label fits, chosen with MiniLM on sib200 English, whose broad labels are the hardest case: of
# the texts that get their right label, 95 % have at least .079 by the label's name and .122 by ten examples. Of bank
# questions, which none of those labels fits, about half are below by name, and three of four by examples
# (benchmarks/clustering.py prints the shares).
NONE_BELOW = 0.08  # for a label by name and description
NONE_BELOW_CENTROID = 0.12  # for a label by examples
MULTIPLE_WITHIN = 0.08  # with several labels per text: how much lower than the best one's cosine another one's may be


@dataclass(frozen=True)
class Label:
    """A label. examples: texts that should get it; where there are some, name and description are not embedded."""

    name: str
    description: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """The label of one document or text.

    Attributes:
        item: a document's id, or "#3" for the fourth text.
        label: the name of the best label; None for "none of these".
        score: of `label`, 0..1.
        labels: where several labels per text were asked for, all that fit, best first: (name, score).
    """

    item: str
    label: str | None
    score: float
    labels: tuple[tuple[str, float], ...] = ()


def classify_texts(
    texts: Sequence[str], labels: Sequence[Label], embedder: Embedder, *, multiple: bool = False
) -> list[Assignment]:
    """Label texts, in the order given.

    Raises:
        InvalidInput: no text, too many, an empty one, or wrong labels.
    """
    _check(labels)
    if not texts or len(texts) > MOST_TEXTS:
        raise InvalidInput(f"texts holds {len(texts)} texts; give 1 to {MOST_TEXTS}.")
    empty = [place for place, text in enumerate(texts) if not text.strip()]
    if empty:
        raise InvalidInput(f"The text at place {empty[0]} is empty.")
    vectors = _embedded(texts, embedder, Task.CLASSIFICATION)
    centres = _centres(labels, embedder, Task.CLASSIFICATION)
    return _assigned([f"#{place}" for place in range(len(texts))], vectors @ centres.T, labels, multiple)


def classify_documents(
    view: View,
    labels: Sequence[Label],
    embedder: Embedder,
    *,
    filter: Mapping[str, Any] | None = None,
    multiple: bool = False,
) -> list[Assignment]:
    """Label the documents of a view, in the order of their ids, by the mean of their chunks' vectors.

    Raises:
        InvalidInput: wrong labels. InvalidFilter: see `filters.parse`.
    """
    _check(labels)
    keys_of = view.document_keys(filter)
    if not keys_of:
        return []
    centres = _centres(labels, embedder, Task.QUERY)
    scores = np.empty((len(keys_of), len(labels)), np.float32)
    for place, keys in enumerate(keys_of.values()):
        scores[place] = centres @ mean_vector(view.vectors(keys))
    return _assigned(list(keys_of), scores, labels, multiple)


def _check(labels: Sequence[Label]) -> None:
    if not 1 <= len(labels) <= MOST_LABELS:
        raise InvalidInput(f"labels holds {len(labels)} labels; give 1 to {MOST_LABELS}, each with a name.")
    names = [label.name.strip() for label in labels]
    if not all(names):
        raise InvalidInput("A label has no name; give every label one.")
    longest = max(names, key=len)
    if len(longest) > LONGEST_NAME:
        raise InvalidInput(
            f"The label {quoted(longest)} has a name of {len(longest)} characters; at most {LONGEST_NAME}. Say what it "
            "means in its description."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"The label {quoted(twice[0])} is given twice; put its examples together.")
    if any(not example.strip() for label in labels for example in label.examples):
        raise InvalidInput("A label has an empty example; leave it out.")


def _embedded(texts: Sequence[str], embedder: Embedder, task: Task) -> Vectors:
    vectors = np.empty((len(texts), embedder.static_contract.dimensions), np.float32)
    for batch in pack(embedder.count_tokens(texts)):
        vectors[batch] = embedder.embed([texts[i] for i in batch], task)
    return vectors


def _centres(labels: Sequence[Label], embedder: Embedder, task: Task) -> Vectors:
    """Return one vector of norm 1 per label, in their order: (labels, dim)."""
    rows = []
    for label in labels:
        described = f"{label.name}: {label.description}" if label.description.strip() else label.name
        rows.append(mean_vector(_embedded(label.examples or [described], embedder, task)))
    return np.asarray(np.stack(rows), np.float32)


def _assigned(items: Sequence[str], cosines: Vectors, labels: Sequence[Label], multiple: bool) -> list[Assignment]:
    floors = np.array([NONE_BELOW_CENTROID if label.examples else NONE_BELOW for label in labels])
    assigned = []
    for item, row in zip(items, cosines.astype(np.float64), strict=True):
        order = sorted(range(len(labels)), key=lambda place: (-row[place], place))
        shares = _shares(row, floors)
        best = order[0]
        fits = row[best] >= floors[best]
        fitting = (
            [p for p in order if row[p] >= floors[p] and row[p] >= row[best] - MULTIPLE_WITHIN] if multiple else []
        )
        assigned.append(
            Assignment(
                item=item,
                label=labels[best].name if fits else None,
                score=shares[best] if fits else 1 - sum(shares),
                labels=tuple((labels[place].name, shares[place]) for place in fitting),
            )
        )
    return assigned


def _shares(cosines: Vectors, floors: Vectors) -> list[float]:
    """Return each label's share, 0..1, of a softmax over all labels and "none of these", whose cosine is the floor."""
    raised = [math.exp(SHARPNESS * (cosine - floor)) for cosine, floor in zip(cosines, floors, strict=True)]
    total = sum(raised) + 1.0
    return [each / total for each in raised]
