"""A run of text to pieces of bounded length, cut at the best borders. Pure; takes time linear in the text.

The best kind of border near the wanted place wins: an empty line, the end of a sentence, the end of a line, white space,
and only then any place. Ends of sentences are known in any script. A full stop after a single letter or digit ("J. Smith",
"1. First"), after a few abbreviations, or before a small letter ("e.g. this") ends no sentence.
"""

from __future__ import annotations

import re
import unicodedata

from knowledge_core.ingestion.cutting.blocks import Kind

_NO_COLON = "(?<![:：])"  # a line that ends so introduces the next one
_EMPTY_LINE = re.compile(rf"{_NO_COLON}\n[^\S\n]*\n\s*")
# After these, a full stop ends no sentence: single letters and digits, numbers at the beginning of a line, and abbreviations
# that a name mostly follows.
_ABBREVIATED = r"(?<!\n\d\d)(?<!\n\d\d\d)" + "".join(
    rf"(?<!\b{word})"
    for word in (r"\w", "al", "cf", "vs", "Dr", "Mr", "St", "No", "Nr", "pp", "Eq", "Mrs", "Fig", "Vol", "Sec", "Prof")
)
_MONTHS = "Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"  # "am 12. März"
_NOTES = r"(?:\[[\w ]{1,8}\]){0,8}"  # numbers of notes, as an encyclopedia has them: "in 1999.[14][15]"
_AFTER_MARK = (
    r"[.!?…]*[\"'”’»)\]』」）]*"
    rf"(?:(?<=[。！？｡』」）])\s*|{_NOTES}\s+(?!(?:[a-z]|(?:{_MONTHS})\b)))"
)
_SENTENCE_HERE = re.compile(rf"(?:{_ABBREVIATED}\.|[!?…]|[؟।॥።。！？｡]){_AFTER_MARK}")
# Of a run of marks only the first is tried, or the one after a full stop that ended no sentence: where that one fails, all
# later ones in the run fail, too. Trying them all made a run of 3,200 marks cost 0.2 s.
_FIRST = r"(?:(?<![.!?…])|(?<=\w\.))"
_SENTENCE = re.compile(rf"(?:{_FIRST}(?:{_ABBREVIATED}\.|[!?…])|[؟।॥።。！？｡]){_AFTER_MARK}")
_LINE = re.compile(rf"{_NO_COLON}\n\s*")
_ANY_EMPTY_LINE = re.compile(r"\n[^\S\n]*\n\s*")  # code: much of it ends in a colon
_ANY_LINE = re.compile(r"\n\s*")
_SPACE = re.compile(r"\s+")
_ITEM = re.compile(rf"{_NO_COLON}\n[^\S\n]*(?=(?:[-*+•]|\d{{1,3}}[.)]|#\.|:[^\s:][^:\n]{{0,80}}:)[ \t])")
_ROW = re.compile(r"\n[^\S\n]*(?=\*[ \t]+-[ \t]|\+[-=]{2}|<tr\b|<TR\b)")
# Per kind, best first. What these borders enclose is not torn while it fits: where there is none near the wanted place, the
# last one before it counts.
_BORDERS = {
    Kind.PROSE: (_EMPTY_LINE, _ITEM, _SENTENCE, _LINE, _SPACE),
    Kind.LINES: (_ANY_EMPTY_LINE, _ANY_LINE, _SENTENCE, _SPACE),
    Kind.ITEMS: (_ITEM, _EMPTY_LINE, _SENTENCE, _LINE, _SPACE),
    Kind.ROWS: (_ROW, _ANY_EMPTY_LINE, _ANY_LINE, _SENTENCE, _SPACE),
}
_NOT_TORN = {Kind.PROSE: _SENTENCE, Kind.LINES: _ANY_LINE, Kind.ITEMS: _ITEM, Kind.ROWS: _ROW}
_NOT_BEFORE_SHARE = 0.6  # of the wanted length; rather than a piece shorter than that, a lesser border is taken
_JOINERS = "\u200d\ufe0e\ufe0f"  # tie an emoji or a letter to its neighbour
_STEPS_BACK = 16  # characters to go back, where there is no border, so as not to cut within a tied group


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return text[start:end]'s range without white space at its ends; an empty one where there is only white space."""
    if start < end and not (text[start].isspace() or text[end - 1].isspace()):
        return start, end  # most often: nothing is copied
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - (len(piece) - len(piece.rstrip())))


def last_sentence(text: str, start: int, end: int) -> int:
    """Return where the last sentence or paragraph of text[start:end] begins, if not at its start; else 0."""
    places = [*_places(_EMPTY_LINE, text, start, end - 1), *_places(_SENTENCE, text, start, end - 1)]
    return max((place for place in places if start < place < end - 1), default=0)


def cut(text: str, start: int, end: int, length: int, kind: Kind, *, lead: int = 0) -> list[tuple[int, int]]:
    """Return trimmed, non-empty ranges in text order, of at most `length` characters each and of similar size.

    lead: a place of the text; what stands before it is not cut off from what follows, wherever both fit.
    """
    pieces: list[tuple[int, int]] = []
    while end - start > length:
        wanted = start + -(-(end - start) // -(-(end - start) // length))
        at = _border(text, start, wanted, start + length, kind, lead)
        pieces.append(trimmed(text, start, at))
        start = at
    pieces.append(trimmed(text, start, end))
    return [piece for piece in pieces if piece[0] < piece[1]]


def _border(text: str, start: int, wanted: int, latest: int, kind: Kind, lead: int) -> int:
    """Return the place of the best border; start < place <= latest."""
    least = max(start, lead) if lead < latest else start
    earliest = max(least + 1, start + int((wanted - start) * _NOT_BEFORE_SHARE))
    for pattern in _BORDERS[kind]:
        if places := _places(pattern, text, earliest - 1, latest):
            return min(places, key=lambda place: abs(place - wanted))
        if pattern is _NOT_TORN[kind] and (places := _places(pattern, text, least, earliest)):
            return places[-1]
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
    # The range may begin within a run of marks, whose first one then lies before it.
    here = _SENTENCE_HERE.match(text, first, latest) if pattern is _SENTENCE else None
    found = pattern.finditer(text, here.end() if here else first, latest)
    return [*([here.end()] if here else []), *(one.end() for one in found)]
