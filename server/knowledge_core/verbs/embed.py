"""The verb `embed`: texts to vectors for whoever asked, of the full size or shorter, and what was not read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.tokens import Truncation, truncation_of
from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.readers import clean_text
from knowledge_core.types import Task, Vectors


@dataclass(frozen=True)
class Embedded:
    """vectors: (n, dim) float32, norm 1, in the order of the texts. unread: how much of the texts the model does not read."""

    vectors: Vectors
    unread: Truncation


def embed(
    texts: Sequence[str], embedder: Embedder, task: Task, *, title: str | None = None, dimensions: int | None = None
) -> Embedded:
    """Embed texts that are not stored.

    title: of all of them, for documents. dimensions: the model's own where left out.

    Raises:
        InvalidInput: the model's vectors cannot be that short. ModelUnavailable: it cannot be loaded.
    """
    _check(dimensions, embedder)
    read = [clean_text(text) for text in texts]
    titles = [clean_text(title)] * len(read) if title else None
    made = embedder.embed(read, task, titles)
    vectors = made if dimensions is None else shortened(made, dimensions)
    return Embedded(vectors, truncation_of(embedder, read, task, titles))


def _check(dimensions: int | None, embedder: Embedder) -> None:
    if dimensions is not None and dimensions not in embedder.sizes:
        raise InvalidInput(f"dimensions is {dimensions}; this model gives {', '.join(map(str, embedder.sizes))}.")


def shortened(vectors: Vectors, dimensions: int) -> Vectors:
    """Return the first `dimensions` numbers of every vector, scaled back to norm 1 (Matryoshka).

    Kusupati et al. 2022, "Matryoshka Representation Learning", arXiv:2205.13147. A vector that has nothing there stays 0.
    """
    short = vectors[:, :dimensions]  # (n, dimensions)
    norms = np.linalg.norm(short, axis=1, keepdims=True)
    made: Vectors = np.zeros_like(short)
    np.divide(short, norms, out=made, where=norms > 0)
    return made
