"""Several clients at once on one owner with the packaged model: nothing is lost, nothing is embedded twice."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from owner_processes import MODERN, RawPipe, kcore, own_home, owner_pid, until

MANY = 10
META = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_home(tmp_path_factory.mktemp("shared")) as made:
        yield made


def document(name: str) -> dict[str, str]:
    return {"id": name, "text": f"The entry about {name} says that marker{name} lies beyond the hills."}


def structured(answer: dict[str, Any]) -> dict[str, Any]:
    assert not answer["result"].get("isError"), answer
    content: dict[str, Any] = answer["result"]["structuredContent"]
    return content


def job_state(pipe: RawPipe, id: str, wait: float = 0) -> dict[str, Any]:
    (item,) = structured(pipe.call("job", id=id, wait_seconds=wait))["jobs"]
    return dict(item)


@pytest.mark.slow
def test_ten_pipes_index_at_once_and_each_finds_what_all_indexed(home):
    names = [f"p{number}d{each}" for number in range(MANY) for each in range(1)]
    with ExitStack() as open_pipes, ThreadPoolExecutor(MANY) as at_once:
        pipes = [open_pipes.enter_context(RawPipe(home)) for _ in range(MANY)]
        list(at_once.map(RawPipe.initialize, pipes))

        def index(number: int) -> dict[str, Any]:
            own = [document(name) for name in names[number : number + 1]]
            return structured(pipes[number].call("index", documents=own, wait_seconds=60))

        assert [report["indexed"] for report in at_once.map(index, range(MANY))] == [1] * MANY

        def found(number: int) -> list[str]:
            hits = [
                structured(pipes[number].call("search", query=f"marker{name}", limit=1))["hits"][0]["document"]
                for name in names
            ]
            return [str(hit) for hit in hits]

        assert list(at_once.map(found, range(MANY))) == [names] * MANY
        status = json.loads(kcore(home, "status", "--json").stdout)
    assert status["models_in_memory"] == ["all-MiniLM-L6-v2"]
    assert len([client for client in status["owner"]["clients"] if client["role"] == "host"]) == MANY
    assert (home / "logs" / "owner.log").read_text().count("owner of ") == 1


@pytest.mark.slow  # each half by itself is a default test: a pipe outlives its owner, a job outlives its process
def test_kill_9_of_the_owner_in_the_middle_of_a_job_with_three_clients(home):
    documents = [
        {"id": f"k{number}", "text": f"Entry {number} of the long list. " + f"Word{number} follows word. " * 40}
        for number in range(200)
    ]
    with RawPipe(home) as writer, RawPipe(home) as legacy, RawPipe(home) as modern:
        writer.initialize()
        legacy.initialize()
        handle = structured(writer.call("index", documents=documents, collection="killed", wait_seconds=0))
        job = handle["job"]
        until(lambda: 0 < job_state(writer, job)["done"] < 200)
        acknowledged = job_state(writer, job)["done"]
        waiting = [
            (writer, writer.request("tools/call", {"name": "job", "arguments": {"id": job, "wait_seconds": 60}})),
            (legacy, legacy.request("tools/call", {"name": "job", "arguments": {"id": job, "wait_seconds": 60}})),
            (
                modern,
                modern.request("tools/call", {"name": "job", "arguments": {"id": job, "wait_seconds": 60}, **META}),
            ),
        ]
        first = owner_pid(home)
        os.kill(first, signal.SIGKILL)
        for pipe, id in waiting:
            assert "ended during this call" in pipe.answer(id)["error"]["message"]

        done = job_state(writer, job, wait=60)
        assert (done["state"], done["result"]["indexed"]) == ("done", 200)
        assert done["result"]["embedded"] + done["result"]["reused"] == done["result"]["chunks"]
        assert acknowledged < 200
        assert owner_pid(home) != first
        listed = structured(legacy.call("list_collections"))["collections"]
        assert {"killed": 200}.items() <= {each["name"]: each["documents"] for each in listed}.items()
        found = modern.answer(
            modern.request(
                "tools/call",
                {"name": "search", "arguments": {"query": "Word199", "collections": "killed", "limit": 1}, **META},
            )
        )
        assert structured(found)["hits"][0]["document"] == "k199"
    assert "All is well" in kcore(home, "doctor", "--collection", "killed").stdout
