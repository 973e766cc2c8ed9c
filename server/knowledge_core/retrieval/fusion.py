"""Scores by meaning and by words to one score. Pure.

Each side's score lies on a scale of its own, times the side's weight; the two parts sum to the score. Meaning counts by
how unusual the cosine is among all, times a weight that the collection earned; words count by the lexical score as it
is. So a word that merely shares letters with the best passage by words stays as weak as it is, however small the
collection, and nothing is taken away that words had found in a language or a field that the model does not know.

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

# Of texts in Arabic, Chinese and Japanese, which MiniLM cannot read, it finds .23 to .57 again, of all others .69 and
# more, whatever the size of the collection and of the texts (docs/decisions/fusion.md).
UNREAD = 0.58
EARNED = 0.4
MOST_EARNED = 0.05  # of the whole lexical score, for each deviation above the mean
# Until a collection is measured. Over 1,415 questions to collections of 6 to 45 texts in five languages, those whose
# first hit is right: .894 .906 .907 .902 .892 .865 at .01 .02 .03 .04 .05 .08; where the model cannot read, .08 loses a
# quarter of them (docs/decisions/fusion.md).
UNMEASURED = 0.03
# Among few texts a rank tells little, but the share of the others that are farther from a snippet than its own text
# does: .93 and more in what MiniLM reads, .87 and less in what it cannot (means over draws of eight texts).
UNREAD_AMONG_FEW = 0.9
READ_AMONG_FEW = 0.97
MOST_EARNED_AMONG_FEW = 0.1  # deviations among few are small, and one common word weighs much
LEAST_DEVIATION = 1e-6  # of cosines; below it is what rounding leaves of texts that are all the same


def earned(found: float) -> float:
    """Return what a deviation of the cosine weighs where the model finds texts again by `found`, 0..1.

    >>> [round(earned(found), 3) for found in (0.2, 0.57, 0.6, 0.69, 0.84)]
    [0.0, 0.0, 0.008, 0.044, 0.05]
    """
    return min(max(EARNED * (found - UNREAD), 0.0), MOST_EARNED)


def earned_among_few(farther: float) -> float:
    """Return the same for a collection of few texts. farther: the share of other texts, 0..1, that are farther off.

    >>> [round(earned_among_few(farther), 3) for farther in (0.5, 0.9, 0.935, 0.97, 1.0)]
    [0.0, 0.0, 0.05, 0.1, 0.1]
    """
    share = (farther - UNREAD_AMONG_FEW) / (READ_AMONG_FEW - UNREAD_AMONG_FEW)
    return MOST_EARNED_AMONG_FEW * min(max(share, 0.0), 1.0)


@dataclass(frozen=True)
class Side:
    """How one side's scores become its part of the fused score, and what its part is where it has none.

    low, high: what is 0 and what is 1 on its scale, low < high; nothing is worth less than 0, or more than 1.
    """

    weight: float
    low: float
    high: float
    lacking: float = 0.0

    def part(self, score: float | None) -> float:
        """Return what a score adds; None: what counts where the side has none."""
        return self.lacking if score is None else self.weight * self._scaled(score)

    def _scaled(self, score: float) -> float:
        return min(max((score - self.low) / (self.high - self.low), 0.0), 1.0)

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
    return Side(weight * highest / whole, low, high), Side(1.0 / whole, 0.0, 1.0)


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
