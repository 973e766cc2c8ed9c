"""The candidates of both indexes for one request, fused and ranked, tier after tier.

The first tier is the best 100 chunks by meaning and the best 100 by words (fewer where only one of both is asked for);
further tiers follow only when a reader pages past it. Rules kept here:
- a tier depends on the request and the generation alone, never on the number of hits that were asked for, so that
  pages of any size show the same sequence;
- collections under one contract behave like one collection: the best of their union are taken, on one scale;
- chunks that share a key (copies of one embedded text) are one candidate, in one tier.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import zip_longest

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.language.lexical_query import LexicalQuery, weighed
from knowledge_core.retrieval.folding import Ranked, order
from knowledge_core.retrieval.fusion import UNMEASURED, Fused, Sides, calibrated, earned, earned_among_few, fuse, pooled
from knowledge_core.retrieval.reordering.several_queries import fused
from knowledge_core.retrieval.snippet_questions import AMONG
from knowledge_core.retrieval.two_threads import at_once
from knowledge_core.storage.values import Allowed, Calibration, Place
from knowledge_core.storage.view import View
from knowledge_core.types import Vectors

FUSED_DEPTH = 100  # candidates of each side in the first tier
PLAIN_DEPTH = 40  # the same where there is one side alone: nothing is fused, and fewer are read faster
DEEPER = 4  # times as many candidates in each further tier
READ_AT_ONCE = 48  # candidates read from the record at once; eight hits and their neighbours seldom need many more

Ref = tuple[int, int]  # a candidate: the place of its target in the group, and its key
Scores = dict[Ref, float]


@dataclass(frozen=True)
class Target:
    """One collection, and which of its chunks may be found.

    Attributes:
        name: of the collection.
        view: that is searched.
        embedder: of the view's contract.
        allowed: what the filter allows; None for everything.
        excluded: numbers of chunks that are not to be found all the same.
    """

    name: str
    view: View
    embedder: Embedder
    allowed: Allowed | None
    excluded: frozenset[int] = frozenset()

    @property
    def considered(self) -> int:
        """Return how many chunks may be found."""
        return self.view.counts().chunks if self.allowed is None else len(self.allowed.chunks)


@dataclass(frozen=True)
class Group:
    """Collections under one contract, and what to search for in them: a vector, words or both.

    vector: (1, dim), norm 1. words: the text of a query. asked: which of several queries it is, from 0.
    """

    targets: Sequence[Target]
    vector: Vectors | None
    words: str | None
    asked: int = 0


@dataclass(frozen=True)
class Tier:
    """Ranked chunks, best first; the iterator reads from the record as it goes.

    best: the largest cosine in the tier; None where there is none. exact: every allowed vector was compared.
    """

    ranked: Iterator[Ranked]
    best: float | None
    exact: bool


def tiers(groups: Sequence[Group]) -> Iterator[Tier]:
    """Yield tiers until no candidate is left. The groups' tiers of one depth are merged by score; those of several queries are
    fused, and a chunk is in the first tier that has it.
    """
    queries = sorted({group.asked for group in groups})
    seen: set[tuple[str, int]] = set()
    for parts in zip_longest(*(_tiers(group) for group in groups)):
        there = [(group.asked, part) for group, part in zip(groups, parts, strict=True) if part is not None]
        best = max((part.best for _, part in there if part.best is not None), default=None)
        exact = all(part.exact for _, part in there)
        by_query = [merge(*(part.ranked for asked, part in there if asked == each), key=order) for each in queries]
        if len(queries) < 2:
            yield Tier(by_query[0], best, exact)
            continue
        together = [each for each in fused(by_query) if (each.collection, each.place.number) not in seen]
        seen.update((each.collection, each.place.number) for each in together)
        yield Tier(iter(together), best, exact)


def _tiers(group: Group) -> Iterator[Tier]:
    seen: set[Ref] = set()
    sides: Sides | None = None
    both = group.vector is not None and group.words is not None
    query = None if group.words is None else weighed(group.words, [each.view.lexicon for each in group.targets])
    depth = FUSED_DEPTH if both else PLAIN_DEPTH
    more = True
    while more:
        (dense, more_dense, exact), (lexical, more_lexical) = at_once(
            partial(_nearest, group, depth), partial(_worded, group, query, depth), worth_it=both
        )
        more = more_dense or more_lexical
        dense = {ref: score for ref, score in dense.items() if ref not in seen}
        lexical = {ref: score for ref, score in lexical.items() if ref not in seen}
        seen.update(dense, lexical)
        fusion = None
        if both:
            meaning, words = sides or _sides(group)
            sides = (
                meaning.after(dense.values(), more=more_dense),
                words.after(lexical.values(), more=more_lexical),
            )
            fusion = fuse(dense, lexical, sides)
        best = max(dense.values(), default=None)
        yield Tier(_ranked(group.targets, dense, lexical, fusion), best, exact)
        depth *= DEEPER


def _sides(group: Group) -> Sides:
    """Return how to fuse the two sides: with the mean weight of the collections, weighted by their chunks."""
    assert group.vector is not None
    views = [target.view for target in group.targets]
    chunks = [view.counts().chunks for view in views]
    weights = [_earned(view.calibration) for view in views]
    spreads = [(*view.spread(group.vector), count) for view, count in zip(views, chunks, strict=True)]
    weight = sum(weight * count for weight, count in zip(weights, chunks, strict=True)) / max(sum(chunks), 1)
    return calibrated(*pooled(spreads), weight)


def _earned(known: Calibration | None) -> float:
    """Return the weight of one standard deviation of the cosine in a collection."""
    if known is None:
        return UNMEASURED
    return earned(known.found) if known.chunks >= AMONG else earned_among_few(known.farther)


def _nearest(group: Group, depth: int) -> tuple[Scores, bool, bool]:
    """Return the group's best `depth` candidates by cosine, whether there are more, and whether all were compared."""
    if group.vector is None:
        return {}, False, True
    scores: Scores = {}
    more, exact = False, True
    for at, target in enumerate(group.targets):
        nearest = target.view.nearest(group.vector, depth, target.allowed)[0]
        more = more or len(nearest.found) >= depth
        exact = exact and nearest.exact
        scores.update({(at, key): cosine for key, cosine in nearest.found})
    return _best(scores, depth), more or len(scores) > depth, exact


def _worded(group: Group, query: LexicalQuery | None, depth: int) -> tuple[Scores, bool]:
    """Return the group's best `depth` candidates by words, and whether there are more."""
    if query is None:
        return {}, False
    scores: Scores = {}
    more = False
    for at, target in enumerate(group.targets):
        found = target.view.words(query, depth, target.allowed)
        more = more or len(found) >= depth
        keys = target.view.keys_of_chunks([number for number, _ in found])
        for number, score in found:
            ref = (at, keys[number])
            scores[ref] = max(score, scores.get(ref, 0.0))
    return _best(scores, depth), more or len(scores) > depth


def _best(scores: Scores, depth: int) -> Scores:
    if len(scores) <= depth:
        return scores
    return {ref: scores[ref] for ref in sorted(scores, key=lambda ref: (-scores[ref], ref))[:depth]}


def _ranked(
    targets: Sequence[Target], dense: Scores, lexical: Scores, fused: Mapping[Ref, Fused] | None
) -> Iterator[Ranked]:
    """Yield one ranked chunk per candidate (the first of its copies), best first, reading a few candidates at a time."""
    scores = {**lexical, **dense} if fused is None else {ref: each.score for ref, each in fused.items()}
    refs = sorted(scores, key=lambda ref: -scores[ref])
    begin = 0
    while begin < len(refs):
        end = begin + READ_AT_ONCE
        while end < len(refs) and scores[refs[end]] == scores[refs[end - 1]]:
            end += 1  # equal scores are read together: their order depends on what is read
        some = refs[begin:end]
        yield from sorted(_read(targets, some, dense, lexical, fused), key=order)
        begin = end


def _read(
    targets: Sequence[Target], refs: Sequence[Ref], dense: Scores, lexical: Scores, fused: Mapping[Ref, Fused] | None
) -> Iterator[Ranked]:
    for at, target in enumerate(targets):
        keys = [key for its, key in refs if its == at]
        places = target.view.places_of_keys(keys, target.allowed) if keys else {}
        for key in keys:
            chunks = [place for place in places.get(key, ()) if place.number not in target.excluded]
            if chunks:
                ref = (at, key)
                parts = None if fused is None else fused[ref]
                yield _one(target.name, chunks, dense.get(ref), lexical.get(ref), parts)


def _one(
    collection: str, chunks: list[Place], dense: float | None, lexical: float | None, fused: Fused | None
) -> Ranked:
    first: Place = chunks[0]
    copies: tuple[tuple[str, Place], ...] = ()
    if len(chunks) > 1:
        ordered = sorted(chunks, key=lambda chunk: (chunk.document, chunk.position))
        first = ordered[0]
        copies = tuple((collection, chunk) for chunk in ordered[1:])
    score = fused.score if fused is not None else dense if dense is not None else lexical
    return Ranked(
        collection=collection,
        place=first,
        copies=copies,
        score=0.0 if score is None else score,
        dense=dense,
        lexical=lexical,
        dense_part=None if fused is None else fused.dense,
        lexical_part=None if fused is None else fused.lexical,
        lines=first.lines,
    )
