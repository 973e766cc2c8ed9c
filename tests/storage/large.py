"""Collections that are large enough for a graph, where the threshold is set low."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from hash_embedder import HashEmbedder
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Change, Collection, NewDocument
from knowledge_core.storage.vectors import graph_building
from knowledge_core.storage.vectors import snapshot as vector_snapshot
from knowledge_core.types import Chunk, Document, Lines, Span, Vectors

DIM = 32
FEW = 300
"""Rows from which on these tests build a graph."""

CONTRACT = HashEmbedder().contract


def low_thresholds(monkeypatch) -> None:
    monkeypatch.setattr(vector_snapshot, "EXACT_UP_TO", FEW)
    monkeypatch.setattr(graph_building, "EXACT_UP_TO", FEW)
    monkeypatch.setattr(graph_building, "LEAST_GROWN", 50)


def drawn(count: int, *, seed: int) -> Vectors:
    """Unit vectors in a few hundred groups."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(300, DIM))
    vectors = centres[draw.integers(0, 300, count)] + 0.5 * draw.normal(size=(count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def one(id: str, **metadata: object) -> NewDocument:
    """A document of one chunk, whose text is its id."""
    part = Chunk(0, id, Span(0, len(id)), Lines(1, 1))
    return NewDocument(Document(id, id, metadata=metadata), [part], f"digest of {id}")


def placed(documents: list[NewDocument], vectors: Vectors, **more: object) -> Change:
    """What writes these documents with these vectors."""
    digests = [CONTRACT.digest(new.document.text) for new in documents]
    return Change(add=documents, vectors=dict(zip(digests, vectors, strict=True)), **more)


def fill(collection: Collection, vectors: Vectors, *, first: int = 0, at_once: int = 500) -> None:
    """Write documents d0, d1, ... with these vectors; a tenth of them has {"tenth": 0}, and so on."""
    for begin in range(0, len(vectors), at_once):
        part = vectors[begin : begin + at_once]
        numbers = range(first + begin, first + begin + len(part))
        collection.write(placed([one(f"d{number}", tenth=number % 10, half=number % 2) for number in numbers], part))


def large(folder: Path, vectors: Vectors) -> Collection:
    """Return a new collection of these vectors, with its graph."""
    collection = create_collection(folder / "shelf", "shelf", CONTRACT)
    fill(collection, vectors)
    settled(collection)
    return collection


def settled(collection: Collection) -> None:
    """Let what is being built be finished."""
    collection.wait_for_graph()


def nearest(collection: Collection, query: np.ndarray, limit: int = 10, filter=None) -> tuple[list[str], bool]:
    """Return the ids of the nearest documents, and whether the answer is exact."""
    with collection.view() as view:
        answer = view.nearest(query[np.newaxis], limit, view.allowed(filter))[0]
        places = view.places_of_keys([key for key, _ in answer.found])
        return [place.document for key, _ in answer.found for place in places[key]], answer.exact


def truly(vectors: dict[str, np.ndarray], query: np.ndarray, limit: int = 10) -> set[str]:
    """Return the ids of the nearest documents by brute force."""
    ids, matrix = list(vectors), np.array(list(vectors.values()), np.float64)
    return {ids[place] for place in np.argsort(-(matrix @ query.astype(np.float64)), kind="stable")[:limit]}


def recall(collection: Collection, vectors: dict[str, np.ndarray], queries: Vectors, filter=None) -> float:
    """Return which share of the true ten is found, on average."""
    found = [set(nearest(collection, query, filter=filter)[0]) for query in queries]
    return float(np.mean([len(ids & truly(vectors, query)) / 10 for ids, query in zip(found, queries, strict=True)]))


def named(vectors: Vectors, first: int = 0) -> dict[str, np.ndarray]:
    return {f"d{first + number}": vector for number, vector in enumerate(vectors)}


def graph_files(collection: Collection) -> list[str]:
    return sorted(path.name for path in collection.folder.glob("graph*"))


def graph_file(folder: Path) -> Path:
    (path,) = folder.glob("graph-*")
    return path


def while_searching(collection: Collection, queries: Vectors, work) -> list[str]:
    """Do some work while two threads search; return what went wrong there."""
    stop, wrong = threading.Event(), []

    def read() -> None:
        at = 0
        while not stop.is_set():
            try:
                found, _ = nearest(collection, queries[at % len(queries)])
                if len(found) < 10 or len(set(found)) != len(found):
                    wrong.append(f"{len(found)} found")
            except Exception as error:  # noqa: BLE001  # whatever a search raised is what the test tells
                wrong.append(repr(error))
            at += 1

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        work()
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    return wrong
