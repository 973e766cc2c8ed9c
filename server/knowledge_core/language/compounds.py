"""Compounds: what is written as one with marks inside, as versions, dates, addresses, paths, options, C++ and .NET. Pure.

A compound is a term beside the words that it consists of, so that 1.0.21 is not 21.0.1. Where marks of several kinds join a
long one, what fewer kinds join is a compound, too: of src/re-use.py also re-use and re-use.py. Rules kept here:
- a compound is spelt in one way: case folded, slashes forward, hyphens as ASCII has them, 1.0.21 for v1.0.21, example.org
  for www.example.org;
- a mark joins only where letters or digits stand directly on both sides of it; commas join digits to one number alone;
- a mark in front (-x, --force, -18, .NET, #tag, @name) and what follows a name (C++, C#) belong to a term, not to a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from knowledge_core.language.runs import LONGEST, OPTIONAL_MARK, folded

MOST_JOINED = 32  # units of one compound; of a longer one (minified code) the beginning counts
LONGEST_SUFFIXED = 24  # letters of a name that ++ or # may follow

# What joins, by how a term spells it. :// joins nothing: an address is the same without its scheme.
_SPELT = {
    "-": "-", "\u2010": "-", "\u2011": "-", ".": ".", ":": ":", "::": "::", "@": "@", "&": "&", "+": "+",
    "/": "/", "\\": "/", "//": "/", "\\\\": "/",
}  # fmt: skip
_LEVELS = ("-", ".", "-.", "-.:@&+", "-.:@&+/")  # what joins a compound, from the closest on
_FRONT = re.compile(r"(?:(?<![\w-])--?|(?<![\w.])\.|(?<![\w#])#|(?<![\w@.])@)\Z")
_SUFFIX = re.compile(r"\+\+(?![\w+])|#(?![\w#])")
_HOUR = re.compile(r"(?<=\d\d-\d\d)T(?=\d\d:\d\d)")  # as ISO 8601 writes it behind a date: two compounds
_VERSION = re.compile(r"v\d+\Z")
_NUMBER = re.compile(r"(?<![\d,.])(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+|\d+,\d{1,2})(?![\d,])")


class Unit(NamedTuple):
    """A run of letters and digits in a piece of text without white space: its folded words, and its place.

    suffix: ++ or #, where it follows a name; `end` is behind it.
    """

    text: str
    start: int
    end: int
    suffix: str = ""


class Compound(NamedTuple):
    """A term that is written as one: its token and its place in the piece."""

    token: str
    start: int
    end: int


def parted_times(piece: str) -> list[tuple[str, int]]:
    """Return a piece, parted between dates and the hours that ISO 8601 puts behind them; each part with its place.

    >>> parted_times("2024-05-12T18:05")
    [('2024-05-12', 0), ('18:05', 11)]
    """
    if "T" not in piece:
        return [(piece, 0)]
    places = [0, *(found.end() for found in _HOUR.finditer(piece))]
    ends = [*(place - 1 for place in places[1:]), len(piece)]
    return [(piece[start:end], start) for start, end in zip(places, ends, strict=True)]


def unit(piece: str, run: str, start: int) -> Unit:
    """Return a run of letters and digits as a unit: with what follows its name in C++ and C#."""
    end = start + len(run)
    found = _SUFFIX.match(piece, end) if run.isalpha() and len(run) <= LONGEST_SUFFIXED else None
    suffix = found[0] if found else ""
    return Unit(run, start, end + len(suffix), suffix)


def compounds(piece: str, units: Sequence[Unit]) -> Iterator[Compound]:
    """Yield the compounds of a piece. units: its runs of letters and digits, in order."""
    begin = 0
    marks: list[str] = []
    for at, each in enumerate(units):
        mark = _SPELT.get(piece[each.end : units[at + 1].start], "") if at + 1 < len(units) else ""
        if not mark:
            yield from _of_stretch(piece, units[begin : at + 1], marks)
            begin, marks = at + 1, []
        else:
            marks.append(mark)
    if "," in piece:
        for number in _NUMBER.finditer(piece):
            yield Compound(number[0], number.start(), number.end())


def _of_stretch(piece: str, units: Sequence[Unit], marks: Sequence[str]) -> Iterator[Compound]:
    """Yield the compounds of units that are joined. marks: between each two of them."""
    if len(units) > MOST_JOINED:
        units, marks = units[:MOST_JOINED], marks[: MOST_JOINED - 1]
    for each in units:
        if each.suffix:
            yield Compound(_token([each], []), each.start, each.end)
    seen: set[tuple[int, int]] = set()
    for level in _LEVELS if len(set(marks)) > 1 else ("".join(set(marks)),):
        for first, last in _joined(marks, level):
            if (first, last) not in seen:
                seen.add((first, last))
                token = _token(units[first : last + 1], marks[first:last])
                yield Compound(token, units[first].start, units[last].end)
    front = _FRONT.search(piece, max(units[0].start - 3, 0), units[0].start) if units[0].start else None
    if front and (units[0].text[0].isalpha() or front[0] == "-"):
        token = f"{front[0]}{_token(units, marks)}"[:LONGEST]
        yield Compound(token, front.start(), units[-1].end)


def _joined(marks: Sequence[str], level: str) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of the units between which all marks are of a level."""
    begin = 0
    for at, mark in enumerate([*marks, ""]):
        if not mark or mark[0] not in level:
            if at > begin:
                yield begin, at
            begin = at + 1


def _token(units: Sequence[Unit], marks: Sequence[str]) -> str:
    """Return how a term spells units that are joined."""
    texts = ["".join(folded(OPTIONAL_MARK.sub("", each.text).strip("_"))) + each.suffix for each in units]
    if len(texts) > 1 and marks[0] == ".":
        if texts[0] == "www" and len(texts) > 2:
            texts, marks = texts[1:], marks[1:]
        elif _VERSION.match(texts[0]) and texts[1].isdecimal():
            texts[0] = texts[0][1:]
    spelt = texts[0] + "".join(f"{mark}{text}" for mark, text in zip(marks, texts[1:], strict=True))
    return spelt[:LONGEST]
