"""How often the first hit is right in a small collection: a newcomer's dozen notes, not a corpus.

    python -m benchmarks.few_notes [--data FOLDER] [--sets adi cranfield ...] [--draws 4]

Without --data: 28 English and 12 German notes with their questions (few_notes.json, written for this), whole and in
draws of twelve. With it, from each set (BEIR's layout) draws of 6, 12, 25 and 45 texts among which eight questions have
their answers. Every collection goes through the product's own storage, calibration and search. Columns: by words
and by meaning alone; a min-max convex sum of the two (dense weight 0.4), which many products use; hybrid search of a
collection that was not measured yet; hybrid search.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import machine, table
from benchmarks.retrieval_quality import CACHE, DENSE_WEIGHT, MODEL, CachedEmbedder, fill, minmax, whole
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.types import Document, no_progress
from knowledge_core.verbs.calibrate import calibrate, measurement_due
from knowledge_core.verbs.evaluate import Judged, load_beir
from knowledge_core.verbs.search import Hit, Searched, SearchRequest, search

SETS = (
    "adi", "cranfield", "hotpotqa_small", "scifact", "nl2bash", "covidqa", "locomo",
    "xquad/en", "xquad/de", "xquad/zh", "xquad/ar", "jsquad",
)  # fmt: skip
SIZES = (6, 12, 25, 45)
QUESTIONS = 8  # of a draw, as far as their answers fit into seven tenths of it
NOTES = 12  # of a draw from the notes
WAYS = ("words", "semantic", "convex", "not measured", "hybrid")


@dataclass(frozen=True)
class Few:
    """A few documents, and questions with the ids that answer them."""

    documents: Sequence[Document]
    questions: Sequence[tuple[str, frozenset[str]]]


def drawn(judged: Judged, draw: random.Random, size: int) -> Few:
    """Draw questions, the texts that answer them, and others up to `size`."""
    ids = sorted(document.id for document in judged.documents)
    answers = {
        question: frozenset(id for id, grade in judged.judgements[question].items() if grade > 0) & set(ids)
        for question in sorted(judged.queries)
    }
    answered = [question for question, found in answers.items() if found]
    kept: list[str] = []
    texts: set[str] = set()
    for question in draw.sample(answered, min(QUESTIONS, len(answered))):
        if len(texts | answers[question]) <= 0.7 * size:
            texts |= answers[question]
            kept.append(question)
    others = [id for id in draw.sample(ids, min(len(ids), size + len(texts))) if id not in texts]
    texts |= set(others[: size - len(texts)])
    documents = [document for document in judged.documents if document.id in texts]
    return Few(documents, [(judged.queries[question], answers[question]) for question in kept])


def notes(draws: int) -> Iterator[tuple[str, Few]]:
    """Yield the written notes, whole and in draws."""
    content = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    draw = random.Random(1)
    for language, texts in content["notes"].items():
        asked = content["questions"][language]
        for number in range(draws + 1):
            ids = set(draw.sample(sorted(texts), NOTES)) if number else set(texts)
            documents = [Document(id, text, "") for id, text in texts.items() if id in ids]
            questions = [(question, frozenset([id])) for question, id in asked if id in ids]
            label = f"notes/{language}, {NOTES} of them" if number else f"notes/{language}, all {len(texts)}"
            if len(texts) > NOTES or not number:
                yield label, Few(documents, questions)


def first_right(few: Few, embedder: Embedder) -> dict[str, list[bool]]:
    """Return, for each way, whether the first hit of each question was right."""
    right: dict[str, list[bool]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        collection = create_collection(Path(folder) / "few", "few", embedder.contract)
        fill(collection, Judged(few.documents, {}, {}), embedder, whole)
        for measured in (False, True):
            with collection.view() as view:
                over = [Searched("few", view, embedder)]
                for question, answers in few.questions:
                    hits = search(over, SearchRequest(query=question, limit=100, explain=True)).hits
                    ranked = {"hybrid": hits} if measured else {"not measured": hits, **_parts(hits)}
                    for way, found in ranked.items():
                        right[way].append(bool(found) and found[0].document in answers)
                wanted = measurement_due(view)
            if not measured and wanted:
                calibrate(collection, embedder, no_progress)
        collection.close()
    return right


def _parts(hits: Sequence[Hit]) -> dict[str, list[Hit]]:
    """Return the hits as each side alone would rank them, and as their convex sum would."""
    cosines = {at: hit.parts["dense"] for at, hit in enumerate(hits) if hit.parts and "dense" in hit.parts}
    words = {at: hit.parts["lexical"] for at, hit in enumerate(hits) if hit.parts and "lexical" in hit.parts}
    meaning, worded = minmax(cosines), minmax(words)
    both = {
        at: DENSE_WEIGHT * meaning.get(at, 0.0) + (1 - DENSE_WEIGHT) * worded.get(at, 0.0) for at in range(len(hits))
    }
    return {
        way: [hits[at] for at in sorted(scores, key=lambda at: (-scores[at], hits[at].document))]
        for way, scores in (("words", words), ("semantic", cosines), ("convex", both))
    }


def report(measured: Mapping[str, Mapping[str, Sequence[bool]]]) -> str:
    """Return the table: the share of first hits that are right."""
    shares = {name: [sum(right[way]) / len(right[way]) for way in WAYS] for name, right in measured.items()}
    rows = [[name, str(len(measured[name]["hybrid"])), *(f"{share:.3f}" for share in shares[name])] for name in shares]
    means = [sum(column) / len(shares) for column in zip(*shares.values(), strict=True)]
    return table(["texts", "questions", *WAYS], [*rows, ["mean", "", *(f"{mean:.3f}" for mean in means)]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with one folder a set")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--draws", type=int, default=4, help="of each size")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder for vectors (default {CACHE})")
    arguments = parser.parse_args()
    embedder = CachedEmbedder(reference_embedder(resolve(MODEL)), arguments.cache / "few_notes.npz")
    measured: dict[str, dict[str, list[bool]]] = {}

    def add(name: str, some: Iterable[Few]) -> None:
        for few in some:
            for way, right in first_right(few, embedder).items():
                measured.setdefault(name, {each: [] for each in WAYS})[way] += right

    for label, few in notes(arguments.draws):
        add(label, [few])
    for name in arguments.sets if arguments.data else ():
        judged, draw = load_beir(arguments.data / name, 10_000), random.Random(name)
        add(name, (drawn(judged, draw, size) for size in SIZES for _ in range(arguments.draws)))
        print(name, *(f"{way} {sum(right) / len(right):.3f}" for way, right in measured[name].items()), flush=True)
    print(f"\nShare of questions whose first hit is right, with {MODEL}.\n{machine()}\n\n{report(measured)}")


if __name__ == "__main__":
    main()
