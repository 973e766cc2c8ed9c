"""Ten clients for minutes: connects, mixed calls, withdrawn calls, pipes that vanish; what grows, and what fails.

    python -m benchmarks.soak [--clients 10] [--minutes 5] [--chunks 20000] [--seed 0] [--json FILE]

Every client is a thread that starts a real pipe, makes some calls (index, search, cluster, classify, get, list, delete,
job), now and then withdraws one or kills its pipe in the middle of it, and starts again. Any error that a client did
not cause ends the run with exit code 1. Once a minute, with all clients paused and their pipes closed: the owner's
threads, descriptors and anonymous memory (what is its own; mapped files come and go with the page cache), and the
processes below it. Memory that grows from the second minute to the last by more than a tenth ends the run with exit
code 1, too (the first minutes load what is loaded once).

--chunks: before all that, so many chunks of random words are indexed, and a minute of rest follows: the owner may hold at
most 1.3 times the memory that it held after the first 1,000 of them and a minute of rest, when its engines were loaded;
more ends the run with exit code 1. Linux only.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.report import machine, table, write_json
from benchmarks.startup import INITIALIZE, Server, data_directory, rollup
from knowledge_core.paths import holder

WORDS = [
    "solar",
    "tide",
    "bread",
    "kernel",
    "moon",
    "copper",
    "river",
    "engine",
    "glacier",
    "violin",
    "harbour",
    "pepper",
    "lantern",
    "orbit",
    "meadow",
]


MOST_GROWTH = 0.1  # of memory, from the second minute to the last
MOST_KEPT = 1.3  # times the memory with the engines loaded, after much was indexed
LOADED_AFTER = 1_000  # chunks: by then the engine for bulk work is there
REST = 60.0  # seconds
PER_CALL = 200  # chunks


class Pipe(Server):
    """A pipe whose answers a thread of its own reads, so that a call can be given up."""

    def __init__(self, home: str) -> None:
        super().__init__(home)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            said = json.loads(line)
            if "method" not in said:
                self._answers.put(said)

    def request(self, method: str, params: dict[str, Any]) -> int:
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        return self._id

    def answer(self, id: int) -> dict[str, Any]:
        while True:
            said = self._answers.get(timeout=120)
            if said.get("id") == id:
                return said

    def withdraw(self, id: int) -> None:
        params = {"requestId": id, "reason": "changed my mind"}
        self._send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Soak:
    def __init__(self, home: str, clients: int, seed: int) -> None:
        self._home, self._clients, self._seed = home, clients, seed
        self._running = threading.Event()
        self._idle = threading.Semaphore(0)
        self._over = False
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []

    def client(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        while not self._over:
            if not self._running.is_set():
                self._idle.release()
                self._running.wait()
                continue
            try:
                self._session(chance, number)
            except Exception as error:  # noqa: BLE001  # whatever it is, the run must tell
                self.errors.append(f"client {number}: {error!r}")

    def paused(self) -> None:
        """Let every client finish its session, and wait until all have."""
        self._running.clear()
        for _ in range(self._clients):
            self._idle.acquire()
        time.sleep(2)  # the owner sees the last pipes close

    def resume(self) -> None:
        self._running.set()

    def end(self) -> None:
        self._over = True
        self._running.set()

    def _session(self, chance: random.Random, number: int) -> None:
        pipe = Pipe(self._home)
        try:
            assert "result" in pipe.answer(pipe.request("initialize", INITIALIZE))
            pipe._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            for _ in range(chance.randint(1, 12)):
                tool, arguments = self._call(chance, number)
                id = pipe.request("tools/call", {"name": tool, "arguments": arguments})
                fate = chance.random()
                if fate < 0.05:
                    time.sleep(chance.random() * 0.05)
                    pipe.withdraw(id)
                    self.counts["withdrawn"] += 1
                elif fate < 0.08:
                    time.sleep(chance.random() * 0.05)
                    pipe.kill()
                    self.counts["vanished"] += 1
                    return
                else:
                    self._judge(tool, pipe.answer(id))
                if not self._running.is_set():
                    break
        finally:
            if pipe.process.poll() is None:
                pipe.stop()
        self.counts["sessions"] += 1

    def _call(self, chance: random.Random, number: int) -> tuple[str, dict[str, Any]]:
        words = " ".join(chance.choices(WORDS, k=12))
        collection = f"soak{number % 3}"
        id = f"c{number}-{chance.randint(0, 7)}"
        return chance.choice([
            ("index", {"documents": [{"id": id, "text": f"{words}. {chance.random()}"}], "collection": collection}),
            ("index", {"documents": [{"id": f"{id}-{n}", "text": f"{words} {n}"} for n in range(5)],
                       "collection": collection, "wait_seconds": 0}),
            ("search", {"query": words, "limit": 5}),
            ("search", {"query": chance.choice(WORDS), "mode": "lexical"}),
            ("cluster", {"texts": [f"{word} {words}" for word in WORDS], "k": 3}),
            ("classify", {"texts": [words], "labels": [{"name": "nature"}, {"name": "machines"}]}),
            ("get_document", {"id": id, "collection": collection}),
            ("list_documents", {"collection": collection, "limit": 5}),
            ("delete", {"collection": collection, "ids": [id]}),
            ("job", {"wait_seconds": 0.05}),
            ("list_collections", {}),
            ("embed", {"texts": [words, "a lawn"]}),
        ])  # fmt: skip

    def _judge(self, tool: str, answer: dict[str, Any]) -> None:
        self.counts[tool] += 1
        if "error" in answer:
            self.errors.append(f"{tool}: {answer['error']}")
        elif answer["result"].get("isError"):
            text = answer["result"]["content"][0]["text"]
            # What a client asks for may not be there (yet, or any more): its own doing.
            if not any(
                words in text for words in ("no document", "No collection", "Index a folder", "is being indexed")
            ):
                self.errors.append(f"{tool}: {text[:200]}")


def kept(home: str, chunks: int) -> tuple[float, float]:
    """Index so many chunks, and return the memory in MB with the engines loaded, and after all and a minute of rest."""
    chance, pipe = random.Random(0), Pipe(home)
    pipe.request("initialize", INITIALIZE)
    pipe._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    loaded = 0.0
    for start in range(0, chunks, PER_CALL):
        texts = [" ".join(chance.choices(WORDS, k=chance.randint(5, 150))) for _ in range(PER_CALL)]
        documents = [{"id": f"n{start + number}", "text": text} for number, text in enumerate(texts)]
        answer = pipe.answer(
            pipe.request(
                "tools/call",
                {"name": "index", "arguments": {"documents": documents, "collection": "many", "wait_seconds": 100}},
            )
        )
        assert not answer["result"].get("isError"), answer
        if start + PER_CALL == LOADED_AFTER:
            time.sleep(REST)
            loaded = figures(home)["memory MB"]
    time.sleep(REST)
    found = loaded, figures(home)["memory MB"]
    pipe.stop()
    return found


def figures(home: str) -> dict[str, float]:
    found = holder(Path(home))
    assert found is not None
    proc = Path(f"/proc/{found.pid}")
    children = [each for each in Path("/proc").glob("[0-9]*/stat") if _parent(each) == found.pid]
    return {
        "owner": found.pid,
        "threads": len(list((proc / "task").iterdir())),
        "descriptors": len(list((proc / "fd").iterdir())),
        "processes": 1 + len(children),
        "memory MB": rollup(found.pid, "Anonymous:"),
    }


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=0, help=f"to index first; at least {LOADED_AFTER}, else none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    with data_directory() as home:
        memory = kept(home, arguments.chunks) if arguments.chunks >= LOADED_AFTER else None
        soak = Soak(home, arguments.clients, arguments.seed)
        threads = [threading.Thread(target=soak.client, args=(n,), daemon=True) for n in range(arguments.clients)]
        for thread in threads:
            thread.start()
        rows: list[dict[str, float]] = []
        for _ in range(arguments.minutes):
            soak.resume()
            time.sleep(60)
            soak.paused()
            rows.append(figures(home))
        soak.end()
        for thread in threads:
            thread.join()
    names = ["threads", "descriptors", "processes", "memory MB"]
    print(f"{arguments.clients} clients, {arguments.minutes} minutes.\n{machine()}\n")
    print(table(["minute", *names], [[n, *(row[name] for name in names)] for n, row in enumerate(rows, start=1)]))
    growth = {name: rows[-1][name] / rows[0][name] - 1 for name in names}
    print("\nGrowth from the first to the last: " + ", ".join(f"{name} {100 * g:+.1f} %" for name, g in growth.items()))
    print("Calls: " + ", ".join(f"{name} {count}" for name, count in sorted(soak.counts.items())))
    print(f"Owners: {len({row['owner'] for row in rows})}. Errors that no client caused: {len(soak.errors)}")
    for error in soak.errors[:20]:
        print("  " + error)
    wrong = bool(soak.errors)
    if memory is not None:
        wrong |= memory[1] > MOST_KEPT * memory[0]
        print(f"{arguments.chunks:,} chunks left {memory[1]:.0f} MB of {memory[0]:.0f} with the engines loaded.")
    if len(rows) > 2:
        grown = rows[-1]["memory MB"] / rows[1]["memory MB"] - 1
        wrong |= grown > MOST_GROWTH
        print(f"Memory from the second minute to the last: {100 * grown:+.1f} % (at most {100 * MOST_GROWTH:+.0f} %).")
    found = {"minutes": rows, "growth": growth, "calls": soak.counts, "errors": soak.errors, "kept": memory}
    write_json(arguments.json, found)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
