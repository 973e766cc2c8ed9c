"""The matching lines of one stored document: how many there are, and the first ones as they are shown. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from knowledge_core.retrieval.lines.patterns import Pattern

PIECE = 1_000_000  # bytes of a text that are looked at together: it is never there a second time as a whole
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


def scan(pattern: Pattern, data: bytes, wanted: int, after: int = 0) -> tuple[int, list[Line]]:
    """Return how many lines of a text match, and the first `wanted` of those whose number is above `after`.

    data: the text in UTF-8; what is none counts as U+FFFD.
    """
    count, first, start = 0, 0, 0  # first: lines, start: characters before the piece
    found: list[Line] = []
    for piece in _pieces(data) if pattern.lines == 1 else (data,):
        text = piece.decode("utf-8", "replace")
        lines: list[str] = []
        at, begin = 0, 0  # the line whose place in the piece is known, and that place
        for index in pattern.indexes(text):
            count += 1
            if len(found) < wanted and first + index + 1 > after:
                lines = lines or text.split("\n")
                begin += sum(len(line) + 1 for line in lines[at:index])
                at = index
                found.append(_line(pattern, lines[index : index + pattern.lines], first + index + 1, start + begin))
        first, start = first + text.count("\n"), start + len(text)
    return count, found


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
