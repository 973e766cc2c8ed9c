"""One pass over the texts of a collection: how many lines match, and those of a page.

A true count needs every text. It is remembered for as long as the view is there that it was taken from, with the ids of the
documents that match where they are few: then a further page reads its own documents alone.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from knowledge_core.cursors import request_digest
from knowledge_core.retrieval.lines.patterns import Match
from knowledge_core.retrieval.lines.scanners import Scan
from knowledge_core.retrieval.lines.scanning import Line, Matched
from knowledge_core.storage.view import StoredTexts, View

NAMED = 10_000  # documents that match, whose ids are kept: 1 MB; where more match, a page's lines are soon read
KEPT = 8  # counts of a view, the latest

Texts = Iterator[StoredTexts]
"""Texts of documents, in the order of the ids, some at a time."""


@dataclass(frozen=True)
class Counted:
    """What a whole pass found.

    lines: how many match. documents: in how many. searched: in how many it looked. ids: of those that match, in order; None
    where they are too many.
    """

    lines: int
    documents: int
    searched: int
    ids: tuple[str, ...] | None


class Counts:
    """What the latest passes over each view counted. Any thread may ask."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of `_of`; nothing is counted under it
        self._of: WeakKeyDictionary[View, dict[str, Counted]] = WeakKeyDictionary()

    def get(self, view: View, request: str) -> Counted | None:
        """Return what was counted; None where it is not known any more."""
        with self._guard:
            return self._of.get(view, {}).get(request)

    def keep(self, view: View, request: str, counted: Counted) -> None:
        """Remember what was counted, instead of what was counted long ago."""
        with self._guard:
            known = self._of.setdefault(view, {})
            known[request] = counted
            while len(known) > KEPT:
                del known[next(iter(known))]


COUNTS = Counts()


@dataclass(frozen=True)
class Wanted:
    """What is looked for in each collection. match, query, filter: see `FindRequest`."""

    query: str
    match: Match
    filter: Mapping[str, Any] | None


def lines_of(
    view: View, wanted: Wanted, scan: Scan, after: tuple[str, int], most: int
) -> tuple[Counted, list[tuple[str, Line]]]:
    """Return what a whole pass counts, and the first `most` matching lines after a place, with their documents' ids.

    after: a document's id and a line of it; ("", 0): the beginning. scan: finds what is wanted.

    Raises:
        InvalidFilter: see `filters.parse`. Cancelled, InvalidInput: see `Scan`.
    """
    request = request_digest([wanted.query, wanted.match, wanted.filter])
    known = COUNTS.get(view, request)
    if known is None:
        known, found = _whole(view.texts(wanted.filter), scan, after, most)
        COUNTS.keep(view, request, known)
        return known, found
    if not most or not known.lines:
        return known, []
    if known.ids is None:
        return known, _page(view.texts(wanted.filter, after[0]), scan, after, most)
    left = known.ids[bisect_left(known.ids, after[0]) :]
    return known, _page(_in_parts(view, left, most), scan, after, most)


def _whole(texts: Texts, scan: Scan, after: tuple[str, int], most: int) -> tuple[Counted, list[tuple[str, Line]]]:
    lines = documents = searched = 0
    ids: list[str] = []
    found: list[tuple[str, Line]] = []
    for some in texts:
        for part, wanted in zip(_parted(some, after[0]), (0, most - len(found)), strict=True):
            for id, matched in _scanned(part, scan, after, wanted):
                lines, documents = lines + matched.count, documents + 1
                found += [(id, line) for line in matched.lines]
                if documents <= NAMED:
                    ids.append(id)
        searched += len(some.ids)
    return Counted(lines, documents, searched, tuple(ids) if documents <= NAMED else None), found


def _page(texts: Texts, scan: Scan, after: tuple[str, int], most: int) -> list[tuple[str, Line]]:
    found: list[tuple[str, Line]] = []
    for some in texts:
        for id, matched in _scanned(some, scan, after, most - len(found)):
            found += [(id, line) for line in matched.lines]
        if len(found) >= most:
            break
    return found


def _parted(some: StoredTexts, id: str) -> tuple[StoredTexts, StoredTexts]:
    """Return the texts of the documents before this one, and the others."""
    at = bisect_left(some.ids, id) if id else 0
    middle = sum(some.sizes[:at]) + at
    return (
        StoredTexts(some.ids[:at], some.sizes[:at], some.data[: max(middle - 1, 0)]),
        StoredTexts(some.ids[at:], some.sizes[at:], some.data[middle:]) if at else some,
    )


def _scanned(some: StoredTexts, scan: Scan, after: tuple[str, int], wanted: int) -> list[tuple[str, Matched]]:
    if not some.ids:
        return []
    found = scan(some.data, some.sizes, wanted, after[1] if some.ids[0] == after[0] else 0)
    return [(some.ids[each.index], each) for each in found]


def _in_parts(view: View, ids: Sequence[str], most: int) -> Texts:
    """Yield the texts of documents, of no more at a time than a page can need."""
    for begin in range(0, len(ids), most):
        yield from view.texts(among=ids[begin : begin + most])
