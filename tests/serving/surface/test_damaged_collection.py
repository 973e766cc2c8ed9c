"""A collection whose record is damaged takes nothing along but itself, and can be deleted."""

from __future__ import annotations

import anyio
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.cli.doctor import _verdict
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.private import PrivateRequests
from mcp_text import NOTES, text_of

pytestmark = pytest.mark.anyio

MANY = [{"id": f"d{n}", "text": f"Sunlight number {n} falls on panel {n * 7}. " * 20} for n in range(200)]


def opened(home):
    return Engine(home, Config(), make_embedder=lambda model, dimensions: HashEmbedder())


@pytest.fixture(params=["its first page", "a page of texts", "many pages"])
def damaged(request, home):
    """An engine with a sound collection and one whose record was overwritten in places."""

    async def fill() -> None:
        with opened(home) as engine:
            async with Client(application(engine)) as client:
                for name, documents in (("sound", NOTES), ("broken", MANY)):
                    done = await client.call_tool("index", {"collection": name, "documents": documents})
                    assert not done.is_error, text_of(done)

    anyio.run(fill)
    file = home / "collections" / "broken" / "documents.db"
    content = bytearray(file.read_bytes())
    size, count = 4096, len(content) // 4096
    with_text = [n for n in range(count) if b"Sunlight number 150 " in content[n * size : (n + 1) * size]]
    pages = {"its first page": [0], "a page of texts": with_text, "many pages": range(2, count)}[request.param]
    for number in pages:
        content[number * size : (number + 1) * size] = b"\xa5" * size
    file.write_bytes(content)
    with opened(home) as engine:
        yield engine


async def called(engine, tool, **arguments):
    async with Client(application(engine)) as client:
        return await client.call_tool(tool, arguments)


async def test_a_search_over_all_collections_answers_from_the_others_and_says_so(damaged):
    found = await called(damaged, "search", query="sunlight electricity", limit=20)
    assert not found.is_error, text_of(found)
    assert "solar" in [hit["document"] for hit in found.structured_content["hits"]]
    if not any(hit["collection"] == "broken" for hit in found.structured_content["hits"]):
        assert any("'broken' was left out" in notice for notice in found.structured_content["notices"])


async def test_matching_lines_come_from_the_other_collections_and_the_answer_says_so(damaged):
    for match in ("literal", "regex"):
        found = await called(damaged, "search", query="sunlight", match=match)
        assert not found.is_error, text_of(found)
        assert [hit["document"] for hit in found.structured_content["hits"]] == ["solar"]
        assert found.structured_content["coverage"] == {"documents": 3, "known": 3}
        assert any("'broken' was left out" in notice for notice in found.structured_content["notices"])
    named = await called(damaged, "search", query="sunlight", match="literal", collections=["broken", "sound"])
    assert "documents.db, or the documents.db-wal beside it" in text_of(named)


async def test_what_names_the_damaged_collection_says_what_to_do(damaged):
    for tool, arguments in (
        ("search", {"query": "number 150 sunlight", "collections": ["broken", "sound"], "limit": 100}),
        ("get_document", {"id": "d150", "collection": "broken"}),
    ):
        found = await called(damaged, tool, **arguments)
        assert found.is_error, tool
        assert "documents.db, or the documents.db-wal beside it" in text_of(found)


async def test_status_lists_and_grouping_go_on(damaged):
    status = PrivateRequests(damaged, {})._status()
    assert {"broken", "sound"} == {*status["unreadable"], *(each["name"] for each in status["collections"])}
    assert not (await called(damaged, "list_collections")).is_error
    assert not (await called(damaged, "cluster", collection="sound")).is_error
    assert not (await called(damaged, "index", collection="sound", documents=NOTES)).is_error


async def test_doctor_finds_the_damage_and_offers_no_repair_that_cannot_help(damaged):
    report = PrivateRequests(damaged, {})._doctor()
    assert not report["clean"]
    assert "no repair can rebuild" in _verdict(report)


async def test_it_can_be_deleted_and_made_again(damaged):
    unsure = await called(damaged, "delete", collection="broken", all=True)
    assert unsure.is_error
    gone = await called(damaged, "delete", collection="broken", all=True, confirm=True)
    assert not gone.is_error, text_of(gone)
    assert damaged.names() == ["sound"]
    again = await called(damaged, "index", collection="broken", documents=MANY[:2])
    assert not again.is_error, text_of(again)
