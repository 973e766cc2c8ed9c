"""nDCG@10 of the three modes on judged sets, beside what plain components score there.

    python -m benchmarks.retrieval_quality --data FOLDER [--cache FOLDER] [--sets adi cranfield ...] [--relevance]

FOLDER of --data has one folder a set, in BEIR's layout. Every set goes into a collection of its own in a temporary
folder, through the product's own storage and search: once with a document as one chunk (title and text, as the
components beside it were measured), once cut by the product's chunker. The first 600 judged queries are asked. The
vectors are kept in the folder of --cache, so that a second run embeds nothing.

With --relevance it also tells how often search says that nothing seems relevant: to a set's own questions, where it
should not, and to those of the next set, where it may.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.contract import EmbeddingContract
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.models import resolve
from knowledge_core.embedding.sentence_transformers_engine import reference_embedder
from knowledge_core.evaluation import Evaluation, Judged, evaluate, load_beir
from knowledge_core.ingestion.chunking import chunk
from knowledge_core.search import Mode, Searched, SearchRequest, search
from knowledge_core.storage.collection import Change, Collection, NewDocument, text_digest
from knowledge_core.types import Chunk, Document, Lines, Span, Task, Vectors

CACHE = Path(tempfile.gettempdir()) / "knowledge-core-vectors"
MODEL = "all-MiniLM-L6-v2"
QUERIES = 600
CHUNK_SIZE = 400  # tokens; the model's own limit if that is less
MODES: tuple[Mode, ...] = ("lexical", "semantic", "hybrid")
LEEWAY = 0.02  # below the component, at most
COMPONENTS: Mapping[str, tuple[float, float, float]] = {
    # BM25 (k1 1.5) on stemmed words, cosine of MiniLM, min-max convex fusion with dense weight 0.4: nDCG@10 of plain
    # NumPy and bm25s code outside the product, title and text as one chunk.
    "adi": (0.494, 0.498, 0.538),
    "cranfield": (0.437, 0.435, 0.481),
    "hotpotqa_small": (0.782, 0.785, 0.833),
    "scifact": (0.686, 0.645, 0.723),
    "nl2bash": (0.406, 0.529, 0.511),
    "covidqa": (0.639, 0.437, 0.657),
    "locomo": (0.375, 0.260, 0.401),
    "xquad/en": (0.963, 0.938, 0.974),
    "xquad/de": (0.905, 0.702, 0.927),
    "xquad/zh": (0.958, 0.230, 0.947),
    "xquad/ar": (0.893, 0.044, 0.887),
    "jsquad": (0.942, 0.267, 0.900),
}


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


def product(embedder: Embedder) -> Cut:
    """Cut as the product does."""
    size = min(CHUNK_SIZE, embedder.static_contract.max_length)
    return lambda document: chunk(document, embedder.count_tokens, size=size)


def fill(collection: Collection, judged: Judged, embedder: Embedder, cut: Cut) -> int:
    """Put a judged set's documents into a collection; return the number of chunks."""
    new = [NewDocument(each, cut(each), digest=each.id) for each in judged.documents]
    pairs = [(each.text, each.title(one.document.title)) for one in new for each in one.chunks]
    rows = embedder.embed([text for text, _ in pairs], Task.DOCUMENT, [title for _, title in pairs])
    digests = [text_digest(embedder.contract.format(text, Task.DOCUMENT, title)) for text, title in pairs]
    collection.write(Change(add=new, vectors=dict(zip(digests, rows, strict=True))))
    return len(pairs)


@dataclass(frozen=True)
class Measured:
    """One set, cut in one way. milliseconds: a search without embedding. refused: own and other questions."""

    chunks: int
    scores: list[Evaluation]
    milliseconds: float
    refused: tuple[float, float] | None


def measure(judged: Judged, embedder: Embedder, cut: Cut, others: Sequence[str]) -> Measured:
    """Index a set into a temporary collection and ask its questions in every mode, then `others`, if any."""
    own = list(judged.queries.values())
    embedder.embed([*own, *others], Task.QUERY)  # kept: what is timed below is search alone
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection.create(Path(folder) / "judged", "judged", embedder.contract)
        chunks = fill(collection, judged, embedder, cut)
        with collection.view() as view:
            over = [Searched("judged", view, embedder)]
            began = time.perf_counter()
            scores = [evaluate(over, judged, mode=mode) for mode in MODES]
            milliseconds = 1e3 * (time.perf_counter() - began) / len(MODES) / len(own)
            said = (refused(over, own), refused(over, others)) if others else None
        collection.close()
    return Measured(chunks, scores, milliseconds, said)


def refused(over: Sequence[Searched], queries: Sequence[str]) -> float:
    """Return the share of queries to which search says that nothing seems relevant."""
    said = [search(over, SearchRequest(query=query, limit=1)).notices for query in queries]
    return sum(any("Nothing here seems relevant" in notice for notice in notices) for notices in said) / len(said)


def row(name: str, judged: Judged, plain: Measured, cut: Measured | None) -> str:
    """Return a set's row of the table."""
    beside = COMPONENTS.get(name, (0.0, 0.0, 0.0))
    pairs = [(mode, score.ndcg, component) for mode, score, component in zip(MODES, plain.scores, beside, strict=True)]
    cells = [name, str(len(judged.documents)), str(len(judged.queries))]
    cells += [f"{ndcg:.3f} ({component:.3f})" for _, ndcg, component in pairs]
    cells += [", ".join(mode for mode, ndcg, component in pairs if ndcg < component - LEEWAY) or "no"]
    shown = cut or plain
    cells += [f"{score.ndcg:.3f}" for score in cut.scores] if cut else ["", "", ""]
    cells += [str(shown.chunks), f"{shown.scores[2].recall:.3f}", f"{shown.scores[2].mrr:.3f}"]
    return f"| {' | '.join([*cells, f'{shown.milliseconds:.1f}'])} |"


def head() -> str:
    """Return the head of the table."""
    cells = ["set", "documents", "queries", *(f"{mode} (component)" for mode in MODES), f"more than {LEEWAY} below"]
    cells += [*(f"{mode}, cut" for mode in MODES), "chunks", "recall@10", "MRR@10", "ms a search"]
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder for vectors (default {CACHE})")
    parser.add_argument("--sets", nargs="+", default=["adi", "cranfield", "hotpotqa_small", "scifact", "xquad/de"])
    parser.add_argument("--whole", action="store_true", help="only documents as one chunk, not those that are cut")
    parser.add_argument("--relevance", action="store_true", help="also count 'nothing seems relevant'")
    arguments = parser.parse_args()
    model = reference_embedder(resolve(MODEL))
    refusals = []
    print(head(), flush=True)
    for name, after in zip(arguments.sets, [*arguments.sets[1:], arguments.sets[0]], strict=True):
        judged = load_beir(arguments.data / name, QUERIES)
        others = list(load_beir(arguments.data / after, 100).queries.values()) if arguments.relevance else []
        embedder = CachedEmbedder(model, arguments.cache / f"{name.replace('/', '_')}.npz")
        plain = measure(judged, embedder, whole, others)
        cut = None if arguments.whole else measure(judged, embedder, product(embedder), [])
        print(row(name, judged, plain, cut), flush=True)
        if plain.refused:
            refusals.append(f"| {name} | {plain.refused[0]:.1%} | {plain.refused[1]:.1%} ({after}) |")
    print(f"\nnDCG@10 with {MODEL}. Recall, MRR and time (all modes, no embedding) are of the cut documents, if any.")
    if refusals:
        print("\nShare of questions to which search says that nothing seems relevant:\n")
        print("\n".join(["| set | its own | another set's |", "|---|---|---|", *refusals]))


if __name__ == "__main__":
    main()
