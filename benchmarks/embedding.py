"""Texts and tokens per second of our engines against plain `SentenceTransformer.encode`, and ONNX Runtime where it is there.

    python -m benchmarks.embedding [--data FOLDER] [--set NAME] [--model NAME | --full-size [300m] [2]] [--rounds 3]
                                   [--share 0.25] [--cores 1] [--json FILE]

FOLDER of --data has one folder a set, in BEIR's layout; without it the set that ships with the package is taken.
--full-size makes random weights of the exact architectures of EmbeddingGemma-300m and EmbeddingGemma 2 in a temporary
folder: speed does not depend on values. Their tokenizer is a toy with short tokens, so every text is cut to a number of
tokens that is usual for it: passages to 155, queries to 21, mixed lengths to 13 to 505 (fewer where the text is short).

The same texts; the engines take turns, so that what else the machine does falls on all. Ours: as `auto` chooses it, and in
float32. Peers: encode at its defaults and in bfloat16, in this process; with --peers also ONNX Runtime (float32, int8),
OpenVINO and egemma2, each in a process of its own where it is installed (`benchmarks/embedding_peers.py`; nothing else here
needs them). MiniLM's ONNX Runtime is that of the package, at its own defaults. EmbeddingGemma 2 as published is no model
that encode loads without libraries for pictures and sound: its peers get the text model alone, with the same weights. MiniLM
in bulk is measured once its engine for bulk work is decided.

Told are medians of the rounds: tokens per second and per second of processor time (what a busy machine leaves fair,
best with --cores 1: threads that wait for each other burn it; not known of peers in other processes), both as multiples of
encode's, the cosines to encode's vectors, and for ours the share of the measured peak of the machine's products. Load time,
the time of one query of 21 tokens and memory are measured in a process each.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.embedding_peers import Peer, peers
from benchmarks.report import machine, table, write_json
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.local_embedder import LocalEmbedder
from knowledge_core.embedding.local.onnx.beside import ENOUGH
from knowledge_core.embedding.local.onnx.minilm import GRAPH, Weights, is_published
from knowledge_core.embedding.local.packed.products import Linear
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import Model, resolve
from knowledge_core.embedding.tokens import open_tokenizer
from knowledge_core.types import Task, Vectors
from knowledge_core.verbs.evaluate import Judged, load_beir

PACKAGED_SET = "hotpotqa_small"
OPERATIONS = {"300m": 203e6, "2": 274e6}  # a token, attention's own products left out
NAMES = {"300m": "EmbeddingGemma-300m", "2": "EmbeddingGemma 2"}
COLUMNS = (
    "model", "work", "engine", "tokens/s", "x encode", "range", "tokens per CPU s", "x encode by CPU", "mean cosine",
    "least cosine", "share of peak",
)  # fmt: skip
LOADED = (
    "model",
    "engine",
    "load s",
    "first query ms",
    "one query p50 ms",
    "peak memory MB",
    "of it not the file's MB",
)
ENGINES = ("ours", "ours float32", "encode", "bfloat16", "onnx")
LENGTHS = {"passages": (155, 155), "queries": (21, 21), "mixed lengths": (13, 505)}  # tokens, from and to
COUNTS = {"passages": 64, "queries": 128, "mixed lengths": 256}
ALONE = 32  # queries, one per call
ALONE_QUESTION = "which of the lighthouses on the coast were kept in"  # about 21 tokens of the toy tokenizer
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
    """One work by one engine.

    wall, cpu: seconds, one a round. share: of the measured peak; nan where it is not known.
    """

    work: str
    engine: str
    tokens: int
    wall: list[float]
    cpu: list[float]
    mean: float
    least: float
    share: float

    def row(self, model: str, engine: str, encode: Measured) -> tuple[str | float, ...]:
        ratios = [their / our for our, their in zip(self.wall, encode.wall, strict=True)]
        cpu = [their / our for our, their in zip(self.cpu, encode.cpu, strict=True)]
        return (
            model, self.work, engine, self.tokens / statistics.median(self.wall), f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}", self.tokens / statistics.median(self.cpu),
            f"{statistics.median(cpu):.2f}", f"{self.mean:.6f}", f"{self.least:.6f}", f"{self.share:.2f}",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", type=Path)
    parser.add_argument("--set", metavar="NAME", default=None, help="a set below FOLDER (default: scifact)")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--full-size", nargs="*", choices=[*NAMES], metavar="GENERATION", help="300m, 2; default: both")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the texts")
    parser.add_argument("--cores", type=int, default=0, help="for every engine; default: all")
    parser.add_argument(
        "--peers", action="store_true", help="also engines in processes of their own; minutes to export"
    )
    parser.add_argument("--works", nargs="+", choices=[*COUNTS, ALONE_NAME], help="only these")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--alone", metavar="ENGINE", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cores:
        import torch

        torch.set_num_threads(arguments.cores)
    if arguments.alone:
        print(json.dumps(alone(arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        compare(arguments, Path(scratch))


def compare(arguments: argparse.Namespace, scratch: Path) -> None:
    generations = None if arguments.full_size is None else arguments.full_size or [*NAMES]
    runs = []
    for generation in generations or [""]:
        with ExitStack() as stack:
            runs.append(one_model(arguments, scratch, generation, stack))
    print(f"{arguments.rounds} rounds, {arguments.cores or 'all'} cores. {machine()}.\n")
    print(table(COLUMNS, [row for run in runs for row in run["rows"]]))
    print(f"\n{table(LOADED, [row for run in runs for row in run['loaded']])}\n")
    for run in runs:
        print(f"{run['model']}: {run['engine']}, {run['reason']}; products reach {run['peak'] / 1e9:.0f} Gop/s.")
        for name, why in run["failed"].items():
            print(f"{run['model']}, {name}: skipped ({why})")
    write_json(arguments.json, {"cores": arguments.cores, "runs": runs})


def one_model(arguments: argparse.Namespace, scratch: Path, generation: str, stack: ExitStack) -> dict[str, Any]:
    """Measure all works of one model. generation: "" for the model that is named. stack: ends the peers' processes."""
    name = (arguments.set or "scifact") if arguments.data else PACKAGED_SET
    chosen = resolve(str(full_size(scratch / generation, generation)) if generation else arguments.model)
    named = f"{NAMES[generation]}, random weights" if generation else chosen.name
    embedder = ours(chosen, arguments.precision, scratch)
    if is_published(chosen):
        decide_bulk(embedder)
    exact = ours(chosen, "float32", scratch)
    engines = {"ours": by_us(embedder), "ours float32": by_us(exact)}
    labels = {"ours": embedder.engine, "ours float32": exact.engine}
    engines |= {"encode": encode(embedder, "float32"), "bfloat16": encode(embedder, "bfloat16")}
    if is_published(chosen) and importlib.util.find_spec("onnxruntime"):
        engines["onnx"] = onnx(embedder)
    others: dict[str, Peer] = {}
    failed: dict[str, str] = {}
    if arguments.peers:
        (beside := scratch / f"{generation or 'model'}-peers").mkdir()
        others, failed = stack.enter_context(peers(chosen.folder, beside))
        engines |= others
    peaks = {"ours": peak(embedder.engine.rpartition(" ")[2]), "ours float32": peak("float32")}
    at_peak = {each: best / OPERATIONS[generation] for each, best in peaks.items() if generation}
    judged = read(arguments.data / name if arguments.data else None)
    rows: list[tuple[str | float, ...]] = []
    measured: list[Measured] = []
    for work in works(judged, embedder, arguments.share):
        if work.name in (arguments.works or [work.name]):
            found = measure(work, embedder, engines, arguments.rounds, at_peak)
            rows += [each.row(named, labels.get(each.engine, each.engine), found["encode"]) for each in found.values()]
            measured += found.values()
    alones = [in_own_process(each, chosen.folder, arguments, scratch) for each in engines if each not in others]
    loaded = [(named, *each.values()) for each in alones] + [loaded_row(named, each) for each in others.values()]
    return {
        "failed": failed,
        "model": named, "engine": embedder.engine, "reason": embedder.engine_reason, "peak": peaks["ours"], "set": name,
        "rows": rows, "loaded": loaded,
        "work": [asdict(each) for each in measured],
    }  # fmt: skip


def loaded_row(model: str, peer: Peer) -> tuple[str | float, ...]:
    """Return what a peer in a process of its own took; its load has the export of the model in it."""
    questions = [f"{ALONE_QUESTION} {number}" for number in range(ALONE)]
    seconds = []
    for text in questions:
        peer([text])
        seconds.append(peer.seconds)
    p50 = statistics.median(seconds[1:]) * 1e3
    return model, peer.name, peer.load_seconds, seconds[0] * 1e3, p50, peer.peak_bytes() / 1e6, float("nan")


def ours(model: Model, precision: str, scratch: Path) -> LocalEmbedder:
    embedder = make_embedder(model, precision=precision, device="cpu", verdicts=scratch / "engines.json")
    embedder.load()
    return embedder


def decide_bulk(embedder: LocalEmbedder) -> None:
    """Embed so much that an engine for bulk work is looked for, and wait until that is done."""
    embedder.embed(["word " * 200] * (ENOUGH // 100), Task.DOCUMENT)
    while any(each.name == "bulk-engine" for each in threading.enumerate()):
        time.sleep(0.1)


def in_own_process(engine: str, folder: Path, arguments: argparse.Namespace, scratch: Path) -> dict[str, str | float]:
    """Return what one engine takes when nothing else is loaded; ours as at every start but a model's first."""
    command = [
        sys.executable, "-m", "benchmarks.embedding", "--alone", engine, "--model", str(folder), "--precision",
        arguments.precision, "--cores", str(arguments.cores), "--scratch", str(scratch),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, str | float] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(arguments: argparse.Namespace) -> dict[str, str | float]:
    began = time.perf_counter()
    model = resolve(arguments.model)
    if arguments.alone in ("ours", "ours float32"):
        wanted = arguments.precision if arguments.alone == "ours" else "float32"
        embedder = ours(model, wanted, arguments.scratch)
        engine: Encode = lambda texts: embedder.embed(texts, Task.QUERY)  # noqa: E731
    else:
        embedder = reference_embedder(model, device="cpu")  # not loaded: it only says where the model lies
        if arguments.alone == "onnx":
            engine = onnx(embedder)
        else:
            engine = encode(embedder, "float32" if arguments.alone == "encode" else "bfloat16")
    loaded = time.perf_counter() - began
    questions = [
        f"which {number} of the lighthouses on the northern coast were still kept in winter" for number in range(ALONE)
    ]
    asked = cut(embedder, questions, [LENGTHS["queries"][0]] * ALONE)
    formatted = (
        asked
        if arguments.alone.startswith("ours")
        else [embedder.static_contract.format(text, Task.QUERY) for text in asked]
    )
    seconds = [timed(lambda text=text: engine([text]))[0] for text in formatted]
    engine([" ".join(questions)[:600]] * 32)
    memory = dict(
        line.split()[:2] for line in Path("/proc/self/status").read_text().splitlines() if line.endswith("kB")
    )
    return {
        "engine": embedder.engine if arguments.alone.startswith("ours") else arguments.alone,
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


def works(judged: Judged, embedder: LocalEmbedder, share: float) -> list[Work]:
    random = np.random.default_rng(0)
    passages = [f"{each.title}\n{each.text}" if each.title else each.text for each in judged.documents]
    sources = {"passages": passages, "queries": list(judged.queries.values()), "mixed lengths": passages}
    made = []
    for name, texts in sources.items():
        chosen = texts[: round(COUNTS[name] * share)]
        lengths = random.integers(*LENGTHS[name], len(chosen), endpoint=True)
        made.append(
            Work(name, cut(embedder, chosen, lengths.tolist()), Task.QUERY if name == "queries" else Task.DOCUMENT)
        )
    return [*made, Work(ALONE_NAME, made[1].texts[: round(ALONE * share)], Task.QUERY, one_by_one=True)]


def cut(embedder: LocalEmbedder, texts: Sequence[str], lengths: Sequence[int]) -> list[str]:
    """Return the beginnings of texts that have these numbers of tokens, the prompt's included, or the whole texts."""
    tokenizer = open_tokenizer(embedder.model)
    around = len(tokenizer.encode(embedder.static_contract.format("", Task.DOCUMENT)).ids)
    ends = [tokenizer.encode(text, add_special_tokens=False).offsets for text in texts]
    kept = [max(length - around, 1) for length in lengths]
    return [text if len(at) <= n else text[: at[n - 1][1]] for text, at, n in zip(texts, ends, kept, strict=True)]


def full_size(folder: Path, generation: str) -> Path:
    """Make the model, for the second generation beside the text model alone of the same weights, and return its folder."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    if generation == "300m":
        from tiny_gemma import make_tiny_gemma

        return make_tiny_gemma(folder, full_size=True)
    from tiny_gemma2 import make_tiny_gemma2

    make_tiny_gemma2(text_alone(folder), full_size=True, flat=True)
    return make_tiny_gemma2(folder, full_size=True)


def text_alone(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-text")


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
        best = min(timed(lambda: list(pool.map(products, range(cores))))[0] for _ in range(4))
    torch.set_num_threads(cores)
    return cores * 60 * 2 * 1024 * 768 * 1152 / best


Encode = Callable[[list[str]], Vectors]
"""Takes strings with their prompts."""


def by_us(embedder: LocalEmbedder) -> Encode:
    """Return our engine as it computes strings that have their prompts already."""
    return lambda texts: embedder._finished(embedder._rows(embedder.tokens(texts), urgent=len(texts) == 1))


def encode(embedder: LocalEmbedder, precision: str) -> Encode:
    """Return a peer: another copy of the model, as sentence-transformers' documentation says to use it."""
    import torch
    from sentence_transformers import SentenceTransformer

    settings = {"dtype": getattr(torch, precision)}  # by default it is the file's: bfloat16 for the second generation
    folder = embedder.model.folder
    chosen = str(text_alone(folder) if embedder.model.second_generation else folder)
    model = SentenceTransformer(chosen, device="cpu", local_files_only=True, model_kwargs=settings)
    return lambda texts: model.encode(texts, show_progress_bar=False, convert_to_tensor=True).float().numpy()


def onnx(embedder: LocalEmbedder) -> Encode:
    """Return a peer: the graph of the packaged MiniLM as ONNX Runtime runs it on all cores, at its defaults."""
    weights = Weights(embedder.model.folder)
    session = packaged_session(weights)
    tokenizer = open_tokenizer(embedder.model)
    tokenizer.enable_truncation(embedder.model.max_length)
    tokenizer.enable_padding()

    def run(texts: list[str]) -> Vectors:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        rows: list[Vectors] = []
        for start in range(0, len(order), 32):
            found = tokenizer.encode_batch([texts[i] for i in order[start : start + 32]])
            ids = np.array([each.ids for each in found], np.int64)
            mask = np.array([each.attention_mask for each in found], np.float32)
            rows += session.run(None, {"words": weights.words[ids], "mask": mask})
        back = np.argsort(order, kind="stable")
        return np.concatenate(rows)[back]

    return run


def packaged_session(weights: Weights) -> Any:
    """Return MiniLM's graph as ONNX Runtime runs it at its defaults."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    tensors = [onnxruntime.OrtValue.ortvalue_from_numpy(each) for each in weights.others.values()]
    options.add_external_initializers(list(weights.others), tensors)
    return onnxruntime.InferenceSession(GRAPH.read_bytes(), options, providers=["CPUExecutionProvider"])


def measure(
    work: Work, embedder: LocalEmbedder, engines: dict[str, Encode], rounds: int, at_peak: dict[str, float]
) -> dict[str, Measured]:
    """Let the engines take turns; the first turn of each warms up and is compared, not timed."""
    formatted = [embedder.static_contract.format(text, work.task) for text in work.texts]
    calls = [[text] for text in formatted] if work.one_by_one else [formatted]

    def run(name: str) -> Vectors:
        return np.concatenate([engines[name](call) for call in calls])

    warm = {name: unit(run(name)) for name in engines}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            if isinstance(engine, Peer):
                seconds[name].append((inside(engine, calls), float("nan")))
            else:
                seconds[name].append(timed(lambda name=name: run(name)))
    tokens = sum(len(each.ids) for each in embedder.tokens(formatted))
    found = {}
    for name in engines:
        cosines = np.sum(warm[name] * warm["encode"], axis=1)
        wall, cpu = ([each[i] for each in seconds[name]] for i in (0, 1))
        share = tokens / statistics.median(wall) / at_peak[name] if name in at_peak else float("nan")
        found[name] = Measured(work.name, name, tokens, wall, cpu, float(cosines.mean()), float(cosines.min()), share)
    return found


def unit(rows: Vectors) -> Vectors:
    result: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return result


def inside(peer: Peer, calls: list[list[str]]) -> float:
    """Return the seconds that a peer computes for these calls, without the way to its process."""
    total = 0.0
    for call in calls:
        peer(call)
        total += peer.seconds
    return total


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call took, and the seconds of processor time that this process used meanwhile."""
    began, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - cpu


if __name__ == "__main__":
    main()
