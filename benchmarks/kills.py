"""Kill -9 at random moments while a collection is saved and its graphs are built: is all there, and how long to recover?

    python -m benchmarks.kills [--kills 200] [--json FILE]

A process writes documents with ready vectors, removes some, and builds graphs all the time: graphs from 400 vectors on
and at every small growth, rows saved at every other write, so that most of its time is spent around publishing. It is
killed at a random moment; then the collection is opened, every acknowledged document is looked for, recall is measured
against comparing all, and `check` compares record and derived files key by key. The next process goes on from there.
Any loss, damage or recall below 0.99 makes the exit code 1.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import machine, percentile, table, write_json
from knowledge_core.contract import UNTITLED, EmbeddingContract
from knowledge_core.storage import derived
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Change, Collection, NewDocument
from knowledge_core.storage.vectors import graph_building
from knowledge_core.storage.vectors import snapshot as vector_snapshot
from knowledge_core.types import Chunk, Document, Lines, Span, Task, Vectors

PROMPTS = dict.fromkeys((*(task.value for task in Task), UNTITLED), "{text}")
CONTRACT = EmbeddingContract("drawn", 64, PROMPTS, 512)
WINDOW = 60  # documents a write
KEPT = 3_000  # documents; older ones are removed, so that graphs wear, too
QUESTIONS = 20


def low_thresholds() -> None:
    vector_snapshot.EXACT_UP_TO = graph_building.EXACT_UP_TO = 400
    graph_building.LEAST_GROWN = 50
    derived.SAVE_EVERY = 2 * WINDOW


def vector_of(number: int) -> np.ndarray:
    draw = np.random.default_rng(number)
    centre = np.random.default_rng(number % 500 + 10**6).normal(size=CONTRACT.dimensions)
    vector = centre + 0.5 * draw.normal(size=CONTRACT.dimensions)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def document(number: int) -> NewDocument:
    text = f"document {number}"
    part = Chunk(0, text, Span(0, len(text)), Lines(1, 1))
    return NewDocument(Document(f"d{number}", text), [part], f"digest {number}")


def write_for_ever(folder: Path) -> None:
    """Write and remove, telling what was acknowledged, until killed."""
    low_thresholds()
    collection = Collection.open(folder)
    with collection.view() as view:
        numbers = [int(id[1:]) for id in view.document_ids()]
    begin = max(numbers, default=-1) + 1
    while True:
        new = range(begin, begin + WINDOW)
        vectors = {CONTRACT.digest(f"document {number}"): vector_of(number) for number in new}
        gone = [f"d{number}" for number in range(max(begin - KEPT, 0), max(begin + WINDOW - KEPT, 0))]
        collection.write(Change(add=[document(number) for number in new], vectors=vectors, remove=gone))
        begin += WINDOW
        print(begin, flush=True)


def killed(folder: Path, draw: random.Random) -> int:
    """Let a process write until it is killed; return up to which document it acknowledged, 0 if none."""
    command = [sys.executable, "-m", "benchmarks.kills", "--write", str(folder)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    assert writer.stdout is not None
    first = writer.stdout.readline()
    time.sleep(draw.uniform(0.0, 1.5))
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate()[0]
    told = [line for line in (first + rest).split("\n")[:-1] if line]
    return int(told[-1]) if told else 0


def examined(folder: Path, acknowledged: int) -> tuple[float, list[str], bool]:
    """Open what a kill left; return the seconds until the first search, what is wrong, and whether a graph was there."""
    began = time.perf_counter()
    collection = Collection.open(folder)
    with collection.view() as view:
        view.nearest(vector_of(0)[np.newaxis], 10)
        seconds = time.perf_counter() - began
        numbers = {int(id[1:]) for id in view.document_ids()}
        wrong = [
            f"d{number} is lost"
            for number in range(max(max(numbers) - KEPT + WINDOW, 0), acknowledged)
            if number not in numbers
        ]
        share, by_graph = recall(view, sorted(numbers))
        if share < 0.99:
            wrong.append(f"recall {share:.3f}")
    wrong += [finding.what for finding in collection.check() if finding.level == "damaged"]
    collection.close()
    return seconds, wrong, by_graph


def recall(view, numbers: list[int]) -> tuple[float, bool]:
    vectors: Vectors = np.stack([vector_of(number) for number in numbers])
    shares, by_graph = [], False
    for asked in range(QUESTIONS):
        question = vector_of(10**7 + asked)
        true = {f"d{numbers[place]}" for place in np.argsort(-(vectors @ question))[:10]}
        nearest = view.nearest(question[np.newaxis], 10)[0]
        by_graph = by_graph or not nearest.exact
        places = view.places_of_keys([key for key, _ in nearest.found])
        shares.append(len(true & {place.document for found in places.values() for place in found}) / 10)
    return float(np.mean(shares)), by_graph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--write", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_for_ever(arguments.write)
    low_thresholds()
    draw, seconds, wrong, graphs, last = random.Random(7), [], [], 0, 0
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "shelf"
        create_collection(folder, "shelf", CONTRACT).close()
        for kill in range(1, arguments.kills + 1):
            last = max(killed(folder, draw), last)
            took, found, by_graph = examined(folder, last)
            seconds.append(took)
            graphs += by_graph
            wrong += [f"after kill {kill}: {each}" for each in found]
            if kill % 10 == 0:
                print(f"{kill} kills, {last:,} documents, {len(wrong)} wrong", file=sys.stderr, flush=True)
    rows = [("kills", arguments.kills), ("documents written", last), ("opened with a graph", graphs), ("wrong", len(wrong)),
            ("recovery p50 ms", percentile(seconds, 50)), ("recovery p99 ms", percentile(seconds, 99))]  # fmt: skip
    print(machine() + "\n")
    print(table(["kill -9 around publishing and rebuilding", ""], rows))
    print("\n".join(wrong[:20]))
    write_json(arguments.json, {"rows": rows, "wrong": wrong})
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
