"""Hits of the same text: one of them stands for all, whatever their documents are called, in several collections too.

Copies are known by their chunks' own texts, whatever their white space; titles and headings above them may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from knowledge_core.retrieval.candidates import Target
from knowledge_core.retrieval.file_states import GONE, MOVED, FileStates, Surroundings
from knowledge_core.retrieval.folding import Ranked
from knowledge_core.storage.values import Place

Located = tuple[str, Place]

MOST_LOOKED_AT = 20  # copies whose files are looked at for one that is there


def without_copies(ranked: Iterable[Ranked]) -> Iterator[Ranked]:
    """Yield the hits whose text none before them has, nor a neighbour that joined one."""
    seen: set[int] = set()
    for each in ranked:
        if each.place.text is None or each.place.text not in seen:
            seen.update(text for text in (each.place.text, *each.joined) if text is not None)
            yield each


def spread(ranked: Iterable[Ranked], most: int | None) -> Iterator[Ranked]:
    """Yield the hits, at most so many of one document. None: all."""
    counted: dict[tuple[str, str], int] = {}
    for each in ranked:
        document = each.collection, each.place.document
        counted[document] = counted.get(document, 0) + 1
        if most is None or counted[document] <= most:
            yield each


def with_copies(
    ranked: Sequence[Ranked], targets: Sequence[Target], around: Mapping[str, Surroundings]
) -> list[Ranked]:
    """Return hits with all their copies among what may be found; a copy whose file is there stands for those whose is gone.

    around: of each collection, by its name.
    """
    digests = {each.place.text for each in ranked if each.place.text is not None}
    by_text: dict[int, list[Located]] = {}
    for target in targets if digests else ():
        for place in target.view.places_of_texts(digests, target.allowed):
            if place.text is not None and place.number not in target.excluded:
                by_text.setdefault(place.text, []).append((target.name, place))
    views = {target.name: target.view for target in targets}
    states = FileStates()

    def is_gone(located: Located) -> bool:
        name, place = located
        known = views[name].files([place.document]).get(place.document)
        state = None if known is None else states.of(known, around[name], views[name].files)
        return state is not None and state.startswith((GONE, MOVED))

    return [_complete(each, by_text.get(each.place.text or -1, []), is_gone) for each in ranked]


def _complete(ranked: Ranked, same_text: Sequence[Located], is_gone: Callable[[Located], bool]) -> Ranked:
    """Return a hit with its copies, one per document, those of its own collection first."""
    own = ranked.collection, ranked.place
    copies = {(name, place.document): (name, place) for name, place in reversed([*ranked.copies, *same_text])}
    copies.pop((ranked.collection, ranked.place.document), None)
    others = sorted(copies.values(), key=lambda each: (each[0] != ranked.collection, each[0], each[1].document))
    if others and is_gone(own):
        there = next((each for each in others[:MOST_LOOKED_AT] if not is_gone(each)), None)
        if there is not None:
            others = [own, *(each for each in others if each is not there)]
            name, place = there
            return replace(ranked, collection=name, place=place, lines=place.lines, joined=(), copies=tuple(others))
    return replace(ranked, copies=tuple(others)) if others or ranked.copies else ranked
