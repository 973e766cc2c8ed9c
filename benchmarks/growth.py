"""A collection that grows from nothing while others search it: what fails, how slow it gets, what its graphs cost.

    python -m benchmarks.growth [--chunks 200000] [--data FOLDER] [--cache FOLDER] [--json FILE]

One thread writes windows of 2,000 documents through `Collection.write`; beside it one searches without a pause, hybrid
and then by `View.nearest` alone, each on the newest view. Any search that fails ends the run with exit code 1. Times
are of both, in ten slices of the final size. Of the graphs that are built on the way: what they cost together, as a
multiple of one build at the end. The chunks are those of `benchmarks.scale_data`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import machine, percentile, table, write_json
from benchmarks.scale_data import CACHE, TOP, Corpus, Precomputed, say
from benchmarks.scale_product import NAME, WINDOW, Searching, once, settle
from knowledge_core.calibration import VERSION as CALIBRATION
from knowledge_core.storage.collection import Calibration, Collection

SLICES = 10


class Growing:
    """One collection, filled window by window, and the threads that search it meanwhile."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self.collection = Collection.create(folder, NAME, corpus.contract)
        self._corpus = corpus
        self._embedder = Precomputed(corpus.contract, corpus.questions, corpus.asked)
        self._vector = dict(zip(corpus.questions, corpus.asked, strict=True))
        # From the beginning: searches are to fuse as they do in a collection that the model reads well.
        self.collection.set_calibration(Calibration(0.9, 1, CALIBRATION), corpus.contract)
        self.hybrid = Searching(self._search, corpus.questions, 1)
        self.nearest = Searching(self._nearest, corpus.questions, 1)

    def _search(self, question: str) -> None:
        once(self.collection, self._embedder, question)

    def _nearest(self, question: str) -> None:
        with self.collection.view() as view:
            chunks = view.counts().chunks
            found = view.nearest(self._vector[question][np.newaxis], TOP)[0]
            if len(found) < min(TOP, chunks):
                raise AssertionError(f"{len(found)} of {chunks} chunks were found")

    def grow(self, count: int) -> list[dict[str, Any]]:
        """Fill it, and return a row a slice."""
        rows = []
        step = max(WINDOW, count // SLICES)
        with self.hybrid, self.nearest:
            for begin in range(0, count, step):
                rows.append(self._slice(begin, min(begin + step, count)))
                say(f"{rows[-1]['chunks']:,} of {count:,}: {rows[-1]['documents a second']:.0f} documents a second")
        return rows

    def _slice(self, begin: int, end: int) -> dict[str, Any]:
        seen = [len(each.taken) for each in (self.hybrid, self.nearest)]
        writing = []
        for start in range(begin, end, WINDOW):
            change = self._corpus.change(start, min(start + WINDOW, end))
            began = time.perf_counter()
            self.collection.write(change)
            writing.append(time.perf_counter() - began)
        row = {"chunks": end, "documents a second": (end - begin) / sum(writing), "longest write s": max(writing)}
        for name, each, before in zip(("search", "nearest"), (self.hybrid, self.nearest), seen, strict=True):
            taken = [seconds for _, seconds in each.taken[before:]] or [float("nan")]
            row[f"{name}: how many"] = len(each.taken) - before
            row |= {f"{name}: p{share} ms": percentile(taken, share) for share in (50, 99)}
        return row

    @property
    def failed(self) -> list[str]:
        return [*self.hybrid.failed, *self.nearest.failed]


def graphs(collection: Collection, chunks: int) -> dict[str, float] | None:
    """Return what the graphs have cost so far; None where the collection has none."""
    work = getattr(collection, "graph_work", None)
    if work is None:
        return None
    builds, seconds, added = work()
    return {"builds": builds, "seconds": seconds, "entries added": added, "entries added / chunks": added / chunks}


def last_build(collection: Collection) -> float:
    """Return the seconds of one build of the whole collection, from nothing: what the record's check ends with."""
    before = collection.graph_work()[1]
    collection.check(repair=True)
    settle(collection)
    return float(collection.graph_work()[1] - before)


def told(work: dict[str, float] | None) -> str:
    if work is None:
        return "no graph"
    return ", ".join(f"{name} {value:.4g}" for name, value in work.items())


def shown(rows: Sequence[dict[str, Any]]) -> str:
    return table(list(rows[0]), [list(row.values()) for row in rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=200_000)
    parser.add_argument("--data", type=Path, help="folder with one folder a set")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder to keep vectors in (default {CACHE})")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    corpus = Corpus.load(arguments.cache, arguments.data, 200)
    with tempfile.TemporaryDirectory(dir=arguments.cache) as home:
        growing = Growing(Path(home) / NAME, corpus)
        rows = growing.grow(arguments.chunks)
        settle(growing.collection)
        work = graphs(growing.collection, arguments.chunks)
        growing.collection.close()
    failed = growing.failed
    print(f"{arguments.chunks:,} chunks in windows of {WINDOW:,}, beside two searching threads.\n{machine()}\n")
    print(shown(rows))
    print(f"\nFailed searches: {len(failed)}. Graphs: {told(work)}.")
    print("\n".join(failed[:20]))
    write_json(arguments.json, {"chunks": arguments.chunks, "slices": rows, "failed": failed, "graphs": work})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
