"""nDCG@10 of the three modes on judged sets, beside what the parts and other fusions of them score on the same index.

    python -m benchmarks.retrieval_quality --data FOLDER [--cache FOLDER] [--sets adi cranfield ...] [--whole]
        [--engine auto] [--chunk-size 128]

FOLDER of --data has one folder a set, in BEIR's layout. Every set goes into a collection of its own in a temporary
folder, through the product's own storage and search, cut by the product's chunker (--whole: a document is one chunk;
--chunk-size: tokens of a chunk with its title, at most the model's limit).
The first 600 judged queries are asked. The vectors are kept in the folder of --cache, so that a second run embeds
nothing. They are the reference's, or with --engine auto those of the engines that the product chooses here.

Parts, of the same collection: BM25 on words, BM25 on all trigrams, cosine; reciprocal rank fusion (60) and a min-max
convex sum (dense weight 0.4) of words and cosine. The product's modes: lexical, semantic (that is the cosine), hybrid.

With --relevance it also tells how often search says that nothing seems relevant: to a set's own questions, where it
should not, and to those of the next set, where it may.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.report import machine, table
from knowledge_core.contract import EmbeddingContract, text_digest
from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.ingestion.cutting.chunking import chunk
from knowledge_core.language.lexical_query import LexicalQuery, Spelling, rarity, weighed
from knowledge_core.language.stop_words import without_stop_words
from knowledge_core.language.wording import trigrams
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Change, Collection, NewDocument
from knowledge_core.storage.view import View
from knowledge_core.types import Chunk, Document, Lines, Span, Task, Vectors, no_progress
from knowledge_core.verbs.calibrate import calibrate
from knowledge_core.verbs.evaluate import Judged, evaluate, load_beir, ndcg
from knowledge_core.verbs.search import Mode, Searched, SearchRequest, search

CACHE = Path(tempfile.gettempdir()) / "knowledge-core-vectors"
MODEL = "all-MiniLM-L6-v2"
QUERIES = 600
CHUNK_SIZE = 400  # tokens; the model's own limit if that is less
DEPTH = 100  # candidates of each part
RANK_CONSTANT = 60  # Cormack, Clarke & Buettcher 2009
DENSE_WEIGHT = 0.4  # of the convex sum: the best single one for the sets that MiniLM can read
MODES: tuple[Mode, ...] = ("lexical", "semantic", "hybrid")
PARTS = ("words", "trigrams", "rank fusion", "convex")
CHOSEN_ON = ("adi", "cranfield", "jsquad", "nl2bash", "xquad/ar", "xquad/en")  # every other of twelve, by name


class CachedEmbedder:
    """Implements `Embedder`: another one, asked only for what a file of vectors does not have yet."""

    def __init__(self, inner: Embedder, file: Path) -> None:
        self._inner, self._file = inner, file
        self._known: dict[str, Vectors] = {}
        if file.exists():
            with np.load(file) as stored:
                self._known = dict(zip(stored["digests"].tolist(), stored["vectors"], strict=True))

    @cached_property
    def contract(self) -> EmbeddingContract:
        return self._inner.static_contract

    @property
    def static_contract(self) -> EmbeddingContract:
        return self.contract

    @property
    def engine(self) -> str:
        return self._inner.engine

    @property
    def sizes(self) -> tuple[int, ...]:
        return self._inner.sizes

    @property
    def loaded(self) -> bool:
        return self._inner.loaded

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._inner.count_tokens(texts)

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        titles = titles if titles is not None else [""] * len(texts)
        digests = [
            text_digest(self.contract.format(text, task, title)) for text, title in zip(texts, titles, strict=True)
        ]
        missing = [i for i, digest in enumerate(digests) if digest not in self._known]
        if missing:
            self._add([texts[i] for i in missing], task, [titles[i] for i in missing], [digests[i] for i in missing])
        return np.stack([self._known[digest] for digest in digests])

    def _add(self, texts: Sequence[str], task: Task, titles: Sequence[str], digests: Sequence[str]) -> None:
        lengths = self._inner.count_tokens(texts)
        limit = self.contract.max_length
        for batch in pack([min(length, limit) for length in lengths]):
            rows = self._inner.embed([texts[i] for i in batch], task, [titles[i] for i in batch])
            self._known.update({digests[i]: row for i, row in zip(batch, rows, strict=True)})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(self._file, digests=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))


Cut = Callable[[Document], list[Chunk]]


def whole(document: Document) -> list[Chunk]:
    """Leave a document as one chunk."""
    lines = Lines(1, document.text.count("\n") + 1)
    return [Chunk(0, document.text, Span(0, len(document.text)), lines)]


def product(embedder: Embedder, size: int = CHUNK_SIZE) -> Cut:
    """Cut as the product does, or into chunks of another size."""
    size = min(size, embedder.static_contract.max_length)
    return lambda document: chunk(document, embedder.count_tokens, size=size)


def fill(collection: Collection, judged: Judged, embedder: Embedder, cut: Cut) -> int:
    """Put a judged set's documents into a collection; return the number of chunks."""
    new = [NewDocument(each, cut(each), digest=each.id) for each in judged.documents]
    pairs = [(each.text, each.title(one.document.title)) for one in new for each in one.chunks]
    rows = embedder.embed([text for text, _ in pairs], Task.DOCUMENT, [title for _, title in pairs])
    digests = [embedder.contract.digest(text, title) for text, title in pairs]
    collection.write(Change(add=new, vectors=dict(zip(digests, rows, strict=True))))
    return len(pairs)


@dataclass(frozen=True)
class Measured:
    """One set. scores: nDCG@10 by part or mode. found: the collection's calibration. milliseconds: of a hybrid search
    without embedding. refused: own and other questions.
    """

    chunks: int
    scores: Mapping[str, float]
    found: float
    milliseconds: float
    refused: tuple[float, float] | None


def measure(judged: Judged, embedder: Embedder, cut: Cut, others: Sequence[str]) -> Measured:
    """Index a set into a temporary collection, ask its questions of every part and mode, then `others`, if any."""
    own = list(judged.queries.values())
    embedder.embed([*own, *others], Task.QUERY)  # kept: what is timed below is search alone
    with tempfile.TemporaryDirectory() as folder:
        collection = create_collection(Path(folder) / "judged", "judged", embedder.contract)
        chunks = fill(collection, judged, embedder, cut)
        known = calibrate(collection, embedder, no_progress)
        with collection.view() as view:
            over = [Searched("judged", view, embedder)]
            scores = dict(zip(PARTS, parts(view, embedder, judged), strict=True))
            for mode in MODES:
                began = time.perf_counter()
                scores[mode] = evaluate(over, judged, mode=mode).ndcg
                milliseconds = 1e3 * (time.perf_counter() - began) / len(own)
            said = (refused(over, own), refused(over, others)) if others else None
        collection.close()
    return Measured(chunks, scores, known.found, milliseconds, said)


def parts(view: View, embedder: Embedder, judged: Judged) -> list[float]:
    """Return nDCG@10 of what the modes are made of, and of other ways to make them, in the order of `PARTS`."""
    sums = [0.0] * len(PARTS)
    for id, query in judged.queries.items():
        for at, ranked in enumerate(_rankings(view, query, embedder.embed([query], Task.QUERY))):
            sums[at] += ndcg(_documents(view, ranked), judged.judgements[id])
    return [each / len(judged.queries) for each in sums]


def _rankings(view: View, query: str, vector: Vectors) -> Iterator[Mapping[int, float]]:
    """Yield chunk numbers with their scores, for each of `PARTS`."""
    query_of_words = replace(weighed(without_stop_words(query), [view.lexicon]), spellings=())
    words = dict(view.words(query_of_words, DEPTH))
    yield words
    yield dict(view.words(_all_trigrams(view, without_stop_words(query)), DEPTH))
    nearest = dict(view.nearest(vector, DEPTH)[0].found)
    cosines = {place.number: nearest[key] for key, places in view.places_of_keys(nearest).items() for place in places}
    fused = dict.fromkeys([*words, *cosines], 0.0)
    for side in (words, cosines):
        for rank, number in enumerate(sorted(side, key=lambda number: -side[number]), 1):
            fused[number] += 1 / (RANK_CONSTANT + rank)
    yield fused
    meaning, worded = minmax(cosines), minmax(words)
    both = dict.fromkeys([*words, *cosines])
    yield {
        number: DENSE_WEIGHT * meaning.get(number, 0.0) + (1 - DENSE_WEIGHT) * worded.get(number, 0.0)
        for number in both
    }


def minmax(scores: Mapping[int, float]) -> dict[int, float]:
    """Return scores on a scale from the smallest of them to the largest (Bruch, Gai & Ingber 2023)."""
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    return {key: (score - low) / (high - low) if high > low else 1.0 for key, score in scores.items()}


def _all_trigrams(view: View, query: str) -> LexicalQuery:
    terms = list(dict.fromkeys(trigrams(query).split()))
    having = view.lexicon.frequencies("trigrams", terms)
    masses = {term: rarity(view.lexicon.entries, count) for term, count in zip(terms, having, strict=True) if count}
    whole = math.fsum(masses.values()) or 1.0
    return LexicalQuery({}, [Spelling({term: mass / whole for term, mass in masses.items()}, 1)])


def _documents(view: View, ranked: Mapping[int, float]) -> list[str]:
    chunks = view.chunks(ranked)
    best_first = sorted(ranked, key=lambda number: (-ranked[number], chunks[number].document))
    return list(dict.fromkeys(chunks[number].document for number in best_first))


def refused(over: Sequence[Searched], queries: Sequence[str]) -> float:
    """Return the share of queries to which search says that nothing seems relevant."""
    said = [search(over, SearchRequest(query=query, limit=1)).notices for query in queries]
    return sum(any("Nothing here seems relevant" in notice for notice in notices) for notices in said) / len(said)


SHOWN = ("words", "trigrams", "semantic", "rank fusion", "convex", "lexical", "hybrid")


def gain(scores: Mapping[str, float], of: str) -> float:
    """Return how far `of` is above the better of words and cosine."""
    return scores[of] - max(scores["words"], scores["semantic"])


def report(measured: Mapping[str, Measured]) -> str:
    """Return the table of all sets, the means, and the worst differences."""
    rows: list[list[str]] = []
    for name, each in measured.items():
        rows.append([name, str(each.chunks), *(f"{each.scores[of]:.3f}" for of in SHOWN)])
        rows[-1] += [f"{gain(each.scores, 'hybrid'):+.3f}", f"{each.found:.2f}", f"{each.milliseconds:.1f}"]
    halves = [[name for name in measured if (name in CHOSEN_ON) is chosen] for chosen in (True, False)]
    for label, names in (("mean", list(measured)), ("chosen on", halves[0]), ("held out", halves[1])):
        if names:
            means = [np.mean([measured[name].scores[of] for name in names]) for of in SHOWN]
            rows.append([f"{label} ({len(names)})", "", *(f"{mean:.3f}" for mean in means), "", "", ""])
    worst = [min(gain(each.scores, of) for each in measured.values()) for of in SHOWN]
    rows.append(["worst against the better of words and semantic", "", *(f"{each:+.3f}" for each in worst), "", "", ""])
    return table(["set", "chunks", *SHOWN, "gain", "found again", "ms a hybrid search"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder for vectors (default {CACHE})")
    parser.add_argument("--engine", choices=["reference", "auto"], default="reference")
    parser.add_argument("--sets", nargs="+", default=["adi", "cranfield", "hotpotqa_small", "scifact", "xquad/de"])
    parser.add_argument("--whole", action="store_true", help="a document is one chunk")
    parser.add_argument("--chunk-size", type=int, default=CHUNK_SIZE, help="tokens (default %(default)s)")
    parser.add_argument("--relevance", action="store_true", help="also count 'nothing seems relevant'")
    arguments = parser.parse_args()
    model = (make_embedder if arguments.engine == "auto" else reference_embedder)(resolve(MODEL))
    measured: dict[str, Measured] = {}
    refusals = []
    for name, after in zip(arguments.sets, [*arguments.sets[1:], arguments.sets[0]], strict=True):
        judged = load_beir(arguments.data / name, QUERIES)
        others = list(load_beir(arguments.data / after, 100).queries.values()) if arguments.relevance else []
        embedder = CachedEmbedder(model, arguments.cache / f"{name.replace('/', '_')}.npz")
        cut = whole if arguments.whole else product(embedder, arguments.chunk_size)
        one = measured[name] = measure(judged, embedder, cut, others)
        print(name, *(f"{of} {one.scores[of]:.3f}" for of in SHOWN), f"{gain(one.scores, 'hybrid'):+.3f}", flush=True)
        if one.refused:
            refusals.append(f"| {name} | {one.refused[0]:.1%} | {one.refused[1]:.1%} ({after}) |")
    print(f"\nnDCG@10 with {MODEL}, {'whole documents' if arguments.whole else 'cut documents'}.\n{machine()}\n")
    print(report(measured))
    if refusals:
        print("\nShare of questions to which search says that nothing seems relevant:\n")
        print("\n".join(["| set | its own | another set's |", "|---|---|---|", *refusals]))


if __name__ == "__main__":
    main()
