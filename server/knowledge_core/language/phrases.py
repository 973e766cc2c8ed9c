"""Phrases: words of a query in quotation marks, and whether a text has them together. Pure.

Any pair of quotation marks that languages use counts: straight and curly ones, guillemets, low ones, corner brackets.
Apostrophes are none. A phrase is found whatever its case, and whatever white space and marks that end no sentence
stand between its words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from knowledge_core.language.runs import RUN, is_paired
from knowledge_core.language.wording import Reading, readings

MOST_PHRASES = 8  # of one query
LONGEST_PHRASE = 200  # characters; more in quotation marks is a passage, whose words count as they do elsewhere

_QUOTED = re.compile(
    r"\"([^\"\n]{3,400})\"|[\u201c\u201e\u201f]([^\u201c\u201d\u201e\u201f\n]{2,400})[\u201c\u201d]"
    r"|\u00ab([^\u00ab\u00bb\n]{2,400})\u00bb|\u00bb([^\u00ab\u00bb\n]{2,400})\u00ab"
    r"|\u300c([^\u300c\u300d\n]{2,400})\u300d|\u300e([^\u300e\u300f\n]{2,400})\u300f"
)


class Quoted(NamedTuple):
    """A phrase of a query. text: what stands in the quotation marks. words: the tokens that a chunk with it holds."""

    text: str
    words: tuple[str, ...]


def phrases_of(query: str) -> list[Quoted]:
    """Return the phrases of a query, each once, as they come: of two words, or of three characters written without spaces.

    >>> phrases_of('who said "half tide" and "ebb"?')
    [Quoted(text='half tide', words=('half', 'tide'))]
    """
    found: dict[str, Quoted] = {}
    for quoted in _QUOTED.finditer(query):
        text = next(group for group in quoted.groups() if group is not None).strip()
        words = tuple(dict.fromkeys(token for reading in readings(text) for token in _needed(reading)))
        if len(words) > 1 and len(text) <= LONGEST_PHRASE:
            found.setdefault(text, Quoted(text, words))
    return list(found.values())[:MOST_PHRASES]


def _needed(reading: Reading) -> list[str]:
    """Return the tokens that a text with this piece of a phrase holds: its words, and of C++ the whole."""
    single = [term.token for term in reading.terms if term.kind in ("word", "pair")]
    return single or [reading.terms[0].token]


def quoted_ranges(query: str) -> list[tuple[int, int]]:
    """Return where the query's quotation marks begin and end, in order."""
    return [found.span() for found in _QUOTED.finditer(query)]


def having(phrase: str) -> Callable[[str], bool]:
    """Return what says whether a text has the words of a phrase together, in their order.

    >>> having("half tide")("At half-\\n tide it opens."), having("half tide")("tide, half")
    (True, False)
    """
    plain = _plain(phrase)
    found = list(RUN.finditer(plain))
    runs = [run[0] for run in found]
    between = ["", *(plain[one.end() : other.start()] for one, other in pairwise(found))]
    parts = map(_part, ["", *runs], runs, between)
    pattern = re.compile("".join([_edge(runs[0], "(?<!"), *parts, _edge(runs[-1], "(?!")]))
    return lambda text: pattern.search(_plain(text)) is not None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _part(before: str, run: str, between: str) -> str:
    """Return the pattern of a run of a phrase, with what may stand between it and the one before; "" before the first.

    between: what stands there in the phrase. Where that is white space alone, no sentence may end there in a text.
    """
    spaced = r"\s*".join(map(re.escape, run)) if is_paired(run) else re.escape(run)
    if not before:
        return spaced
    any_mark = r"[\W_]" if between.strip() else r"[^\w.!?;:]"
    return f"{any_mark}{'*' if is_paired(before) or is_paired(run) else '+'}{spaced}"


def _edge(run: str, look: str) -> str:
    """Return what must not stand beside the end of a phrase: a letter, or a hyphen that joins one."""
    if is_paired(run):
        return ""
    return r"(?<!\w)(?<!\w[-\u2010\u2011])" if look == "(?<!" else r"(?!\w|[-\u2010\u2011]\w)"
