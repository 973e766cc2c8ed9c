"""A hit says where in its chunk the match stands, and how much there is to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from ingestion.ingestion_material import pdf_bytes
from knowledge_core.engine import Engine
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio

FILLER = "Nothing of interest stands in this line at all, as in those beside it."


async def best_hit(client: Client, query: str, **more: Any) -> dict[str, Any]:
    result = await client.call_tool("search", {"query": query, **more})
    assert not result.is_error, text_of(result)
    return result.structured_content["hits"][0]


async def lines_of(client: Client, hit: dict[str, Any], lines: str) -> str:
    read = await client.call_tool(
        "get_document", {"id": hit["document"], "collection": hit["collection"], "lines": lines}
    )
    assert not read.is_error, text_of(read)
    return str(read.structured_content["text"])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        ("The\tzebra   crossed the river.", "zebra river"),
        ("Die Kündigungsfrist beträgt drei Monate.", "Kündigungsfrist"),
        ("縞馬が川を渡った。", "縞馬"),
    ],
)
async def test_a_hit_names_the_line_where_the_words_stand(
    connect: Any, engine: Engine, tmp_path: Path, end: str, wanted: str, query: str
) -> None:
    lines = ["# Notes", "", *[FILLER] * 9, "", "\t", wanted, "", *[FILLER] * 9]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_bytes(end.join(lines).encode())
    engine.roots.add(tmp_path)
    async with connect() as client:
        await index(client, tmp_path / "notes")
        hit = await best_hit(client, query)
        assert hit["match"] == "14"
        assert await lines_of(client, hit, hit["match"]) == wanted


async def test_words_on_several_lines_are_one_match_from_the_first_to_the_last(connect: Any) -> None:
    text = "\n".join([*[FILLER] * 8, "A zebra", "may cross", "a wide river.", *[FILLER] * 8, "A river."])
    async with connect() as client:
        await client.call_tool("index", {"documents": [{"id": "a", "text": text}]})
        hit = await best_hit(client, "zebra river")
        assert hit["match"] == "9-11"
        shown = text_of(await client.call_tool("search", {"query": "zebra river"}))
    assert f"lines {hit['lines']} (match 9-11)" in shown
    assert f"{hit['tokens']} of {hit['document_tokens']} tokens" in shown


async def test_a_hit_by_meaning_alone_names_the_lines_of_its_snippet(connect: Any) -> None:
    text = "\n".join(f"Line {number}: {FILLER}" for number in range(1, 20))
    async with connect() as client:
        await client.call_tool("index", {"documents": [{"id": "a", "text": text}]})
        hit = await best_hit(client, "zygote", mode="semantic")
        shown = hit["snippet"].removesuffix("…")
        lines = " ".join((await lines_of(client, hit, hit["match"])).split())
    assert hit["match"].startswith("1-")
    assert lines.startswith(shown)
    assert lines.removeprefix(shown).count("Line") == 0  # no line more than the snippet has


async def test_the_match_lies_in_its_chunk_also_on_a_later_page_of_an_extracted_text(
    connect: Any, engine: Engine, tmp_path: Path
) -> None:
    pages = [[FILLER] * 12, [*[FILLER] * 5, "The zebra crossed the river.", *[FILLER] * 5]]
    (tmp_path / "book.pdf").write_bytes(pdf_bytes(pages))
    engine.roots.add(tmp_path)
    async with connect() as client:
        await index(client, tmp_path / "book.pdf")
        hit = await best_hit(client, "zebra")
        assert hit["page"] == 2
        assert "zebra" in await lines_of(client, hit, hit["match"])
        assert "-" not in hit["match"]


async def test_the_sizes_of_chunk_and_document_say_what_reading_costs(connect: Any) -> None:
    text = "\n\n".join([f"Über Punkt {number}: {FILLER}" for number in range(200)] + ["The zebra came last."])
    async with connect() as client:
        await client.call_tool("index", {"documents": [{"id": "long", "text": text}, {"id": "line", "text": "x " * 9}]})
        hit = await best_hit(client, "zebra")
        assert hit["document_tokens"] == -(-len(text.encode()) // 3)
        chunk = await client.call_tool("get_document", {"id": "long", "chunk": hit["chunk"], "around": 0})
        assert hit["tokens"] == -(-len(chunk.structured_content["text"].encode()) // 3)
        assert hit["tokens"] < hit["document_tokens"] / 10


async def test_a_text_that_is_one_enormous_line_has_its_match_on_that_line(connect: Any) -> None:
    text = "word " * 40_000 + "zebra " + "word " * 40_000
    async with connect() as client:
        await client.call_tool("index", {"documents": [{"id": "a", "text": text}]})
        hit = await best_hit(client, "zebra")
    assert (hit["lines"], hit["match"]) == ("1", "1")
    assert "zebra" in hit["snippet"]
