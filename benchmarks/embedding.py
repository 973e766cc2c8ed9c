"""Texts and tokens per second of our engine against plain `SentenceTransformer.encode` at its defaults.

    python -m benchmarks.embedding [--data FOLDER] [--set NAME] [--model NAME] [--texts 256] [--rounds 3] [--json FILE]

FOLDER of --data has one folder a set, in BEIR's layout; without it the set that ships with the package is taken. The
same texts, the same process, the same weights in float32; the two take turns, so that what else the machine does
falls on both. Told are medians, and our speed as a multiple of the peer's. "cosine" is the least between the two
engines' vectors of the same text: a speed counts only where it is 1.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from benchmarks.report import machine, table, write_json
from knowledge_core.embedding.local_embedder import LocalEmbedder
from knowledge_core.embedding.models import resolve
from knowledge_core.embedding.sentence_transformers_engine import reference_embedder
from knowledge_core.evaluation import Judged, load_beir
from knowledge_core.types import Task, Vectors

PACKAGED_SET = "hotpotqa_small"
COLUMNS = (
    "work",
    "texts",
    "tokens a text",
    "ours texts/s",
    "ours tokens/s",
    "encode tokens/s",
    "ratio",
    "range",
    "cosine",
)


@dataclass(frozen=True)
class Work:
    """Texts to embed in one call, or one call a text."""

    name: str
    texts: Sequence[str]
    task: Task
    one_by_one: bool = False


@dataclass(frozen=True)
class Measured:
    name: str
    texts: int
    tokens: int
    ours: float  # seconds, median
    encode: float
    ratio: float  # median of the rounds' ratios
    ratios: tuple[float, ...]
    cosine: float

    def row(self) -> tuple[str | float, ...]:
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"
        return (
            self.name, str(self.texts), f"{self.tokens / self.texts:.0f}", self.texts / self.ours,
            self.tokens / self.ours, self.tokens / self.encode, f"{self.ratio:.2f}", spread, f"{self.cosine:.6f}",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", type=Path)
    parser.add_argument("--set", metavar="NAME", default=None, help="a set below FOLDER (default: scifact)")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    name = (arguments.set or "scifact") if arguments.data else PACKAGED_SET
    judged = read(arguments.data / name if arguments.data else None)
    embedder = reference_embedder(resolve(arguments.model), device="cpu")
    encode = plain(embedder)
    measured = [measure(work, embedder, encode, arguments.rounds) for work in works(judged, arguments.texts)]
    print(f"{embedder.model.name}, float32, set {name}, {arguments.rounds} rounds. {machine()}.\n")
    print(table(COLUMNS, [each.row() for each in measured]))
    write_json(arguments.json, {"set": name, "model": embedder.model.name, "work": [asdict(each) for each in measured]})


def read(folder: Path | None) -> Judged:
    if folder is not None:
        return load_beir(folder)
    with as_file(files("knowledge_core.examples") / PACKAGED_SET) as packaged:
        return load_beir(packaged)


def works(judged: Judged, count: int) -> list[Work]:
    passages = [f"{each.title}\n{each.text}" if each.title else each.text for each in judged.documents[:count]]
    queries = list(judged.queries.values())[:count]
    lengths = np.random.default_rng(0).integers(40, 1600, len(passages))
    mixed = [passage[:length] for passage, length in zip(passages, lengths, strict=True)]
    return [
        Work("passages", passages, Task.DOCUMENT),
        Work("queries", queries, Task.QUERY),
        Work("mixed lengths", mixed, Task.DOCUMENT),
        Work("one query a call", queries[:32], Task.QUERY, one_by_one=True),
    ]


def plain(embedder: LocalEmbedder) -> Callable[[list[str]], Vectors]:
    """Return the peer: a second copy of the model, as its own documentation says to use it."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(embedder.model.folder), device="cpu", local_files_only=True)
    return lambda texts: np.asarray(model.encode(texts, show_progress_bar=False))


def measure(work: Work, embedder: LocalEmbedder, encode: Callable[[list[str]], Vectors], rounds: int) -> Measured:
    """Let the two engines take turns; the first turn of each warms up and is compared, not timed."""
    contract = embedder.static_contract
    formatted = [contract.format(text, work.task) for text in work.texts]
    calls = [[i] for i in range(len(formatted))] if work.one_by_one else [list(range(len(formatted)))]

    def ours() -> Vectors:
        return np.concatenate([embedder.embed([work.texts[i] for i in call], work.task) for call in calls])

    def theirs() -> Vectors:
        return np.concatenate([encode([formatted[i] for i in call]) for call in calls])

    cosine = float(np.sum(ours() * theirs(), axis=1).min())
    seconds = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    ratios = tuple(their / our for our, their in seconds)
    lengths = embedder.count_tokens(formatted)
    return Measured(
        name=work.name,
        texts=len(formatted),
        tokens=sum(min(length + 2, contract.max_length) for length in lengths),
        ours=statistics.median(our for our, _ in seconds),
        encode=statistics.median(their for _, their in seconds),
        ratio=statistics.median(ratios),
        ratios=ratios,
        cosine=cosine,
    )


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
