"""Texts and tokens per second of our engine against plain `SentenceTransformer.encode`, at its defaults and bfloat16.

    python -m benchmarks.embedding [--data FOLDER] [--set NAME] [--model NAME | --full-size] [--texts 256] [--rounds 3]

FOLDER of --data has one folder a set, in BEIR's layout; without it the set that ships with the package is taken.
--full-size makes random weights of EmbeddingGemma-300m's exact architecture in a temporary folder: speed does not
depend on values. The same texts, the same process; the engines take turns, so that what else the machine does falls on
all. Told are medians, our speed as a multiple of the peers', the mean cosine between our vectors and the defaults', and
the share of the measured peak of the machine's matrix products. ONNX Runtime is not among the peers yet.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from benchmarks.report import machine, memory_mb, table, write_json
from knowledge_core.embedding.engines import make_embedder
from knowledge_core.embedding.gemma3 import Linear
from knowledge_core.embedding.local_embedder import LocalEmbedder
from knowledge_core.embedding.models import resolve
from knowledge_core.evaluation import Judged, load_beir
from knowledge_core.types import Task, Vectors

PACKAGED_SET = "hotpotqa_small"
OPERATIONS = 203e6  # of EmbeddingGemma-300m a token, attention's own products left out
COLUMNS = (
    "work",
    "texts",
    "tokens a text",
    "ours texts/s",
    "ours tokens/s",
    "encode tokens/s",
    "x defaults",
    "range",
    "x bfloat16",
    "mean cosine",
    "share of peak",
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
    half: float
    share: float  # of the measured peak of matrix products; nan where the model's operations are not known
    ratio: float  # median of the rounds' ratios
    ratios: tuple[float, ...]
    cosine: float

    def row(self) -> tuple[str | float, ...]:
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"
        return (
            self.name, str(self.texts), f"{self.tokens / self.texts:.0f}", self.texts / self.ours,
            self.tokens / self.ours, self.tokens / self.encode, f"{self.ratio:.2f}", spread,
            f"{self.half / self.ours:.2f}", f"{self.cosine:.6f}", f"{self.share:.2f}",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", type=Path)
    parser.add_argument("--set", metavar="NAME", default=None, help="a set below FOLDER (default: scifact)")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    name = (arguments.set or "scifact") if arguments.data else PACKAGED_SET
    judged = read(arguments.data / name if arguments.data else None)
    folder = tempfile.TemporaryDirectory() if arguments.full_size else None
    chosen = resolve(str(full_size(Path(folder.name) / "gemma")) if folder else arguments.model)
    began = time.perf_counter()
    embedder = make_embedder(chosen, precision=arguments.precision, device="cpu")
    embedder.load()
    loaded = time.perf_counter() - began
    peers = (plain(embedder, "float32"), plain(embedder, "bfloat16"))
    best = peak(embedder.engine.rpartition(" ")[2])
    measured = [
        measure(work, embedder, peers, arguments.rounds, best / OPERATIONS if folder else float("nan"))
        for work in works(judged, arguments.texts)
    ]
    named = "EmbeddingGemma-300m's sizes, random weights" if folder else chosen.name
    print(f"{named}, {embedder.engine} ({embedder.engine_reason}), loaded in {loaded:.1f} s, set {name}, "
          f"{arguments.rounds} rounds; products reach {best / 1e9:.0f} Gop/s, memory {memory_mb():.0f} MB with the "
          f"peers'. {machine()}.\n")  # fmt: skip
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


def full_size(folder: Path) -> Path:
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from tiny_gemma import make_tiny_gemma

    return make_tiny_gemma(folder, full_size=True)


def peak(precision: str) -> float:
    """Return how many operations a second products of this precision reach with a thread on each core."""
    import torch

    kind = getattr(torch, precision)
    linear = Linear(torch.ones(1152, 768, dtype=kind), kind)

    def products(_: int) -> None:
        torch.set_num_threads(1)
        x = torch.ones(1024, 768, dtype=kind)
        with torch.inference_mode():
            for _ in range(60):
                linear(x)

    cores = torch.get_num_threads()
    with ThreadPoolExecutor(cores) as pool:
        best = min(timed(lambda: list(pool.map(products, range(cores)))) for _ in range(4))
    torch.set_num_threads(cores)
    return cores * 60 * 2 * 1024 * 768 * 1152 / best


Encode = Callable[[list[str]], Vectors]


def plain(embedder: LocalEmbedder, precision: str) -> Encode:
    """Return a peer: another copy of the model, as sentence-transformers' documentation says to use it."""
    import torch
    from sentence_transformers import SentenceTransformer

    settings = {} if precision == "float32" else {"dtype": getattr(torch, precision)}
    model = SentenceTransformer(str(embedder.model.folder), device="cpu", local_files_only=True, model_kwargs=settings)
    return lambda texts: model.encode(texts, show_progress_bar=False, convert_to_tensor=True).float().numpy()


def measure(
    work: Work, embedder: LocalEmbedder, peers: tuple[Encode, Encode], rounds: int, tokens_at_peak: float
) -> Measured:
    """Let the engines take turns; the first turn of each warms up and is compared, not timed."""
    contract = embedder.static_contract
    formatted = [contract.format(text, work.task) for text in work.texts]
    calls = [[i] for i in range(len(formatted))] if work.one_by_one else [list(range(len(formatted)))]

    def ours() -> Vectors:
        return np.concatenate([embedder.embed([work.texts[i] for i in call], work.task) for call in calls])

    def theirs(encode: Encode) -> Vectors:
        return np.concatenate([encode([formatted[i] for i in call]) for call in calls])

    encode, half = peers
    cosine = float(np.sum(ours() * theirs(encode), axis=1).mean())
    theirs(half)
    seconds = [(timed(ours), timed(lambda: theirs(encode)), timed(lambda: theirs(half))) for _ in range(rounds)]
    ratios = tuple(their / our for our, their, _ in seconds)
    lengths = embedder.count_tokens(formatted)
    tokens = sum(min(length + 2, contract.max_length) for length in lengths)
    best = statistics.median(our for our, _, _ in seconds)
    return Measured(
        name=work.name,
        texts=len(formatted),
        tokens=tokens,
        ours=best,
        encode=statistics.median(their for _, their, _ in seconds),
        half=statistics.median(their for _, _, their in seconds),
        share=tokens / best / tokens_at_peak,
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
