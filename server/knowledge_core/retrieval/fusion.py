"""Fusion of the scores by meaning and by words into one score. Pure.

Each side scales its own scores and multiplies them by its weight; the two parts sum to the fused score. Meaning counts by
how unusual the cosine is among all cosines of the query, times a weight that the collection earned; words count by the
lexical score as it is. So a weak lexical match stays weak even where it is the best one of a small collection, and a
model that does not know the language or the field takes nothing away from what words have found.

Candidates come in tiers: the best 100 of each side, then the following ones when a reader pages on. Rules kept here:
- every tier is scaled like the first one, so that what a page shows does not depend on how far a reader goes;
- a candidate that a side has not returned counts as that side's worst score so far, so that no tier rises above an
  earlier one.

Bruch, Gai & Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval", doi:10.1145/3596512.
docs/decisions/fusion.md says what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# How well MiniLM finds texts again: .23 to .57 in Arabic, Chinese and Japanese, which it cannot read, .69 and more in all
# other languages, whatever the size of the collection and of the texts (docs/decisions/fusion.md).
UNREAD = 0.58  # up to here the model cannot read the collection, and earns no weight
EARNED = 0.4  # weight per unit above that
MOST_EARNED = 0.05  # of the whole lexical score, per standard deviation of the cosine above the mean
# The weight until a collection is measured. Over 1,415 questions to collections of 6 to 45 texts in five languages, the
# share whose first hit is right is .894 .906 .907 .902 .892 .865 at .01 .02 .03 .04 .05 .08; where the model cannot read,
# .08 loses a quarter of them (docs/decisions/fusion.md).
UNMEASURED = 0.03
# Among few texts a rank says little. The share of the other texts that are farther from a snippet than its own text says
# more: .93 and above in what MiniLM reads, .87 and below in what it cannot (means over draws of eight texts).
UNREAD_AMONG_FEW = 0.9
READ_AMONG_FEW = 0.97
MOST_EARNED_AMONG_FEW = 0.1  # higher: deviations among few texts are small, and one common word weighs much
LEAST_DEVIATION = 1e-6  # of cosines; a smaller one is what rounding leaves where all texts are the same


def earned(found: float) -> float:
    """Return the weight of one standard deviation of the cosine. found: how well the model finds texts again, 0..1.

    >>> [round(earned(found), 3) for found in (0.2, 0.57, 0.6, 0.69, 0.84)]
    [0.0, 0.0, 0.008, 0.044, 0.05]
    """
    return min(max(EARNED * (found - UNREAD), 0.0), MOST_EARNED)


def earned_among_few(farther: float) -> float:
    """Return the weight for a collection of few texts. farther: the share of other texts, 0..1, that are farther off.

    >>> [round(earned_among_few(farther), 3) for farther in (0.5, 0.9, 0.935, 0.97, 1.0)]
    [0.0, 0.0, 0.05, 0.1, 0.1]
    """
    share = (farther - UNREAD_AMONG_FEW) / (READ_AMONG_FEW - UNREAD_AMONG_FEW)
    return MOST_EARNED_AMONG_FEW * min(max(share, 0.0), 1.0)


@dataclass(frozen=True)
class Side:
    """How one side's scores become its part of the fused score, and its part for a candidate that it has not returned.

    Attributes:
        weight: of the scaled score.
        low: the score that is scaled to 0, as lower ones are.
        high: the score that is scaled to 1, as higher ones are; above `low`.
        lacking: the part of a candidate without a score of this side.
    """

    weight: float
    low: float
    high: float
    lacking: float = 0.0

    def part(self, score: float | None) -> float:
        """Return the part that a score adds to the fused score. None: this side has no score for the candidate."""
        return self.lacking if score is None else self.weight * self._scaled(score)

    def _scaled(self, score: float) -> float:
        return min(max((score - self.low) / (self.high - self.low), 0.0), 1.0)

    def after(self, scores: Iterable[float], *, more: bool) -> Side:
        """Return this side for the next tier: a candidate without a score counts as the worst of these, the present tier's.

        more: this side has further results, of which a candidate without a score may be one; otherwise it counts as 0 at
        most.
        """
        worst = min((self.part(score) for score in scores), default=self.lacking)
        return replace(self, lacking=worst if more else min(worst, 0.0))


Sides = tuple[Side, Side]
"""The side of meaning, and the side of words."""


@dataclass(frozen=True)
class Fused:
    """A fused score and the two parts that it is the sum of."""

    score: float
    dense: float
    lexical: float


def calibrated(mean: float, deviation: float, weight: float) -> Sides:
    """Return the two sides of the sum: `weight` per standard deviation of the cosine above the mean, 1 for all words.

    Both are divided by the highest possible sum, of a cosine of 1 and a lexical score of 1, so the score lies in 0..1.
    mean, deviation: of the query's cosines over the collection.

    >>> meaning, words = calibrated(mean=0.1, deviation=0.1, weight=0.05)
    >>> [round(meaning.part(cosine) / words.weight, 3) for cosine in (0.0, 0.1, 0.2, 0.6)]
    [0.0, 0.0, 0.05, 0.25]
    """
    highest = (1.0 - mean) / deviation if deviation > LEAST_DEVIATION and mean < 1.0 else 0.0
    whole = 1.0 + weight * highest
    low, high = (mean, 1.0) if highest else (0.0, 1.0)
    return Side(weight * highest / whole, low, high), Side(1.0 / whole, 0.0, 1.0)


def fuse(dense: Mapping[Key, float], lexical: Mapping[Key, float], sides: Sides) -> dict[Key, Fused]:
    """Return the fused score of every key that at least one side has returned."""
    meaning, words = sides
    fused = {}
    for key in dict.fromkeys([*dense, *lexical]):
        left, right = meaning.part(dense.get(key)), words.part(lexical.get(key))
        fused[key] = Fused(left + right, left, right)
    return fused


def pooled(parts: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Return mean and standard deviation of several samples together, each given as (mean, mean square, weight).

    >>> pooled([(1.0, 1.0, 1), (3.0, 9.0, 1)])
    (2.0, 1.0)
    """
    whole = math.fsum(count for _, _, count in parts)
    if not whole:
        return 0.0, 0.0
    mean = math.fsum(each * count for each, _, count in parts) / whole
    square = math.fsum(each * count for _, each, count in parts) / whole
    return mean, math.sqrt(max(square - mean * mean, 0.0))
