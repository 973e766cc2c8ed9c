"""How near a precision or an engine comes to the reference, sentence-transformers in float32, on real text.

Two figures: the cosine between the two vectors of a text, and the share of a text's ten nearest neighbours that stay the
same, which is what a search notices. The texts are passages of the example set that ships with the package.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from typing import Final

import numpy as np

from knowledge_core.types import Vectors

LEAST_COSINE: Final = 0.999
"""Mean cosine below which "auto" does not choose a precision: bfloat16 gives 0.9999, int8 0.998 (docs/embedding-speed.md)."""

LEAST_OVERLAP: Final = 0.97
"""Mean share of the ten nearest that stay, below which "auto" does not choose a precision."""

SAME_ENGINE: Final = 0.9999
"""Cosine to the reference that another engine in float32 must reach for every trial text: adding up the same products in
another order changes it by 1e-6, a wrong token or mask by much more."""

NEAREST: Final = 10  # neighbours per text


@dataclass(frozen=True)
class Fidelity:
    """How near vectors come to the reference's vectors of the same texts.

    least: the least cosine of any text.
    mean: the mean cosine.
    overlap: the mean share, 0 to 1, of a text's ten nearest other texts that are the same by both.
    texts: how many texts were compared.
    """

    least: float
    mean: float
    overlap: float
    texts: int

    def __str__(self) -> str:
        return f"cosine {self.mean:.5f}, least {self.least:.5f}, ten nearest {self.overlap:.3f} the same"


def compared(reference: Vectors, other: Vectors) -> Fidelity:
    """Return how near `other` comes to `reference`.

    Both (n, dim) float32, n >= 2, one row per text, rows of any norm. Numbers that are not finite count as 0.
    """
    first, second = _unit(reference), _unit(other)
    cosines = np.sum(first * second, axis=1)
    kept = min(NEAREST, len(first) - 1)
    pairs = zip(_nearest(first, kept), _nearest(second, kept), strict=True)
    shares = [len({*one} & {*two}) / kept for one, two in pairs]
    return Fidelity(float(cosines.min()), float(cosines.mean()), float(np.mean(shares)), len(first))


def near_enough(found: Fidelity, precision: str) -> bool:
    """Say whether vectors in a precision are near enough to the reference's to be used in their place.

    float32 must give the same numbers, within rounding; another precision may lose as much as a search does not notice.
    """
    if precision == "float32":
        return found.least >= SAME_ENGINE
    return found.mean >= LEAST_COSINE and found.overlap >= LEAST_OVERLAP


def real_texts(count: int) -> list[str]:
    """Return the first `count` passages of the example set that ships with the package; all, where it has fewer."""
    packaged = files("knowledge_core.examples") / "hotpotqa_small" / "corpus.jsonl.gz"
    with packaged.open("rb") as file, gzip.open(file, "rt", encoding="utf-8") as lines:
        return [str(json.loads(line)["text"]) for line in islice(lines, count)]


def _unit(vectors: Vectors) -> Vectors:
    finite = np.nan_to_num(vectors, posinf=0, neginf=0)
    result: Vectors = finite / np.maximum(np.linalg.norm(finite, axis=1, keepdims=True), 1e-12)
    return result


def _nearest(unit: Vectors, kept: int) -> Sequence[Sequence[int]]:
    """Return the indices of each row's `kept` nearest other rows, nearest first; ties in index order."""
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    found: list[list[int]] = np.argsort(-scores, axis=1, kind="stable")[:, :kept].tolist()
    return found
