"""The matching lines of stored documents: how many there are, and the first ones as they are shown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knowledge_core.retrieval.lines.normal_form import is_composed
from knowledge_core.retrieval.lines.patterns import Pattern

PIECE = 1_000_000  # bytes of a text that are looked at together: it is never there a second time as a whole
GROUP = 50_000  # bytes of short texts that are looked at together first
LONGEST_SHOWN = 300  # characters of a line; as many as a snippet of a search has
BEFORE = 80  # of them, before the match
ELLIPSIS = "…"


@dataclass(frozen=True)
class Line:
    """A line that matches, or the lines over which a literal text goes.

    number: of the first line, from 1. last: of the last one. start: its place in the document's text, in characters.
    text: what is shown of it, without a line end. cut: whether that is less than all.
    """

    number: int
    last: int
    start: int
    text: str
    cut: bool


@dataclass(frozen=True)
class Matched:
    """A text that has matching lines. index: its place among the texts. count: of its matching lines. lines: of the wanted."""

    index: int
    count: int
    lines: list[Line]


def scan_all(pattern: Pattern, data: bytes, sizes: Sequence[int], wanted: int, after: int) -> list[Matched]:
    """Return those texts that have matching lines, in order.

    data, sizes: see `StoredTexts`. wanted: lines in all. after: a line of the first text, after which they are wanted.
    """
    found: list[Matched] = []
    for begin, end, start in _groups(sizes):
        together = data[start : start + sum(sizes[begin:end]) + end - begin - 1]
        composed = is_composed(together)
        if end - begin > 1 and not _any(pattern, together, composed):
            continue
        for index in range(begin, end):
            text = data[start : start + sizes[index]]
            start += sizes[index] + 1
            count, lines = scan(pattern, text, wanted, 0 if index else after, composed or None)
            wanted -= len(lines)
            if count:
                found.append(Matched(index, count, lines))
    return found


def scan(
    pattern: Pattern, data: bytes, wanted: int, after: int = 0, composed: bool | None = None
) -> tuple[int, list[Line]]:
    """Return how many lines of a text match, and the first `wanted` of those whose number is above `after`.

    data: the text in UTF-8; what is none counts as U+FFFD. composed: whether it is in that form; None: it is looked up.
    """
    count, first, start = 0, 0, 0  # first: lines, start: characters before the piece
    found: list[Line] = []
    for piece in _pieces(data) if pattern.lines == 1 else (data,):
        text = piece.decode("utf-8", "replace")
        lines: list[str] = []
        at, begin = 0, 0  # the line whose place in the piece is known, and that place
        for index in pattern.indexes(text, composed=is_composed(piece) if composed is None else composed):
            count += 1
            if len(found) < wanted and first + index + 1 > after:
                lines = lines or text.split("\n")
                begin += sum(len(line) + 1 for line in lines[at:index])
                at = index
                found.append(_line(pattern, lines[index : index + pattern.lines], first + index + 1, start + begin))
        first, start = first + text.count("\n"), start + len(text)
    return count, found


def _any(pattern: Pattern, data: bytes, composed: bool) -> bool:
    """Say whether any of several texts may have a matching line."""
    return next(pattern.indexes(data.decode("utf-8", "replace"), composed=composed), None) is not None


def _groups(sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield from which to which text, and from which byte on, texts are looked at together.

    Most short texts have no match, and one by one each costs as much as 10 KB of a long one.
    """
    begin = start = size = 0
    for index, each in enumerate(sizes):
        if index > begin and size + each > GROUP:
            yield begin, index, start
            begin, start, size = index, start + size, 0
        size += each + 1
    if sizes:
        yield begin, len(sizes), start


def _line(pattern: Pattern, lines: list[str], number: int, start: int) -> Line:
    text = "\n".join(lines)
    shown = text if len(text) <= LONGEST_SHOWN else _around(text, *pattern.place(text))
    return Line(number, number + len(lines) - 1, start, shown, shown is not text)


def _around(text: str, begin: int, end: int) -> str:
    """Return as much of a long line as is shown, with the beginning of the match in it, and its end if that has room."""
    first = max(min(begin - BEFORE, len(text) - LONGEST_SHOWN), 0)
    if begin < end <= begin + LONGEST_SHOWN - BEFORE:
        first = max(min(first, begin), end - LONGEST_SHOWN, 0)
    last = first + LONGEST_SHOWN
    return f"{ELLIPSIS if first else ''}{text[first:last]}{ELLIPSIS if last < len(text) else ''}"


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield a text in parts of whole lines."""
    begin = 0
    while begin < len(data):
        end = data.find(b"\n", begin + PIECE) + 1 or len(data)
        yield data[begin:end]
        begin = end
