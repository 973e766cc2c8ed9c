"""`kill -9` at every named point of saving rows and publishing a graph: what was acknowledged is found, nothing is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Collection
from storage.large import CONTRACT, drawn, graph_files, low_thresholds, named, nearest, recall, settled
from storage.shelf import damaged

WRITER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from knowledge_core.storage import derived
from knowledge_core.storage.vectors import graph_building
from knowledge_core.storage.vectors import versioned_file
from knowledge_core.storage.vectors import row_file
from knowledge_core.storage.vectors import vector_index
from knowledge_core.storage.vectors import snapshot as vector_snapshot
from storage.large import Collection, Change, drawn, fill, settled

vector_snapshot.EXACT_UP_TO = graph_building.EXACT_UP_TO = 300
graph_building.LEAST_GROWN = 50
derived.SAVE_EVERY = 200

def killed(owner, name, *, after, time, of):
    done, calls = getattr(owner, name), []
    def call(*given, **named):
        if of and given[0]._name != of:
            return done(*given, **named)
        calls.append(name)
        if len(calls) == time and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = done(*given, **named)
        if len(calls) == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, call)

owner = {"Draft": graph_building.Draft, "VectorIndex": vector_index.VectorIndex, "RowFile": row_file.RowFile,
         "graph": versioned_file.VersionedFile, "vectors": versioned_file.VersionedFile}[sys.argv[3]]
of = sys.argv[3] if owner is versioned_file.VersionedFile else ""
killed(owner, sys.argv[4], after=sys.argv[5] == "after", time=int(sys.argv[6]), of=of)
shelf = Collection.open(Path(sys.argv[2]))
vectors = drawn(3_000, seed=1)
for begin in range(0, 3_000, 100):
    fill(shelf, vectors[begin : begin + 100], first=begin)
    print("wrote", begin + 100, flush=True)
    if begin == 1_500:
        shelf.write(Change(remove=[f"d{number}" for number in range(900)]))
        print("removed", 900, flush=True)
    settled(shelf)
print("survived", 0, flush=True)
"""

POINTS = {
    "while a graph is built": ("Draft", "add", "before", 4),
    "before a graph is written": ("Draft", "write", "before", 2),
    "when a graph was written beside": ("Draft", "write", "after", 2),
    "when a graph was renamed": ("graph", "write_head", "before", 2),
    "when a graph was published": ("graph", "write_head", "after", 2),
    "when old graphs were removed": ("graph", "sweep", "after", 2),
    "when a graph was published and not taken": ("VectorIndex", "take", "before", 2),
    "when a first graph was published": ("graph", "write_head", "after", 1),
    "when a graph was built from nothing": ("Draft", "write", "after", 9),
    "when rows were written and not counted": ("vectors", "write_head", "before", 3),
    "when rows were counted": ("vectors", "write_head", "after", 3),
    "when rows are written anew": ("RowFile", "rewrite", "before", 2),
    "when rows were written anew": ("vectors", "sweep", "after", 5),
}
BY_DEFAULT = (
    "when a graph was renamed",
    "when a graph was published and not taken",
    "when rows were written and not counted",
)


@pytest.mark.parametrize(
    "point", [pytest.param(name, marks=() if name in BY_DEFAULT else pytest.mark.slow) for name in POINTS]
)
def test_a_kill_at_a_named_point_loses_nothing(tmp_path, monkeypatch, point):
    create_collection(tmp_path / "shelf", "shelf", CONTRACT).close()
    tests = str(Path(__file__).parents[1])
    writer = subprocess.run(
        [sys.executable, "-c", WRITER, tests, str(tmp_path / "shelf"), *map(str, POINTS[point])],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert writer.returncode == -signal.SIGKILL, "the point was never reached"
    told = dict(line.split() for line in writer.stdout.split("\n")[:-1])
    low_thresholds(monkeypatch)
    shelf = Collection.open(tmp_path / "shelf")
    with shelf.view() as view:
        there = {int(id[1:]) for id in view.document_ids()}
    last = int(told.get("wrote", 0))
    lost = set(range(last)) - there
    assert lost == (set(range(900)) if "removed" in told else set()) or lost == set(range(900)), "documents are lost"
    vectors = drawn(3_000, seed=1)
    alive = {id: vector for id, vector in named(vectors).items() if int(id[1:]) in there}
    queries = drawn(30, seed=99)
    assert recall(shelf, alive, queries) >= 0.99
    settled(shelf)
    assert recall(shelf, alive, queries) >= 0.99
    assert nearest(shelf, vectors[last - 1])[0][0] == f"d{last - 1}"
    assert damaged(shelf) == []
    assert len(graph_files(shelf)) in (0, 2)
    shelf.close()
