"""What a query asks of the lexical index: its terms, and how much each may add to a score. Pure.

A score is the sum of what a chunk's terms add, each up to its weight; the weights sum to at most 1, so that 1 is a
bound that no chunk exceeds, and a score means the same whatever the query, the collection or its size:
- every word weighs by its rarity, words that stand nowhere included, and all words together `WORDS_SHARE`;
- a word that hardly anything holds is looked for by its letters, too: it may be misspelt, or stand in another form.
  Its trigrams together weigh what the word does, the less the more chunks hold the word as it is.

Several collections that are asked together are weighed together: by the rarity in all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from knowledge_core.language.wording import spellings

Field = Literal["words", "trigrams"]

# docs/decisions/fusion.md has the measurements behind these five.
WORDS_SHARE = 0.6  # of a score; the rest is the trigrams'
SPELT_UP_TO = 30  # chunks that hold a word; beyond, its letters are not asked for: the collection knows it well enough
LEAST_SPELT = 1 / 3  # of a word's trigrams that a chunk must hold: what is left of six letters after two were swapped
LEAST_TRIGRAMS = 2
COMMON = (50, 0.3)  # a trigram in more chunks than this, and in more than this share of them, tells nothing

QUERY_WORDS = 1_024  # different words of one query; a text given as query is cut there
QUERY_SPELT = 32  # words of one query that are looked for by their letters, the rarest


@dataclass(frozen=True)
class Spelling:
    """A word by its letters: what each trigram adds at most, and how many a chunk must hold for any to count."""

    trigrams: Mapping[str, float]
    least: int


@dataclass(frozen=True)
class LexicalQuery:
    """What each word adds to a score at most, and the words that are looked for by their letters. Sums to 1 at most."""

    words: Mapping[str, float]
    spellings: Sequence[Spelling] = ()


class Counting(Protocol):
    """What knows how often terms occur: one collection's lexical index."""

    @property
    def entries(self) -> int:
        """Return how many entries there are; those that were removed may count."""
        ...

    def frequencies(self, field: Field, terms: Iterable[str]) -> list[int]:
        """Return in how many entries each term stands, in the order of the terms."""
        ...


def rarity(entries: int, having: int) -> float:
    """Return BM25's inverse document frequency of a term that `having` of `entries` hold.

    >>> round(rarity(1_000, 10), 2), round(rarity(1_000, 0), 2)
    (4.56, 7.6)
    """
    return math.log1p((max(entries - having, 0) + 0.5) / (having + 0.5))


def weighed(query: str, over: Sequence[Counting]) -> LexicalQuery:
    """Return what a query asks of these collections together. Any text is a query; one without words asks nothing.

    A word that is there n times counts sqrt(n) times. nDCG@10 with once, sqrt(n) and n: .470 .478 .478 on adi, .693
    .698 .698 on scifact, .431 .410 .380 on nl2bash (benchmark sets of questions; the rest differ by less).
    """
    runs = Counter(spellings(query))
    counted: Counter[str] = Counter()
    for (tokens, _), times in runs.items():
        for token in tokens:
            counted[token] += times
    chosen = dict(counted.most_common(QUERY_WORDS))
    entries = sum(each.entries for each in over)
    having = _frequencies(over, "words", chosen)
    masses = {token: math.sqrt(times) * rarity(entries, having[token]) for token, times in chosen.items()}
    whole = math.fsum(masses.values())
    if not entries or not whole:
        return LexicalQuery({})
    words = {token: WORDS_SHARE * mass / whole for token, mass in masses.items()}
    spelt: list[tuple[int, Sequence[str], float]] = []
    for (tokens, letters), times in runs.items():
        known = max((having.get(token, entries) for token in tokens), default=entries)
        if letters and known <= SPELT_UP_TO:
            # Of several spellings of one word (cat, cats) each has its part of the word's mass.
            mass = masses[tokens[0]] * times / chosen[tokens[0]] / math.sqrt(1 + known)
            spelt.append((known, letters, (1.0 - WORDS_SHARE) * mass / whole))
    spelt.sort(key=lambda each: each[0])  # the rarest first; equals as they stand in the query
    return LexicalQuery(words, _spelt(spelt[:QUERY_SPELT], over, entries))


def _spelt(
    rare: Sequence[tuple[int, Sequence[str], float]], over: Sequence[Counting], entries: int
) -> tuple[Spelling, ...]:
    """Return the spellings of rare words, each (in how many chunks, trigrams, weight); weights split by rarity."""
    having = _frequencies(over, "trigrams", dict.fromkeys(each for _, letters, _ in rare for each in letters))
    most, share = COMMON
    found = []
    for _, letters, weight in rare:
        telling = {
            trigram: math.sqrt(times) * rarity(entries, having[trigram])
            for trigram, times in Counter(letters).items()
            if having[trigram] <= max(most, share * entries)
        }
        least = min(len(telling), max(LEAST_TRIGRAMS, math.ceil(LEAST_SPELT * len(telling))))
        if sum(having[trigram] > 0 for trigram in telling) >= least > 0:
            whole = math.fsum(telling.values())
            found.append(Spelling({trigram: weight * mass / whole for trigram, mass in telling.items()}, least))
    return tuple(found)


def _frequencies(over: Sequence[Counting], field: Field, terms: Mapping[str, object]) -> Counter[str]:
    found: Counter[str] = Counter(dict.fromkeys(terms, 0))
    for each in over:
        for term, having in zip(terms, each.frequencies(field, terms), strict=True):
            found[term] += having
    return found
