"""How the product behaves from ten thousand to a million chunks, alone and beside other engines.

    python -m benchmarks.scale [--chunks 10000 100000 1000000] [--data FOLDER] [--queries 200] [--cache FOLDER]
                               [--refill] [--peers hnswlib faiss fts5 chromadb txtai | none] [--json FILE]

For each size: filling, opening in a new process, memory and disk; recall@10 of `View.nearest` against an exact float32
scan, with filters that allow known shares of the chunks; latency through MCP by mode and filter, without the model's
time (questions' vectors are known), interleaved; searches a second from several threads, with and without a writer;
the peers on the same vectors, texts and questions, interleaved with ours. The first call of mode "semantic" with a
filter evaluates the filter. `benchmarks.scale.data` says what the chunks
are; --data (one folder a set, in BEIR's layout) adds scifact, covidqa and cranfield to the packaged set.

Filled directories, peers' indexes and vectors stay in the folder of --cache, about 5 GB for a million chunks and 5 GB
of peers, with the seconds that they took. --refill refills the collections, and must be given after a change to how
things are stored or indexed; peers are rebuilt where their folder `peers-*` was deleted.

The peers, in an environment of their own beside this package's:

    pip install hnswlib faiss-cpu chromadb && pip install --no-deps txtai msgpack
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import machine, percentile, table, write_json
from benchmarks.scale.data import CACHE, TOP, Corpus, Precomputed, Rows, exact, recall, say
from benchmarks.scale.peers import MOST_OF_WHOLE, Asked, Peers, compare, ours, peers
from benchmarks.scale.product import KINDS, Filled, disk, filled, fresh, latencies, recalls, throughput
from knowledge_core.storage.collection import Collection

SIZES = (10_000, 100_000, 1_000_000)


def measure(corpus: Corpus, count: int, names: Sequence[str], *, anew: bool) -> dict[str, Any]:
    """Return all that is known of one size, and print it as tables."""
    show(f"\n## {count:,} chunks\n\nLoad average of this machine before: {os.getloadavg()[0]:.1f}.")
    at = filled(corpus, count, anew=anew)
    bytes = disk(at.folder)
    whole = {
        "fill s": at.seconds, "chunks a second": count / at.seconds, "settling s": at.settled, "load then": at.load,
        **fresh(at, corpus),
        **{f"disk MB, {kind}": size / 1e6 for kind, size in bytes.items()},
    }  # fmt: skip
    show(whole_table(whole))
    say("the exact answers")
    truth = exact(corpus.vectors(count), corpus.asked, corpus.masks(count, corpus.filters()))
    nearest = dense(corpus, at, truth)
    show(table(["filter", "recall@10", "p50 ms", "p99 ms", "filter's first evaluation, ms"], nearest))
    say("latencies through MCP")
    through = latency_rows(at, corpus)
    show(table(["mode", "filter", "p50 ms", "p99 ms", "first ms", "exact"], through))
    say("many at once")
    rates = [asdict(each) for each in throughput(at, corpus)]
    show(table(list(rates[0]), [list(each.values()) for each in rates]))
    beside, reasons = against(corpus, at, bytes, truth["none"], names)
    show(table(COLUMNS, beside))
    print("\n".join(reasons))
    return {
        "chunks": count, "whole": whole, "nearest": nearest, "through MCP": through, "rates": rates, "peers": beside,
        "left out": reasons,
    }  # fmt: skip


def show(text: str) -> None:
    print(text + "\n", flush=True)


def whole_table(whole: Mapping[str, float]) -> str:
    """Return two columns, what and how much, with the sum of the disk's."""
    total = sum(size for name, size in whole.items() if name.startswith("disk"))
    shares = [(name, f"{value:,.1f}" if value >= 10 else f"{value:.2f}") for name, value in whole.items()]
    return table(["the whole", ""], [*shares, ("disk MB, all", f"{total:,.1f}")])


def dense(corpus: Corpus, at: Filled, truth: Mapping[str, Rows]) -> list[list[Any]]:
    """Return a row a filter: recall of `View.nearest` and its times."""
    collection = Collection.open(at.folder)
    with collection.view() as view:
        found = recalls(view, corpus, corpus.filters(), truth)
    collection.close()
    return [[name, f"{share:.4f}", *times] for name, (share, *times) in found.items()]


def latency_rows(at: Filled, corpus: Corpus) -> list[list[Any]]:
    """Return a row a mode and filter: p50, p99, the first call, and how many answers call themselves exact."""
    calls = latencies(at, Precomputed(corpus.contract, corpus.questions, corpus.asked), corpus.questions)
    return [
        [mode, filter, percentile(each.seconds, 50), percentile(each.seconds, 99), each.first, told(each.exact)]
        for (mode, filter), each in sorted(calls.items(), key=lambda one: one[0][0])
    ]


def told(exact: Sequence[bool]) -> str:
    """Return "yes", "no", or the share of the answers that are exact."""
    return {len(exact): "yes", 0: "no"}.get(sum(exact), f"{np.mean(exact):.0%}")


COLUMNS = (
    "engine", "compared", "build s", "disk MB", "recall@10", "p50 ms", "p99 ms", "p50 / ours", "p99 / ours", "set to",
)  # fmt: skip


def against(
    corpus: Corpus, at: Filled, bytes: Mapping[str, int], truth: Rows, names: Sequence[str]
) -> tuple[list[list[Any]], list[str]]:
    """Return a row an engine, ours first in each kind, and why peers were left out."""
    others, reasons = peers(names, corpus, at.count, truth)
    say("beside each other")
    with ours(at, corpus, bytes) as own:
        engines = [*own, *others]
        compare(engines, len(corpus.questions))
        by_kind = {each.kind: each for each in own}
        ranked = sorted(engines, key=lambda each: (list(by_kind).index(each.kind), each not in own))
        return [row(each, by_kind[each.kind], truth) for each in ranked], reasons


def row(engine: Asked, beside: Asked, truth: Rows) -> list[Any]:
    """Return what the table shows of one engine. beside: ours of the same kind."""
    times = [(percentile(engine.seconds, share), percentile(beside.seconds, share)) for share in (50, 99)]
    found = f"{recall(engine.found, truth):.4f}" if engine.dense else ""
    build = "" if np.isnan(engine.build) else engine.build
    return [
        engine.name, engine.kind, build, engine.bytes / 1e6, found, *(theirs for theirs, _ in times),
        *(theirs / mine for theirs, mine in times), engine.note,
    ]  # fmt: skip


def growth(measured: Sequence[Mapping[str, Any]]) -> str:
    """Return p50 through MCP by size, and how it grew from the smallest."""
    columns = ["mode", "filter", *(f"{each['chunks']:,}" for each in measured), "last / first"]
    rows = []
    for cells in zip(*(each["through MCP"] for each in measured), strict=True):
        medians = [cell[2] for cell in cells]
        rows.append([*cells[0][:2], *medians, medians[-1] / medians[0]])
    return table(columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="+", default=SIZES)
    parser.add_argument("--data", type=Path, help="folder with one folder a set")
    parser.add_argument("--queries", type=int, default=200, help="at most; the packaged set alone has 100")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder to keep things in (default {CACHE})")
    parser.add_argument("--refill", action="store_true", help="refill the collections")
    parser.add_argument("--peers", nargs="+", choices=[*Peers.KNOWN, "none"], default=list(Peers.KNOWN))
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    corpus = Corpus.load(arguments.cache, arguments.data, arguments.queries)
    sizes = sorted(arguments.chunks)
    corpus.vectors(sizes[-1])  # the largest first: the others are its beginning
    names = [name for name in arguments.peers if name != "none"]
    print(f"{len(corpus.questions)} questions, {len(corpus.material.sentences):,} sentences; top {TOP}.\n{machine()}")
    print(f"Whole products among the peers are filled with at most {MOST_OF_WHOLE:,} chunks. Disk: {', '.join(KINDS)}.")
    measured: list[dict[str, Any]] = []
    for size in sizes:
        measured.append(measure(corpus, size, names, anew=arguments.refill))
        write_json(arguments.json, {"questions": len(corpus.questions), "sizes": measured})
    if len(measured) > 1:
        print("\n## p50 through MCP, ms\n\n" + growth(measured))


if __name__ == "__main__":
    main()
