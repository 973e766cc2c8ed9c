"""The product's side of the scale benchmarks: fill a data directory, and measure it as its users meet it.

    python -m benchmarks.scale.product FOLDER QUESTIONS

is what `benchmarks.scale` starts as a process of its own: it opens the collection in FOLDER, searches, and prints what
that took, as JSON. Only public doors are used: `Collection`, `View`, `search`, `Engine` and MCP.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mcp.client import Client

from benchmarks.scale.data import FILTERS, TOP, Corpus, Filter, Precomputed, Rows, recall, say
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Calibration, Collection, View
from knowledge_core.verbs.calibrate import VERSION as CALIBRATION
from knowledge_core.verbs.search import Mode, Searched, SearchRequest, search

VERSION = 1  # of what a filled data directory holds, beside the corpus it is filled with
NAME = "default"
WINDOW = 2_000  # documents a write: what an indexing job of a fast model sends
MODES: tuple[Mode, ...] = ("semantic", "lexical", "hybrid")
THREADS = (1, 2, 8)
THROUGHPUT_SECONDS = 4.0
MOST_WINDOWS = 8  # made before the clock starts; where they are written sooner, that ends a measurement
KINDS = {"documents.db": "record", "vectors": "vectors", "graph": "graph", "lexical": "words"}


@dataclass(frozen=True)
class Filled:
    """A data directory with `count` documents. seconds: of the writes alone; settled: of what followed them.

    load: of the machine when that was over: near 1 if nothing else ran.
    """

    home: Path
    count: int
    seconds: float
    settled: float
    load: float

    @property
    def folder(self) -> Path:
        return self.home / "collections" / NAME


def filled(corpus: Corpus, count: int, *, anew: bool) -> Filled:
    """Return a data directory with the first `count` documents; kept in the cache. anew: even if it is there."""
    home = corpus.cache / f"home-{VERSION}-{corpus.material.digest}-{count}"
    notes = home / "filled.json"
    if anew or not notes.exists():
        shutil.rmtree(home, ignore_errors=True)
        (home / "collections").mkdir(parents=True)
        collection = create_collection(home / "collections" / NAME, NAME, corpus.contract)
        seconds = fill(collection, corpus, count)
        # What calibration measures would be of drawn vectors; searches are to fuse as they do where the model is good.
        collection.set_calibration(Calibration(0.9, count, CALIBRATION), collection.contract)
        began = time.perf_counter()
        settle(collection)
        collection.close()
        known = {"seconds": seconds, "settled": time.perf_counter() - began, "load": os.getloadavg()[0]}
        notes.write_text(json.dumps(known))
    return Filled(home, count, **json.loads(notes.read_text()))


def fill(collection: Collection, corpus: Corpus, count: int) -> float:
    """Write the first `count` documents in windows; return the seconds that the writes took."""
    seconds = 0.0
    for begin in range(0, count, WINDOW):
        change = corpus.change(begin, min(begin + WINDOW, count))
        began = time.perf_counter()
        collection.write(change)
        seconds += time.perf_counter() - began
        if begin % (10 * WINDOW) == 0:
            say(f"filling: {begin + WINDOW:,} of {count:,} in {seconds:.0f} s")
    return seconds


def settle(collection: Collection) -> None:
    """Wait for the graph that is built in the background."""
    collection.wait_for_graph()


def disk(folder: Path) -> dict[str, int]:
    """Return the bytes of each kind of file of a collection."""
    sizes: dict[str, int] = defaultdict(int)
    for path in folder.rglob("*"):
        if path.is_file():
            sizes[kind_of(path, folder)] += path.stat().st_size
    return dict(sizes)


def kind_of(path: Path, folder: Path) -> str:
    """Return which of `KINDS` a file is, or "other"."""
    top = path.relative_to(folder).parts[0] if path.is_relative_to(folder) else ""
    return next((kind for start, kind in KINDS.items() if top.startswith(start)), "other")


# -- a process of its own ----------------------------------------------------------------------------------------------


def fresh(at: Filled, corpus: Corpus) -> dict[str, float]:
    """Return what `first_searches` prints in a new process; the files are in the page cache, mostly."""
    asked = corpus.cache / "asked.npz"
    np.savez(asked, questions=np.array(corpus.questions), asked=corpus.asked)
    command = [sys.executable, "-m", "benchmarks.scale.product", str(at.folder), str(asked)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    return dict(json.loads(done.stdout))


def first_searches(folder: Path, asked: Path) -> dict[str, float]:
    """Open a collection and search; return milliseconds, and megabytes of memory by what they are.

    The last is what the vectors take: their files as far as they are mapped and in memory, and all that is anonymous.
    """
    with np.load(asked) as stored:
        questions, vectors = [str(each) for each in stored["questions"]], stored["asked"]
    seen: dict[str, float] = {}

    def note(when: str) -> dict[str, float]:
        now = resident(folder)
        seen.update({f"MB, {kind}, {when}": value for kind, value in now.items()})
        return now

    before = note("before")
    began = time.perf_counter()
    collection = Collection.open(folder)
    seen["open ms"] = 1e3 * (time.perf_counter() - began)
    note("open")
    embedder = Precomputed(collection.contract, questions, vectors)
    for at, question in enumerate(questions[:51]):
        began = time.perf_counter()
        once(collection, embedder, question)
        if at == 0:
            seen["first search ms"] = 1e3 * (time.perf_counter() - began)
    note("after 50")
    for filter in FILTERS.values():
        for question in questions[:50]:
            once(collection, embedder, question, filter=filter)
    after = note("after 50 with each filter")
    with collection.view() as view:
        size = view.counts().chunks * collection.contract.dimensions
    taken = after["vectors"] + after["graph"] + after["anonymous"] - before["anonymous"]
    seen["bytes per dimension and chunk"] = 1e6 * taken / size
    collection.close()
    return seen


def resident(folder: Path) -> dict[str, float]:
    """Return this process's resident memory in MB, by `KINDS` of a collection's files, "other" files and "anonymous".

    Linux's proportional set size: a page that is mapped several times, as a graph by each of its views, counts once.
    """
    sizes = dict.fromkeys((*KINDS.values(), "other", "anonymous"), 0.0)
    kind = "anonymous"
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split(maxsplit=5)
        if not first.endswith(":"):  # begins a mapping: addresses, permissions, offset, device, inode, file
            path = rest[4] if len(rest) == 5 else ""
            kind = kind_of(Path(path), folder) if path.startswith("/") else "anonymous"
        elif first == "Pss:":
            sizes[kind] += int(rest[0]) * 1024 / 1e6
    return sizes


def once(
    collection: Collection, embedder: Precomputed, question: str, mode: Mode = "hybrid", filter: Filter | None = None
) -> bool:
    """Search one question on the newest view; say whether the answer is exact."""
    with collection.view() as view:
        request = SearchRequest(query=question, mode=mode, filter=filter)
        return search([Searched(NAME, view, embedder)], request).exact


# -- answers -----------------------------------------------------------------------------------------------------------


def rows_of(view: View, keys: Sequence[int]) -> list[int]:
    """Return the corpus's numbers of the documents that have these keys, in their order."""
    places = view.places_of_keys(keys)
    return [int(place.document[1:]) for key in keys for place in places[key]]


def recalls(view: View, corpus: Corpus, filters: Mapping[str, Filter | None], truth: Mapping[str, Rows]) -> Any:
    """Return for each filter: recall@10 of `View.nearest`, p50 and p99 in ms, and the first evaluation of the filter."""
    found = {}
    for name, filter in filters.items():
        began = time.perf_counter()
        allowed = view.allowed(filter)
        first = 1e3 * (time.perf_counter() - began)
        rows, seconds = [], []
        for query in corpus.asked:
            began = time.perf_counter()
            nearest = view.nearest(query[np.newaxis], TOP, allowed)[0]
            seconds.append(time.perf_counter() - began)
            rows.append(rows_of(view, [key for key, _ in nearest.found]))
        found[name] = (recall(rows, truth[name]), *(1e3 * np.percentile(seconds, (50, 99))).tolist(), first)
    return found


@dataclass
class Calls:
    """What came of the calls of one kind. first: milliseconds of the first one, which is not among the others."""

    first: float = 0.0
    seconds: list[float] = field(default_factory=list)
    exact: list[bool] = field(default_factory=list)


def latencies(at: Filled, embedder: Precomputed, questions: Sequence[str]) -> dict[tuple[str, str], Calls]:
    """Search through MCP, modes and filters interleaved question by question."""
    with Engine(at.home, Config(), make_embedder=lambda name, dimensions: embedder) as engine:
        engine.collection(NAME)
        return asyncio.run(_through_mcp(engine, questions))


async def _through_mcp(engine: Engine, questions: Sequence[str]) -> dict[tuple[str, str], Calls]:
    calls: dict[tuple[str, str], Calls] = defaultdict(Calls)
    async with Client(application(engine)) as client:
        for round, question in enumerate([questions[0], *questions]):
            for filter in FILTERS:
                for mode in MODES:
                    arguments = {"query": question, "mode": mode, "filter": FILTERS[filter]}
                    began = time.perf_counter()
                    result = await client.call_tool("search", arguments)
                    seconds = time.perf_counter() - began
                    assert not result.is_error, result.content
                    if round == 0:
                        calls[mode, filter].first = 1e3 * seconds
                        continue
                    calls[mode, filter].seconds.append(seconds)
                    calls[mode, filter].exact.append(bool(result.structured_content["exact"]))
    return calls


# -- many at once ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rate:
    """searches, documents: a second. p50, p99: of a search, in ms. failed: searches that raised."""

    threads: int
    writing: bool
    searches: float
    p50: float
    p99: float
    failed: int
    documents: float


def throughput(at: Filled, corpus: Corpus, seconds: float = THROUGHPUT_SECONDS) -> list[Rate]:
    """Search hybrid from several threads at once, then the same while another thread writes into a copy."""
    with borrowed(at) as folder:
        collection = Collection.open(folder)
        embedder = Precomputed(collection.contract, corpus.questions, corpus.asked)
        rates = []
        for writing in (False, True):
            for threads in THREADS:
                windows = _windows(corpus, at.count, len(rates)) if writing else []
                rates.append(_rate(collection, embedder, corpus.questions, threads, windows, seconds))
        settle(collection)
        collection.close()
    return rates


@contextmanager
def borrowed(at: Filled) -> Iterator[Path]:
    """Yield a copy of a collection's folder, to be written into."""
    copy = at.home.with_name(f"{at.home.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    try:
        yield Path(shutil.copytree(at.folder, copy / NAME))
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _windows(corpus: Corpus, count: int, round: int) -> list[Any]:
    begin = count + round * MOST_WINDOWS * WINDOW
    return [corpus.change(begin + each * WINDOW, begin + (each + 1) * WINDOW) for each in range(MOST_WINDOWS)]


def _rate(
    collection: Collection, embedder: Precomputed, questions: Sequence[str], threads: int, windows: list[Any],
    seconds: float,
) -> Rate:  # fmt: skip
    searching = Searching(lambda question: once(collection, embedder, question), questions, threads)
    written, writing = 0, bool(windows)
    with searching:
        began = time.perf_counter()
        while windows and time.perf_counter() - began < seconds:
            collection.write(windows.pop(0))
            written += WINDOW
        if not writing:
            time.sleep(seconds)
        passed = time.perf_counter() - began
        taken = [each for _, each in list(searching.taken)]
    p50, p99 = (1e3 * np.percentile(taken, (50, 99))).tolist() if taken else (float("nan"), float("nan"))
    return Rate(threads, writing, len(taken) / passed, p50, p99, len(searching.failed), written / passed)


class Searching:
    """Threads that search until the end of the block. taken: (when, seconds) of each search."""

    def __init__(self, ask: Callable[[str], Any], questions: Sequence[str], threads: int) -> None:
        self._ask, self._questions = ask, questions
        self.taken: list[tuple[float, float]] = []
        self.failed: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(17 * each,), daemon=True) for each in range(threads)]

    def __enter__(self) -> Searching:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, at: int) -> None:
        while not self._over.is_set():
            began = time.perf_counter()
            try:
                self._ask(self._questions[at % len(self._questions)])
            except Exception as error:  # noqa: BLE001  # whatever it is, the run must tell
                self.failed.append(repr(error))
            self.taken.append((began, time.perf_counter() - began))
            at += 1


if __name__ == "__main__":
    print(json.dumps(first_searches(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))))
