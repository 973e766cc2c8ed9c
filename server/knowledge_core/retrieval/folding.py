"""Many ranked chunks to fewer hits: copies count once, neighbours join. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from knowledge_core.storage.values import Place
from knowledge_core.types import Lines

# A neighbour joins a hit if it scored at least this share of it: close enough that a reader wants both. At most one
# on each side joins: a small collection, in which every chunk is a candidate, must not become one hit per document.
NEIGHBOUR_SHARE = 0.8


@dataclass(frozen=True)
class Ranked:
    """A chunk with its score.

    copies: documents, other than the chunk's own, with a chunk of the same embedded text.
    dense, lexical: cosine and score by words; None where the side did not find it. dense_part, lexical_part: what each side
    adds to a fused score. lines: the chunk's, and of the neighbours that joined it.
    """

    collection: str
    place: Place
    copies: tuple[str, ...]
    score: float
    dense: float | None
    lexical: float | None
    dense_part: float | None
    lexical_part: float | None
    lines: Lines


def order(ranked: Ranked) -> tuple[float, str, int, str]:
    """Return the key to sort by: best first; ties by document id, position, then the collection's name."""
    return -ranked.score, ranked.place.document, ranked.place.position, ranked.collection


def fold(ranked: Iterable[Ranked]) -> Iterator[Ranked]:
    """Yield the hits among ranked chunks, best first: each with the neighbours that it took in, which are gone.

    ranked: best first, no copies of one another; read only as far as what follows may still join a hit.
    """
    source = iter(ranked)
    queue: deque[Ranked] = deque()
    free: dict[tuple[str, str, int], Ranked] = {}
    while _read_down_to(math.inf, source, queue, free):
        each = queue.popleft()
        document, position = each.place.document, each.place.position
        if free.pop((each.collection, document, position), None) is None:
            continue  # taken in by a better one
        _read_down_to(NEIGHBOUR_SHARE * each.score, source, queue, free)
        taken = []
        for beside in ((each.collection, document, position - 1), (each.collection, document, position + 1)):
            if beside in free and free[beside].score >= NEIGHBOUR_SHARE * each.score > 0.0:
                taken.append(free.pop(beside).lines)
        yield replace(each, lines=_joined([each.lines, *taken])) if taken else each


def _read_down_to(
    least: float, source: Iterator[Ranked], queue: deque[Ranked], free: dict[tuple[str, str, int], Ranked]
) -> bool:
    """Read until the last one scores less than this, one at least; say whether there is any."""
    while not queue or queue[-1].score >= least:
        each = next(source, None)
        if each is None:
            break
        queue.append(each)
        free[each.collection, each.place.document, each.place.position] = each
    return bool(queue)


def _joined(lines: Sequence[Lines]) -> Lines:
    return Lines(min(each.first for each in lines), max(each.last for each in lines))
