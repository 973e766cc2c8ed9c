"""Forty clients over both doors beside bulk indexing: latency of each class of call, memory, descriptors, errors.

    python -m benchmarks.clients [--clients 40] [--seconds 300] [--pause 0.5] [--json FILE]

One owner, the packaged model. Half of the clients are real pipes (`kcore serve`), half speak streamable HTTP to the owner's
door; each makes one call after the other, `pause` seconds apart, of a class drawn by chance. Beside them one pipe indexes
folders of real paragraphs without end. Nothing that a client does may fail: it asks for what is there, and deletes what it
indexed itself. The door's token is the one that the door's command prints.

Ends with exit code 1 where a bar is missed: an error, another owner than at the start, or resident memory that grew by more
than a tenth from a fifth of the time to the end. Latencies are told, not judged: they depend on the machine. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from benchmarks.busy import folder_of
from benchmarks.report import machine, percentile, table, write_json
from benchmarks.soak import Pipe, figures
from benchmarks.startup import INITIALIZE, KCORE, data_directory
from knowledge_core.verbs.evaluate import Judged, load_beir

FILES = 100  # of a folder that is indexed; then comes the next one
NOTES = 300  # documents that are there from the beginning
GROWTH = 0.10  # of resident memory, at most
WARM = 0.2  # share of the time after which memory is first looked at
IDLE = 2.0  # seconds after which a connection is made anew
ANSWERS_WITHIN = 120.0  # seconds; later is an error


class Client(Protocol):
    """What makes calls, over whichever door."""

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a call: a JSON-RPC message."""
        ...


class PipeClient:
    """A client of `kcore serve` on a pipe."""

    def __init__(self, home: str) -> None:
        self._pipe = Pipe(home)
        assert "result" in self._pipe.answer(self._pipe.request("initialize", INITIALIZE))
        self._pipe._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._pipe.answer(self._pipe.request("tools/call", {"name": tool, "arguments": arguments}))

    def close(self) -> None:
        self._pipe.stop()


class HttpClient:
    """A client of the HTTP door, with a session and a connection of its own."""

    def __init__(self, url: str, header: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port or 80, timeout=ANSWERS_WITHIN)
        self._path, self._id, self._used = address.path, 0, time.monotonic()
        self._headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        name, _, value = header.partition(": ")
        self._headers[name] = value
        assert "result" in self._ask("initialize", INITIALIZE)
        self._headers["MCP-Protocol-Version"] = str(INITIALIZE["protocolVersion"])
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"}).read()

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._ask("tools/call", {"name": tool, "arguments": arguments})

    def close(self) -> None:
        with contextlib.suppress(http.client.HTTPException, OSError):
            self._connection.request("DELETE", self._path, headers=self._headers)
            self._connection.getresponse().read()
        self._connection.close()

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._id += 1
        try:
            answer = self._post({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
            told = answer.read().decode()
        except BaseException:
            self._connection.close()  # the next request opens it again
            raise
        if answer.headers["content-type"].startswith("application/json"):
            return dict(json.loads(told))
        events = (json.loads(line.removeprefix("data:")) for line in told.splitlines() if line[:6] == "data: ")
        return dict(next(each for each in events if each.get("id") == self._id))

    def _post(self, message: dict[str, Any]) -> http.client.HTTPResponse:
        if time.monotonic() - self._used > IDLE:  # the door closes it after five, and may do so under a request
            self._connection.close()
        try:
            return self._posted(message)
        finally:
            self._used = time.monotonic()

    def _posted(self, message: dict[str, Any]) -> http.client.HTTPResponse:
        self._connection.request("POST", self._path, json.dumps(message), self._headers)
        answer = self._connection.getresponse()
        if answer.status >= 400:
            raise AssertionError(f"HTTP {answer.status}: {answer.read()[:200]!r}")
        if session := answer.headers.get("mcp-session-id"):
            self._headers["Mcp-Session-Id"] = session
        return answer


class Load:
    """What all clients do, and what came of it."""

    def __init__(self, judged: Judged, seed: int, pause: float) -> None:
        self._texts = [f"{each.title}. {each.text}" for each in judged.documents]
        self._questions = list(judged.queries.values())
        self._seed, self._pause = seed, pause
        self._guard = threading.Lock()
        self.over = threading.Event()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.errors: dict[str, list[str]] = defaultdict(list)
        self.bulk = 0

    def notes(self) -> list[dict[str, str]]:
        return [{"id": f"note{number}", "text": self._texts[number % len(self._texts)]} for number in range(NOTES)]

    def run(self, client: Client, number: int) -> None:
        """Call until it is over."""
        chance = random.Random(f"{self._seed}/{number}")
        own: list[str] = []
        while not self.over.wait(chance.uniform(0.5, 1.5) * self._pause):
            name, tool, arguments = self._drawn(chance, number, own)
            answer = self.timed(name, lambda t=tool, a=arguments: client.call(t, a))
            if tool == "index" and answer.get("result", {}).get("structuredContent", {}).get("indexed"):
                own.append(arguments["documents"][0]["id"])

    def timed(self, name: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        began, wrong, answer = time.perf_counter(), "", {}
        try:
            answer = call()
            if "error" in answer:
                wrong = str(answer["error"])
            elif answer["result"].get("isError"):
                wrong = answer["result"]["content"][0]["text"]
        except Exception as error:  # noqa: BLE001  # whatever it is, the run must tell
            wrong = repr(error)
        with self._guard:
            self.seconds[name].append(time.perf_counter() - began)
            if wrong:
                self.errors[name].append(wrong[:300])
        return answer

    def _drawn(self, chance: random.Random, number: int, own: list[str]) -> tuple[str, str, dict[str, Any]]:
        own_one = f"small{number}"  # of each client: a collection that is being indexed refuses to delete
        question = f"{chance.choice(self._questions)} {chance.randint(0, 10**6)}"
        kind = chance.choice(
            ["hybrid", "hybrid", "lexical", "semantic", "get", "list", "documents", "embed", "index", "index", "delete",
             "cluster", "job"]
        )  # fmt: skip
        if kind in ("hybrid", "lexical", "semantic"):
            return f"search {kind}", "search", {"query": question, "mode": kind, "collections": ["notes"], "limit": 5}
        if kind == "index" or (kind == "delete" and not own):
            id = f"{chance.randint(0, 10**9)}"
            document = {"id": id, "text": f"{chance.choice(self._texts)} {id}"}
            return "index one", "index", {"documents": [document], "collection": own_one, "wait_seconds": 45}
        if kind == "delete":
            return "delete", "delete", {"ids": [own.pop()], "collection": own_one}
        tool, arguments = {
            "get": ("get_document", {"id": f"note{chance.randrange(NOTES)}", "collection": "notes"}),
            "list": ("list_collections", {}),
            "documents": ("list_documents", {"collection": "notes", "limit": 10}),
            "embed": ("embed", {"texts": [question, "a lawn"]}),
            "cluster": ("cluster", {"collection": "notes", "k": 5, "wait_seconds": 45}),
            "job": ("job", {"wait_seconds": 0}),
        }[kind]
        return tool, tool, dict(arguments)

    def index_without_end(self, client: Client, folder: Path, judged: Judged) -> None:
        """Index one folder after the other."""
        for turn in itertools.count():
            part = folder / f"part{turn}"
            part.mkdir()
            folder_of(judged, part, FILES)
            for file in part.iterdir():  # other texts than in the parts before
                file.write_text(f"{file.read_text(encoding='utf-8')}\nPart {turn}, {file.name}.\n", encoding="utf-8")
            answer = self.timed("(bulk: accept)", lambda p=part: client.call("index", {
                "paths": [str(p)], "collection": "bulk", "wait_seconds": 0,
            }))  # fmt: skip
            job = answer.get("result", {}).get("structuredContent", {}).get("job")
            while job is not None:
                if self.over.wait(0.5):
                    return
                told = self.timed("(bulk: look)", lambda j=job: client.call("job", {"id": j, "wait_seconds": 0}))
                (state,) = told["result"]["structuredContent"]["jobs"]
                self.bulk = turn * FILES + state["done"]
                if state["state"] not in ("running", "done"):
                    self.errors["(bulk)"].append(str(state))
                if state["state"] != "running":
                    break
            if self.over.is_set():
                return


@contextmanager
def http_door(home: str) -> Iterator[tuple[str, str]]:
    """Open the owner's HTTP door, and yield its address and the header that it asks for."""
    command = [*KCORE, "serve", "--http", "--port", "0", "--json", "--home", home]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        opened = json.loads(process.stdout.readline())
        yield str(opened["url"]), str(opened["header"])
    finally:
        process.terminate()
        process.wait(30)


def measured(home: str) -> dict[str, float]:
    """Return what the owner takes now."""
    found = figures(home)
    status = Path(f"/proc/{found['owner']}/status").read_text().splitlines()
    found["resident MB"] = next(int(line.split()[1]) / 1e3 for line in status if line.startswith("VmRSS"))
    return found


def one_run(judged: Judged, options: argparse.Namespace) -> tuple[Load, dict[str, dict[str, float]]]:
    load, seen = Load(judged, options.seed, options.pause), {}
    with tempfile.TemporaryDirectory() as folder, data_directory() as home, ExitStack() as stack:
        (Path(home) / "config.yaml").write_text(json.dumps({"roots": [folder]}))
        writer = PipeClient(home)
        stack.callback(writer.close)
        for begin in range(0, NOTES, 50):
            documents = load.notes()[begin : begin + 50]
            answer = writer.call("index", {"documents": documents, "collection": "notes", "wait_seconds": 45})
            assert not answer["result"].get("isError"), answer
        url, header = stack.enter_context(http_door(home))
        clients: list[PipeClient | HttpClient] = [
            PipeClient(home) if number % 2 else HttpClient(url, header) for number in range(options.clients)
        ]
        threads = [
            threading.Thread(target=load.run, args=(client, number), daemon=True)
            for number, client in enumerate(clients)
        ]
        threads.append(
            threading.Thread(target=load.index_without_end, args=(writer, Path(folder), judged), daemon=True)
        )
        seen["begin"] = measured(home)
        for thread in threads:
            thread.start()
        time.sleep(WARM * options.seconds)
        seen["warm"] = measured(home)
        time.sleep((1 - WARM) * options.seconds)
        seen["end"] = measured(home)
        load.over.set()
        for thread in threads:
            thread.join(ANSWERS_WITHIN)
        for client in clients:
            client.close()
    return load, seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--pause", type=float, default=0.5, help="between two calls of a client, in seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with as_file(files("knowledge_core.examples") / "hotpotqa_small") as folder:
        judged = load_beir(folder)
    load, seen = one_run(judged, options)
    rows = [
        (name, len(each), len(load.errors[name]), *(percentile(each, share) for share in (50, 95, 99, 100)))
        for name, each in sorted(load.seconds.items())
    ]
    columns = ["call", "count", "errors", "p50 ms", "p95 ms", "p99 ms", "worst ms"]
    print(f"{options.clients} clients for {options.seconds:.0f} s, {load.bulk} files indexed beside.\n{machine()}\n")
    print(table(columns, rows))
    names = ["resident MB", "memory MB", "threads", "descriptors"]
    print("\n" + table(["owner", *names], [[when, *(each[name] for name in names)] for when, each in seen.items()]))
    growth = seen["end"]["resident MB"] / seen["warm"]["resident MB"] - 1
    errors = [f"{name}: {error}" for name, each in load.errors.items() for error in each]
    owners = len({each["owner"] for each in seen.values()})
    print(f"\nResident memory from {WARM:.0%} of the time to the end: {growth:+.1%} (at most {GROWTH:+.0%}).")
    print(f"Owners: {owners}. Calls: {sum(map(len, load.seconds.values()))}. Errors: {len(errors)}")
    for error in errors[:20]:
        print("  " + error)
    write_json(options.json, {"calls": [dict(zip(columns, row, strict=True)) for row in rows], "owner": seen,
                              "errors": errors, "growth": growth, "indexed": load.bulk})  # fmt: skip
    return 1 if errors or owners != 1 or growth > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
