"""A query to the lexical index: its terms, and how much each may add to a score at most. Pure.

A chunk's score is the sum of what its terms add, each up to the term's weight. The weights sum to at most 1, so that no
score exceeds 1 and a score means the same whatever the query, the collection or its size:
- every word weighs by its rarity, also one that no chunk holds; all words together weigh `WORDS_SHARE`;
- a word that few chunks hold is searched for by its trigrams, too: it may be misspelt, or the chunks may have another form.
  Its trigrams together weigh as much as the word, and less the more chunks hold the word itself.

Collections that are searched together are weighed together, by the rarity in all of them.
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
WORDS_SHARE = 0.6  # of a score; the rest is for trigrams
SPELT_UP_TO = (
    30  # chunks that hold a word; a word in more of them is common here, and its trigrams are not searched for
)
LEAST_SPELT = 1 / 3  # of a word's trigrams that a chunk must hold: what is left of six letters after two were swapped
LEAST_TRIGRAMS = 2  # that a chunk must hold in any case
COMMON = (50, 0.3)  # a trigram in more chunks than this, and in more than this share of them, is left out

QUERY_WORDS = 1_024  # different words of one query; of a longer text the most frequent ones
QUERY_SPELT = 32  # words of one query that are searched for by trigrams, the rarest


@dataclass(frozen=True)
class Spelling:
    """A word by its trigrams: what each adds at most, and how many of them a chunk must hold for any to count."""

    trigrams: Mapping[str, float]
    least: int


@dataclass(frozen=True)
class LexicalQuery:
    """What each word adds to a score at most, and the words that are searched for by trigrams. Sums to 1 at most."""

    words: Mapping[str, float]
    spellings: Sequence[Spelling] = ()


class Counting(Protocol):
    """Knows how many entries hold a term: one collection's lexical index."""

    @property
    def entries(self) -> int:
        """Return the number of entries; removed ones may still be counted."""
        ...

    def frequencies(self, field: Field, terms: Iterable[str]) -> list[int]:
        """Return for each term how many entries hold it, in the order of the terms."""
        ...


def rarity(entries: int, having: int) -> float:
    """Return BM25's inverse document frequency of a term that `having` of all `entries` hold.

    >>> round(rarity(1_000, 10), 2), round(rarity(1_000, 0), 2)
    (4.56, 7.6)
    """
    return math.log1p((max(entries - having, 0) + 0.5) / (having + 0.5))


def weighed(query: str, over: Sequence[Counting]) -> LexicalQuery:
    """Return the lexical query of a text, weighed over these collections together; a text without words finds nothing.

    A word that the text holds n times counts sqrt(n) times. nDCG@10 with 1, sqrt(n) and n: .470 .478 .478 on adi, .693
    .698 .698 on scifact, .431 .410 .380 on nl2bash (benchmark sets of questions; the others differ by less).
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
            # Several spellings of one stem (cat, cats) share its mass.
            mass = masses[tokens[0]] * times / chosen[tokens[0]] / math.sqrt(1 + known)
            spelt.append((known, letters, (1.0 - WORDS_SHARE) * mass / whole))
    spelt.sort(key=lambda each: each[0])  # the rarest first; equals as they stand in the query
    return LexicalQuery(words, _spelt(spelt[:QUERY_SPELT], over, entries))


def _spelt(
    rare: Sequence[tuple[int, Sequence[str], float]], over: Sequence[Counting], entries: int
) -> tuple[Spelling, ...]:
    """Return the spellings of rare words: each word's weight is split over its trigrams by their rarity.

    rare: per word, how many chunks hold it, its trigrams, its weight.
    """
    having = _frequencies(over, "trigrams", dict.fromkeys(each for _, letters, _ in rare for each in letters))
    most, share = COMMON
    found = []
    for _, letters, weight in rare:
        informative = {
            trigram: math.sqrt(times) * rarity(entries, having[trigram])
            for trigram, times in Counter(letters).items()
            if having[trigram] <= max(most, share * entries)
        }
        least = min(len(informative), max(LEAST_TRIGRAMS, math.ceil(LEAST_SPELT * len(informative))))
        if sum(having[trigram] > 0 for trigram in informative) >= least > 0:
            whole = math.fsum(informative.values())
            found.append(Spelling({trigram: weight * mass / whole for trigram, mass in informative.items()}, least))
    return tuple(found)


def _frequencies(over: Sequence[Counting], field: Field, terms: Mapping[str, object]) -> Counter[str]:
    found: Counter[str] = Counter(dict.fromkeys(terms, 0))
    for each in over:
        for term, having in zip(terms, each.frequencies(field, terms), strict=True):
            found[term] += having
    return found
