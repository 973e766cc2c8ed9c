"""From a request to the vectors to search by: one per embedding contract among the collections.

A query is embedded once per contract. Examples become one vector: the mean of what hits should be like, less half the
mean of what they should not. Every example weighs the same, a long document as much as a sentence; documents that are
examples are never hits.

What all documents of an example's source have in common is taken out of its vector: notes that are made from one template
are else like each other for the template. Of twelve daily notes on four subjects the nearest was on the same subject for
.58 with it and for all without; where documents have little in common it changes little (same label among the ten
nearest, MiniLM: 2,000 questions of banking77 .697 and .698, 1,500 of stackoverflow .691 and .692).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from knowledge_core.embedding.tokens import characters_read, truncation_of
from knowledge_core.errors import DocumentNotFound, InvalidInput, quoted
from knowledge_core.near_names import listed
from knowledge_core.retrieval.answers.notices import about_filter
from knowledge_core.retrieval.candidates import Group, Target
from knowledge_core.retrieval.query_reading import about_length, about_meaning, read, shortened, telling_part
from knowledge_core.retrieval.request import Examples, SearchRequest
from knowledge_core.storage.values import Place
from knowledge_core.storage.view import View
from knowledge_core.types import Task, Vectors
from knowledge_core.unit_vectors import LEAST_NORM, mean_vector

# Weight of the negative examples against the positive ones. At full weight the vector points away from the subject that
# both share; relevance feedback (Rocchio 1971) commonly uses 0.15 to 0.5.
UNLIKE_WEIGHT = 0.5
SAMPLED = 1_000  # vectors of a collection, to see what its documents have in common
LEAST_SAMPLED = 8  # vectors of an example's source among these; of fewer the mean is an example's neighbour


@dataclass(frozen=True)
class ExampleChunks:
    """Where an example that was given by its id lies: the name of the target, and its chunks there."""

    target: str
    chunks: Sequence[Place]


def query_groups(targets: Sequence[Target], request: SearchRequest) -> tuple[list[Group], list[str]]:
    """Return the groups of collections to take candidates from, and notices for the caller.

    Raises:
        DocumentNotFound: an example is in none of the collections. InvalidInput: like and unlike cancel each other out.
    """
    told = about_filter([target.view for target in targets], request.filter)
    filled = [target for target in targets if target.considered]
    groups, notices = _of_examples(targets, filled, request) if request.query is None else _of_query(filled, request)
    if len(_by_contract(filled)) > 1 and request.mode != "lexical":
        told.append("The collections were embedded by different models: their scores compare only roughly.")
    return groups, [*told, *notices]


def _of_query(filled: Sequence[Target], request: SearchRequest) -> tuple[list[Group], list[str]]:
    """Return what `query_groups` does for a query. filled: the targets in which something may be found."""
    reading = read(request.query or "")
    notices = [*reading.notices]
    if not reading.has_words or not filled:
        return [], notices
    if request.mode == "lexical":  # words need no contract
        return [Group(filled, None, reading.words)], notices
    groups = []
    for members in _by_contract(filled):
        embedder, told = members[0].embedder, reading.text
        seen = characters_read(embedder, told, Task.QUERY)
        if seen < len(told):
            told = telling_part(told, seen)
            seen = min(seen, characters_read(embedder, told, Task.QUERY))
            notices.append(about_meaning(told[:seen], reading.text, by_words=request.mode == "hybrid"))
        vector = embedder.embed([told], Task.QUERY)
        groups.append(Group(members, vector, None if request.mode == "semantic" else reading.words))
    return groups, notices


def _of_examples(
    targets: Sequence[Target], filled: Sequence[Target], request: SearchRequest
) -> tuple[list[Group], list[str]]:
    """Return what `query_groups` does for examples. filled: the targets in which something may be found."""
    like, texts, notices = _resolved(targets, request.like)
    unlike, unlike_texts, told = _resolved(targets, request.unlike)
    notices += told
    request = replace(request, like=Examples(texts=texts), unlike=Examples(texts=unlike_texts))
    groups: list[Group] = []
    for members in _by_contract(filled):
        direction = _direction(members, request, like, unlike)
        if direction is None:
            names = ", ".join(repr(target.name) for target in members)
            notices.append(f"Left out, as another model embedded it and it holds no example to be like: {names}.")
            continue
        examples = [*like.values(), *unlike.values()]
        groups.append(Group([_without(target, examples) for target in members], direction, None))
        if unread := str(truncation_of(members[0].embedder, [*texts, *unlike_texts], Task.DOCUMENT)):
            notices.append(unread)
    return groups, notices


def _by_contract(targets: Sequence[Target]) -> list[list[Target]]:
    groups: list[list[Target]] = []
    for target in targets:
        for group in groups:
            if not group[0].view.contract.differences(target.view.contract):
                group.append(target)
                break
        else:
            groups.append([target])
    return groups


def _resolved(
    targets: Sequence[Target], examples: Examples | None
) -> tuple[dict[str, list[ExampleChunks]], tuple[str, ...], list[str]]:
    """Return the chunks of the examples given by id, the texts among the examples, and notices for the caller.

    What stands among the ids and among the texts is an id where there is such a document, else a text.
    """
    found: dict[str, list[ExampleChunks]] = {}
    notices: list[str] = []
    for id in examples.ids if examples else ():
        if places := _places(targets, id):
            found[id] = places
        elif examples is None or id not in examples.texts:
            names = listed([repr(target.name) for target in targets])
            raise DocumentNotFound(
                f"No document {quoted(id)} in {names}. Take ids from hits or from list_documents; 'id#3' is its chunk 3.",
                id,
            )
        elif len(id.split()) == 1:
            notices.append(f"There is no document {quoted(id)} here: it was taken as a text.")
    texts = [text for text in examples.texts if text not in found] if examples else []
    notices += filter(None, (about_length("An example", text) for text in texts))
    return found, tuple(map(shortened, texts)), notices


def _places(targets: Sequence[Target], id: str) -> list[ExampleChunks]:
    """Return an example's chunks in every collection that has it; "id#position" is one chunk, unless a document has that id."""
    found = [ExampleChunks(target.name, chunks) for target in targets if (chunks := target.view.places_of_document(id))]
    document, mark, position = id.rpartition("#")
    if not found and mark and position.isdecimal():
        for target in targets:
            chunks = [chunk for chunk in target.view.places_of_document(document) if chunk.position == int(position)]
            if chunks:
                found.append(ExampleChunks(target.name, chunks))
    return found


def _direction(
    members: Sequence[Target],
    request: SearchRequest,
    like: dict[str, list[ExampleChunks]],
    unlike: dict[str, list[ExampleChunks]],
) -> Vectors | None:
    """Return the vector to search by, (1, dim) of norm 1; None if this group holds none of the positive examples."""
    toward = [*_stored(members, like), *_embedded(members, request.like)]
    away = [*_stored(members, unlike), *_embedded(members, request.unlike)]
    if not toward:
        return None
    direction = np.mean(toward, axis=0, dtype=np.float64)
    if away:
        direction = direction - UNLIKE_WEIGHT * np.mean(away, axis=0, dtype=np.float64)
    norm = float(np.linalg.norm(direction))
    if norm < LEAST_NORM:
        raise InvalidInput("The examples cancel each other out and point nowhere; give fewer, or other ones.")
    return np.asarray(direction / norm, np.float32).reshape(1, -1)


def _stored(members: Sequence[Target], examples: dict[str, list[ExampleChunks]]) -> Iterator[Vectors]:
    """Yield a vector per example and target of the group that has it: the mean of its chunks, less what is common."""
    views = {target.name: target.view for target in members}
    for places in examples.values():
        for found in places:
            if found.target in views:
                keys = [chunk.key for chunk in found.chunks]
                own = mean_vector(views[found.target].vectors(keys))
                yield (own - _in_common(views[found.target], found.chunks[0].document)).astype(np.float32)


def _in_common(view: View, document: str) -> npt.NDArray[np.float64]:
    """Return the mean vector of a document's source, from a sample: (dim,); zeros where there are too few to tell."""
    keys = view.all_keys()
    sample = keys[:: -(-len(keys) // SAMPLED)]
    places = view.places_of_keys(sample.tolist())
    same = [key for key, found in places.items() if _source(found[0].document) == _source(document)]
    if len(same) < LEAST_SAMPLED:
        return np.zeros(view.contract.dimensions)
    common: npt.NDArray[np.float64] = view.vectors(same).mean(axis=0, dtype=np.float64)
    return common


def _source(document: str) -> str:
    """Return the name of a document's source, from its id; "" for one that was given by its text."""
    source, slash, _ = document.partition("/")
    return source if slash else ""


def _embedded(members: Sequence[Target], examples: Examples | None) -> Sequence[Vectors]:
    """Return the vectors of example texts, embedded as untitled documents, since they are compared with document vectors."""
    if examples is None or not examples.texts:
        return ()
    return list(members[0].embedder.embed(examples.texts, Task.DOCUMENT))


def _without(target: Target, examples: Sequence[Sequence[ExampleChunks]]) -> Target:
    numbers = {
        chunk.number for places in examples for found in places if found.target == target.name for chunk in found.chunks
    }
    return replace(target, excluded=frozenset(numbers))
