"""The real server as clients launch it: `kcore serve`, a real pipe, the packaged model, real files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from mcp_text import text_of
from owner_processes import KCORE, environment, own_home

FILES = {
    "solar.md": "# Solar power\n\nA solar panel turns sunlight into electricity.\n\n## Storage\n\n"
    "Batteries keep it for the night.\n",
    "bread.md": "---\ntags: [baking]\n---\n# Bread\n\nKnead the dough, let it rise, then bake the loaf in a hot oven.\n",
    "kernel/scheduler.py": "def schedule(processes):\n    '''Choose which process runs next.'''\n    return min(processes)\n",
    "page.html": "<html><head><title>Tides</title></head><body><article><h1>Tides</h1><p>"
    + "The moon pulls the sea twice a day, and harbours follow its clock. " * 8
    + "</p></article></body></html>",
    "image.png": "\x89PNG\x0d\x0a\x1a\x0a\0\0\0",
}


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notes")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="latin-1")
    return folder


@asynccontextmanager
async def served(home: Path, mode: str) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(command=KCORE[0], args=[*KCORE[1:], "serve"], env=environment(home))
    async with Client(parameters, mode=mode) as client:
        yield client


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["legacy", pytest.param("2026-07-28", marks=pytest.mark.slow)])
async def test_the_main_job_over_a_real_pipe_in_both_eras(era, notes, tmp_path):
    with own_home(tmp_path, roots=[str(notes)]) as home:
        await main_job(home, era, notes)


async def main_job(home, era, notes):
    seen = []

    async def told(progress, total, message):
        seen.append((progress, total))

    async with served(home, era) as client:
        assert len((await client.list_tools()).tools) == 10

        indexed = await client.call_tool("index", {"paths": [str(notes)], "wait_seconds": 120}, progress_callback=told)
        report = indexed.structured_content
        assert (report["indexed"], report["failed_total"], report["skipped"]) == (4, 0, {"binary": 1}), text_of(indexed)
        assert seen[-1] == (4, 4)
        assert any("MiniLM" in notice for notice in report["notices"])

        answer = await client.call_tool("search", {"query": "how is energy from the sun made", "limit": 3})
        best = answer.structured_content["hits"][0]
        assert best["document"] == f"{notes.name}/solar.md"
        assert len(text_of(answer).encode()) < 8_000

        around = await client.call_tool("get_document", {"id": best["document"], "chunk": best["chunk"]})
        assert "sunlight" in around.structured_content["text"]
        place = await client.call_tool("get_document", {"id": f"{best['document']}:{best['match']}"})
        assert place.structured_content["lines"] == best["match"], text_of(place)
        outline = await client.call_tool("get_document", {"ids": [best["document"]], "outline": True})
        assert outline.structured_content["documents"][0]["document_tokens"] == best["document_tokens"]

        found = await client.call_tool("search", {"query": "loaf", "filter": {"tags": "baking"}})
        assert [hit["document"] for hit in found.structured_content["hits"]] == [f"{notes.name}/bread.md"]

        topics = await client.call_tool("cluster", {"k": 2})
        assert not topics.is_error, text_of(topics)
        assert len(topics.structured_content["clusters"]) == 2

        labels = [{"name": "energy"}, {"name": "cooking"}]
        labelled = await client.call_tool("classify", {"texts": ["roast the potatoes in a pan"], "labels": labels})
        assert labelled.structured_content["items"][0]["label"] == "cooking", text_of(labelled)

        (notes / "bread.md").touch()
        again = (await client.call_tool("index", {"paths": [str(notes)]})).structured_content
        assert (again["indexed"], again["unchanged"], again["embedded"]) == (0, 4, 0)

        gone = await client.call_tool("delete", {"collection": "default", "ids": [best["document"]]})
        assert gone.structured_content["deleted"] == 1
        assert (await client.call_tool("get_document", {"id": best["document"]})).is_error


@pytest.mark.slow
def test_in_one_process_too_stdout_carries_the_protocol_and_nothing_else(tmp_path):
    messages = [
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        },
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "embed", "arguments": {"texts": ["a cat", "a kitten"]}},
        },
    ]
    process = subprocess.Popen(
        [*KCORE, "serve", "--in-process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path / "home"),
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for message in messages:
        process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
    lines = []
    while not any(json.loads(line).get("id") == 2 for line in lines):
        lines.append(process.stdout.readline())
    rest, errors = process.communicate(timeout=30)
    lines += rest.splitlines()
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines if line)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
