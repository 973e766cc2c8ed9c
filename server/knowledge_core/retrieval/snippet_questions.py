"""Pseudo-questions: snippets of a collection's own texts, to measure whether the model finds the texts again. Pure.

A snippet is long enough to say something, and so small a part of its text that a model must have understood the text to
find it. Six words instead of twelve separate the languages that a model reads from the others less clearly.
"""

from __future__ import annotations

import math

from knowledge_core.language.wording import spaceless

WORDS = 12  # consecutive words of a snippet, at most
WORDS_OF = 60  # words at the beginning of a text from which it is taken
LETTERS = 24  # of a snippet, at most, in scripts without spaces between words
LETTERS_OF = 120  # letters at the beginning of such a text from which it is taken
# A snippet is at most a fifth of its text: a larger part is found again by its surface form, even by a model that cannot
# read the language (mean reciprocal rank with half and with a fifth: Chinese sentences of 40 letters .87 and .57, English
# ones of 21 words .998 and .87).
SHARE = 5
FEWEST_WORDS = 3  # of a snippet, however short its text
FEWEST_LETTERS = 6  # the same in scripts without spaces
AMONG = 50  # texts that a rank is counted among, so that it means the same in small and in large collections


def expected_reciprocal_rank(better: int, others: int) -> float:
    """Return the expected 1 / rank of a text among `AMONG` texts: itself and a random draw of the others.

    better: how many of the others rank before it. Closed form of the mean of 1 / (1 + X), X hypergeometric.

    >>> expected_reciprocal_rank(0, 1_000), round(expected_reciprocal_rank(500, 1_000), 3)
    (1.0, 0.04)
    >>> round(expected_reciprocal_rank(3, 10), 3)
    0.25
    """
    drawn = min(AMONG - 1, others)
    missed = math.comb(others - better, drawn + 1) / math.comb(others, drawn)
    return ((others + 1) / (drawn + 1) - missed) / (better + 1)


def snippet_question(text: str, digest: str) -> str:
    """Return a snippet of a text; the text's digest (hex) decides which.

    >>> snippet_question("one two three four five six", "00")
    'one two three'
    >>> snippet_question("one two three four five six", "02")
    'three four five'
    """
    at = int(digest, 16)
    beginning = text[:LETTERS_OF]
    if spaceless(beginning):
        return beginning[_cut(len(beginning), FEWEST_LETTERS, LETTERS, at)]
    words = text.split()[:WORDS_OF]
    return " ".join(words[_cut(len(words), FEWEST_WORDS, WORDS, at)])


def _cut(length: int, fewest: int, most: int, at: int) -> slice:
    """Return a slice of a fifth of all items, from `fewest` to `most`, at most half and at least one; `at` says where."""
    size = min(max(length // SHARE, fewest), most, max(length // 2, 1))
    start = at % (max(length - size, 0) + 1)
    return slice(start, start + size)
