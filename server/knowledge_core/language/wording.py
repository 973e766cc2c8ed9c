"""Text to the words and trigrams that the lexical index holds: one tokenizer for every language, documents and queries.

Rules kept here:
- Pure, deterministic, and linear in the length of the text; `words`, `terms`, `spans` and `readings` give the same tokens.
- What runs of letters, digits and symbols are read as is told in `runs`, what is written as one with marks in `compounds`.
- Words of alphabets have trigrams, too: of the unstemmed word, with a mark at either end. Pairs of characters have none,
  since the pairs do the same for them (nDCG@10 on jsquad .937 with trigrams, .937 without).
- A token holds no white space, is never empty, and has at most LONGEST characters.

Whoever changes a rule raises WORDING_VERSION: existing indexes hold tokens by the old rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from functools import lru_cache
from typing import Literal, NamedTuple

from knowledge_core.language.compounds import Unit, compounds, parted_times, unit
from knowledge_core.language.runs import (
    LONGEST,
    OPTIONAL_MARK,
    PAIRED_RUN,
    READ_OF_A_RUN,
    RUN,
    WITHOUT_SPACES,
    Identifier,
    folded,
    identifier,
    is_paired,
    is_single,
    is_symbol,
    letters,
    pairs,
)

__all__ = [
    "LONGEST",
    "WORDING_VERSION",
    "Reading",
    "Term",
    "readings",
    "spaceless",
    "spans",
    "spans_among",
    "spellings",
    "terms",
    "trigrams",
    "whole_name",
    "word_spans",
    "words",
]  # fmt: skip

WORDING_VERSION = 3
LONGEST_KEPT = 48  # characters of a piece that is remembered; longer ones seldom come again
REMEMBERED = 65_536  # different pieces; the English text of 5,000 abstracts has 50,000
SPANS_REMEMBERED = 8_192  # the same, with their places, which snippets and queries ask for
LONGEST_NAME = 8  # words of a name that is a term as a whole
TRIGRAM = 3
# Before and after a word: so its first and last letters count more, and a word of one letter has a trigram.
EDGE = "_"

_PIECE, _SPACE = re.compile(r"\S+"), re.compile(r"\s")
_IRREGULAR = ("die", "lie", "tie", "sky")  # stems of words that begin otherwise: of dying, lying, tying, skies
_BEHIND, _BEFORE = ".,;:!?)]}\"'", "([{\"'"  # marks at the ends of a piece that are no part of a term


class Term(NamedTuple):
    """A token and the characters of the text from which it was read.

    kind: "word"; "pair" of characters; "bare": the word before it, without its accents; "identifier": the whole of one,
        whose parts have the same place; "compound".
    """

    token: str
    start: int
    end: int
    kind: Literal["word", "pair", "bare", "identifier", "compound"]


class Reading(NamedTuple):
    """A piece of text between white space.

    runs: per run of letters and digits its tokens, the whole of an identifier first, and its trigrams.
    """

    terms: tuple[Term, ...]
    runs: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


def words(text: str) -> list[str]:
    """Return the tokens of a text in their order, each as often as it occurs.

    >>> words("Chunks of max_length")
    ['chunk', 'of', 'max_length', 'max', 'length']
    >>> words("東京都 2024-05")
    ['東京', '京都', '2024-05', '2024', '05']
    """
    return [token for piece in text.split() for token in _entry(piece)[0].split()]


def terms(text: str) -> tuple[str, str]:
    """Return the tokens of a text and its trigrams, each separated by spaces: what `words` and `trigrams` give, in one pass.

    >>> terms("A cat, 東京")
    ('a cat 東京', '_a_ _ca cat at_')
    """
    pieces = [piece.rstrip(_BEHIND).lstrip(_BEFORE) for piece in text.split()]
    entries = [_kept_entry(piece) if len(piece) <= LONGEST_KEPT else _made_entry(piece) for piece in pieces]
    # A piece that holds no letter, as a dash, has neither.
    return " ".join([each[0] for each in entries if each[0]]), " ".join([each[1] for each in entries if each[1]])


def whole_name(name: str) -> str:
    """Return the token for a name of two to eight words, whatever stands between them; "" for any other text.

    >>> whole_name("Landlord letters"), whole_name("rent")
    ('landlord_letter', '')
    """
    found = [term.token for reading in readings(name) for term in reading.terms if term.kind in ("word", "pair")]
    return "_".join(found)[:LONGEST] if 2 <= len(found) <= LONGEST_NAME else ""


def trigrams(text: str) -> str:
    """Return the trigrams of a text's words, separated by spaces, each as often as it occurs.

    >>> trigrams("A cat, 東京")
    '_a_ _ca cat at_'
    """
    return terms(text)[1]


def readings(text: str) -> list[Reading]:
    """Return what each piece of a text between white space is read as, in order; pieces without a term are left out."""
    read = ((piece, _terms_of(piece)) for piece in text.split())
    return [Reading(found, tuple(_runs_of(piece))) for piece, found in read if found]


def spellings(text: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the tokens and the trigrams of every run of letters and digits, in the order of the text.

    >>> spellings("cats 東京")
    [(('cat',), ('_ca', 'cat', 'ats', 'ts_')), (('東京',), ())]
    """
    return list(_runs_of(text))


def spaceless(text: str) -> bool:
    """Say whether most letters of a text belong to scripts that are written without spaces; Hangul is not.

    >>> spaceless("東京都 2024"), spaceless("서울은 크다"), spaceless("Tokyo (東京)")
    (True, False, False)
    """
    count = sum(map(str.isalpha, text))
    return count > 0 and 2 * sum(map(len, WITHOUT_SPACES.findall(text))) > count


def spans(text: str) -> list[tuple[str, int, int]]:
    """Return the tokens in the order of the text: (token, start, end), read from the characters text[start:end].

    The parts of an identifier have the range of the whole identifier.
    """
    return [(term.token, term.start, term.end) for term in terms_in(text)]


def word_spans(text: str) -> list[tuple[str, int, int]]:
    """Return the `spans` of words and identifiers as they are written: without compounds, and without bare words."""
    return [(term.token, term.start, term.end) for term in terms_in(text) if term.kind not in ("compound", "bare")]


def terms_in(text: str) -> list[Term]:
    """Return the terms of a text with their places in it, ordered by where they begin."""
    found: list[Term] = []
    for piece in _PIECE.finditer(text):
        at = piece.start()
        found += [Term(token, at + start, at + end, kind) for token, start, end, kind in _terms_of(piece[0])]
    return found


def spans_among(text: str, tokens: Set[str]) -> list[tuple[str, int, int]]:
    """Return the `spans` whose token is one of `tokens`, ordered by place; of a single character all its places.

    Several times as fast as `spans` for a few tokens: only pieces that hold how a token may begin are read.
    """
    found = [
        (term.token, start + term.start, start + term.end)
        for start, end in _likely(text, tokens)
        if not tokens.isdisjoint(
            _entry(text[start:end])[0].split()
        )  # of more pieces this is remembered than their places
        for term in _terms_of(text[start:end])
        if term.token in tokens
    ]
    if single := {token for token in tokens if is_single(token)}:
        found = [span for span in found if span[0] not in single] + list(_characters(text, single))
    return sorted(found, key=lambda span: (span[1], span[0]))


def _likely(text: str, tokens: Set[str]) -> Iterator[tuple[int, int]]:
    """Yield where pieces begin and end that may give one of these tokens; pieces that are not ASCII may always.

    A stem and its word differ in the last letter of the stem at most (hope and hoping, happi and happy), `_IRREGULAR` ones apart.
    """
    small = text.lower()
    if len(small) != len(text):  # a capital whose small form is two characters
        yield from (piece.span() for piece in _PIECE.finditer(text))
        return
    pieces = _PIECE.finditer(text) if not text.isascii() else ()
    places = [piece.start() for piece in pieces if not piece[0].isascii()]
    # Slashes may be written backwards.
    begun = {
        (token.partition("/")[0] or token)[: 1 if token in _IRREGULAR else max(len(token) - 1, 1)]
        for token in tokens
        if token.isascii()
    }
    if begun:
        places += [found.start() for found in re.finditer("|".join(map(re.escape, sorted(begun))), small)]
    last = 0
    for place in sorted(places):
        if place >= last:
            while place > last and not text[place - 1].isspace():
                place -= 1
            space = _SPACE.search(text, place)
            last = space.start() if space else len(text)
            yield place, last


def _characters(text: str, wanted: Set[str]) -> Iterator[tuple[str, int, int]]:
    for run in PAIRED_RUN.finditer(text):
        yield from (letter for letter in letters(run[0], run.start()) if letter[0] in wanted)


def _entry(piece: str) -> tuple[str, str]:
    """Return the tokens of a piece and its trigrams, each separated by spaces, as the index takes them."""
    piece = piece.rstrip(_BEHIND).lstrip(_BEFORE)  # so that fewer pieces differ
    return _kept_entry(piece) if len(piece) <= LONGEST_KEPT else _made_entry(piece)


def _made_entry(piece: str) -> tuple[str, str]:
    if piece.isascii() and piece.isalnum():  # most pieces are one run
        (_, tokens, trigrams) = _run(piece[:READ_OF_A_RUN])
        return " ".join(tokens), " ".join(trigrams)
    return (
        " ".join(term.token for term in _read(piece)),
        " ".join(trigram for _, trigrams in _runs_of(piece) for trigram in trigrams),
    )


_kept_entry = lru_cache(REMEMBERED)(_made_entry)


def _terms_of(piece: str) -> tuple[Term, ...]:
    return _read(piece) if len(piece) > LONGEST_KEPT else _kept(piece)


def _read(piece: str) -> tuple[Term, ...]:
    """Return the terms of a piece, ordered by where they begin; what holds others before them."""
    found: list[Term] = []
    wholes: list[Term] = []
    for part, at in parted_times(piece):
        units: list[Unit] = []
        for run in RUN.finditer(part):
            start, end = at + run.start(), at + run.end()
            if run[0].isascii():
                units.append(unit(part, run[0], run.start()))
                found += _of_unit(units[-1], start, end)
            elif is_paired(run[0]):
                found += (Term(*each, "pair") for each in pairs(run[0], start))
            elif is_symbol(run[0]):
                found.append(Term(run[0], start, end, "word"))
            else:
                units.append(unit(part, run[0], run.start()))
                found += _of_unit(units[-1], start, end)
        wholes += (Term(each.token, at + each.start, at + each.end, "compound") for each in compounds(part, units))
    return tuple(sorted([*wholes, *found], key=_start) if wholes else found)


def _start(term: Term) -> int:
    return term.start


_kept = lru_cache(SPANS_REMEMBERED)(_read)


def _of_unit(read: Unit, start: int, end: int) -> Iterator[Term]:
    """Yield the terms of a run of letters and digits. The C of C++ is none: it is another name."""
    whole, inner = _run(read.text[:READ_OF_A_RUN])[0]
    if whole:
        yield Term(whole, start, end, "identifier")
    for token, bare in inner:
        if len(token) > 1 or not read.suffix:
            yield Term(token, start, end, "word")
            if bare:
                yield Term(bare, start, end, "bare")


def _runs_of(text: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    for run in RUN.findall(text):
        if is_paired(run):
            yield tuple(token for token, _, _ in pairs(run, 0)), ()
        elif not is_symbol(run):
            yield _run(run[:READ_OF_A_RUN])[1:]


@lru_cache(REMEMBERED)
def _run(run: str) -> tuple[Identifier, tuple[str, ...], tuple[str, ...]]:
    """Return what a run of letters and digits is read as, its tokens, and the trigrams of its unstemmed words."""
    read = identifier(run)
    tokens = ([read.whole] if read.whole else []) + [token for token, _ in read.words]
    marked = [f"{EDGE}{word}{EDGE}" for word in folded(OPTIONAL_MARK.sub("", run).strip("_"))]
    trigrams = tuple(word[at : at + TRIGRAM] for word in marked for at in range(len(word) - TRIGRAM + 1))
    return read, tuple(tokens), trigrams
