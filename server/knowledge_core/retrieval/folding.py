"""From ranked chunks to fewer hits: neighbouring chunks of a document join the better one. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from knowledge_core.storage.values import Place
from knowledge_core.types import Lines

# A neighbour joins a hit if its score is at least this share of the hit's: then a reader wants both. At most one on each
# side joins: else a small collection, in which every chunk is a candidate, would become one hit per document.
NEIGHBOUR_SHARE = 0.8


@dataclass(frozen=True)
class Ranked:
    """A chunk with its score.

    Attributes:
        collection: that holds it.
        place: of the chunk in the collection.
        copies: other chunks of the same text, the same embedded one at least: name of the collection, and place.
        score: higher is better.
        dense: its cosine; None where the search by meaning did not find it.
        lexical: its score by words; None where the search by words did not find it.
        dense_part: what the cosine adds to a fused score; None where nothing was fused.
        lexical_part: what the score by words adds to a fused score; None where nothing was fused.
        lines: the chunk's, with those of the neighbours that joined it.
        joined: `Place.text` of these neighbours.
        found_by: which of several queries found it, from 0; empty where there is one.
        status: what its document says of itself, where it no longer counts ("archived").
    """

    collection: str
    place: Place
    copies: tuple[tuple[str, Place], ...]
    score: float
    dense: float | None
    lexical: float | None
    dense_part: float | None
    lexical_part: float | None
    lines: Lines
    joined: tuple[int | None, ...] = ()
    found_by: tuple[int, ...] = ()
    status: str | None = None


def order(ranked: Ranked) -> tuple[float, str, int, str]:
    """Return the sort key: best first; ties by document id, then position, then the name of the collection."""
    return -ranked.score, ranked.place.document, ranked.place.position, ranked.collection


def fold(ranked: Iterable[Ranked]) -> Iterator[Ranked]:
    """Yield the hits among ranked chunks, best first: each with the lines of the neighbours that joined it.

    A neighbour that joined is no hit of its own. ranked: best first, no two of the same embedded text; it is read only as
    far as a chunk may still join the present hit.
    """
    source = iter(ranked)
    queue: deque[Ranked] = deque()
    free: dict[tuple[str, str, int], Ranked] = {}
    while _read_down_to(math.inf, source, queue, free):
        each = queue.popleft()
        document, position = each.place.document, each.place.position
        if free.pop((each.collection, document, position), None) is None:
            continue  # it joined a better one
        _read_down_to(NEIGHBOUR_SHARE * each.score, source, queue, free)
        taken = []
        for beside in ((each.collection, document, position - 1), (each.collection, document, position + 1)):
            if beside in free and free[beside].score >= NEIGHBOUR_SHARE * each.score > 0.0:
                taken.append(free.pop(beside))
        if taken:
            lines = _joined([each.lines, *(one.lines for one in taken)])
            each = replace(each, lines=lines, joined=tuple(one.place.text for one in taken))
        yield each


def _read_down_to(
    least: float, source: Iterator[Ranked], queue: deque[Ranked], free: dict[tuple[str, str, int], Ranked]
) -> bool:
    """Read chunks until one scores less than `least`; say whether the queue holds any."""
    while not queue or queue[-1].score >= least:
        each = next(source, None)
        if each is None:
            break
        queue.append(each)
        free[each.collection, each.place.document, each.place.position] = each
    return bool(queue)


def _joined(lines: Sequence[Lines]) -> Lines:
    return Lines(min(each.first for each in lines), max(each.last for each in lines))
