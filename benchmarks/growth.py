"""A collection that grows from nothing while others search it: what fails, how slow it gets, what its graphs cost.

    python -m benchmarks.growth [--chunks 200000] [--alone] [--data FOLDER] [--cache FOLDER]
                                [--json FILE]

One thread writes windows of 2,000 documents through `Collection.write`; beside it another searches without a pause, in
turn hybrid and by `View.nearest` alone, always on the newest view. Any search that fails makes the exit code 1. Times
are of both, in ten slices of the final size; --alone fills without the searches, to see what these cost the writer.
Of the graphs that are built on the way: what they cost together, as a multiple of the last. The chunks are those of
`benchmarks.scale.data`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import machine, percentile, table, write_json
from benchmarks.scale.data import CACHE, TOP, Corpus, Precomputed, say
from benchmarks.scale.product import NAME, WINDOW, Searching, once, settle
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Calibration, Collection
from knowledge_core.verbs.calibrate import VERSION as CALIBRATION

SLICES = 10


class Growing:
    """One collection, filled window by window, and the thread that searches it meanwhile.

    seconds: of each search, by its kind. history: what the graphs had cost after each write.
    """

    def __init__(self, folder: Path, corpus: Corpus, *, alone: bool) -> None:
        self.collection = create_collection(folder, NAME, corpus.contract)
        self._corpus = corpus
        self._embedder = Precomputed(corpus.contract, corpus.questions, corpus.asked)
        self._vector = dict(zip(corpus.questions, corpus.asked, strict=True))
        # From the beginning: searches are to fuse as they do in a collection that the model reads well.
        self.collection.set_calibration(Calibration(0.9, 1, CALIBRATION), corpus.contract)
        self.history: list[Work] = []
        self.seconds: dict[str, list[float]] = {"search": [], "nearest": []}
        self.searching = Searching(self._both, corpus.questions, 0 if alone else 1)

    def _both(self, question: str) -> None:
        for name, ask in (("search", self._search), ("nearest", self._nearest)):
            began = time.perf_counter()
            ask(question)
            self.seconds[name].append(time.perf_counter() - began)

    def _search(self, question: str) -> None:
        once(self.collection, self._embedder, question)

    def _nearest(self, question: str) -> None:
        with self.collection.view() as view:
            wanted = min(TOP, view.counts().chunks)
            found = view.nearest(self._vector[question][np.newaxis], TOP)[0].found
            if len(found) < wanted:
                raise AssertionError(f"{len(found)} chunks were found instead of {wanted}")

    def _look(self) -> None:
        self.history.append(graph_work(self.collection))

    def grow(self, count: int) -> list[dict[str, Any]]:
        """Fill it, and return a row a slice."""
        rows = []
        step = max(WINDOW, count // SLICES)
        with self.searching:
            for begin in range(0, count, step):
                rows.append(self._slice(begin, min(begin + step, count)))
                say(f"{rows[-1]['chunks']:,} of {count:,}: {rows[-1]['documents a second']:.0f} documents a second")
        settle(self.collection)
        self._look()
        return rows

    def _slice(self, begin: int, end: int) -> dict[str, Any]:
        seen = {name: len(each) for name, each in self.seconds.items()}
        writing = []
        for start in range(begin, end, WINDOW):
            change = self._corpus.change(start, min(start + WINDOW, end))
            began = time.perf_counter()
            self.collection.write(change)
            writing.append(time.perf_counter() - began)
            self._look()
        row = {"chunks": end, "documents a second": (end - begin) / sum(writing), "longest write s": max(writing)}
        for name, before in seen.items():
            taken = self.seconds[name][before:]
            row[f"{name}: how many"] = len(taken)
            row |= {f"{name}: p{share} ms": percentile(taken or [float("nan")], share) for share in (50, 99)}
        return row


Work = tuple[int, float, int]
"""Builds, their seconds, and the entries that they added, since the collection was opened."""


def graph_work(collection: Collection) -> Work:
    """Return what the graphs have cost so far: builds, seconds, entries added."""
    work = collection.graph_work()
    return work.builds, work.seconds, work.added


def graphs(history: Sequence[Work], chunks: int) -> dict[str, float]:
    """Return what the builds have cost in all, beside the last one. history: looked up after each write, ascending."""
    if not history or not history[-1][0]:
        return {}
    builds, seconds, added = history[-1]
    before = next((each for each in reversed(history) if each[0] < builds), (0, 0.0, 0))
    last = (seconds - before[1]) / (builds - before[0])
    return {
        "builds": builds, "seconds": seconds, "seconds of the last": last, "seconds / seconds of the last": seconds / last,
        "entries added": added, "entries added / chunks": added / chunks,
    }  # fmt: skip


def shown(rows: Sequence[dict[str, Any]]) -> str:
    return table(list(rows[0]), [list(row.values()) for row in rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=200_000)
    parser.add_argument("--alone", action="store_true", help="without searches")
    parser.add_argument("--data", type=Path, help="folder with one folder a set")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder to keep vectors in (default {CACHE})")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    corpus = Corpus.load(arguments.cache, arguments.data, 200)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.cache) as home:
        growing = Growing(Path(home) / NAME, corpus, alone=arguments.alone)
        rows = growing.grow(arguments.chunks)
        work = graphs(growing.history, arguments.chunks)
        growing.collection.close()
    failed = growing.searching.failed
    beside = "alone" if arguments.alone else "beside a searching thread"
    print(f"{arguments.chunks:,} chunks in windows of {WINDOW:,}, {beside}.\n{machine()}, load {load:.1f} before\n")
    print(shown(rows))
    told = ", ".join(f"{name} {value:.4g}" for name, value in work.items()) or "no graph"
    print(f"\nFailed searches: {len(failed)}. Graphs: {told}.")
    print("\n".join(failed[:20]))
    write_json(arguments.json, {"chunks": arguments.chunks, "slices": rows, "failed": failed, "graphs": work})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
