"""Lines of a text and its characters: where each line begins, and on which lines a span lies. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from knowledge_core.types import Lines, Span


def line_starts(text: str) -> list[int]:
    r"""Return where each line begins; a line end at the end of the text begins no further line.

    >>> line_starts("one\ntwo\n")
    [0, 4]
    """
    lines = text.split("\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return [0, *accumulate(len(line) + 1 for line in lines[:-1])]


def lines_of(starts: Sequence[int], span: Span) -> Lines:
    """Return the lines, counted from 1, that a span touches; of an empty one the line it lies on."""
    return Lines(bisect_right(starts, span.start), bisect_right(starts, max(span.start, span.end - 1)))
