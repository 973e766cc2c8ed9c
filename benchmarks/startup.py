"""How soon `kcore serve` answers, and what it weighs, beside `python -c pass`.

    python benchmarks/startup.py [--rounds 7] [--json FILE]

A real process and a real pipe: from launch to the answer of `initialize`, of `tools/list`, and of the first search
(which loads the model). Memory is the resident size of the server's process (Linux). Medians.
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
from pathlib import Path
from typing import Any

from benchmarks.report import machine, table, write_json

KCORE = [sys.executable, "-m", "knowledge_core.cli.main"]
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


class Server:
    """`kcore serve` on a pipe, spoken to line by line."""

    def __init__(self, home: str) -> None:
        self.began = time.perf_counter()
        environment = {**os.environ, "KNOWLEDGE_CORE_HOME": home}
        self.process = subprocess.Popen(
            [*KCORE, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
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

    def notify(self, method: str) -> None:
        self._send({"jsonrpc": "2.0", "method": method})

    def memory_mb(self) -> float:
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except OSError:
            return float("nan")
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)

    def _send(self, message: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()


def one_round(home: str) -> dict[str, float]:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    seen = {"python -c pass": time.perf_counter() - began}
    server = Server(home)
    seen["initialize"] = server.ask("initialize", INITIALIZE)
    server.notify("notifications/initialized")
    seen["tools/list"] = server.ask("tools/list", {})
    seen["memory before a model, MB"] = server.memory_mb()
    arguments = {"documents": [{"id": "a", "text": "A solar panel turns sunlight into electricity."}]}
    seen["first text indexed (loads the model)"] = server.ask("tools/call", {"name": "index", "arguments": arguments})
    seen["memory with the model, MB"] = server.memory_mb()
    server.stop()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    rounds = []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as home:
            rounds.append(one_round(home))
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    rows = [(name, value if "MB" in name else 1e3 * value) for name, value in medians.items()]
    print(f"{arguments.rounds} rounds.\n{machine()}\n")
    print(table(["from launch to the answer", "ms (or MB)"], rows))
    write_json(arguments.json, {"rows": rows})


if __name__ == "__main__":
    main()
