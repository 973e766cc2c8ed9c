"""Recent documents first among near-ties, where that is asked for, and documents that are archived last among them. Pure.

A hit's score may grow by `NEAR` at most, or fall by as much, so that a hit that is better by more is never overtaken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from heapq import heappop, heappush
from itertools import islice

from knowledge_core.retrieval.folding import Ranked
from knowledge_core.storage.values import Moments

NEAR = 0.1  # share of a score; hits that are nearer to each other than that are near-ties
READ_AT_ONCE = 48  # hits whose documents' times are read together
FADED = frozenset({"archived", "superseded", "deprecated", "obsolete", "outdated", "retired", "withdrawn"})

OfDocuments = Callable[[str, Sequence[str]], Mapping[str, Moments]]
"""Returns the times of documents of a collection, by their ids."""


@dataclass(frozen=True)
class Preference:
    """half_life: days after which a document's date counts half; None: dates do not count. today: from when on."""

    half_life: float | None
    today: date


def today() -> date:
    """Return the present day, UTC: a day long, a request gives the same order."""
    return datetime.now(UTC).date()


def by_time(ranked: Iterable[Ranked], preference: Preference, moments: OfDocuments) -> Iterator[Ranked]:
    """Yield hits in the order of their scores times what their documents' times make of these; ties as they came.

    Scores stay as they are. It reads ahead only as far as a later hit may still overtake. ranked: best first.
    """
    source = iter(ranked)
    waiting: list[tuple[float, int, Ranked]] = []
    count = 0
    most = 1.0 + NEAR
    lowest = float("inf")  # score of the last hit that was read; the next ones have at most this
    while True:
        while not waiting or -waiting[0][0] < lowest * most:
            some = list(islice(source, READ_AT_ONCE))
            if not some:
                lowest = float("-inf")
                break
            for each in _weighted(some, preference, moments):
                heappush(waiting, (-each[0], count, each[1]))
                count += 1
            lowest = some[-1].score
        if not waiting:
            return
        yield heappop(waiting)[2]


def _weighted(some: Sequence[Ranked], preference: Preference, moments: OfDocuments) -> Iterator[tuple[float, Ranked]]:
    found: dict[str, Mapping[str, Moments]] = {}
    for name in {each.collection for each in some}:
        found[name] = moments(name, [each.place.document for each in some if each.collection == name])
    for each in some:
        of = found[each.collection].get(each.place.document)
        yield (
            each.score * (1.0 if of is None else weight(of, preference)),
            replace(each, status=of.status if of is not None and is_faded(of) else None),
        )


def weight(of: Moments, preference: Preference) -> float:
    """Return what a document's times make of a score: 1 - NEAR to 1 + NEAR.

    >>> weight(Moments("2026-03-01", "archived"), Preference(None, date(2026, 3, 1)))
    0.9
    >>> round(weight(Moments("2026-01-30"), Preference(30.0, date(2026, 3, 1))), 3)
    1.05
    """
    faded = 1.0 - NEAR if is_faded(of) else 1.0
    written = _day(of.date)
    if preference.half_life is None or written is None:
        return faded
    age = max((preference.today - written).days, 0)
    return faded * (1.0 + NEAR * math.pow(0.5, age / preference.half_life))


def is_faded(of: Moments) -> bool:
    """Say whether a document says of itself that it no longer counts."""
    return of.status.strip().casefold() in FADED


def _day(written: str) -> date | None:
    try:
        return date.fromisoformat(written[:10])
    except ValueError:
        return None
