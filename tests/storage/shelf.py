"""A collection in a folder of its own, filled through the same values as everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hash_embedder import HashEmbedder
from knowledge_core.language.lexical_query import weighed
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Change, Collection, NewDocument
from knowledge_core.types import Chunk, Document, Lines, Span, Task

EMBEDDER = HashEmbedder()


def document(
    id: str, *parts: str, title: str = "", metadata: Mapping[str, Any] | None = None, **more: Any
) -> NewDocument:
    """A document of one chunk a part, a line each."""
    text = "\n".join(parts)
    chunks, start = [], 0
    for position, part in enumerate(parts):
        chunks.append(Chunk(position, part, Span(start, start + len(part)), Lines(position + 1, position + 1)))
        start += len(part) + 1
    return NewDocument(Document(id, text, title=title, metadata=metadata or {}), chunks, f"digest of {text}", **more)


def change(collection: Collection, documents: Iterable[NewDocument], **more: Any) -> Change:
    """What writes these documents, with the vectors that the collection lacks."""
    documents = list(documents)
    texts = {}
    for new in documents:
        for part in new.chunks:
            title = part.title(new.document.title)
            texts[EMBEDDER.contract.digest(part.text, title)] = (part.text, title)
    missing = collection.missing(list(texts))
    lacking = [digest for digest in texts if digest in missing]
    made = EMBEDDER.embed([texts[each][0] for each in lacking], Task.DOCUMENT, [texts[each][1] for each in lacking])
    return Change(add=documents, vectors=dict(zip(lacking, made, strict=True)), **more)


def put(collection: Collection, *documents: NewDocument) -> int:
    return collection.write(change(collection, documents))


def new_collection(folder: Path, name: str = "shelf") -> Collection:
    return create_collection(folder / name, name, EMBEDDER.contract)


def found_by_words(collection: Collection, query: str) -> list[str]:
    with collection.view() as view:
        numbers = [number for number, _ in view.words(weighed(query, [view.lexicon]), 10)]
        chunks = view.chunks(numbers)
        return [chunks[number].document for number in numbers]


def found_by_vector(collection: Collection, text: str, title: str = "") -> list[str]:
    with collection.view() as view:
        query = EMBEDDER.embed([text], Task.DOCUMENT, [title])
        # Few dimensions: other texts may have the very same vector, however many.
        keys = [key for key, score in view.nearest(query, 500)[0].found if score > 0.999]
        places = view.places_of_keys(keys)
        return [place.document for key in keys for place in places[key]]


def damaged(collection: Collection) -> list[str]:
    return [finding.what for finding in collection.check() if finding.level == "damaged"]
