"""Two lists of scores to one: min-max, then a weighted sum. Pure.

Candidates come in tiers: the best 100 of each side, then what follows them when a reader pages on. Rules it keeps:
- every tier is measured on the scale of the first, so that what a page showed never depends on how far one reads;
- what one side lacks counts as that side's worst so far, which in the first tier is 0.

Bruch, Gai & Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval", doi:10.1145/3596512.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# Mean nDCG@10 over adi, cranfield, hotpotqa_small, scifact, covidqa, xquad/en and xquad/de with MiniLM: .735 .736 .738
# .739 .738 at 0.3 0.35 0.4 0.45 0.5; from 0.5 on a language that the model hardly knows loses (xquad/de .929 of .946).
# On the plain components: filling in the cosine of what only the words found gives .743 instead of .745, filling in
# both sides .747, which would cost a second query of the words.
DENSE_WEIGHT = 0.4


@dataclass(frozen=True)
class Scale:
    """How one side's scores become 0..1, and what counts where that side has none."""

    low: float
    high: float
    lacking: float = 0.0

    @classmethod
    def of(cls, scores: Iterable[float]) -> Scale:
        """Return the scale on which the smallest of these scores is 0 and the largest 1.

        Where all are equal, all are 1; no scores give the scale from 0 to 0.
        """
        known = list(scores)
        return cls(min(known), max(known)) if known else cls(0.0, 0.0)

    def __call__(self, score: float) -> float:
        """Return the score's place on the scale; below 0 what is worse than all that made the scale."""
        if self.high > self.low:
            return (score - self.low) / (self.high - self.low)
        return 1.0 if score >= self.high else score - self.low

    def after(self, scores: Iterable[float]) -> Scale:
        """Return the scale with `lacking` lowered to the worst of a tier's scores, if that is below it."""
        return Scale(self.low, self.high, min([self.lacking, *(self(score) for score in scores)]))


def comparable(indexes: Sequence[tuple[int, Mapping[str, int]]]) -> list[float]:
    """Return the factor for each index's BM25 that makes the scores of several indexes comparable.

    BM25 weighs a word by its rarity in its own index, so that the one answer in a small collection would score a
    fraction of what a chance match does in a large one. The factor puts the rarity in all indexes together in its
    place, averaged over the query's words; for a query of one word that is exact.

    indexes: how many entries each has, and in how many of them each word of the query stands.

    >>> [round(factor, 2) for factor in comparable([(1000, {"sun": 10}), (2, {"sun": 1})])]
    [0.98, 6.45]
    """
    total = sum(entries for entries, _ in indexes)
    together: Counter[str] = Counter()
    for _, counts in indexes:
        together.update(counts)
    factors = []
    for entries, counts in indexes:
        own = math.fsum(_rarity(entries, count) for count in counts.values())
        factors.append(math.fsum(_rarity(total, together[word]) for word in counts) / own if own > 0.0 else 1.0)
    return factors


def _rarity(entries: int, having: int) -> float:
    """Return BM25's inverse document frequency. Entries that were removed may still count as having the word."""
    return math.log1p((max(entries - having, 0) + 0.5) / (having + 0.5))


@dataclass(frozen=True)
class Fused:
    """A fused score and the two weighted parts that it is the sum of."""

    score: float
    dense: float
    lexical: float


def minmax(scores: Mapping[Key, float]) -> dict[Key, float]:
    """Scale scores to 0..1 by their own smallest and largest; where all are equal, all are 1.

    >>> minmax({7: 2.0, 8: 4.0, 9: 3.0})
    {7: 0.0, 8: 1.0, 9: 0.5}
    """
    scale = Scale.of(scores.values())
    return {key: scale(score) for key, score in scores.items()}


def convex(
    dense: Mapping[Key, float],
    lexical: Mapping[Key, float],
    scales: tuple[Scale, Scale] | None = None,
    *,
    weight: float = DENSE_WEIGHT,
) -> dict[Key, Fused]:
    """Fuse two sides over the union of their keys: weight * dense + (1 - weight) * lexical, each on its scale.

    scales: of the dense and the lexical side; None: each side's own smallest and largest, what it lacks counting 0.

    >>> both = convex({1: 0.9, 2: 0.5}, {2: 12.0, 3: 4.0})
    >>> {key: round(fused.score, 2) for key, fused in both.items()}
    {1: 0.4, 2: 0.6, 3: 0.0}
    """
    by_meaning, by_words = scales or (Scale.of(dense.values()), Scale.of(lexical.values()))
    fused = {}
    for key in dict.fromkeys([*dense, *lexical]):
        left = weight * (by_meaning(dense[key]) if key in dense else by_meaning.lacking)
        right = (1.0 - weight) * (by_words(lexical[key]) if key in lexical else by_words.lacking)
        fused[key] = Fused(left + right, left, right)
    return fused
