"""A folder of notes as people keep them: called by their titles, found by tags and links, without what no one reads."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from mcp_text import index

pytestmark = pytest.mark.anyio

PAYLOAD = base64.b64encode(random.Random(7).randbytes(9000)).decode()


@pytest.fixture
def vault(tmp_path: Path, engine: Engine) -> Callable[..., Path]:
    """Write notes by their names into an allowed folder, and return it."""
    folder = tmp_path / "vault"
    folder.mkdir()
    engine.roots.add(folder)

    def made(**notes: str) -> Path:
        for name, text in notes.items():
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    return made


async def documents(client: Client) -> dict[str, dict[str, Any]]:
    listed = (await client.call_tool("list_documents", {"limit": 100})).structured_content
    return {item["id"].removeprefix("vault/"): item for item in listed["documents"]}


async def found(client: Client, query: str, **more: object) -> list[tuple[str, str]]:
    result = (await client.call_tool("search", {"query": query, "mode": "lexical", **more})).structured_content
    return [(hit["document"].removeprefix("vault/"), hit["lines"]) for hit in result["hits"]]


async def test_twelve_daily_notes_from_one_template_have_twelve_titles(client, vault):
    text = "---\ntags: daily\n---\n## Grateful for\n\n- the weather of month {}\n\n# Log\n"
    notes = {f"2024-{month:02}-01.md": text.format(month) for month in range(1, 13)}
    await index(client, vault(**notes, **{"page.rst": "Harbour manual\n==============\n\nRopes and fenders.\n"}))
    titles = sorted(item["title"] for item in (await documents(client)).values())
    assert titles == [*(f"2024-{month:02}-01" for month in range(1, 13)), "Harbour manual"]


async def test_a_text_given_in_a_call_has_its_own_title_and_metadata_and_the_calls_win(client):
    text = "---\ntitle: Ropes\nauthor: Ann\nyear: 2020\n---\nHow to splice a rope. #knots [[Anchor]]\n"
    given = {"id": "given", "text": text, "title": "Given", "metadata": {"year": 2024, "tags": ["mine"]}}
    await client.call_tool("index", {"documents": [{"id": "own", "text": text}, given]})
    made = {id: (item["title"], item["metadata"]) for id, item in (await documents(client)).items()}
    assert made["own"] == ("Ropes", {"author": "Ann", "year": 2020, "tags": ["knots"], "links": ["Anchor"]})
    assert made["given"] == ("Given", {"author": "Ann", "year": 2024, "tags": ["mine"], "links": ["Anchor"]})


async def test_a_filter_finds_the_notes_that_link_to_a_page_or_have_a_tag_or_an_alias(client, vault):
    notes = {
        "a.md": "A heron at the [[Old mill|mill]]. #birds/water\n",
        "b.md": "---\nup: '[[Old mill]]'\naliases: [Second]\n---\nA heron upstream.\n",
        "c.md": "A heron of no links, but `[[Old mill]]` in code. #birds\n",
    }
    await index(client, vault(**notes))
    assert {name for name, _ in await found(client, "heron", filter={"links": "Old mill"})} == {"a.md", "b.md"}
    assert {name for name, _ in await found(client, "heron", filter={"tags": "birds/water"})} == {"a.md"}
    assert {name for name, _ in await found(client, "heron", filter={"aliases": "Second"})} == {"b.md"}


async def test_a_picture_in_a_note_costs_no_chunk_and_moves_no_line(client, vault):
    text = f"Meet at the old mill.\n\n![sketch](data:image/png;base64,{PAYLOAD})\n\n{PAYLOAD}\n\nBring cheese.\n"
    names = ["note.md", "note.rst", "note.txt"]
    await index(client, vault(**{name: f"{text}\nThis is {name}.\n" for name in names}))
    assert {name: item["chunks"] for name, item in (await documents(client)).items()} == dict.fromkeys(names, 1)
    assert sorted(await found(client, "cheese")) == [(name, "1-9") for name in names]
    assert await found(client, PAYLOAD[2000:2012]) == []


async def test_of_a_drawing_in_markdown_its_texts_are_found_in_their_lines_and_by_its_tags(client, vault):
    lines = [
        "---", "excalidraw-plugin: parsed", "tags: [drawn]", "---", "==⚠  Switch to EXCALIDRAW VIEW ⚠==", "# Excalidraw Data",
        "## Text Elements", "Tide gauge at pier four ^m1Zx7LwB", "", "%%", "## Drawing",
        "```compressed-json", PAYLOAD, "```", "%%",
    ]  # fmt: skip
    await index(
        client,
        vault(
            **{
                "plan.excalidraw.md": "\n".join(lines),
                "b.canvas": '{"nodes":[{"id":"1","type":"text","text":"Buy rope"}]}',
            }
        ),
    )
    listed = await documents(client)
    assert [(listed[name]["title"], listed[name]["chunks"]) for name in ("plan.excalidraw.md", "b.canvas")] == [
        ("plan", 1),
        ("b", 1),
    ]
    [(name, where)] = await found(client, "gauge", filter={"tags": "drawn"})
    assert name == "plan.excalidraw.md"
    assert where.split("-")[-1] == "8"
    assert await found(client, "m1Zx7LwB") == []
    assert [name for name, _ in await found(client, "rope")] == ["b.canvas"]


async def test_comments_queries_and_ids_of_blocks_are_not_found(client, vault):
    text = "Heron.\n\n%%\nsecretive\n%%\n\n```dataview\nTABLE plumage\n```\n\nThe nest. ^b1ock7id\n"
    await index(client, vault(**{"a.md": text}))
    for query in ("secretive", "plumage", "b1ock7id"):
        assert await found(client, query) == []
    assert await found(client, "nest") == [("a.md", "1-11")]
