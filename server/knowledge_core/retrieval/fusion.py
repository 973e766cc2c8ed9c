"""Scores by meaning and by words to one score. Pure.

Two ways, of the same form: each side's score on a scale, times the side's weight; the two parts sum to the score.
- `calibrated`, where it is known how well the model reads the collection: how unusual the cosine is among all, times
  a weight that the collection earned, plus the lexical score as it is. It never takes away what words had found in a
  language or a field that the model does not know.
- `convex`, until that is known: min-max, then a weighted sum.

Candidates come in tiers: the best 100 of each side, then what follows them when a reader pages on. Rules kept here:
- every tier is measured on the scale of the first, so that what a page showed never depends on how far one reads;
- what a side lacks counts as that side's worst so far, so that a later tier never rises above an earlier one.

Bruch, Gai & Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval", doi:10.1145/3596512.
docs/decisions/fusion.md says what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# Mean nDCG@10 over adi, cranfield, hotpotqa_small, scifact, covidqa, xquad/en and xquad/de with MiniLM: .735 .736 .738
# .739 .738 at 0.3 0.35 0.4 0.45 0.5; from 0.5 on a language that the model hardly knows loses (xquad/de .929 of .946).
DENSE_WEIGHT = 0.4

# Of texts in Arabic, Chinese and Japanese, which MiniLM cannot read, it finds .23 to .57 again, of all others .69 and
# more, whatever the size of the collection and of the texts (docs/decisions/fusion.md).
UNREAD = 0.58
EARNED = 0.4
MOST_EARNED = 0.05  # of the whole lexical score, for each deviation above the mean
LEAST_DEVIATION = 1e-6  # of cosines; below it is what rounding leaves of texts that are all the same


def earned(found: float) -> float:
    """Return what a deviation of the cosine weighs where the model finds texts again by `found`, 0..1.

    >>> [round(earned(found), 3) for found in (0.2, 0.57, 0.6, 0.69, 0.84)]
    [0.0, 0.0, 0.008, 0.044, 0.05]
    """
    return min(max(EARNED * (found - UNREAD), 0.0), MOST_EARNED)


@dataclass(frozen=True)
class Side:
    """How one side's scores become its part of the fused score, and what its part is where it has none.

    low, high: what is 0 and what is 1 on its scale. clipped: nothing is worth less than 0, or more than 1.
    """

    weight: float
    low: float
    high: float
    lacking: float = 0.0
    clipped: bool = False

    def part(self, score: float | None) -> float:
        """Return what a score adds; None: what counts where the side has none."""
        return self.lacking if score is None else self.weight * self._scaled(score)

    def _scaled(self, score: float) -> float:
        if self.high > self.low:
            place = (score - self.low) / (self.high - self.low)
        else:
            place = 1.0 if score >= self.high else score - self.low
        return min(max(place, 0.0), 1.0) if self.clipped else place

    def after(self, scores: Iterable[float], *, more: bool) -> Side:
        """Return the side with `lacking` as it is after a tier of these scores.

        more: the side has others, further down: what lacks may be one of them, and counts as the worst of these.
        """
        worst = min((self.part(score) for score in scores), default=self.lacking)
        return replace(self, lacking=worst if more else min(worst, 0.0))


Sides = tuple[Side, Side]
"""Of meaning and of words."""


@dataclass(frozen=True)
class Fused:
    """A fused score and the two parts that it is the sum of."""

    score: float
    dense: float
    lexical: float


def convex(dense: Iterable[float], lexical: Iterable[float], *, weight: float = DENSE_WEIGHT) -> Sides:
    """Return the sides of a convex sum, on scales from the smallest to the largest of these scores.

    >>> fused = fuse({1: 0.9, 2: 0.5}, {2: 0.6, 3: 0.2}, convex([0.9, 0.5], [0.6, 0.2]))
    >>> {key: round(each.score, 2) for key, each in fused.items()}
    {1: 0.4, 2: 0.6, 3: 0.0}
    """
    return _minmax(weight, dense), _minmax(1.0 - weight, lexical)


def _minmax(weight: float, scores: Iterable[float]) -> Side:
    known = list(scores)
    return Side(weight, min(known), max(known)) if known else Side(weight, 0.0, 0.0)


def calibrated(mean: float, deviation: float, weight: float) -> Sides:
    """Return the sides of a calibrated sum: `weight` for each deviation of the cosine above its mean, 1 for all words.

    Both are divided by the best there can be, a cosine of 1 beside a lexical score of 1: so the score lies in 0..1.

    >>> meaning, words = calibrated(mean=0.1, deviation=0.1, weight=0.05)
    >>> [round(meaning.part(cosine) / words.weight, 3) for cosine in (0.0, 0.1, 0.2, 0.6)]
    [0.0, 0.0, 0.05, 0.25]
    """
    highest = (1.0 - mean) / deviation if deviation > LEAST_DEVIATION and mean < 1.0 else 0.0
    whole = 1.0 + weight * highest
    low, high = (mean, 1.0) if highest else (0.0, 1.0)
    return Side(weight * highest / whole, low, high, clipped=True), Side(1.0 / whole, 0.0, 1.0, clipped=True)


def fuse(dense: Mapping[Key, float], lexical: Mapping[Key, float], sides: Sides) -> dict[Key, Fused]:
    """Return the fused score of every key that either side has."""
    meaning, words = sides
    fused = {}
    for key in dict.fromkeys([*dense, *lexical]):
        left, right = meaning.part(dense.get(key)), words.part(lexical.get(key))
        fused[key] = Fused(left + right, left, right)
    return fused


def pooled(parts: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Return mean and deviation of several samples together, each (mean, mean square, how much it counts).

    >>> pooled([(1.0, 1.0, 1), (3.0, 9.0, 1)])
    (2.0, 1.0)
    """
    whole = math.fsum(count for _, _, count in parts)
    if not whole:
        return 0.0, 0.0
    mean = math.fsum(each * count for each, _, count in parts) / whole
    square = math.fsum(each * count for _, each, count in parts) / whole
    return mean, math.sqrt(max(square - mean * mean, 0.0))
