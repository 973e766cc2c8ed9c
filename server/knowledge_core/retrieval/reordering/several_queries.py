"""Several wordings of one question: their hits as one list, each saying which of them found it. Pure.

A hit's score is its best, and a part of what the other queries give it: a passage that several wordings find comes before one
that a single wording finds as well. Scores of one collection are on one scale whatever the query, so none is rescaled, and no
wording that fits nothing takes anything away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from knowledge_core.retrieval.folding import Ranked, order

# Of the mean of the other queries' scores that is added to the best one. nDCG@10 of two wordings from which every third word
# was taken, alone and together at 0, .3 and 1: hotpotqa_small .787 and .804, .801 .818 .832; cranfield .393 and .401, .433 .446
# .455; scifact .677 and .686, .706 .710 .719. The whole question with three such wordings: .841 .478 .740, alone .843 .488 .744.
AGREEMENT = 1.0
AMONG_BEST = 10  # hits of a query that count as found by it

Chunk = tuple[str, int]


def fused(by_query: Sequence[Iterable[Ranked]]) -> Iterator[Ranked]:
    """Yield the ranked chunks of several queries as one list, best first.

    by_query: of each query, best first. The parts of a score are those of the query that gave the best.
    """
    scores: dict[Chunk, list[float]] = {}
    best: dict[Chunk, Ranked] = {}
    found: dict[Chunk, set[int]] = {}
    for asked, ranked in enumerate(by_query):
        for rank, each in enumerate(ranked):
            chunk = each.collection, each.place.number
            scores.setdefault(chunk, []).append(each.score)
            known = best.get(chunk)
            if known is None or each.score > known.score:
                best[chunk] = replace(each, found_by=(asked,))
            if rank < AMONG_BEST:
                found.setdefault(chunk, set()).add(asked)
    others = max(len(by_query) - 1, 1)
    for chunk, each in best.items():
        rest = sum(scores[chunk]) - each.score
        best[chunk] = replace(
            each,
            score=(each.score + AGREEMENT * rest / others) / (1.0 + AGREEMENT),
            found_by=tuple(sorted({*each.found_by, *found.get(chunk, ())})),
        )
    yield from sorted(best.values(), key=order)
