"""How well `cluster` finds known groups and `classify` known labels, with the packaged model, beside scikit-learn.

    python -m benchmarks.clustering --data DIR [--cache DIR] [--json FILE]

DIR holds labelled sets (banking77, sib200/eng_Latn, stackoverflow20). Texts are embedded once and cached. V-measure and
adjusted Rand index; accuracy for classification. Peer: scikit-learn's KMeans on the same vectors, true k, same run.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, v_measure_score

from benchmarks.report import machine, table, write_json
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.grouping.communities import communities
from knowledge_core.grouping.kmeans import kmeans
from knowledge_core.quantising import quantise, scale
from knowledge_core.types import Task, Vectors
from knowledge_core.verbs.classify import Label, classify_texts

PER_LABEL = 10  # examples of each label for classification by examples


class CachedEmbedder:
    """The packaged model with a memory of texts: MiniLM has no task prompts, so a text has one vector."""

    def __init__(self, cache: Path) -> None:
        self._inner = reference_embedder(resolve("all-MiniLM-L6-v2"))
        self._file = cache / "texts.npz"
        self._known: dict[str, np.ndarray] = {}
        for file in sorted(cache.glob("*.npz")):
            with np.load(file) as kept:
                if {"digests", "vectors"} <= set(kept.files) and kept["vectors"].shape[1:] == (384,):
                    self._known.update(zip(kept["digests"].tolist(), kept["vectors"], strict=True))
        self.contract = self.static_contract = self._inner.contract
        self.engine, self.sizes = self._inner.engine, self._inner.sizes
        self.loaded = True

    def embed(self, texts, task, titles=None) -> Vectors:
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        lacking = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known}
        if lacking:
            self._known.update(zip(lacking, self._inner.embed(list(lacking.values()), Task.SIMILARITY), strict=True))
        return np.stack([self._known[digest] for digest in digests]).astype(np.float32)

    def count_tokens(self, texts):
        return [len(text) // 4 for text in texts]

    def save(self) -> None:
        np.savez(self._file, digests=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))


def rows(folder: Path, *splits: str) -> list[dict[str, str]]:
    found = []
    for split in splits:
        plain, packed = folder / f"{split}.jsonl", folder / f"{split}.jsonl.gz"
        text = plain.read_text("utf-8") if plain.exists() else gzip.decompress(packed.read_bytes()).decode()
        found += [json.loads(line) for line in text.splitlines() if line.strip()]
    return found


def by_content(sample: list[dict[str, str]]) -> tuple[list[str], list[str]]:
    """Return distinct texts in the order of their hashes, and their labels."""
    labels: dict[str, str] = {}
    for row in sample:
        labels.setdefault(row["text"], row["label"])
    texts = sorted(labels, key=lambda text: hashlib.sha256(text.encode()).hexdigest())
    return texts, [labels[text] for text in texts]


def group(name: str, sample: list[dict[str, str]], embedder: CachedEmbedder) -> list[tuple]:
    texts, labels = by_content(sample)
    vectors = embedder.embed(texts, Task.CLUSTERING)
    quantised, true_k = quantise(vectors), len(set(labels))
    found = []
    for what, run in (
        ("topics (k not given)", lambda: communities(quantised, scale(vectors.shape[1]))),
        (f"k = {true_k}", lambda: kmeans(quantised, true_k)),
        (f"scikit-learn KMeans, k = {true_k}", lambda: KMeans(true_k, n_init=4, random_state=0).fit_predict(vectors)),
    ):
        began = time.perf_counter()
        groups = run()
        seconds = time.perf_counter() - began
        v, ari = v_measure_score(labels, groups), adjusted_rand_score(labels, groups)
        outliers = float((np.asarray(groups) < 0).mean())
        found.append(
            (
                name,
                len(texts),
                what,
                len(set(groups) - {-1}),
                f"{v:.3f}",
                f"{ari:.3f}",
                f"{outliers:.1%}",
                f"{seconds:.2f}",
            )
        )
    return found


def label(name: str, train: list[dict[str, str]], test: list[dict[str, str]], embedder: CachedEmbedder) -> list[tuple]:
    names = sorted({row["label"] for row in test})
    readable = {each: each.replace("_", " ").replace("/", " and ") for each in names}
    texts, truth = [row["text"] for row in test], [readable[row["label"]] for row in test]
    examples = {each: tuple(row["text"] for row in train if row["label"] == each)[:PER_LABEL] for each in names}
    found = []
    for what, labels in (
        ("by name", [Label(readable[each]) for each in names]),
        (f"by {PER_LABEL} examples", [Label(readable[each], examples=examples[each]) for each in names]),
    ):
        made = classify_texts(texts, labels, embedder)
        right = np.mean([each.label == true for each, true in zip(made, truth, strict=True)])
        none = np.mean([each.label is None for each in made])
        found.append((name, len(texts), what, f"{right:.3f}", f"{none:.1%}"))
    return found


def strangers(
    known: list[str], others: list[str], labels: list[Label], embedder: CachedEmbedder
) -> tuple[float, float]:
    """Return the share called "none of these" among texts that have a label, and among those of another set."""
    shares = []
    for texts in (known, others):
        shares.append(float(np.mean([each.label is None for each in classify_texts(texts, labels, embedder)])))
    return shares[0], shares[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "knowledge-core-benchmarks")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    embedder = CachedEmbedder(arguments.cache)
    bank, sib = arguments.data / "banking77", arguments.data / "sib200" / "eng_Latn"
    bank_test, bank_train = rows(bank, "test"), rows(bank, "train")
    sib_all, sib_test, sib_train = rows(sib, "train", "dev", "test"), rows(sib, "test"), rows(sib, "train")
    stack = rows(arguments.data / "stackoverflow20", "test")
    groups = [
        *group("banking77 test", bank_test, embedder),
        *group("sib200 English", sib_all, embedder),
        *group("stackoverflow20, each 5th", stack[::5], embedder),
        *group("stackoverflow20", stack, embedder)[:1],
    ]
    labelled = [
        *label("banking77", bank_train, bank_test, embedder),
        *label("sib200 English", sib_train, sib_test, embedder),
    ]
    names = sorted({row["label"] for row in sib_all})
    by_name = [Label(each.replace("/", " and ")) for each in names]
    by_examples = [
        Label(each, examples=tuple(r["text"] for r in sib_train if r["label"] == each)[:PER_LABEL]) for each in names
    ]
    known, others = [row["text"] for row in sib_test], [row["text"] for row in bank_test[::5]]
    none = [
        ("by name", *strangers(known, others, by_name, embedder)),
        ("by examples", *strangers(known, others, by_examples, embedder)),
    ]
    embedder.save()
    print(machine() + "\n")
    columns = ("set", "texts", "how", "groups", "V-measure", "ARI", "outliers", "seconds")
    print(table(columns, groups) + "\n")
    print(table(("set", "texts", "labels", "accuracy", "none of these"), labelled) + "\n")
    print('Share called "none of these", labels of sib200 English:\n')
    print(table(("labels", "its own texts", "bank questions"), none))
    write_json(arguments.json, {"groups": groups, "labelled": labelled, "none": none})


if __name__ == "__main__":
    main()
