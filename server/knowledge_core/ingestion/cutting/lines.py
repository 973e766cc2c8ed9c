"""The lines of a text by their numbers, counted from 0, for reading markup line by line."""

from __future__ import annotations

import re
from bisect import bisect_left

_LINE_END = re.compile("\n")
_TAB = 4  # columns


class TextLines:
    """A text and where its lines begin. Asking for a line copies that line alone."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
        if self._starts[-1] < len(text):
            self._starts.append(len(text))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:
        """Return a line without its end; "" beyond the last one."""
        return self.text[self._starts[number] : self._starts[number + 1]].rstrip("\n") if number < len(self) else ""

    def start(self, number: int) -> int:
        """Return where a line begins; for the number of lines: where the text ends."""
        return self._starts[number]

    def from_place(self, place: int) -> int:
        """Return the number of the first line that begins at this place of the text, or after it."""
        return min(bisect_left(self._starts, place), len(self))

    def blank(self, number: int) -> bool:
        """Say whether a line has only white space."""
        line = self[number]
        return not line or line.isspace()

    def filled_from(self, number: int) -> int:
        """Return the first line from this one on that is not blank; the number of lines if there is none."""
        while number < len(self) and self.blank(number):
            number += 1
        return number

    def indented_end(self, number: int, least: int) -> int:
        """Return the line after the last of those from this one on that are indented by `least` columns, or blank between.

        Blank lines after them do not count.
        """
        end = number
        while number < len(self):
            if not self.blank(number):
                if indentation(self[number]) < least:
                    break
                end = number + 1
            number += 1
        return end


def indentation(line: str) -> int:
    """Return how many columns a line is indented; a tab is four."""
    first = line[:1]
    if first not in (" ", "\t"):
        return 0
    return sum(_TAB if mark == "\t" else 1 for mark in line[: len(line) - len(line.lstrip(" \t"))])
