"""The few hundred characters of a chunk that show why it was found. Pure.

All offsets, of matches and of the snippet, are offsets in the flat text (`flat`), which knows its lines.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

LENGTH = 300  # characters; eight snippets with their head lines stay well below 8 KB, the default size of an answer
ELLIPSIS = "…"
# A sentence ends at a mark before a space, or at a mark of a script that is written without spaces.
_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s)|[。！？]+[」』）]*")
_SHORTEST = 0.6  # of the length; a snippet that ends with an earlier sentence would show too little


@dataclass(frozen=True, order=True)
class Match:
    """A place in the flat text where a word of the query stands. word: its indexed form, equal for all forms of a word."""

    start: int
    end: int
    word: str


@dataclass(frozen=True)
class Flat:
    """A text on one line: every run of white space is one space.

    starts: where in it each line of the text begins that is not blank. numbers: of these lines, counted from 0.
    """

    text: str
    starts: tuple[int, ...]
    numbers: tuple[int, ...]

    def lines(self, start: int, end: int) -> tuple[int, int]:
        """Return the numbers of the first and the last line that flat[start:end], which is not empty, was made of."""
        first = max(bisect_right(self.starts, start) - 1, 0)
        last = max(bisect_right(self.starts, end - 1) - 1, first)
        return (self.numbers[first], self.numbers[last]) if self.numbers else (0, 0)


def flat(text: str) -> Flat:
    r"""Return a text on one line.

    >>> flat("One\n\n\ttwo  three").text, flat("One\n\n\ttwo  three").lines(4, 7)
    ('One two three', (2, 2))
    """
    kept: list[str] = []
    starts: list[int] = []
    numbers: list[int] = []
    at = 0
    for number, line in enumerate(text.split("\n")):
        if words := line.split():
            kept.append(" ".join(words))
            starts.append(at)
            numbers.append(number)
            at += len(kept[-1]) + 1
    return Flat(" ".join(kept), tuple(starts), tuple(numbers))


@dataclass(frozen=True)
class Snippet:
    """What is shown of a flat text. start, end: of the matches that it shows, or of what is shown where it has none."""

    text: str
    start: int
    end: int


def snippet(text: str, matches: Sequence[Match], *, length: int = LENGTH) -> Snippet:
    """Return about `length` characters of a flat text around its densest matches, cut at sentences or words.

    The densest group has the largest sum of 1 / (occurrences in the text) over its different words, then most matches,
    then stands first: rare words count more, so that a subject counts and an article hardly does, in any language.
    Without a match it is the start of the text. Ellipses mark what was left out; they do not count as length.

    >>> snippet("First this. Then the cat sat on the mat. Then that.", [Match(21, 24, "cat")], length=30).text
    '…Then the cat sat on the mat.…'
    """
    first, last = _densest(sorted(matches), length)
    begin, end = 0, len(text)
    if len(text) > length:
        begin = _begin(text, first, last, length)
        end = _end(text, begin, last, length)
    before = ELLIPSIS if begin > 0 else ""
    after = ELLIPSIS if end < len(text) else ""
    shown = before + text[begin:end].strip() + after
    return Snippet(shown, first, last) if last else Snippet(shown, begin, end)


def _densest(matches: Sequence[Match], length: int) -> tuple[int, int]:
    """Return start and end of the densest group of matches; both 0 if there are none. matches: in order."""
    often = Counter(match.word for match in matches)
    best, best_worth, right = (0, 0), (0.0, 0), 0
    for left, opening in enumerate(matches):
        right = max(right, left)
        while right + 1 < len(matches) and matches[right + 1].end - opening.start <= length:
            right += 1
        group = matches[left : right + 1]
        worth = (math.fsum(1.0 / often[word] for word in {match.word for match in group}), len(group))
        if worth > best_worth:
            best_worth, best = worth, (opening.start, group[-1].end)
    return best


def _begin(text: str, first: int, last: int, length: int) -> int:
    """Return where to begin so that first..last is about in the middle: at a sentence, else a word, else a letter."""
    ideal = min((first + last - length) // 2, len(text) - length)
    if ideal <= 0 or last == 0:
        return 0
    earliest = min(ideal, first)
    for end in _SENTENCE_END.finditer(text, max(earliest - 4, 0), first):
        begin = end.end() + (text[end.end() : end.end() + 1] == " ")
        if earliest <= begin <= first:
            return begin
    space = text.find(" ", earliest - 1, first)
    return space + 1 if space >= 0 else _whole_character(text, earliest)


def _end(text: str, begin: int, last: int, length: int) -> int:
    """Return where to end, not before the last match: after a sentence, else a word, else a letter."""
    furthest = begin + length
    if furthest >= len(text):
        return len(text)
    least = max(last, begin + int(_SHORTEST * length))
    sentences = [end.end() for end in _SENTENCE_END.finditer(text, begin, furthest + 1)]
    if fitting := [end for end in sentences if least <= end <= furthest]:
        return fitting[-1]
    space = text.rfind(" ", least, furthest + 1)
    return space if space >= 0 else _whole_character(text, furthest)


def _whole_character(text: str, offset: int) -> int:
    """Return the offset, moved back so that no combining mark is cut off its letter."""
    while 0 < offset < len(text) and unicodedata.combining(text[offset]):
        offset -= 1
    return offset
