"""What watching costs: an idle owner with many files, and one changed file until it is found.

    python -m benchmarks.watching [--files 10000] [--seconds 60] [--changes 20] [--json FILE]

A vault of small notes (50 a folder) is indexed by `kcore index`, with a model behind an endpoint that costs next to nothing. Then
an owner that watches and one that does not are idle for --seconds each: processor time per hour, memory, and watches of the
system. Then files are changed one by one: seconds until a search by words finds the new text, and the owner's processor time per
change; and for comparison the same by `kcore index` of the whole folder, which is what it takes without watching. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.in_step.__main__ import KCORE, configured, kcore, owner_of
from benchmarks.in_step.counting_endpoint import CountingEndpoint
from benchmarks.report import machine, percentile, table, write_json
from knowledge_core.paths import data_directory
from knowledge_core.serving.client import to_owner
from knowledge_core.serving.pipe.dialling import connect

PER_FOLDER = 50
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Return the seconds of processor time that a process took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1e3 if found else float("nan")


def watches(pid: int) -> int:
    files = Path(f"/proc/{pid}/fdinfo").iterdir()
    return sum(each.read_text().count("inotify wd:") for each in files)


def idle(home: Path, environment: dict[str, str], seconds: float) -> dict[str, Any]:
    """Return what an owner costs that has nothing to do; it is started and ended here."""
    holder = subprocess.Popen([*KCORE, "serve"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    time.sleep(8)  # it catches up first
    pid = owner_of(home)
    assert pid is not None
    before = cpu(pid)
    time.sleep(seconds)
    found = {
        "CPU s per hour": (cpu(pid) - before) * 3600 / seconds, "MB": memory(pid), "watches": watches(pid),
    }  # fmt: skip
    holder.communicate(b"")
    kcore(environment, "stop")
    return found


async def changed(
    home: Path, folder: Path, count: int, environment: dict[str, str], *, by_index: bool
) -> dict[str, Any]:
    """Return how long a changed file takes until it is found, and what that costs the owner."""
    took: list[float] = []
    async with to_owner(connect(data_directory(str(home)), None, "cli")) as connection:
        pid = owner_of(home)
        assert pid is not None
        await anyio.sleep(8)
        before = cpu(pid)
        for number in range(count):
            word = f"changed{number}{'i' if by_index else 'w'}{os.getpid()}"
            (folder / f"f{number}" / "n0.md").write_text(f"# Changed\n\n{word} words.\n")
            began = time.monotonic()
            if by_index:
                await anyio.to_thread.run_sync(lambda: kcore(environment, "index", str(folder)))
            while True:
                found = await connection.call("search", {"query": word, "mode": "lexical", "limit": 1})
                if any(word in hit["snippet"] for hit in found.structure["hits"]):
                    break
                await anyio.sleep(0.05)
            took.append(time.monotonic() - began)
        spent = cpu(pid) - before
    return {
        "until found, p50 s": percentile(took, 50) / 1e3, "p95 s": percentile(took, 95) / 1e3,
        "owner's CPU ms per change": 1e3 * spent / count,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("It reads /proc, which only Linux has.")
    outcome: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder, home = Path(os.path.realpath(scratch)) / "notes", Path(scratch) / "home"
        for number in range(arguments.files):
            file = folder / f"f{number // PER_FOLDER}" / f"n{number % PER_FOLDER}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"# Note {number}\n\nThe otter number {number} swims.\n")
        environment = configured(home, CountingEndpoint())
        kcore(environment, "index", str(folder))
        kcore(environment, "stop")
        config = (home / "config.yaml").read_text()
        for name, off in (("idle, watching", ""), ("idle, not watching", "indexing: {watch: false}\n")):
            (home / "config.yaml").write_text(config + off)
            outcome[name] = idle(home, environment, arguments.seconds)
        for name, by_index in (("one change, by `kcore index`", True), ("one change, watched", False)):
            (home / "config.yaml").write_text(config + ("indexing: {watch: false}\n" if by_index else ""))
            kcore(environment, "status")
            outcome[name] = anyio.run(
                lambda by_index=by_index: changed(home, folder, arguments.changes, environment, by_index=by_index)
            )
            kcore(environment, "stop")
    print(f"{arguments.files} files; {machine()}\n")
    print(table(["what", "found"], [[name, json.dumps(found)] for name, found in outcome.items()]))
    write_json(arguments.json, outcome)


if __name__ == "__main__":
    main()
