"""What is new is asked for by time, and a hit says what became of its file."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.types import Pending
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """An allowed folder with notes of today, of three days ago and of last year."""
    made = tmp_path / "allowed" / "notes"
    made.mkdir(parents=True)
    for name, days in (("today.md", 0), ("lately.md", 3), ("old.md", 400)):
        (made / name).write_text(f"# {name}\n\nwalrus {name}\n")
        os.utime(made / name, (moment := time.time() - 86_400 * days, moment))
    engine.roots.add(tmp_path / "allowed")
    return made


async def listed(client: Client, **more: object) -> list[str]:
    result = await client.call_tool("list_documents", more)
    assert not result.is_error, text_of(result)
    return [item["id"].removeprefix("notes/") for item in result.structured_content["documents"]]


async def hit_of(client: Client, query: str) -> dict:
    return (await client.call_tool("search", {"query": query, "mode": "lexical"})).structured_content["hits"][0]


async def test_what_is_new_is_one_call(client, folder):
    await index(client, folder)
    assert await listed(client, sort="modified") == ["today.md", "lately.md", "old.md"]
    assert await listed(client, sort="modified", since="7d") == ["today.md", "lately.md"]
    assert await listed(client, since="7d") == ["lately.md", "today.md"]
    assert await listed(client, sort="modified", until="2d") == ["lately.md", "old.md"]
    year = (datetime.now() - timedelta(days=400)).strftime("%Y-%m-%d")
    assert await listed(client, since=year, until=year) == ["old.md"]
    assert len(await listed(client, sort="indexed_at", since="today")) == 3
    said = text_of(await client.call_tool("list_documents", {"sort": "modified", "since": "2026-11-28T10:00:00+01:00"}))
    assert "Modified from 2026-11-28T09:00:00Z." in said


async def test_pages_by_time_go_on_after_a_document(client, folder):
    for number in range(5):
        (folder / f"same{number}.md").write_text(f"# {number}\n")
        os.utime(folder / f"same{number}.md", (1_700_000_000, 1_700_000_000))
    await index(client, folder)
    found, cursor = [], None
    while True:
        page = (
            await client.call_tool("list_documents", {"sort": "modified", "limit": 2, "cursor": cursor})
        ).structured_content
        found += [item["id"] for item in page["documents"]]
        cursor = page.get("cursor")
        if cursor is None:
            break
    assert found == [f"notes/{name}" for name in ("today.md", "lately.md", "old.md")] + [
        f"notes/same{number}.md" for number in range(5)
    ] or found == [f"notes/{name}" for name in ("today.md", "lately.md")] + [
        *(f"notes/same{number}.md" for number in range(5)), "notes/old.md",
    ]  # fmt: skip
    assert len(set(found)) == 8


@pytest.mark.parametrize("wrong", ["soon", "2026-13-01", "7 parsecs", "", "99999999999d"])
async def test_what_is_no_moment_is_an_error_that_shows_how_to_write_one(client, folder, wrong):
    await index(client, folder)
    result = await client.call_tool("list_documents", {"since": wrong})
    assert result.is_error
    assert "7d" in text_of(result)


async def test_times_are_fields_of_filters(client, folder):
    await index(client, folder)
    day = (datetime.now(UTC) - timedelta(days=7)).strftime("%Y-%m-%d")
    new = {"modified": {"$gte": day}}
    found = (await client.call_tool("search", {"query": "walrus", "filter": new, "mode": "lexical"})).structured_content
    assert {hit["document"] for hit in found["hits"]} == {"notes/today.md", "notes/lately.md"}
    old = {"collection": "default", "filter": {"modified": {"$lt": day}}, "dry_run": True}
    assert (await client.call_tool("delete", old)).structured_content["documents"] == ["notes/old.md"]


async def test_a_hit_says_that_its_file_changed_moved_or_is_gone(client, folder, engine, tmp_path):
    await index(client, folder)
    assert "file" not in await hit_of(client, "walrus today")
    (folder / "today.md").write_text("# today\n\nokapi\n")
    assert (await hit_of(client, "walrus today"))["file"] == "changed since"
    (folder / "lately.md").rename(folder / "renamed.md")
    assert (await hit_of(client, "walrus lately"))["file"] == f"moved to {folder / 'renamed.md'}"
    (folder / "deep").mkdir()
    (folder / "renamed.md").rename(folder / "deep" / "far.md")
    assert (await hit_of(client, "walrus lately"))["file"] == "gone"
    engine.pending = lambda name: Pending(frozenset([str(folder / "deep" / "far.md")]))
    result = await client.call_tool("search", {"query": "walrus lately", "mode": "lexical"})
    assert result.structured_content["hits"][0]["file"] == f"moved to {folder / 'deep' / 'far.md'}"
    assert "[file moved to" in text_of(result)
    assert "1 file of 'default' changed a moment ago" in text_of(result)
    (folder / "old.md").unlink()
    assert (await hit_of(client, "walrus old"))["file"] == "gone"
    document = await client.call_tool("get_document", {"id": "notes/old.md"})
    assert document.structured_content["file"] == "gone"
    assert "What its file is now: gone" in text_of(document)


async def test_a_collection_says_what_is_wanted_of_its_folders(client, folder, engine):
    await index(client, folder)
    await client.call_tool("delete", {"collection": "default", "ids": ["notes/old.md"]})
    (item,) = (await client.call_tool("list_collections", {})).structured_content["collections"]
    assert item["source_details"] == [f"{folder} (2 documents; 1 deleted and kept out; no person has named it)"]
