"""How soon `kcore serve` answers, and what it weighs: a pipe to a running owner, a cold start, a server of its own.

    python -m benchmarks.startup [--rounds 9] [--clients 10] [--json FILE]

Real processes and real pipes, interleaved in every round: `python -c pass`; a pipe while an owner runs; a pipe that has
to start the owner; `kcore serve --in-process`, as servers without an owner are. Times are from launch to the answer of
`initialize` and of `tools/list`; medians. Then the time from the answer of `initialize` of a cold owner to its first
answer by meaning, in a data directory with one document, and the peak memory of that owner, which only searched (Linux).
Memory (Linux): a pipe's private memory, and one owner with its clients against as many servers of their own, each with
the model loaded, as the sum of proportional set sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import machine, table, write_json
from knowledge_core.paths import holder

KCORE = [sys.executable, "-m", "knowledge_core.cli.main"]
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
TEXT = {"documents": [{"id": "a", "text": "A solar panel turns sunlight into electricity."}]}


class Server:
    """`kcore serve` on a pipe, spoken to line by line."""

    def __init__(self, home: str, *argv: str) -> None:
        self.began = time.perf_counter()
        environment = {**os.environ, "KNOWLEDGE_CORE_HOME": home}
        self.process = subprocess.Popen(
            [*KCORE, "serve", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._id = 0

    def ask(self, method: str, params: dict[str, Any]) -> float:
        """Send a request and return the seconds since launch at its answer."""
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        while True:
            answer = json.loads(self.process.stdout.readline())
            if answer.get("id") == self._id:
                assert "error" not in answer, answer
                return time.perf_counter() - self.began

    def opened(self) -> tuple[float, float]:
        """Return the seconds to the answers of `initialize` and `tools/list`."""
        first = self.ask("initialize", INITIALIZE)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return first, self.ask("tools/list", {})

    def call(self, tool: str, arguments: dict[str, Any]) -> float:
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)

    def _send(self, message: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()


@contextmanager
def data_directory() -> Iterator[str]:
    """Yield a data directory of its own, whose owner ends with the block."""
    with tempfile.TemporaryDirectory() as home:
        try:
            yield home
        finally:
            subprocess.run([*KCORE, "stop", "--home", home], check=True, stdout=subprocess.DEVNULL)


def timed(home: str, *argv: str) -> tuple[float, float]:
    server = Server(home, *argv)
    seconds = server.opened()
    server.stop()
    return seconds


def one_round(warm_home: str) -> dict[str, float]:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    seen = {"`python -c pass`": time.perf_counter() - began}
    seen["pipe, owner runs: initialize"], seen["pipe, owner runs: tools/list"] = timed(warm_home)
    with data_directory() as cold:
        seen["pipe, cold: initialize"], seen["pipe, cold: tools/list"] = timed(cold)
    with tempfile.TemporaryDirectory() as alone:
        seen["in-process server: initialize"], seen["in-process server: tools/list"] = timed(alone, "--in-process")
    return seen


def first_answer(home: str) -> tuple[float, float]:
    """Return a cold owner's seconds from `initialize` to the first answer by meaning, and its peak memory in MB (or nan)."""
    subprocess.run([*KCORE, "stop", "--home", home], check=True, stdout=subprocess.DEVNULL)
    server = Server(home)
    ready, _ = server.opened()
    seconds = server.call("search", {"query": "energy", "mode": "semantic"}) - ready
    found = holder(Path(home))
    assert found is not None
    status = Path(f"/proc/{found.pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:")), float("nan"))
    server.stop()
    return seconds, peak


def first_answers(rounds: int) -> tuple[float, float]:
    """Return the medians of `first_answer`. The model's files are in the page cache, and no trial is left to be run."""
    with data_directory() as home:
        server = Server(home)
        server.opened()
        server.call("index", TEXT)
        server.call("search", {"query": "energy", "mode": "semantic"})
        server.stop()
        found = [first_answer(home) for _ in range(rounds)]
    return statistics.median(each[0] for each in found), statistics.median(each[1] for each in found)


def rollup(pid: int, *names: str) -> float:
    """Return the sum of these lines of a process's memory map, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(names)) / 1e3


def memories(clients: int) -> list[tuple[str, float]]:
    """Return what a pipe, an owner with its clients, and as many servers of their own take."""
    rows = []
    with data_directory() as home, ExitStack() as stack:
        pipes = [Server(home) for _ in range(clients)]
        for pipe in pipes:
            stack.callback(pipe.stop)
            pipe.opened()
        pipes[0].call("index", TEXT)
        for pipe in pipes:
            pipe.call("search", {"query": "energy"})
        rows.append(("private memory of a pipe", statistics.median(
            rollup(pipe.process.pid, "Private_Clean", "Private_Dirty") for pipe in pipes
        )))  # fmt: skip
        found = holder(Path(home))
        assert found is not None
        whole = rollup(found.pid, "Pss:") + sum(rollup(pipe.process.pid, "Pss:") for pipe in pipes)
        rows.append((f"one owner and {clients} pipes, the model loaded", whole))
    with ExitStack() as stack:
        alone = []
        for _ in range(clients):
            server = Server(stack.enter_context(tempfile.TemporaryDirectory()), "--in-process")
            stack.callback(server.stop)
            server.opened()
            server.call("index", TEXT)
            alone.append(server)
        total = sum(rollup(server.process.pid, "Pss:") for server in alone)
        rows.append((f"{clients} in-process servers, the model loaded in each", total))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    with data_directory() as warm_home:
        timed(warm_home)
        rounds = [one_round(warm_home) for _ in range(arguments.rounds)]
    times = [(name, 1e3 * statistics.median(each[name] for each in rounds)) for name in rounds[0]]
    seconds, peak = first_answers(arguments.rounds)
    times.append(("cold owner, from initialize to the first answer by meaning", 1e3 * seconds))
    print(f"{arguments.rounds} rounds, medians.\n{machine()}\n")
    print(table(["from launch to the answer", "ms"], times))
    memory = memories(arguments.clients) if sys.platform == "linux" else []
    memory.append(("peak of an owner that only searched", peak))
    print("\n" + table(["memory", "MB"], memory))
    write_json(arguments.json, {"milliseconds": times, "megabytes": memory})


if __name__ == "__main__":
    main()
