"""A query to the lexical index: its terms, and how much each may add to a score at most. Pure.

A chunk's score is the sum of what its terms add, each up to the term's weight. The weights sum to at most 1, so that no
score exceeds 1 and a score means the same whatever the query, the collection or its size. (Names may add more; a score is cut
at 1.)
- every word weighs by its rarity, also one that no chunk holds; all words together weigh `WORDS_SHARE`;
- what is written as one (a compound, an identifier) weighs by its own rarity, where a chunk holds it, and adds most of that
  wherever it stands, however long the chunk; its parts together weigh as one word then;
- a word with accents and the same word without them share the weight of one word;
- a phrase in quotation marks weighs as its words together;
- a word in the name that a chunk of code defines counts again, by a part of its weight; where the query is the name of a file or
  folder, all its words count again together;
- a word that few chunks hold is searched for by its trigrams, too: it may be misspelt, or the chunks may have another form.
  Its trigrams together weigh as much as the word, and less the more chunks hold the word itself.

Collections that are searched together are weighed together, by the rarity in all of them.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from knowledge_core.language.phrases import phrases_of
from knowledge_core.language.wording import Reading, Term, readings, whole_name

Field = Literal["words", "trigrams", "defined"]

# docs/decisions/fusion.md has the measurements behind these five.
WORDS_SHARE = 0.6  # of a score; the rest is for trigrams
SPELT_UP_TO = (
    30  # chunks that hold a word; a word in more of them is common here, and its trigrams are not searched for
)
LEAST_SPELT = 1 / 3  # of a word's trigrams that a chunk must hold: what is left of six letters after two were swapped
LEAST_TRIGRAMS = 2  # that a chunk must hold in any case
COMMON = (50, 0.3)  # a trigram in more chunks than this, and in more than this share of them, is left out

DEFINED_SHARE = 0.4  # of a word's weight that it adds again where it stands in the name that a chunk defines
# A compound that counts as words do, by how often it stands in a chunk of which length. nDCG@10 where it adds most of its weight
# wherever it stands, and as a word: cranfield .481 and .482 (by words alone .424 and .429), hotpotqa_small .843 and .843.
HYPHENATED = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+\Z")
MOST_REPEATED = (
    2.0  # words that a repeated one counts for at most: the frames of a stack trace would outweigh what happened
)
BARE_SHARE = 0.5  # of an accented word's weight that the word without accents has

QUERY_WORDS = 1_024  # different words of one query; of a longer text see `kept_words`
QUERY_SPELT = 32  # words of one query that are searched for by trigrams, the rarest


@dataclass(frozen=True)
class Spelling:
    """A word by its trigrams: what each adds at most, and how many of them a chunk must hold for any to count.

    word: as the index holds it, for people.
    """

    trigrams: Mapping[str, float]
    least: int
    word: str = ""


class Phrase(NamedTuple):
    """Words that stand together. text: as the query has it. words: the tokens that a chunk with it must hold."""

    text: str
    words: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class LexicalQuery:
    """What each term adds to a score at most. Sums to 1 at most.

    words: each adds by how often it stands in a chunk of which length.
    spellings: words that are searched for by trigrams.
    wholes: what is written as one; each adds a part of its weight wherever it stands, the rest as words do.
    defined: words in the name that a chunk defines; each adds its weight wherever it stands.
    phrases: see `Phrase`.
    """

    words: Mapping[str, float]
    spellings: Sequence[Spelling] = ()
    wholes: Mapping[str, float] = field(default_factory=dict)
    defined: Mapping[str, float] = field(default_factory=dict)
    phrases: Sequence[Phrase] = ()


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
    entries = sum(each.entries for each in over)
    if not entries:
        return LexicalQuery({})
    read = Counter(readings(query))
    counted: Counter[str] = Counter()
    for reading, times in read.items():
        for term in reading.terms:
            counted[term.token] += times
    chosen = kept_words(counted)
    having = _frequencies(over, "words", chosen)
    rarities = {token: rarity(entries, having[token]) for token in chosen}
    words: dict[str, float] = defaultdict(float)
    wholes: dict[str, float] = defaultdict(float)
    for reading, times in read.items():
        if len(reading.terms) > 1:
            _weigh(reading.terms, times, having, rarities, words, wholes)
        elif (token := reading.terms[0].token) in chosen:
            words[token] += times * rarities[token]
    masses = {token: mass * _repeated(chosen[token]) for token, mass in words.items()}
    own = {token: mass * _repeated(chosen[token]) for token, mass in wholes.items()}
    quoted = [(phrase, math.fsum(masses.get(word, 0.0) for word in set(phrase.words))) for phrase in phrases_of(query)]
    mass = math.fsum([*masses.values(), *own.values(), *(each for _, each in quoted)])
    if not mass:
        return LexicalQuery({})
    scale = WORDS_SHARE / mass
    return LexicalQuery(
        words={token: scale * each for token, each in masses.items()},
        spellings=_spellings(read, chosen, having, rarities, mass, over, entries),
        wholes={token: scale * each for token, each in own.items()},
        defined=_defined(query, masses | own, scale),
        phrases=[Phrase(phrase.text, phrase.words, scale * each) for phrase, each in quoted if each],
    )


def _defined(query: str, masses: Mapping[str, float], scale: float) -> dict[str, float]:
    """Return what each word adds where it is in a name that code defines, and all of them where they are a file's name."""
    defined = {token: DEFINED_SHARE * scale * each for token, each in masses.items()}
    if whole := whole_name(query):
        defined[whole] = scale * math.fsum(masses.values())
    return defined


def _repeated(times: int) -> float:
    """Return what a word that comes so often weighs per time: sqrt(times) words in all, and MOST_REPEATED at most."""
    return min(math.sqrt(times), MOST_REPEATED) / times


def kept_words(counted: Counter[str]) -> dict[str, int]:
    """Return the `QUERY_WORDS` words of a query that are searched for, and how often each comes.

    The most frequent ones; of those that come as often those nearest to its beginning or its end, where a pasted log or stack
    trace says what happened. counted: in the order of the query.
    """
    if len(counted) <= QUERY_WORDS:
        return dict(counted)
    words, last = list(counted), len(counted) - 1
    first = sorted(range(len(words)), key=lambda at: (-counted[words[at]], min(at, last - at)))[:QUERY_WORDS]
    return {words[at]: counted[words[at]] for at in sorted(first)}


def _weigh(
    terms: Sequence[Term],
    times: int,
    having: Mapping[str, int],
    rarities: Mapping[str, float],
    words: dict[str, float],
    wholes: dict[str, float],
) -> None:
    """Add what the terms of a piece of the query weigh to `words` and `wholes`. Terms that are not chosen weigh nothing."""
    known = [each for each in terms if each.kind in ("compound", "identifier") and having.get(each.token)]
    known.sort(key=lambda each: (each.start - each.end, each.start))  # the longest first
    outer: list[Term] = []
    for each in known:
        if not any(_touch(each, other) for other in outer):
            outer.append(each)
            (words if HYPHENATED.match(each.token) else wholes)[each.token] += times * rarities[each.token]
    single = list(_of_words(terms, having, rarities))
    inner = [(each, rarities[each.token]) for each in known if each not in outer]
    for top in outer:
        inside = [(term, mass) for term, mass in single if _touch(term, top)]
        within = [(term, mass) for term, mass in inner if _touch(term, top)]
        together = math.fsum(mass for _, mass in [*inside, *within])
        share = max((mass for _, mass in inside), default=0.0) / together if together else 0.0
        for term, mass in inside:
            words[term.token] += times * mass * share
        for term, mass in within:
            wholes[term.token] += times * mass * share
    for term, mass in single:
        if not any(_touch(term, top) for top in outer):
            words[term.token] += times * mass


def _touch(one: Term, other: Term) -> bool:
    return one.start < other.end and other.start < one.end


def _of_words(
    terms: Sequence[Term], having: Mapping[str, int], rarities: Mapping[str, float]
) -> Iterator[tuple[Term, float]]:
    """Yield the single words of a piece with their weights; a word with accents shares its own with its bare form."""
    for at, term in enumerate(terms):
        if term.kind not in ("word", "pair") or term.token not in rarities:
            continue
        bare = terms[at + 1] if at + 1 < len(terms) and terms[at + 1].kind == "bare" else None
        if bare is None or not having.get(bare.token):
            yield term, rarities[term.token]
        elif not having[term.token]:
            yield bare, rarities[bare.token]
        else:
            yield term, (1.0 - BARE_SHARE) * rarities[term.token]
            yield bare, BARE_SHARE * rarities[bare.token]


def _spellings(
    read: Mapping[Reading, int],
    chosen: Mapping[str, int],
    having: Mapping[str, int],
    rarities: Mapping[str, float],
    mass: float,
    over: Sequence[Counting],
    entries: int,
) -> tuple[Spelling, ...]:
    """Return the words that are searched for by their letters. mass: of all terms of the query."""
    spelt: list[_Rare] = []
    runs: Counter[tuple[tuple[str, ...], tuple[str, ...]]] = Counter()
    for reading, times in read.items():
        for run in reading.runs:
            runs[run] += times
    for (tokens, letters), times in runs.items():
        known = max((having.get(token, entries) for token in tokens), default=entries)
        if letters and known <= SPELT_UP_TO and tokens[0] in chosen:  # the C of C++ is no word
            # Several spellings of one stem (cat, cats) share its mass.
            weight = times * _repeated(chosen[tokens[0]]) * rarities[tokens[0]] / math.sqrt(1 + known)
            spelt.append(_Rare(tokens[0], known, letters, weight))
    spelt.sort(key=lambda each: each.known)  # the rarest first; equals as they stand in the query
    rarest = spelt[:QUERY_SPELT]
    # A word that is part of something known weighs less than its letters would: then they are scaled to what there is.
    scale = (1.0 - WORDS_SHARE) / max(mass, math.fsum(each.weight for each in rarest))
    return _spelt([each._replace(weight=scale * each.weight) for each in rarest], over, entries)


class _Rare(NamedTuple):
    """A word of the query that few chunks hold: how many, its trigrams, what these weigh together."""

    word: str
    known: int
    letters: Sequence[str]
    weight: float


def _spelt(rare: Sequence[_Rare], over: Sequence[Counting], entries: int) -> tuple[Spelling, ...]:
    """Return the spellings of rare words: each word's weight is split over its trigrams by their rarity."""
    having = _frequencies(over, "trigrams", dict.fromkeys(letter for each in rare for letter in each.letters))
    most, share = COMMON
    found = []
    for word, _, letters, weight in rare:
        informative = {
            trigram: math.sqrt(times) * rarity(entries, having[trigram])
            for trigram, times in Counter(letters).items()
            if having[trigram] <= max(most, share * entries)
        }
        least = min(len(informative), max(LEAST_TRIGRAMS, math.ceil(LEAST_SPELT * len(informative))))
        if sum(having[trigram] > 0 for trigram in informative) >= least > 0:
            whole = math.fsum(informative.values())
            weights = {trigram: weight * mass / whole for trigram, mass in informative.items()}
            found.append(Spelling(weights, least, word))
    return tuple(found)


def _frequencies(over: Sequence[Counting], field: Field, terms: Mapping[str, object]) -> Counter[str]:
    found: Counter[str] = Counter(dict.fromkeys(terms, 0))
    for each in over:
        for term, having in zip(terms, each.frequencies(field, terms), strict=True):
            found[term] += having
    return found
