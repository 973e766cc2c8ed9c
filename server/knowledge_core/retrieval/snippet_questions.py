"""Questions that nobody asked: snippets of a collection's own texts, to see whether the model finds these again. Pure.

A snippet is long enough to say something, and a part so small that a model must have understood the text to find it.
Six words instead of twelve tell the languages that a model reads from those that it does not less clearly.
"""

from __future__ import annotations

import math

from knowledge_core.language.wording import spaceless

WORDS, WORDS_OF = 12, 60  # consecutive words, out of so many at the beginning
LETTERS, LETTERS_OF = 24, 120  # where no spaces part the words
# Of shorter texts a snippet is as small a part, for a large part of a text is found again by its look alone: Chinese
# sentences of 40 letters by .87 with half of them, .57 with a fifth; English ones of 21 words by .998 and .87.
SHARE = 5
FEWEST_WORDS, FEWEST_LETTERS = 3, 6
AMONG = 50  # texts; a rank means the same in small and in large collections when it is one among as many


def expected_reciprocal_rank(better: int, others: int) -> float:
    """Return what 1 / rank of a text is on average among `AMONG` texts, itself and a random draw of the others.

    better: how many of the others are found before it. Closed form of the mean of 1 / (1 + X), X hypergeometric.

    >>> expected_reciprocal_rank(0, 1_000), round(expected_reciprocal_rank(500, 1_000), 3)
    (1.0, 0.04)
    >>> round(expected_reciprocal_rank(3, 10), 3)
    0.25
    """
    drawn = min(AMONG - 1, others)
    missed = math.comb(others - better, drawn + 1) / math.comb(others, drawn)
    return ((others + 1) / (drawn + 1) - missed) / (better + 1)


def snippet_question(text: str, digest: str) -> str:
    """Return a part of a text; which part, its digest (hex) decides.

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
    """Return a place of a fifth of all items, within bounds; never of more than half, and of one at least."""
    size = min(max(length // SHARE, fewest), most, max(length // 2, 1))
    start = at % (max(length - size, 0) + 1)
    return slice(start, start + size)
