"""A run of text to pieces of bounded length, cut where it hurts least. Pure and linear.

The best border near the wanted place wins: an empty line, a sentence's end, a line's end, white space, and only then
anywhere. Sentence ends are those of any script; a full stop after a single letter or digit ("J. Smith", "1. First"),
after a few abbreviations, or before a small letter ("e.g. this") ends nothing.
"""

from __future__ import annotations

import re
import unicodedata

from knowledge_core.ingestion.blocks import Kind

_EMPTY_LINE = re.compile(r"\n[^\S\n]*\n\s*")
# After these, a full stop ends no sentence: single letters and digits, and what is mostly followed by its name.
_ABBREVIATED = "".join(rf"(?<!\b{word})" for word in (r"\w", "al", "cf", "vs", "Dr", "Mr", "St", "No", "Mrs", "Fig"))
_AFTER_MARK = r"[.!?…]*[\"'”’»)\]』」）]*(?:(?<=[。！？｡』」）])\s*|\s+(?![a-z]))"
_SENTENCE_HERE = re.compile(rf"(?:{_ABBREVIATED}\.|[!?…]|[؟।॥።。！？｡]){_AFTER_MARK}")
# Of a run of these marks only the first is tried, or what follows a full stop that ended nothing: what fails there fails
# at all the others, too, and trying them made a run of 3,200 marks cost 0.2 s.
_FIRST = r"(?:(?<![.!?…])|(?<=\w\.))"
_SENTENCE = re.compile(rf"(?:{_FIRST}(?:{_ABBREVIATED}\.|[!?…])|[؟।॥።。！？｡]){_AFTER_MARK}")
_LINE = re.compile(r"\n\s*")
_SPACE = re.compile(r"\s+")
_BORDERS = {
    Kind.PROSE: (_EMPTY_LINE, _SENTENCE, _LINE, _SPACE),
    Kind.LINES: (_EMPTY_LINE, _LINE, _SENTENCE, _SPACE),
}
_NOT_BEFORE_SHARE = 0.6  # of the wanted length: nearer than that, a lesser border further on is better
_JOINERS = "\u200d\ufe0e\ufe0f"  # hold an emoji or a letter together with its neighbour
_STEPS_BACK = 16


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the range without white space at its ends; an empty one where there is nothing else."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - (len(piece) - len(piece.rstrip())))


def cut(text: str, start: int, end: int, length: int, kind: Kind) -> list[tuple[int, int]]:
    """Return trimmed, non-empty ranges of at most `length` characters, near each other in size, in order."""
    pieces: list[tuple[int, int]] = []
    while end - start > length:
        wanted = start + -(-(end - start) // -(-(end - start) // length))
        at = _border(text, start, wanted, start + length, kind)
        pieces.append(trimmed(text, start, at))
        start = at
    pieces.append(trimmed(text, start, end))
    return [piece for piece in pieces if piece[0] < piece[1]]


def _border(text: str, start: int, wanted: int, latest: int, kind: Kind) -> int:
    """Return the place of the best border; always after start, and not after latest."""
    earliest = start + max(1, int((wanted - start) * _NOT_BEFORE_SHARE))
    for pattern in _BORDERS[kind]:
        places = _places(pattern, text, earliest - 1, latest)
        if places:
            return min(places, key=lambda place: abs(place - wanted))
    at = wanted
    for _ in range(_STEPS_BACK):
        if not (unicodedata.combining(text[at]) or text[at] in _JOINERS or text[at - 1] == "\u200d"):
            return at
        if at - 1 <= start:
            break
        at -= 1
    return wanted


def _places(pattern: re.Pattern[str], text: str, first: int, latest: int) -> list[int]:
    """Return where the borders between two places end, in order."""
    # The range may begin within a run of marks.
    here = _SENTENCE_HERE.match(text, first, latest) if pattern is _SENTENCE else None
    found = pattern.finditer(text, here.end() if here else first, latest)
    return [*([here.end()] if here else []), *(one.end() for one in found)]
