"""What a whole search costs, without the model's time, and a filled collection's bytes. Two checkouts beside each other.

    python -m benchmarks.search_cost [--server FOLDER] [--against FOLDER] [--data FOLDER] [--chunks 10000 100000]
        [--queries 150] [--rounds 3] [--cache FOLDER] [--refill] [--json FILE]

--server and --against: a checkout's folder `server`, each imported by a process of its own; --server is this checkout's
if left out. Both collections hold the chunks of `benchmarks.scale.data`, filled by each checkout and kept in the folder
of --cache: after a change to how things are stored or indexed give --refill. Each question is searched in one, then in
the other, mode by mode. Of each question the least of --rounds times counts; the table has the median and the 95th
percentile over the questions. A million chunks take about 5 GB a side.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.report import machine, write_json
from benchmarks.scale.data import CACHE, Corpus, Precomputed
from benchmarks.scale.product import MODES, NAME, disk, filled
from benchmarks.two_checkouts import (
    Child,
    Costs,
    add_sides,
    add_times,
    asked_in_turn,
    folder_of,
    is_of_its_checkout,
    report,
    serve,
    sides,
)
from knowledge_core.storage.collection import Collection
from knowledge_core.verbs.search import Mode, Searched, SearchRequest, search

CHUNKS = (10_000, 100_000)


class Side:
    """A collection filled by one checkout, and what is asked of it."""

    def __init__(self, cache: str, folder: str, data: str | None, queries: int) -> None:
        is_of_its_checkout(Collection)
        corpus = Corpus.load(Path(cache), Path(data) if data else None, queries)
        own = Path(cache) / folder
        own.mkdir(exist_ok=True)
        self._corpus = dataclasses.replace(corpus, cache=own)
        self._embedder = Precomputed(corpus.contract, corpus.questions, corpus.asked)

    def build(self, count: int, anew: bool) -> dict[str, float]:
        """Fill a collection, or open the one that is there; return the seconds it took, and bytes."""
        at = filled(self._corpus, count, anew=anew)
        self._collection = Collection.open(at.folder)
        sizes = disk(at.folder)
        return {
            "fill s": at.seconds,
            **{f"bytes, {kind}": float(size) for kind, size in sorted(sizes.items())},
            "bytes": float(sum(sizes.values())),
        }

    def ask(self, at: int, mode: Mode) -> list[float]:
        """Search one question; return milliseconds of wall and processor, and how many hits came."""
        began = time.perf_counter(), time.process_time()
        with self._collection.view() as view:
            request = SearchRequest(query=self._corpus.questions[at], mode=mode)
            found = search([Searched(NAME, view, self._embedder)], request).hits
        return [1e3 * (time.perf_counter() - began[0]), 1e3 * (time.process_time() - began[1]), len(found)]


def measured(
    servers: dict[str, Path], start: list[Any], questions: int, count: int, rounds: int, *, anew: bool
) -> Costs:
    """Return for each side what its collection of `count` chunks costs.

    start: of `Side`, without the folder. anew: fill even what is there.
    """
    cache, *rest = start
    children = {
        side: Child("search_cost", server, [cache, folder_of(side, server), *rest]) for side, server in servers.items()
    }
    try:
        costs: Costs = {side: child.call("build", count, anew) for side, child in children.items()}
        for mode in MODES:
            add_times(costs, asked_in_turn(children, questions, rounds, mode), mode)
    finally:
        for child in children.values():
            child.close()
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sides(parser)
    parser.add_argument("--data", type=Path, help="folder with one folder a set")
    parser.add_argument("--chunks", type=int, nargs="+", default=CHUNKS)
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder for what takes long (default {CACHE})")
    parser.add_argument("--refill", action="store_true", help="fill even what is in the cache")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.child:
        serve(Side(*json.loads(arguments.child)))
        return
    servers = sides(arguments)
    cache = arguments.cache.resolve()
    corpus = Corpus.load(cache, arguments.data, arguments.queries)
    start = [str(cache), str(arguments.data.resolve()) if arguments.data else None, arguments.queries]
    kept = {}
    print(f"{len(corpus.questions)} questions, {arguments.rounds} rounds.\n{machine()}")
    for count in arguments.chunks:
        asked = len(corpus.questions)
        costs = kept[count] = measured(servers, start, asked, count, arguments.rounds, anew=arguments.refill)
        print(f"\n## {count:,} chunks\n\n{report(costs)}", flush=True)
    write_json(arguments.json, {"chunks": kept})


if __name__ == "__main__":
    main()
