"""How much of the model's speed indexing keeps, and where the rest goes.

    python -m benchmarks.indexing [--files FOLDER] [--suffix .py] [--most N] [--prose] [--rounds 3] [--model NAME]
                                  [--no-model] [--json FILE]

By default the source files of scikit-learn (public, installed with sentence-transformers); `--prose`: the encyclopaedia
paragraphs of the packaged example instead. The embedder alone and `index` take the same chunks, by the same engine object,
and rounds are interleaved. Alone, it gets all chunks in one call, which tokenises the next ones while it computes. `index`
reads, cuts, embeds, writes the record (fsync) and both derived indexes; PDF, office files and the like are parsed in processes
of their own, as an owner does it. `--suffix ""` takes files of all formats.

The second table is the processor time of each step, by the clock of the thread that did it, so that other programs on the
machine do not count. "threads of libraries" is the rest of the process: mostly Tantivy's writer and torch's own.
`--no-model` puts noise in the place of vectors: then only what lies beside the model takes time.
"""

from __future__ import annotations

import argparse
import os

# As the owner has it. Before the imports: the library reads it once.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import functools
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.embedding import decide_bulk
from benchmarks.report import machine, table, write_json
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.local_embedder import LocalEmbedder
from knowledge_core.embedding.local.onnx.minilm import is_published
from knowledge_core.embedding.models.models import resolve
from knowledge_core.indexing import preparing, windows
from knowledge_core.indexing.preparing import Reading, document_as_json
from knowledge_core.ingestion.cutting.chunking import chunk
from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.ingestion.workers.pool import Workers
from knowledge_core.storage import collection as collections
from knowledge_core.storage import lexical_index
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import JobRecord, PlanRow
from knowledge_core.storage.record.document_store import DocumentStore
from knowledge_core.storage.record.job_table import JobTable
from knowledge_core.storage.vectors.vector_index import VectorIndex
from knowledge_core.storage.view import View
from knowledge_core.types import Document, Task, Vectors, no_progress
from knowledge_core.verbs.evaluate import load_beir
from knowledge_core.verbs.index import index

CHUNK_SIZE = 400
FILE_LIMIT = 10**8
WARM_UP = 200  # chunks


class Steps:
    """Processor seconds by step. A step inside another one counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._open = threading.local()

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            stack = self._open.__dict__.setdefault("stack", [])
            stack.append(0.0)
            began = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                whole = time.thread_time() - began
                inner = stack.pop()
                if stack:
                    stack[-1] += whole
                with self._guard:
                    self.seconds[step] += whole - inner

        return call


@contextmanager
def watched(steps: Steps) -> Iterator[None]:
    """Take the time of the steps of indexing inside this context."""
    places: Sequence[tuple[str, Any, str]] = (
        ("reading", preparing, "read_file"),
        ("cutting", preparing, "chunk"),
        ("counting tokens", LocalEmbedder, "count_tokens"),
        ("formatting, hashing", preparing, "texts_of"),
        ("formatting, hashing", preparing, "content_digest"),
        ("tokenising", LocalEmbedder, "tokens"),
        ("embedding: the model", LocalEmbedder, "_forward"),
        ("embedding: packing, handing on", windows, "embed_packed"),
        ("record", DocumentStore, "write"),
        ("record", DocumentStore, "missing"),
        ("record", JobTable, "inline"),
        ("record", DocumentStore, "checkpoint"),
        ("record", View, "missing"),
        ("record", View, "state"),
        ("views", collections.Collection, "_publish"),
        ("words and trigrams", lexical_index, "terms"),
        ("lexical writer", lexical_index.LexicalIndex, "apply"),
        ("vectors", VectorIndex, "apply"),
        ("vectors", VectorIndex, "save"),
    )
    with ExitStack() as stack:
        for step, owner, name in places:
            if hasattr(owner, name):
                stack.enter_context(mock.patch.object(owner, name, steps.timed(step, getattr(owner, name))))
        yield


WORKERS = Workers()  # as an owner has them, for all rounds


def noise(embedder: LocalEmbedder) -> Callable[[list[Any]], Vectors]:
    """Return what stands in for the model: random vectors."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((4096, embedder.model.dimensions)).astype(np.float32)
    return lambda texts: rows[: len(texts)]


def documents_of(folder: Path, suffix: str, most: int) -> dict[Path, Document]:
    """Return the files of a folder that can be read, by path, the first `most` in the order of their names."""
    found: dict[Path, Document] = {}
    for path in sorted(folder.rglob(f"*{suffix}")):
        if len(found) == most:
            break
        try:
            found[path] = read_file(path, document_id=f"files/{path.relative_to(folder).as_posix()}", limit=FILE_LIMIT)
        except Unreadable:
            continue
    return found


def alone_once(embedder: LocalEmbedder, chunks: Sequence[tuple[str, str]]) -> None:
    embedder.embed([text for text, _ in chunks], Task.DOCUMENT, [title for _, title in chunks])


def index_once(embedder: LocalEmbedder, rows: Sequence[PlanRow], roots: Sequence[Path]) -> None:
    with tempfile.TemporaryDirectory() as home:
        collection = create_collection(Path(home) / "c", "c", embedder.contract)
        now = time.time()
        collection.start_job(JobRecord("j", "index", "running", now, now), rows)
        reading = Reading(roots, CHUNK_SIZE, FILE_LIMIT, workers=WORKERS)
        report = index(collection, embedder, reading, job="j", progress=no_progress)
        assert not report.failed, report.failed[:3]
        collection.close()


def main() -> None:
    arguments = _arguments()
    if arguments.prose:
        with as_file(files("knowledge_core.examples") / "hotpotqa_small") as folder:
            documents = list(load_beir(folder).documents)[: arguments.most]
        rows, roots = [PlanRow(each.id, "add", inline=document_as_json(each)) for each in documents], ()
    else:
        folder = Path(arguments.files or _sources()).resolve()
        found = documents_of(folder, arguments.suffix, arguments.most)
        documents = list(found.values())
        rows, roots = [PlanRow(each.id, "add", str(path)) for path, each in found.items()], (folder,)
    embedder = make_embedder(resolve(arguments.model))
    embedder.contract  # noqa: B018  # loads
    if is_published(embedder.model) and not arguments.no_model:
        decide_bulk(embedder)  # else the engine for bulk work is looked for in the middle of what is measured
    size = min(CHUNK_SIZE, embedder.static_contract.max_length)
    parts = [(each, part) for each in documents for part in chunk(each, embedder.count_tokens, size=size)]
    distinct = {(part.text, part.title(each.title)): None for each, part in parts}
    chunks = list(distinct)
    tokens = sum(embedder.count_tokens([text for text, _ in chunks]))
    print(f"{len(documents)} documents, {len(parts)} chunks, {len(chunks)} distinct, {tokens:,} tokens; {machine()}")
    print(f"{arguments.model}, {embedder.engine}; {arguments.rounds} rounds", flush=True)
    if arguments.no_model:
        embedder._forward = noise(embedder)  # type: ignore[method-assign]
        assert embedder._lanes is not None
        embedder._lanes._work = embedder._forward
    alone_once(embedder, chunks[:WARM_UP])  # the first batches are small, until the pace is known
    _report(arguments, *_measured(arguments.rounds, embedder, chunks, rows, roots), tokens)


def _measured(
    rounds: int, embedder: LocalEmbedder, chunks: Sequence[tuple[str, str]], rows: Sequence[PlanRow],
    roots: Sequence[Path],
) -> tuple[list[Any], list[Any], Steps]:  # fmt: skip
    """Return (seconds, processor seconds) of each round alone and of each round of `index`, and the steps of the latter."""
    alone: list[Any] = []
    whole: list[Any] = []
    steps = Steps()
    _let_lanes_be_watched(embedder, steps)
    for _ in range(rounds):
        for outcome, work in (
            (alone, lambda: alone_once(embedder, chunks)),
            (whole, lambda: index_once(embedder, rows, roots)),
        ):
            with ExitStack() as stack:
                if outcome is whole:
                    stack.enter_context(watched(steps))
                    steps.on = True  # type: ignore[attr-defined]
                began, worked = time.perf_counter(), time.process_time()
                work()
                outcome.append((time.perf_counter() - began, time.process_time() - worked))
                steps.on = False  # type: ignore[attr-defined]
    return alone, whole, steps


def _let_lanes_be_watched(embedder: LocalEmbedder, steps: Steps) -> None:
    """The lanes hold the bound function since the model was loaded; a patch of the class would not reach them."""
    lanes = embedder._lanes
    assert lanes is not None
    plain, timed = lanes._work, steps.timed("embedding: the model", lanes._work)
    lanes._work = lambda batch: timed(batch) if getattr(steps, "on", False) else plain(batch)


def _report(arguments: argparse.Namespace, alone: list[Any], whole: list[Any], steps: Steps, tokens: int) -> None:
    speed = [statistics.median(tokens / seconds for seconds, _ in each) for each in (alone, whole)]
    worked = [statistics.median(cpu for _, cpu in each) for each in (alone, whole)]
    shares = [one[0] / other[0] for one, other in zip(alone, whole, strict=True)]
    print()
    rows = [
        ("the embedder alone", speed[0], 1.0, worked[0], worked[0] / worked[0]),
        ("`index`, whole", speed[1], statistics.median(shares), worked[1], worked[0] / worked[1]),
    ]
    print(table(["", "tokens/s", "share", "processor s", "share by processor time"], rows))
    print("\nshares by round: " + ", ".join(f"{share:.3f}" for share in shares) + "\n")
    total = sum(cpu for _, cpu in whole)
    named = steps.seconds.most_common()
    named.append(("threads of libraries, and what is not named", total - sum(steps.seconds.values())))
    per_million = 1e6 / (tokens * len(whole))
    costs = [(step, cpu / len(whole), cpu * per_million, f"{100 * cpu / total:.1f} %") for step, cpu in named]
    print(table(["step of `index`", "processor s", "per million tokens", "share"], costs))
    write_json(
        arguments.json,
        {"tokens": tokens, "alone": alone, "index": whole, "shares": shares, "steps": dict(named)},
    )


def _sources() -> str:
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("scikit-learn is not installed; name a folder with --files.")
    return str(next(iter(found.submodule_search_locations)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", metavar="FOLDER", help="index its files (default: the sources of scikit-learn)")
    parser.add_argument("--suffix", default=".py", help="of the files that count (default .py)")
    parser.add_argument("--most", type=int, default=10**9, metavar="N", help="documents at most")
    parser.add_argument("--prose", action="store_true", help="the packaged example instead of files")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-model", action="store_true", help="noise in the place of vectors: what lies beside it")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
