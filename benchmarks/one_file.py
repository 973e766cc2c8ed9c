"""What one new file costs in a collection of many: published views, transactions, readings of all jobs, and time.

    python -m benchmarks.one_file [--files 10000] [--rounds 9] [--json FILE]

In this process, with vectors made of hashed words, so that no model's time is in it: `index` of the whole folder, of the one
folder in which the file is new (as the watcher does it, where the version knows that), and of the file alone. Medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import machine, table, write_json
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.storage.collection import Collection
from knowledge_core.storage.record import sqlite
from knowledge_core.storage.record.job_table import JobTable

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
PER_FOLDER = 100
counted: Counter[str] = Counter()


def count() -> None:
    """Have every published view, transaction and reading of all jobs counted."""
    _wrap(Collection, "_publish", "views")
    _wrap(JobTable, "all", "readings of all jobs")
    begin = sqlite.transaction

    @contextmanager
    def transaction(*arguments: Any) -> Iterator[Any]:
        counted["transactions"] += 1
        with begin(*arguments) as opened:
            yield opened

    for module in list(sys.modules.values()):
        if getattr(module, "transaction", None) is begin:
            module.transaction = transaction  # type: ignore[attr-defined]


def _wrap(owner: type, name: str, called: str) -> None:
    method: Callable[..., Any] = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        counted[called] += 1
        return method(*arguments, **named)

    setattr(owner, name, wrapped)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(Path(folder).resolve(), options.files, options.rounds)
    print(machine() + "\n")
    print(table(["index of", "views", "transactions", "readings of all jobs", "CPU ms", "wall ms"], rows))
    write_json(options.json, rows)


def measured(top: Path, files: int, rounds: int) -> list[list[object]]:
    from hash_embedder import HashEmbedder

    notes, embedder = top / "notes", HashEmbedder()
    for number in range(files):
        (notes / f"{number // PER_FOLDER}").mkdir(parents=True, exist_ok=True)
        (notes / f"{number // PER_FOLDER}" / f"{number}.md").write_text(
            f"# Note {number}\n\nThe otter number {number}.\n"
        )
    count()
    with Engine(top / "home", Config(), command="one file", make_embedder=lambda model, dimensions: embedder) as engine:
        engine.roots.add(notes)
        _index(engine, paths=(str(notes),))
        kinds: dict[str, Callable[[Path], dict[str, Any]]] = {
            "the whole folder": lambda file: {"paths": (str(notes),)},
            "the folder that changed": lambda file: {"levels": (str(file.parent),)},
            "the file": lambda file: {"paths": (str(file),)},
        }
        if "levels" not in IndexRequest.__dataclass_fields__:
            del kinds["the folder that changed"]
        return [_row(engine, notes, name, request, rounds) for name, request in kinds.items()]


def _row(
    engine: Engine, notes: Path, name: str, request: Callable[[Path], dict[str, Any]], rounds: int
) -> list[object]:
    cpu, wall = [], []
    counts: list[Counter[str]] = []
    for number in range(rounds):
        file = notes / "0" / f"new {name} {number}.md"
        file.write_text(f"# New {number}\n\nA quokka for {name} {number}.\n")
        counted.clear()
        began = time.process_time(), time.perf_counter()
        _index(engine, **request(file))
        cpu.append(1000 * (time.process_time() - began[0]))
        wall.append(1000 * (time.perf_counter() - began[1]))
        time.sleep(0.2)  # what a job does after its end counts, too
        counts.append(counted.copy())
    said = [
        statistics.median(each[what] for each in counts) for what in ("views", "transactions", "readings of all jobs")
    ]
    return [name, *said, f"{statistics.median(cpu):.0f}", f"{statistics.median(wall):.0f}"]


def _index(engine: Engine, **request: Any) -> None:
    job = accept_index(engine, IndexRequest("default", **request), (), ())
    assert job.wait(600)
    assert job.state == "done", job.error


if __name__ == "__main__":
    main()
