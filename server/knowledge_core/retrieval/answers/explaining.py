"""Why a passage was found, and why a document was not: on request, for the price of some searches more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from knowledge_core.errors import quoted
from knowledge_core.language.lexical_query import LexicalQuery, weighed
from knowledge_core.retrieval.candidates import Group, Target
from knowledge_core.retrieval.folding import Ranked
from knowledge_core.storage.values import Allowed, Place

MOST_TERMS = 8  # that a hit names, those that add most
LOOKED_THROUGH = 1_000  # hits among which a document's place is looked for

Found = tuple[str, int]  # name of a collection, and number of a chunk


def terms_of_hits(groups: Sequence[Group], ranked: Sequence[Ranked]) -> dict[Found, dict[str, float]]:
    """Return what each term of the query adds to a hit's score by words, the greatest first.

    A term is named as it is looked for: "tide" a word, "letters of tide" its trigrams, "name tide" a word in the name that a
    chunk defines, and a phrase in quotation marks.
    """
    added: dict[Found, dict[str, float]] = {}
    for group in groups:
        if group.words is None:
            continue
        query = weighed(group.words, [target.view.lexicon for target in group.targets])
        hits = [each for each in ranked if not each.found_by or each.found_by[0] == group.asked]
        for target in group.targets:
            numbers = sorted(each.place.number for each in hits if each.collection == target.name)
            if not numbers:
                continue
            allowed = Allowed(np.array(numbers, np.int64), np.array([], np.int64), 0)
            for name, term in _terms(query):
                for number, score in target.view.words(term, len(numbers), allowed):
                    added.setdefault((target.name, number), {})[name] = score
    return {
        found: dict(sorted(terms.items(), key=lambda term: (-term[1], term[0]))[:MOST_TERMS])
        for found, terms in added.items()
    }


def _terms(query: LexicalQuery) -> Iterator[tuple[str, LexicalQuery]]:
    """Yield each term of a query as a query of its own, with its name."""
    for word, weight in query.words.items():
        yield word, LexicalQuery({word: weight})
    for word, weight in query.wholes.items():
        yield word, LexicalQuery({}, wholes={word: weight})
    for word, weight in query.defined.items():
        yield f"name {word}", LexicalQuery({}, defined={word: weight})
    for spelling in query.spellings:
        yield f"letters of {spelling.word}", LexicalQuery({}, [spelling])
    for phrase in query.phrases:
        yield f'"{phrase.text}"', LexicalQuery({}, phrases=[phrase])


def why_not(
    id: str,
    groups: Sequence[Group],
    targets: Sequence[Target],
    ranked: Iterator[Ranked],
    filter: Mapping[str, object] | None,
    shown: int,
) -> str | None:
    """Return in a sentence where a document stands for the query and what kept it out; None where no collection has it.

    ranked: all hits, best first. shown: how many of them the answer shows.
    """
    places = {target.name: target.view.places_of_document(id) for target in targets}
    there = {name: found for name, found in places.items() if found}
    if not there:
        held = [target.name for target in targets if target.view.state(id) is not None]
        return f"{quoted(id)} has no text that could be found." if held else None
    if filter and (clauses := _excluding(filter, targets, there)):
        return f"{quoted(id)} is left out by the filter: {'; '.join(clauses)}."
    digests = {place.text for found in there.values() for place in found if place.text is not None}
    for rank, each in enumerate(islice(ranked, LOOKED_THROUGH), start=1):
        own = each.collection in there and each.place.document == id
        if own or digests & {each.place.text, *each.joined}:
            return f"{quoted(id)} {_standing(each, rank, shown, own=own)}. {_measured(groups, there)}"
    return f"{quoted(id)} is not among the first hits. {_measured(groups, there)}"


def _standing(found: Ranked, rank: int, shown: int, *, own: bool) -> str:
    where = f"hit {rank}" + ("" if rank <= shown else f", behind the {shown} that are shown")
    if own:
        return f"is {where}, with a score of {found.score:.3f} (chunk {found.place.position})"
    return f"has the same text as {quoted(found.place.document)}, {where}, into which it is folded"


def _excluding(
    filter: Mapping[str, object], targets: Sequence[Target], there: Mapping[str, Sequence[Place]]
) -> list[str]:
    """Return the clauses of a filter that allow no chunk of a document; nothing where the whole filter allows one."""

    def allows(clause: Mapping[str, object]) -> bool:
        for target in targets:
            numbers = [place.number for place in there.get(target.name, ())]
            allowed = target.view.allowed(dict(clause)) if numbers else None
            if allowed is not None and np.isin(numbers, allowed.chunks).any():
                return True
        return False

    if allows(filter):
        return []
    alone = [name for name, value in filter.items() if not allows({name: value})]
    return [f"{name}: {quoted(filter[name])}" for name in alone] or [quoted(dict(filter))]


def _measured(groups: Sequence[Group], there: Mapping[str, Sequence[Place]]) -> str:
    """Return in words how near a document is to the query, by meaning and by words."""
    cosines: list[float] = []
    lexical: list[float] = []
    for group in groups:
        query = None if group.words is None else weighed(group.words, [target.view.lexicon for target in group.targets])
        for target in group.targets:
            places = there.get(target.name, ())
            if not places:
                continue
            if group.vector is not None:
                cosines += (target.view.vectors([place.key for place in places]) @ group.vector[0]).tolist()
            if query is not None:
                numbers = np.array(sorted(place.number for place in places), np.int64)
                found = target.view.words(query, 1, Allowed(numbers, np.array([], np.int64), 1))
                lexical += [score for _, score in found] or [0.0]
    told = [f"its best cosine is {max(cosines):.3f}"] if cosines else []
    if lexical:
        best = max(lexical)
        told.append(f"its best score by words is {best:.3f}" if best else "none of the query's words is in it")
    said = " and ".join(told)
    return f"{said[:1].upper()}{said[1:]}." if said else ""
