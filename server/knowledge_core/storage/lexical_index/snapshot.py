"""One generation of the words, to search in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import tantivy

from knowledge_core.language.lexical_query import Field, LexicalQuery, rarity
from knowledge_core.language.runs import is_single
from knowledge_core.storage.sorted_keys import among

Numbers = npt.NDArray[np.int64]
Hits = list[tuple[int, float]]

ANALYSER = "spaces"  # what Tantivy does: our tokens come to it with spaces between them
SATURATED = 2.2  # k1 + 1: in Tantivy's BM25 (k1 1.2, b 0.75) the score of a term stays below its rarity times this
# Two ways to filter: (a) add the allowed numbers to the query; (b) over-fetch and drop the rest. (a) costs about n² for n
# allowed numbers, so it is used while n² <= NUMBERS_IN_QUERY * limit * entries. Processor ms for 100 hits:
#   100,000 entries:   500 allowed: (a) 11, (b) 33    1,000: 14, 16    2,000: 17, 14
#   1,000,000 entries: 2,000 allowed: (a) 38, (b) 98    5,000: 89, 71
NUMBERS_IN_QUERY = 0.16
# A word in the name that a chunk defines, and the whole name of its file, are tokens of the field "words" behind this mark, which
# no word begins with. A field of their own would be another schema, which the indexes of earlier versions do not have.
DEFINES = "="
PRESENT_SHARE = 0.75  # of the weight of what is written as one, that it adds wherever it stands; the rest as words do
KNOWN = 4_096  # frequencies that a snapshot remembers: a search asks three times for each
BEYOND = 8  # hits asked for beyond the limit, to see where a tie at the cut ends


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("number", indexed=True, fast=True)
    for name in ("words", "trigrams"):
        builder.add_text_field(name, tokenizer_name=ANALYSER, index_option="freq")
    return builder.build()


SCHEMA = _schema()


@dataclass(frozen=True)
class LexicalSnapshot:
    """One generation of the words, for as long as someone holds it. Implements `lexical_query.Counting`.

    entries: how many Tantivy's statistics count: removed ones that it has not merged away yet are among them.
    """

    generation: int
    entries: int
    _searcher: tantivy.Searcher
    _known: dict[tuple[Field, str], int] = field(default_factory=dict)  # frequencies that were asked for

    def search(
        self,
        query: LexicalQuery,
        limit: int,
        allowed: Numbers | None = None,
        phrases: Sequence[tuple[float, Sequence[int]]] = (),
    ) -> Hits:
        """Return the chunks that hold something of the query, as (number, score 0..1), best first, ties by number.

        allowed: (n,) ascending numbers to choose from, before the cut; None allows all.
        phrases: what each phrase of the query adds, and the chunks that have it.
        Of those that tie at the cut the lower numbers are returned.
        Lengths and rarities count removed entries until Tantivy merges them away, so an index that was rebuilt may
        score, and rank near ties, a little differently.
        """
        total = self.count()
        anything = self._any_of(query, phrases)
        if limit < 1 or anything is None or not total or (allowed is not None and not len(allowed)):
            return []
        if allowed is None or len(allowed) ** 2 > NUMBERS_IN_QUERY * limit * total:
            share = 1.0 if allowed is None else len(allowed) / total
            return self._best(anything, limit, int(1.2 * limit / min(share, 1.0)) + BEYOND, allowed)
        chosen = tantivy.Query.term_set_query(SCHEMA, "number", allowed.tolist())
        must = tantivy.Occur.Must
        both = tantivy.Query.boolean_query([(must, anything), (must, tantivy.Query.const_score_query(chosen, 0.0))])
        return self._best(both, limit, limit + BEYOND, None)

    def holding(self, words: Sequence[str], limit: int) -> list[int]:
        """Return up to `limit` chunks that hold all of these words, those first that hold them most often."""
        must = tantivy.Occur.Must
        every = tantivy.Query.boolean_query([(must, _term("words", word)) for word in words])
        found = self._searcher.search(every, min(limit, self.count()), count=False).hits if self.count() else []
        numbers = np.array(self._searcher.fast_field_values("number", [at for _, at in found]), np.int64)
        return [int(number) for number in numbers]

    def _any_of(self, query: LexicalQuery, phrases: Sequence[tuple[float, Sequence[int]]]) -> tantivy.Query | None:
        """Return the query for any of the terms; None if nothing here can match."""
        should = tantivy.Occur.Should
        clauses = [(should, term) for term in self._counted("words", query.words)]
        clauses += [(should, term) for term in self._present("words", query.wholes, PRESENT_SHARE)]
        clauses += [(should, term) for term in self._counted("words", query.wholes, 1.0 - PRESENT_SHARE)]
        clauses += [(should, term) for term in self._present("defined", query.defined)]
        for spelling in query.spellings:
            letters = [(should, term) for term in self._counted("trigrams", spelling.trigrams)]
            if len(letters) >= spelling.least:
                clauses.append((should, tantivy.Query.boolean_query(letters, spelling.least)))
        for weight, numbers in phrases:
            chosen = tantivy.Query.term_set_query(SCHEMA, "number", list(numbers))
            clauses.append((should, tantivy.Query.const_score_query(chosen, weight)))
        return tantivy.Query.boolean_query(clauses) if clauses else None

    def _counted(self, field: Field, weights: Mapping[str, float], share: float = 1.0) -> Iterator[tantivy.Query]:
        """Yield a query for each term that occurs; its score stays below `share` of its weight, however rare the term is."""
        for (term, weight), having in zip(weights.items(), self.frequencies(field, weights), strict=True):
            if having and is_single(term):
                yield tantivy.Query.const_score_query(_term(field, term), share * weight)
            elif having:
                boost = share * weight / (SATURATED * rarity(self.entries, having))
                yield tantivy.Query.boost_query(_term(field, term), boost)

    def _present(self, field: Field, weights: Mapping[str, float], share: float = 1.0) -> Iterator[tantivy.Query]:
        """Yield a query for each term that occurs, whose score is `share` of the term's weight wherever it stands."""
        for (term, weight), having in zip(weights.items(), self.frequencies(field, weights), strict=True):
            if having:
                yield tantivy.Query.const_score_query(_term(field, term), share * weight)

    def _best(self, query: tantivy.Query, limit: int, ask: int, allowed: Numbers | None) -> Hits:
        """Ask for more and more hits until `limit` allowed ones, and all that tie with the last of them, are there."""
        total = self.count()
        while True:
            ask = min(ask, total)  # Tantivy reserves memory for twice as many, and aborts the process if there is none
            found = self._searcher.search(query, ask, count=False).hits
            numbers = np.array(self._searcher.fast_field_values("number", [at for _, at in found]), np.int64)
            scores = np.array([score for score, _ in found])
            lowest = scores[-1] if len(found) else 0.0  # further hits have at most this
            if allowed is not None:
                kept = among(allowed, numbers)[1]
                numbers, scores = numbers[kept], scores[kept]
            all_found = len(found) < ask or ask == total
            if all_found or (len(scores) >= limit and scores[limit - 1] > lowest):
                order = np.lexsort((numbers, -scores))[:limit]
                return [(int(numbers[i]), min(float(scores[i]), 1.0)) for i in order]
            ask *= 4

    def count(self) -> int:
        """Return how many entries there are."""
        return int(self._searcher.num_docs)

    def frequencies(self, field: Field, terms: Iterable[str]) -> list[int]:
        """Return in how many entries each term occurs, removed entries included, in the order of the terms."""
        return [self._frequency(field, term) for term in terms]

    def _frequency(self, field: Field, term: str) -> int:
        known = self._known.get((field, term))
        if known is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            known = (
                self._holding_single(term)
                if field == "words" and is_single(term)
                else int(self._searcher.doc_freq(*_stored(field, term)))
            )
            self._known[field, term] = known
        return known

    def _holding_single(self, character: str) -> int:
        """Return how many entries have a character of a script that is read in pairs."""
        if not self.count():
            return 0
        found = self._searcher.search(_term("words", character), 1, count=True)
        return int(getattr(found, "count", 0) or 0)

    def numbers(self) -> set[int]:
        """Return the numbers of all entries."""
        everything = tantivy.Query.all_query()
        # The binding returns the value that it orders by in the place of the score.
        found = self._searcher.search(everything, max(1, self.count()), count=False, order_by_field="number").hits
        return {int(number) for number, _ in found}


def _term(field: Field, term: str) -> tantivy.Query:
    """Return the query for a term. One character of a script that is read in pairs stands in every pair that has it."""
    if is_single(term) and field == "words":
        return tantivy.Query.regex_query(SCHEMA, field, f"{term}.?|.{term}")
    return tantivy.Query.term_query(SCHEMA, *_stored(field, term), "freq")


def _stored(field: Field, term: str) -> tuple[str, str]:
    """Return the field of Tantivy's and the token in it that stand for a term."""
    return ("words", f"{DEFINES}{term}") if field == "defined" else (field, term)
