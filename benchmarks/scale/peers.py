"""Other search engines on the same vectors, texts and questions, and ours beside them.

What can be compared with what: `dense` alone (ours: `View.nearest`), `words` alone (ours: `View.words`), and `whole`
products that give back texts (ours: `search`). A peer's index is kept in the cache with the seconds that its build
took. Each peer is imported where it is used, so that one that is not installed is left out, with the reason.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.report import machine
from benchmarks.scale.data import TOP, Corpus, Precomputed, Rows, recall, say
from benchmarks.scale.product import NAME, Filled, rows_of
from knowledge_core.language.lexical_query import LexicalQuery, weighed
from knowledge_core.language.stop_words import without_stop_words
from knowledge_core.language.wording import spans
from knowledge_core.storage.collection import Collection, View
from knowledge_core.types import Vectors
from knowledge_core.verbs.search import Searched, SearchRequest, search

BATCH = 5_000  # documents handed over at once
THREADS = 2  # of a build
M, CONSTRUCTION = 16, 128  # of the graphs
EXPANSIONS = (64, 128, 256, 384, 512, 768, 1024, 2048)
WANTED = 0.99  # recall@10 on the questions: the first of `EXPANSIONS` that has it is taken
RESCORED = 30  # candidates of an eight-bit index whose exact cosine is computed
MOST_OF_WHOLE = 100_000  # chunks that whole products are filled with: more takes them hours

Ask = Callable[[int], Sequence[int]]
"""From a question's number to the numbers of the documents found, best first."""


@dataclass
class Asked:
    """One engine ready to be asked. exact_answers: recall means something. note: how it was set."""

    name: str
    kind: str
    ask: Ask
    build: float = float("nan")
    bytes: int = 0
    note: str = ""
    dense: bool = True
    seconds: list[float] = field(default_factory=list)
    found: list[Sequence[int]] = field(default_factory=list)


# -- ours --------------------------------------------------------------------------------------------------------------


@contextmanager
def ours(at: Filled, corpus: Corpus, bytes: Mapping[str, int]) -> Iterator[list[Asked]]:
    """Yield the product's parts, and its whole, to be asked like the peers."""
    collection = Collection.open(at.folder)
    embedder = Precomputed(collection.contract, corpus.questions, corpus.asked)
    size, both = sum(bytes.values()), bytes.get("vectors", 0) + bytes.get("graph", 0)
    with collection.view() as view:
        # The keys' documents are looked up beside the clock: a peer gives its own numbers, as `nearest` gives keys.
        yield [
            _Timed.of("ours: View.nearest", "dense", lambda n: _nearest(view, corpus.asked[n]), view, bytes=both),
            Asked("ours: View.words", "words", lambda n: _words(view, corpus.questions[n]), dense=False,
                  bytes=bytes.get("words", 0)),
            *(
                Asked(f"ours: search, {mode}", f"whole, {mode}", _searching(view, embedder, corpus.questions, mode),
                      at.seconds + at.settled, size, dense=mode == "semantic")
                for mode in ("semantic", "hybrid")
            ),
        ]  # fmt: skip
    collection.close()


@dataclass
class _Timed(Asked):
    """Ours, whose answers are keys; `rows` of them are what recall counts."""

    view: View | None = None

    @classmethod
    def of(cls, name: str, kind: str, ask: Ask, view: View, *, bytes: int) -> _Timed:
        return cls(name, kind, ask, bytes=bytes, view=view)


def _nearest(view: View, query: Vectors) -> list[int]:
    return [key for key, _ in view.nearest(query[np.newaxis], TOP)[0].found]


def _words(view: View, question: str) -> list[int]:
    query = LexicalQuery(weighed(without_stop_words(question), [view.lexicon]).words)
    return [number for number, _ in view.words(query, TOP)]


def _searching(view: View, embedder: Precomputed, questions: Sequence[str], mode: Any) -> Ask:
    def ask(n: int) -> list[int]:
        found = search([Searched(NAME, view, embedder)], SearchRequest(query=questions[n], mode=mode, limit=TOP))
        return [int(hit.document[1:]) for hit in found.hits]

    return ask


# -- peers -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a peer keeps its files, and what it is filled with."""

    folder: Path
    corpus: Corpus
    count: int
    truth: Rows

    def built(self, make: Callable[[Path], None]) -> float:
        """Have `make` fill the folder, unless it is filled; return the seconds that it took."""
        notes = self.folder / "built.json"
        if not notes.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            say(f"building {self.folder.name} of {self.count:,}")
            began = time.perf_counter()
            make(self.folder)
            notes.write_text(json.dumps({"seconds": time.perf_counter() - began, "machine": machine()}))
        return float(json.loads(notes.read_text())["seconds"])

    def batches(self) -> Iterator[tuple[int, int, Vectors]]:
        vectors = self.corpus.vectors(self.count)
        for begin in range(0, self.count, BATCH):
            end = min(begin + BATCH, self.count)
            yield begin, end, np.asarray(vectors[begin:end])

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def tuned(place: Place, ask: Ask, set_expansion: Callable[[int], None]) -> str:
    """Set the first expansion that finds enough of the questions' true neighbours; return how it was set."""
    for expansion in EXPANSIONS:
        set_expansion(expansion)
        share = recall([ask(n) for n in range(len(place.truth))], place.truth)
        if share >= WANTED:
            return f"ef {expansion}"
    return f"ef {EXPANSIONS[-1]}, never {WANTED}"


def hnswlib_(place: Place) -> list[Asked]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=place.corpus.contract.dimensions)

    def make(folder: Path) -> None:
        made = hnswlib.Index(space="ip", dim=place.corpus.contract.dimensions)
        made.init_index(max_elements=place.count, M=M, ef_construction=CONSTRUCTION, random_seed=1)
        for begin, end, rows in place.batches():
            made.add_items(rows, np.arange(begin, end), num_threads=THREADS)
        made.save_index(str(folder / "index.bin"))

    seconds = place.built(make)
    index.load_index(str(place.folder / "index.bin"), max_elements=place.count)
    index.set_num_threads(1)

    def ask(n: int) -> Sequence[int]:
        return index.knn_query(place.corpus.asked[n][np.newaxis], k=TOP)[0][0]

    note = tuned(place, ask, index.set_ef)
    return [Asked("hnswlib float32", "dense", ask, seconds, place.bytes, note)]


def faiss_(place: Place) -> list[Asked]:
    import faiss

    vectors, asked = place.corpus.vectors(place.count), place.corpus.asked

    def make(folder: Path) -> None:
        faiss.omp_set_num_threads(THREADS)
        kind = faiss.ScalarQuantizer.QT_8bit
        made = faiss.IndexHNSWSQ(vectors.shape[1], kind, M, faiss.METRIC_INNER_PRODUCT)
        made.hnsw.efConstruction = CONSTRUCTION
        made.train(np.asarray(vectors[:: max(1, place.count // 50_000)]))
        for _, _, rows in place.batches():
            made.add(rows)
        faiss.write_index(made, str(folder / "index.bin"))

    seconds = place.built(make)
    faiss.omp_set_num_threads(1)
    graph = faiss.read_index(str(place.folder / "index.bin"))
    flat = faiss.IndexFlatIP(vectors.shape[1])
    began = time.perf_counter()
    for _, _, rows in place.batches():
        flat.add(rows)
    flat_seconds = time.perf_counter() - began

    def ask(n: int) -> Sequence[int]:
        candidates = graph.search(asked[n][np.newaxis], RESCORED)[1][0]
        return candidates[np.argsort(-(vectors[candidates] @ asked[n]))[:TOP]]

    def scan(n: int) -> Sequence[int]:
        return flat.search(asked[n][np.newaxis], TOP)[1][0]

    def expand(expansion: int) -> None:
        graph.hnsw.efSearch = expansion

    note = tuned(place, ask, expand)
    return [
        Asked("FAISS HNSW SQ8, rescored", "dense", ask, seconds, place.bytes, note + "; float32 rows mapped"),
        Asked("FAISS Flat", "dense", scan, flat_seconds, vectors.nbytes, "in memory"),
    ]


def fts5_(place: Place) -> list[Asked]:
    file = place.folder / "words.db"

    def make(folder: Path) -> None:
        connection = sqlite3.connect(folder / "words.db")
        connection.execute("CREATE VIRTUAL TABLE t USING fts5(text, content = '', tokenize = 'porter unicode61')")
        texts = enumerate(text for text, _, _ in place.corpus.texts(0, place.count))
        connection.executemany("INSERT INTO t (rowid, text) VALUES (? + 1, ?)", texts)
        connection.commit()
        connection.close()

    seconds = place.built(make)
    connection = sqlite3.connect(file)

    def ask(n: int) -> Sequence[int]:
        part = without_stop_words(place.corpus.questions[n])
        words = dict.fromkeys(part[start:end] for _, start, end in spans(part))
        query = " OR ".join(f'"{word}"' for word in words)
        sql = "SELECT rowid FROM t WHERE t MATCH ? ORDER BY bm25(t) LIMIT ?"
        return [row[0] - 1 for row in connection.execute(sql, (query, TOP))]

    return [Asked("SQLite FTS5, bm25", "words", ask, seconds, place.bytes, "any telling word", dense=False)]


def chromadb_(place: Place) -> list[Asked]:
    import chromadb

    settings = chromadb.Settings(anonymized_telemetry=False)

    def make(folder: Path) -> None:
        client = chromadb.PersistentClient(str(folder / "chroma"), settings)
        made = client.create_collection("chunks", metadata={"hnsw:space": "cosine"}, embedding_function=None)
        for begin, end, rows in place.batches():
            parts = list(place.corpus.texts(begin, end))
            made.add(
                ids=[str(number) for number in range(begin, end)],
                embeddings=rows,
                documents=[text for text, _, _ in parts],
                metadatas=[{"slot": slot, "set": name} for _, name, slot in parts],
            )

    seconds = place.built(make)
    client = chromadb.PersistentClient(str(place.folder / "chroma"), settings)
    collection = client.get_collection("chunks", embedding_function=None)

    def ask(n: int) -> Sequence[int]:
        found = collection.query(query_embeddings=place.corpus.asked[n][np.newaxis], n_results=TOP)
        assert found["documents"]
        return [int(id) for id in found["ids"][0]]

    return [Asked("chromadb", "whole, semantic", ask, seconds, place.bytes, "as it installs")]


def txtai_(place: Place) -> list[Asked]:
    from txtai.embeddings import Embeddings

    known = dict(zip(place.corpus.questions, place.corpus.asked, strict=True))

    def vectors(texts: Sequence[str]) -> Vectors:
        return np.stack([known[text] for text in texts])

    def make(folder: Path) -> None:
        rows = place.corpus.vectors(place.count)
        texts = [text for text, _, _ in place.corpus.texts(0, place.count)]
        place_of = {text: number for number, text in enumerate(texts)}
        made = Embeddings(method="external", content=True, hybrid=True, transform=lambda each: np.stack([
            rows[place_of[text]] for text in each
        ]))  # fmt: skip
        made.index((number, text, None) for number, text in enumerate(texts))
        made.config["transform"] = None  # a function cannot be saved
        made.save(str(folder / "txtai"))

    seconds = place.built(make)
    loaded = Embeddings(method="external", content=True, hybrid=True)
    loaded.load(str(place.folder / "txtai"), config={"transform": vectors})

    def asking(weights: float | None) -> Ask:
        return lambda n: [int(each["id"]) for each in loaded.search(place.corpus.questions[n], TOP, weights=weights)]

    return [
        Asked("txtai, dense", "whole, semantic", asking(1.0), seconds, place.bytes, "as it installs"),
        Asked("txtai, hybrid", "whole, hybrid", asking(None), seconds, place.bytes, "as it installs", dense=False),
    ]


class Peers:
    """The peers by the names of the command line."""

    KNOWN: ClassVar[Mapping[str, Callable[[Place], list[Asked]]]] = {
        "hnswlib": hnswlib_, "faiss": faiss_, "fts5": fts5_, "chromadb": chromadb_, "txtai": txtai_,
    }  # fmt: skip
    WHOLE = ("chromadb", "txtai")


def peers(names: Sequence[str], corpus: Corpus, count: int, truth: Rows) -> tuple[list[Asked], list[str]]:
    """Build or load the peers; return those that can be asked, and why the others cannot."""
    there: list[Asked] = []
    reasons = []
    for name in names:
        if name in Peers.WHOLE and count > MOST_OF_WHOLE:
            reasons.append(f"{name}: filled with at most {MOST_OF_WHOLE:,} chunks")
            continue
        folder = corpus.cache / f"peers-{corpus.material.digest}-{count}" / name
        try:
            there += Peers.KNOWN[name](Place(folder, corpus, count, truth))
        except Exception as error:  # noqa: BLE001  # whatever another product raises, the other numbers stay
            reasons.append(f"{name}: left out ({error!r})")
    return there, reasons


def compare(engines: Sequence[Asked], count: int) -> None:
    """Ask all engines all questions, interleaved question by question; the first question is asked once more before."""
    for each in engines:
        each.ask(0)
    for n in range(count):
        for each in engines:
            began = time.perf_counter()
            found = each.ask(n)
            each.seconds.append(time.perf_counter() - began)
            rows = rows_of(each.view, found) if isinstance(each, _Timed) and each.view is not None else found
            each.found.append([int(row) for row in rows])
