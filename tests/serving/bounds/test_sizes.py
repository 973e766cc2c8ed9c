"""Every answer is small by default and bounded always, as text and as structure, whatever lies in the collections."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.from_thread
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.calls.answering import LARGEST_STRUCTURE, answer
from knowledge_core.serving.surface.calls.pages import DEFAULT_CAP
from knowledge_core.serving.surface.mcp_server import LONGEST_ERROR
from knowledge_core.serving.surface.results import DocumentsResult
from mcp_text import text_of

pytestmark = pytest.mark.anyio

COUNT = 150
WORDS = [
    f"{a}{b}ing" for a in ("harb", "lanter", "winch", "係留", "ferr", "rop") for b in ("or", "ett", "al", "um", "is")
]
LABELS = [{"name": f"label {'n' * 150} {n}", "examples": [WORDS[n % len(WORDS)]]} for n in range(50)]
UNREADABLE = [{"id": f"{'係' * 150}{n}", "text": " "} for n in range(120)]


def document(number: int) -> dict[str, Any]:
    return {
        "id": f"{'long/folder name/' * 12}{number:04d}.md",
        "title": f"{'A title of many words ' * 10}{number}",
        "uri": "file:///" + "x" * 300,
        "metadata": {f"field {n} {'y' * 40}": "係" * 60 for n in range(12)} | {f"own {number}": "v"},
        "text": " ".join(WORDS[(number * 7 + n * n) % len(WORDS)] for n in range(90)) + f" {number}.",
    }


DEFAULTS: dict[str, dict[str, Any]] = {
    "search": {"query": " ".join(WORDS[:4])},
    "index": {"documents": [*UNREADABLE, {"id": "good", "text": "Fish."}], "collection": "failing"},
    "embed": {"texts": [f"text {n}" for n in range(60)]},
    "cluster": {},
    "classify": {"collection": "default", "labels": LABELS},
    "get_document": {"id": "log"},
    "list_collections": {},
    "list_documents": {},
    "delete": {"collection": "default", "all": True, "dry_run": True},
    "job": {},
}
LARGE: list[tuple[str, dict[str, Any]]] = [
    ("search", {"query": " ".join(WORDS), "limit": 100, "explain": True, "max_tokens": 50_000}),
    ("cluster", {"k": 100, "limit": 100}),
    ("cluster", {"mode": "duplicates", "similarity": 0.5, "limit": 100}),
    ("classify", {"collection": "default", "labels": LABELS, "multiple": True}),
    ("classify", {"texts": ["harbor"] * 300, "labels": LABELS, "multiple": True}),
    ("embed", {"texts": [f"text {n}" for n in range(30)]}),
    ("embed", {"texts": [f"text {n}" for n in range(45)]}),
    ("embed", {"texts": ["a"] * 60, "output": "vectors", "encoding": "float"}),
    ("get_document", {"id": document(3)["id"], "max_tokens": 100_000}),
    ("get_document", {"id": "log", "max_tokens": 100_000}),
    ("list_documents", {"limit": 100}),
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("sizes")
    with Engine(home, Config(), command="test", make_embedder=lambda model, dimensions: HashEmbedder()) as engine:

        async def fill() -> None:
            async with Client(application(engine)) as client:
                log = {"id": "log", "text": "\n".join(f"line {n} of `a` ``` log" for n in range(4_000))}
                documents = [*(document(number) for number in range(COUNT)), log]
                done = await client.call_tool("index", {"documents": documents, "wait_seconds": 45})
                assert done.structured_content["indexed"] == COUNT + 1, text_of(done)
                for number in range(25):
                    name = f"{'c' * 55}-{number}"
                    await client.call_tool("index", {"documents": [{"id": "a", "text": "Fish."}], "collection": name})

        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(fill)
        yield engine


@pytest.fixture
async def client(filled: Engine) -> AsyncIterator[Client]:
    async with Client(application(filled)) as made:
        yield made


async def sized(client: Client, tool: str, arguments: dict[str, Any]) -> tuple[int, int]:
    """Return the sizes of an answer, bytes of text and characters of structure; an error has its own bound."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        assert len(text_of(result)) <= LONGEST_ERROR + 10, text_of(result)
    return len(text_of(result).encode()), len(json.dumps(result.structured_content, ensure_ascii=False))


async def test_the_default_answer_of_every_tool_is_below_8_kb(client):
    for tool in (await client.list_tools()).tools:
        text, structure = await sized(client, tool.name, DEFAULTS[tool.name])
        assert text <= DEFAULT_CAP, (tool.name, text)
        assert structure <= LARGEST_STRUCTURE, (tool.name, structure)


async def test_the_report_of_every_job_is_below_8_kb(client):
    await client.call_tool("cluster", {"k": 100, "limit": 100})
    await client.call_tool("index", DEFAULTS["index"])
    for job in (await client.call_tool("job", {})).structured_content["jobs"]:
        text, structure = await sized(client, "job", {"id": job["id"]})
        assert text <= DEFAULT_CAP, (job["kind"], text)
        assert structure <= LARGEST_STRUCTURE


@pytest.mark.parametrize(("tool", "arguments"), LARGE, ids=[f"{tool}-{n}" for n, (tool, _) in enumerate(LARGE)])
async def test_the_largest_answer_that_can_be_asked_for_is_bounded_as_text_and_as_structure(client, tool, arguments):
    text, structure = await sized(client, tool, arguments)
    assert text <= 20_000
    assert structure <= LARGEST_STRUCTURE


async def test_an_error_names_as_many_names_as_have_room_and_counts_the_rest(client):
    missing = text_of(await client.call_tool("get_document", {"id": "a", "collection": "nowhere"}))
    assert missing.startswith("No collection 'nowhere'. There are: ccc")
    assert "more." in missing
    field = text_of(await client.call_tool("list_documents", {"filter": {"nothing like it": 1}}))
    assert "more." in field
    assert len(missing) < 800
    assert len(field) < 800


async def test_a_protocol_error_repeats_little_of_what_was_sent(client):
    from mcp_types import Request, RequestParams, Result

    for refused in (
        client.read_resource("knowledge://default/" + "x" * 50_000),
        client.read_resource("other://" + "x" * 50_000),
        client.call_tool("x" * 50_000, {}),
        client.get_prompt("x" * 50_000),
        client.session.send_request(Request[RequestParams, str](method="x" * 50_000, params=RequestParams()), Result),
    ):
        with pytest.raises(MCPError) as caught:
            await refused
        assert len(caught.value.message) <= LONGEST_ERROR + 10
        assert len(json.dumps(caught.value.data)) <= LONGEST_ERROR + 10


def test_an_answer_beyond_the_bounds_is_an_error_that_says_what_to_ask_for_and_never_half_an_item():
    result = DocumentsResult(collection="c", documents=[], total=0, truncated=False, notices=["x" * 60_000])
    for text in ("short", "x" * 30_000):
        with pytest.raises(InvalidInput, match="smaller limit"):
            answer(result, text)
