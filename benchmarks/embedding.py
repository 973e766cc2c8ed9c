"""Texts and tokens per second of our engine against plain `SentenceTransformer.encode`, and ONNX Runtime where it is there.

    python -m benchmarks.embedding [--data FOLDER] [--set NAME] [--model NAME | --full-size] [--rounds 3] [--json FILE]

FOLDER of --data has one folder a set, in BEIR's layout; without it the set that ships with the package is taken.
--full-size makes random weights of EmbeddingGemma-300m's exact architecture in a temporary folder: speed does not
depend on values. Its tokenizer is a toy with short tokens, so every text is cut to a number of tokens that is usual for
it: passages to 155, queries to 21, mixed lengths to 13 to 505 (fewer where the model reads fewer, or the text is short).

The same texts, the same process; the engines take turns, so that what else the machine does falls on all. Peers: encode
at its defaults, encode in bfloat16, and ONNX Runtime in float32 where `onnxruntime`, `onnx` and `onnxscript` are
installed (they are not needed by anything else here); it gets batches of 32 texts sorted by length, as encode makes them.
Told are medians, our speed as a multiple of each peer's, the mean cosine between our vectors and the defaults', and the
share of the measured peak of the machine's matrix products. Load time and memory are measured in a process each.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from benchmarks.report import machine, table, write_json
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.local_embedder import LocalEmbedder
from knowledge_core.embedding.local.packed.products import Linear
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import Model, resolve
from knowledge_core.embedding.tokens import open_tokenizer
from knowledge_core.types import Task, Vectors
from knowledge_core.verbs.evaluate import Judged, load_beir

PACKAGED_SET = "hotpotqa_small"
OPERATIONS = 203e6  # of EmbeddingGemma-300m a token, attention's own products left out
COLUMNS = (
    "work", "texts", "tokens per text", "ours texts/s", "ours tokens/s", "encode tokens/s", "x encode", "range",
    "x encode bfloat16", "x ONNX float32", "mean cosine", "share of peak",
)  # fmt: skip
LOADED = ("engine", "load s", "first query ms", "one query p50 ms", "peak memory MB", "of it not the file's MB")
ENGINES = ("ours", "encode", "bfloat16", "onnx")
LENGTHS = {"passages": (155, 155), "queries": (21, 21), "mixed lengths": (13, 505)}  # tokens, from and to
COUNTS = {"passages": 64, "queries": 128, "mixed lengths": 256}
ALONE = 32  # queries, one per call
ALONE_NAME = "one query per call"


@dataclass(frozen=True)
class Work:
    """Texts to embed in one call, or one call per text."""

    name: str
    texts: Sequence[str]
    task: Task
    one_by_one: bool = False


@dataclass(frozen=True)
class Measured:
    """One work. seconds: of each engine, one a round. share: of the measured peak; nan where it is not known."""

    name: str
    texts: int
    tokens: int
    seconds: dict[str, list[float]]
    share: float
    cosine: float

    def ratios(self, peer: str) -> list[float]:
        ours = self.seconds["ours"]
        return [their / our for our, their in zip(ours, self.seconds.get(peer, []), strict=False)]

    def row(self) -> tuple[str | float, ...]:
        ours, encode = (statistics.median(self.seconds[name]) for name in ("ours", "encode"))
        times = [f"{statistics.median(found):.2f}" if (found := self.ratios(peer)) else "-" for peer in ENGINES[1:]]
        spread = f"{min(self.ratios('encode')):.2f} to {max(self.ratios('encode')):.2f}"
        return (
            self.name, str(self.texts), f"{self.tokens / self.texts:.0f}", self.texts / ours, self.tokens / ours,
            self.tokens / encode, times[0], spread, times[1], times[2], f"{self.cosine:.6f}", f"{self.share:.2f}",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", type=Path)
    parser.add_argument("--set", metavar="NAME", default=None, help="a set below FOLDER (default: scifact)")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--works", nargs="+", choices=[*COUNTS, ALONE_NAME], help="only these")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--alone", metavar="ENGINE", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(alone(arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        compare(arguments, Path(scratch))


def compare(arguments: argparse.Namespace, scratch: Path) -> None:
    name = (arguments.set or "scifact") if arguments.data else PACKAGED_SET
    chosen = resolve(str(full_size(scratch / "gemma")) if arguments.full_size else arguments.model)
    embedder = ours(chosen, arguments.precision, scratch)
    peers = {"encode": encode(embedder, "float32"), "bfloat16": encode(embedder, "bfloat16")}
    if all(map(importlib.util.find_spec, ("onnxruntime", "onnx", "onnxscript"))):
        peers["onnx"] = onnx(embedder, scratch / "model.onnx", export=True)
    best = peak(embedder.engine.rpartition(" ")[2])
    at_peak = best / OPERATIONS if arguments.full_size else float("nan")
    judged = read(arguments.data / name if arguments.data else None)
    chosen_works = [work for work in works(judged, embedder) if work.name in (arguments.works or [work.name])]
    measured = [measure(work, embedder, peers, arguments.rounds, at_peak) for work in chosen_works]
    named = "EmbeddingGemma-300m's sizes, random weights" if arguments.full_size else chosen.name
    print(f"{named}, {embedder.engine} ({embedder.engine_reason}), set {name}, {arguments.rounds} rounds; products reach "
          f"{best / 1e9:.0f} Gop/s. {machine()}.\n")  # fmt: skip
    print(table(COLUMNS, [each.row() for each in measured]))
    alones = [in_own_process(engine, chosen.folder, arguments.precision, scratch) for engine in ("ours", *peers)]
    print(f"\n{table(LOADED, [tuple(each.values()) for each in alones])}")
    content = {"set": name, "model": named, "engine": embedder.engine, "peak": best, "alone": alones}
    write_json(arguments.json, content | {"work": [asdict(each) for each in measured]})


def ours(model: Model, precision: str, scratch: Path) -> LocalEmbedder:
    embedder = make_embedder(model, precision=precision, device="cpu", verdicts=scratch / "engines.json")
    embedder.load()
    return embedder


def in_own_process(engine: str, folder: Path, precision: str, scratch: Path) -> dict[str, str | float]:
    """Return what one engine takes when nothing else is loaded; ours as at every start but a model's first."""
    command = [
        sys.executable, "-m", "benchmarks.embedding", "--alone", engine, "--model", str(folder), "--precision", precision,
        "--scratch", str(scratch),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, str | float] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(arguments: argparse.Namespace) -> dict[str, str | float]:
    began = time.perf_counter()
    model = resolve(arguments.model)
    if arguments.alone == "ours":
        embedder = ours(model, arguments.precision, arguments.scratch)
        engine: Encode = lambda texts: embedder.embed(texts, Task.QUERY)  # noqa: E731
    else:
        embedder = reference_embedder(model, device="cpu")  # not loaded: it only says where the model lies
        if arguments.alone == "onnx":
            engine = onnx(embedder, arguments.scratch / "model.onnx")
        else:
            engine = encode(embedder, "float32" if arguments.alone == "encode" else "bfloat16")
    loaded = time.perf_counter() - began
    questions = [
        f"which {number} of the lighthouses on the northern coast were still kept in winter" for number in range(ALONE)
    ]
    seconds = [timed(lambda text=text: engine([text])) for text in questions]
    engine([" ".join(questions)[:600]] * 32)
    memory = dict(
        line.split()[:2] for line in Path("/proc/self/status").read_text().splitlines() if line.endswith("kB")
    )
    return {
        "engine": embedder.engine if arguments.alone == "ours" else arguments.alone,
        "load s": loaded,
        "first query ms": seconds[0] * 1e3,
        "one query p50 ms": statistics.median(seconds[1:]) * 1e3,
        "peak memory MB": int(memory["VmHWM:"]) / 1e3,  # unlike ru_maxrss it does not know the parent's
        "of it not the file's MB": int(memory["RssAnon:"]) / 1e3,
    }


def read(folder: Path | None) -> Judged:
    if folder is not None:
        return load_beir(folder)
    with as_file(files("knowledge_core.examples") / PACKAGED_SET) as packaged:
        return load_beir(packaged)


def works(judged: Judged, embedder: LocalEmbedder) -> list[Work]:
    random = np.random.default_rng(0)
    passages = [f"{each.title}\n{each.text}" if each.title else each.text for each in judged.documents]
    sources = {"passages": passages, "queries": list(judged.queries.values()), "mixed lengths": passages}
    made = []
    for name, texts in sources.items():
        chosen = texts[: COUNTS[name]]
        lengths = random.integers(*LENGTHS[name], len(chosen), endpoint=True)
        made.append(
            Work(name, cut(embedder, chosen, lengths.tolist()), Task.QUERY if name == "queries" else Task.DOCUMENT)
        )
    return [*made, Work(ALONE_NAME, made[1].texts[:ALONE], Task.QUERY, one_by_one=True)]


def cut(embedder: LocalEmbedder, texts: Sequence[str], lengths: Sequence[int]) -> list[str]:
    """Return the beginnings of texts that have these numbers of tokens, the prompt's included, or the whole texts."""
    tokenizer = open_tokenizer(embedder.model)
    around = len(tokenizer.encode(embedder.static_contract.format("", Task.DOCUMENT)).ids)
    ends = [tokenizer.encode(text, add_special_tokens=False).offsets for text in texts]
    kept = [max(length - around, 1) for length in lengths]
    return [text if len(at) <= n else text[: at[n - 1][1]] for text, at, n in zip(texts, ends, kept, strict=True)]


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


def encode(embedder: LocalEmbedder, precision: str) -> Encode:
    """Return a peer: another copy of the model, as sentence-transformers' documentation says to use it."""
    import torch
    from sentence_transformers import SentenceTransformer

    settings = {} if precision == "float32" else {"dtype": getattr(torch, precision)}
    model = SentenceTransformer(str(embedder.model.folder), device="cpu", local_files_only=True, model_kwargs=settings)
    return lambda texts: model.encode(texts, show_progress_bar=False, convert_to_tensor=True).float().numpy()


def onnx(embedder: LocalEmbedder, file: Path, *, export: bool = False) -> Encode:
    """Return a peer: the whole model as ONNX Runtime runs it on all cores, exported by torch."""
    import onnxruntime

    if export:
        exported(embedder, file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    tokenizer = open_tokenizer(embedder.model)
    tokenizer.enable_truncation(embedder.model.max_length)
    tokenizer.enable_padding()

    def run(texts: list[str]) -> Vectors:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        rows: list[Vectors] = []
        for start in range(0, len(order), 32):
            found = tokenizer.encode_batch([texts[i] for i in order[start : start + 32]])
            inputs = {
                "input_ids": [each.ids for each in found],
                "attention_mask": [each.attention_mask for each in found],
            }
            rows += session.run(None, {name: np.array(value, np.int64) for name, value in inputs.items()})
        back = np.argsort(order, kind="stable")
        return np.concatenate(rows)[back]

    return run


def exported(embedder: LocalEmbedder, file: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(embedder.model.folder), device="cpu", local_files_only=True)

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]

    example = torch.ones((2, 7), dtype=torch.int64)
    sizes = {
        0: torch.export.Dim("texts", min=1, max=512),
        1: torch.export.Dim("tokens", min=2, max=embedder.model.max_length),
    }
    with torch.inference_mode():
        torch.onnx.export(
            Whole(), (example, example.clone()), str(file), input_names=["input_ids", "attention_mask"],
            dynamic_shapes=(sizes, sizes), dynamo=True, external_data=True, verbose=False,
        )  # fmt: skip


def measure(
    work: Work, embedder: LocalEmbedder, peers: dict[str, Encode], rounds: int, tokens_at_peak: float
) -> Measured:
    """Let the engines take turns; the first turn of each warms up and is compared, not timed."""
    contract = embedder.static_contract
    formatted = [contract.format(text, work.task) for text in work.texts]
    calls = [[i] for i in range(len(formatted))] if work.one_by_one else [list(range(len(formatted)))]

    def run(name: str) -> Vectors:
        if name == "ours":
            return np.concatenate([embedder.embed([work.texts[i] for i in call], work.task) for call in calls])
        return np.concatenate([peers[name]([formatted[i] for i in call]) for call in calls])

    warm = {name: run(name) for name in ("ours", *peers)}
    cosine = float(np.sum(warm["ours"] * warm["encode"], axis=1).mean())
    seconds: dict[str, list[float]] = {name: [] for name in warm}
    for _ in range(rounds):
        for name in seconds:
            seconds[name].append(timed(lambda name=name: run(name)))
    tokens = sum(len(each.ids) for each in embedder.tokens(formatted))
    share = tokens / statistics.median(seconds["ours"]) / tokens_at_peak
    return Measured(work.name, len(formatted), tokens, seconds, share, cosine)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
