"""How long a search takes while another client indexes a large folder, and what the searches cost the indexing.

    python -m benchmarks.busy [--files 4000] [--seconds 60] [--pause 0.25] [--json FILE]

One owner, the packaged model, real pipes. A folder of real paragraphs (the demo's) is indexed twice from a clean data
directory: with nobody else there, and with a second client that asks a new question every `pause` seconds, each of
which must be embedded. Reported: latency of the searches during indexing (p50, p99, worst) and on the idle owner
afterwards, and the tokens per second of both runs over the same time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from benchmarks.report import machine, percentile, table, write_json
from benchmarks.startup import Server, data_directory
from knowledge_core.verbs.evaluate import Judged, load_beir


def folder_of(judged: Judged, where: Path, count: int) -> None:
    """Write `count` files of different real paragraphs, each made of three."""
    texts = [f"{each.title}. {each.text}" for each in judged.documents]
    for number in range(count):
        three = [texts[(number * step + step) % len(texts)] for step in (1, 7, 31)]
        (where / f"{number:05}.md").write_text(f"# File {number}\n\n" + "\n\n".join(three) + "\n", encoding="utf-8")


class Client(Server):
    """A pipe that returns what it was answered."""

    def asked(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": "tools/call",
                    "params": {"name": tool, "arguments": arguments}})  # fmt: skip
        while True:
            answer = json.loads(self.process.stdout.readline())
            if answer.get("id") == self._id:
                assert not answer["result"].get("isError"), answer
                return dict(answer["result"]["structuredContent"])


def one_run(judged: Judged, files_: int, seconds: float, pause: float | None) -> tuple[float, list[float], list[float]]:
    """Return tokens per second while indexing, and the seconds of searches meanwhile and afterwards."""
    questions = itertools.cycle(judged.queries.values())
    meanwhile, afterwards = [], []

    def search(into: list[float]) -> None:
        began = time.perf_counter()
        found = client.asked("search", {"query": f"{next(questions)} ({time.monotonic_ns()})", "limit": 5})
        into.append(time.perf_counter() - began)
        assert not any("by words alone" in notice for notice in found["notices"])

    with tempfile.TemporaryDirectory() as folder, data_directory() as home:
        folder_of(judged, Path(folder), files_)
        (Path(home) / "config.yaml").write_text(json.dumps({"roots": [folder]}))
        writer, client = Client(home), Client(home)
        for each in (writer, client):
            each.opened()
        writer.asked("index", {"documents": [{"id": "warm", "text": "warm up"}]})
        search([])
        job = writer.asked("index", {"paths": [folder], "collection": "large", "wait_seconds": 0})["job"]
        while writer.asked("job", {"id": job})["jobs"][0]["done"] == 0:
            time.sleep(0.1)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if pause is not None:
                search(meanwhile)
            time.sleep(pause or 1.0)
        state = writer.asked("job", {"id": job})["jobs"][0]
        assert state["state"] == "running", "the folder was indexed too soon: use more --files"
        writer.asked("job", {"id": job, "action": "cancel", "wait_seconds": 30})
        if pause is not None:
            for _ in range(50):
                search(afterwards)
        for each in (writer, client):
            each.stop()
    return float(state["tokens_per_second"]), meanwhile, afterwards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=0.25)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    with as_file(files("knowledge_core.examples") / "hotpotqa_small") as folder:
        judged = load_beir(folder)
    alone, _, _ = one_run(judged, arguments.files, arguments.seconds, None)
    beside, meanwhile, afterwards = one_run(judged, arguments.files, arguments.seconds, arguments.pause)
    rows = [
        (name, len(each), percentile(each, 50), percentile(each, 99), percentile(each, 100))
        for name, each in (("while a folder is indexed", meanwhile), ("on the idle owner", afterwards))
    ]
    print(f"{arguments.seconds:.0f} s of indexing, a search every {arguments.pause} s.\n{machine()}\n")
    print(table(["search from another client", "searches", "p50 ms", "p99 ms", "worst ms"], rows))
    print(f"\nIndexing alone {alone:,.0f} tokens/s, beside the searches {beside:,.0f}: {beside / alone:.2f}.")
    write_json(arguments.json, {"searches": rows, "tokens_per_second": {"alone": alone, "beside": beside}})


if __name__ == "__main__":
    main()
