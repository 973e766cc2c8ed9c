"""Runs: the letters and digits of a text between white space and marks, and the words that one run is read as.

Rules kept here:
- Pure, deterministic, and linear in the length of the text.
- Words are normalised to Unicode form NFKC and case folded; ASCII words are stemmed as English, others are not stemmed.
- Scripts written without spaces, and Hangul whose particles stick to the word, become pairs of characters.
- Identifiers (snake_case, camelCase) are words as a whole and in their parts.
- Words of Latin and Greek letters with accents are words without them, too.
- Symbols and emoji, one by one, are words; punctuation, marks of ASCII and what draws lines are none.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import Stemmer

LONGEST = 128  # characters: a SHA-512 in hexadecimal still fits; Tantivy drops what is over 65,530 bytes
READ_OF_A_RUN = 256  # characters: of a longer run (base64, minified code) only the beginning counts

OPTIONAL = (  # ignored inside a word: soft hyphen and joiners; points of Hebrew and Arabic, and tatweel
    "\u00ad\u200c\u200d\u2060\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670"
)
SOUND_MARKS = "\u3099\u309a\uff9e\uff9f"  # of kana that are written as two characters
HANGUL_PARTS = "\u1100-\u11ff"
PAIRED = (
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
    "\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Hiragana, Katakana
    "\uac00-\ud7a3" + HANGUL_PARTS + "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece"  # Hangul, Thai, Lao
    "\u1000-\u103f\u1050-\u108f\u1780-\u17d3"  # Myanmar, Khmer
)
PAIRED_RUN = re.compile(f"[{PAIRED}]+")
WITHOUT_SPACES = re.compile(f"(?![\uac00-\ud7a3{HANGUL_PARTS}])[{PAIRED}]")
FIRST_PAIRED = "\u0e01"


def _marks() -> str:
    """Return the combining marks as the inside of a character class: `re` has no class for them, and \\w leaves them out.

    Only the blocks of scripts with marks are searched; all of Unicode would take 0.1 s.
    """
    blocks = (range(0x300, 0x3100), range(0xA66F, 0xAC00), range(0xFB1E, 0xFE30), range(0x10A00, 0x11F60))
    marks = (chr(code) for block in blocks for code in block if unicodedata.category(chr(code))[0] == "M")
    return "".join(mark for mark in marks if not PAIRED_RUN.match(mark))


def _symbols() -> str:
    """Return the symbols that are words, as the inside of a character class: currency, arrows, mathematics, emoji.

    Lines and blocks that draw tables, and Braille, are none; nor is the character that stands for an unreadable one.
    """
    blocks = (range(0xA2, 0x100), range(0x2000, 0x2500), range(0x25A0, 0x2800), range(0x2900, 0x2C00),
              range(0x1F000, 0x1FC00))  # fmt: skip
    return "".join(chr(code) for block in blocks for code in block if unicodedata.category(chr(code)) in _SYMBOL)


_SYMBOL = ("So", "Sm", "Sc")
MARKS = _marks()
SYMBOLS = _symbols()
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
RUN = (
    re.compile(  # the first alternative matches most text, three times as fast as the third, which would match it, too
        rf"[a-zA-Z0-9_]++(?![^\x00-\x7f])|[{PAIRED}]+|[^\W{PAIRED}]+(?:[{MARKS}{OPTIONAL}]+[^\W{PAIRED}]*)*"
        rf"|{_FLAG}|[{SYMBOLS}]"
    )
)
LETTER = re.compile(rf"[\u1100-\u115f][\u1160-\u11a7][\u11a8-\u11ff]?|.[{MARKS}{SOUND_MARKS}]*", re.DOTALL)
HUMP = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # URLs, HTTP, Server, page, 2
OPTIONAL_MARK = re.compile(f"[{OPTIONAL}]+")
SYMBOL = re.compile(rf"{_FLAG}|[{SYMBOLS}]")

_ACCENTED = re.compile("[\u00c0-\u024f\u0370-\u03ff\u0451\u1e00-\u1fff]")  # Latin and Greek, and the Cyrillic io
_LATIN_MARK = re.compile("[\u0300-\u036f]")
_WITHOUT_DECOMPOSITION = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ŋ": "n"}
)


class Word(NamedTuple):
    """A word that a run is read as.

    bare: the word without its accents, as the index holds it; "" where it has none.
    """

    token: str
    bare: str = ""


class Identifier(NamedTuple):
    """What a run of letters and digits is read as: words, and where they are parts of an identifier, the whole of it.

    whole: "" where the run is one word, or words that are parts of none (½ is 1 and 2).
    """

    whole: str
    words: tuple[Word, ...]


class _Stemmers(threading.local):
    """One stemmer per thread: a stemmer has a buffer that two threads must not use at the same time."""

    def __init__(self) -> None:
        self.english = Stemmer.Stemmer("english")


_stemmers = _Stemmers()


def is_paired(run: str) -> bool:
    """Say whether a run is read in pairs of characters."""
    return run >= FIRST_PAIRED and PAIRED_RUN.match(run) is not None


def is_symbol(run: str) -> bool:
    """Say whether a run is a symbol."""
    return SYMBOL.match(run) is not None


def is_single(token: str) -> bool:
    """Say whether a token is one character of a script that is read in pairs."""
    return len(token) == 1 and is_paired(token)


def pairs(run: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Yield the pairs of neighbouring characters of a run, or its only character, with their range."""
    letters = list(_letters(run, start))
    if len(letters) == 1:
        yield letters[0]
    for (one, first, _), (other, _, last) in pairwise(letters):
        yield one + other, first, last


def letters(run: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Yield the normalised characters of a run, each with the range of the characters it was read from."""
    return _letters(run, start)


def _letters(run: str, start: int) -> Iterator[tuple[str, int, int]]:
    if unicodedata.is_normalized("NFKC", run):
        for i, letter in enumerate(run, start):
            yield letter, i, i + 1
        return
    for written in LETTER.finditer(run):
        for letter in unicodedata.normalize("NFKC", written[0]):
            yield letter, start + written.start(), start + written.end()


def identifier(run: str) -> Identifier:
    """Return what a run of letters and digits is read as."""
    run = OPTIONAL_MARK.sub("", run[:READ_OF_A_RUN]).strip("_")
    parts = [part for part in run.split("_") if part]
    if run.isascii():
        parts = [hump for part in parts for hump in HUMP.findall(part)]
    if len(parts) < 2:
        return Identifier("", tuple(_words(run)))
    # The m of mRNA and the i of iPhone are noise.
    inner = tuple(word for part in parts if len(part) > 1 for word in _words(part))
    whole = [stemmed(token) for token in folded(run)]
    if len(whole) != 1 or not inner:
        return Identifier("", tuple(map(Word, whole)) + inner)
    return Identifier(whole[0], inner)


def _words(run: str) -> Iterator[Word]:
    for token in folded(run):
        yield Word(stemmed(token), "" if token.isascii() else bare(token))


def stemmed(token: str) -> str:
    """Return a folded word as the index holds it."""
    return _stemmers.english.stemWord(token) if token.isascii() else token


def bare(token: str) -> str:
    """Return a folded word of Latin or Greek letters without its accents, as the index holds it; "" where it has none.

    >>> bare("résumé"), bare("łódź"), bare("haus")
    ('resum', 'lodz', '')
    """
    if not _ACCENTED.search(token):
        return ""
    plain = _LATIN_MARK.sub("", unicodedata.normalize("NFD", token)).translate(_WITHOUT_DECOMPOSITION)
    plain = unicodedata.normalize("NFC", plain)[:LONGEST]
    return "" if plain == token else stemmed(plain)


def folded(run: str) -> list[str]:
    """Return the words of a run, normalised, case folded and cut to LONGEST; several where NFKC splits the run (½ is 1/2)."""
    if run.isascii():
        found = [run.lower()]
    else:
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", run).casefold())
        # The Turkish capital I with a dot folds to an i with a mark, which its lower case does not have.
        runs = (part[0] for part in RUN.finditer(plain.replace("i\u0307", "i")))
        found = [part.strip("_") for part in runs if not is_symbol(part)]
    return [token for token in (word[:LONGEST] for word in found) if token]
