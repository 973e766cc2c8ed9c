"""What measures two checkouts beside each other: a process of its own for each, asked in turn, question by question.

What else the machine does meets both sides so; separate runs on a shared machine differ by more than what is measured.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import percentile, table

REPOSITORY = Path(__file__).parents[1]
WARMING = 5  # questions that are asked first and not counted: the files come into the page cache

Costs = dict[str, dict[str, float]]  # of each side: what, and how much
Times = dict[str, list[list[list[float]]]]  # of each side and question: wall ms, processor ms and hits of each round


def add_sides(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the two checkouts."""
    parser.add_argument("--server", type=Path, default=REPOSITORY / "server", help="a checkout's folder `server`")
    parser.add_argument("--against", type=Path, help="that of the state before")
    parser.add_argument("--child", help=argparse.SUPPRESS)


def sides(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return the folders that were named, the state before first."""
    named = {"before": arguments.against, "now": arguments.server}
    found = {side: server.resolve() for side, server in named.items() if server}
    for server in found.values():
        if not (server / "knowledge_core").is_dir():
            raise SystemExit(f"{server} holds no knowledge_core. Give a checkout's folder `server`.")
    return found


def folder_of(side: str, server: Path) -> str:
    """Return a name for what one side keeps."""
    return f"{side}-{hashlib.sha256(str(server).encode()).hexdigest()[:8]}"


class Child:
    """A process that imports the package of one checkout, and runs a module of these benchmarks with --child.

    start: what the module's `serve` makes its side of.
    """

    def __init__(self, module: str, server: Path, start: Any) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}", "--child", json.dumps(start)]
        path = os.pathsep.join([str(server), str(REPOSITORY)])
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip

    def call(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([name, arguments]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise SystemExit(f"The measuring process ended with {self._process.wait()}; its error stands above.")
        return json.loads(answer)

    def close(self) -> None:
        self._process.communicate()


def serve(side: Any) -> None:
    """Answer calls, a line of JSON each, until the input ends. For a child's `main`."""
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(getattr(side, name)(*arguments)), flush=True)


def is_of_its_checkout(imported: Any) -> None:
    """Stop if the child did not import the package that it was to measure."""
    wanted = os.environ["PYTHONPATH"].split(os.pathsep)[0]
    assert Path(inspect.getfile(imported)).is_relative_to(wanted), f"not imported from {wanted}"


def asked_in_turn(children: dict[str, Child], questions: int, rounds: int, *more: Any) -> Times:
    """Ask every question of both before the next, in turns of who is first."""
    times: Times = {side: [[] for _ in range(questions)] for side in children}
    for at in range(min(questions, WARMING)):
        for child in children.values():
            child.call("ask", at, *more)
    for round in range(rounds):
        for at in range(questions):
            turn = list(children.items())
            for side, child in turn if (round + at) % 2 == 0 else turn[::-1]:
                times[side][at].append(child.call("ask", at, *more))
    return times


def add_times(costs: Costs, times: Times, name: str) -> None:
    """Add median and 95th percentile over the questions; of each the least time of its rounds."""
    for side, each in times.items():
        for at, kind in enumerate(("wall", "processor")):
            least = [min(one[at] for one in asked) / 1e3 for asked in each]
            costs[side][f"{name} ms, {kind}, median"] = percentile(least, 50)
            costs[side][f"{name} ms, {kind}, p95"] = percentile(least, 95)
        costs[side][f"{name}, hits"] = sum(asked[0][2] for asked in each) / len(each)


def report(costs: Costs) -> str:
    """Return the costs of each side, and now over before."""
    now, before = costs["now"], costs.get("before")
    if before is None:
        return table(["cost", "now"], [[name, _number(value)] for name, value in now.items()])
    rows = []
    for name, value in now.items():
        was = before.get(name, 0.0)
        rows.append([name, _number(was), _number(value), f"{value / was:.2f}" if was else ""])
    return table(["cost", "before", "now", "now / before"], rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.2f}"
