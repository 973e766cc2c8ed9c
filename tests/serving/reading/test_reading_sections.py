"""An agent sees what a document holds before it reads it, reads one section of it, or several documents in one call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.from_thread
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from ingestion.ingestion_material import pdf_bytes
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.ingestion.cutting.outline import outline
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.calls.pages import DEFAULT_CAP, TEXT_CAP
from knowledge_core.types import Document
from linear import grows_linearly
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio

MANUAL = """\
---
owner: ops
---

# Manual

Read this first.

## Setup

Before all else.

### Linux

Install the package.

```sh
# Not a heading
## nor this
```

### macOS

Open the disk.

## Usage

Turn it on.

Troubleshooting
---------------

### Linux

Read the journal.

## Empty
## 設定

電源を入れる。

## Größe & Gewicht

Zwei Kilo.
"""
MANUAL_LINES = MANUAL.splitlines()

CODE = '''\
"""Turning keys."""

import os


class Engine:
    """One engine."""

    def start(self):
        return os.getpid()

    # Stops it at once.
    def stop(self):
        return None


def rotate_api_key(name):
    return name[::-1]


LAST = rotate_api_key("x")
'''

RST = """\
Guide
=====

Words.

Setup
-----

Usage
-----

Turn it on.
"""


async def read(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("get_document", arguments)
    assert not result.is_error, text_of(result)
    assert len(text_of(result).encode()) <= TEXT_CAP
    return dict(result.structured_content or {})


async def refused(client: Client, **arguments: Any) -> str:
    result = await client.call_tool("get_document", arguments)
    assert result.is_error, text_of(result)
    assert len(text_of(result)) < 900
    return text_of(result)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A collection of a manual, code, reStructuredText, a PDF and a note without headings."""
    folder = tmp_path_factory.mktemp("shelf") / "lib"
    folder.mkdir()
    (folder / "manual.md").write_text(MANUAL, encoding="utf-8")
    (folder / "engine.py").write_text(CODE, encoding="utf-8")
    (folder / "guide.rst").write_text(RST, encoding="utf-8")
    (folder / "plain.txt").write_text("One line.\nAnother line.\n", encoding="utf-8")
    (folder / "book.pdf").write_bytes(pdf_bytes([["Chapter one", "Words of page one."], ["Chapter two", "More."]]))
    home = tmp_path_factory.mktemp("home")
    with Engine(home, Config(), make_embedder=lambda model, dimensions: HashEmbedder()) as engine:
        engine.roots.add(folder)

        async def fill() -> None:
            async with Client(application(engine)) as client:
                await index(client, folder)

        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(fill)
        yield engine


@pytest.fixture
async def library(shelf: Engine) -> AsyncIterator[Client]:
    async with Client(application(shelf)) as client:
        yield client


async def test_the_outline_has_every_heading_with_its_lines_and_tokens(library: Client) -> None:
    result = await library.call_tool("get_document", {"id": "lib/manual.md", "outline": True})
    structure = result.structured_content
    assert [(each["level"], each["heading"]) for each in structure["outline"]] == [
        (1, "Manual"), (2, "Setup"), (3, "Linux"), (3, "macOS"), (2, "Usage"), (2, "Troubleshooting"), (3, "Linux"),
        (2, "Empty"), (2, "設定"), (2, "Größe & Gewicht"),
    ]  # fmt: skip
    assert structure["document_tokens"] == -(-len(MANUAL.encode()) // 3)
    assert structure["total_lines"] == len(MANUAL_LINES)
    for each in structure["outline"]:
        part = await read(library, id="lib/manual.md", lines=each["lines"])
        assert each["heading"] in part["text"].split("\n")[0]
        assert each["tokens"] == -(-len(part["text"].encode()) // 3)
        assert not part["text"].endswith("\n")
    text = text_of(result)
    assert f"{len(MANUAL_LINES)} lines, {structure['document_tokens']} tokens in all" in text
    assert "\n13-20 (24)     Linux\n" in text
    assert "text" not in structure


@pytest.mark.parametrize(
    ("section", "first", "last"),
    [
        ("Setup", "## Setup", "Open the disk."),
        ("Setup > Linux", "### Linux", "```"),
        ("setup>LINUX", "### Linux", "```"),
        ("Manual > Troubleshooting > Linux", "### Linux", "Read the journal."),
        ("Manual > Linux > Linux", None, None),
        ("  ## mac OS ", "### macOS", "Open the disk."),
        ("Empty", "## Empty", "## Empty"),
        ("設定", "## 設定", "電源を入れる。"),
        ("grösse gewicht", None, None),
        ("größe und gewicht", None, None),
        ("GRÖSSE & GEWICHT", "## Größe & Gewicht", "Zwei Kilo."),
        ("Größe/Gewicht", "## Größe & Gewicht", "Zwei Kilo."),
    ],
)
async def test_a_section_is_read_by_its_heading_or_its_path(
    library: Client, section: str, first: str | None, last: str | None
) -> None:
    if first is None:
        if section == "grösse gewicht":  # ö and ß fold as Unicode says
            assert (await read(library, id="lib/manual.md", section=section))["section"] == "Manual > Größe & Gewicht"
        else:
            assert "no section" in await refused(library, id="lib/manual.md", section=section)
        return
    structure = await read(library, id="lib/manual.md", section=section)
    shown = structure["text"].split("\n")
    assert (shown[0], shown[-1]) == (first, last)
    begin, _, end = structure["lines"].partition("-")
    assert MANUAL_LINES[int(begin) - 1 : int(end or begin)] == shown


async def test_a_heading_of_several_sections_is_answered_by_their_paths_and_lines(library: Client) -> None:
    said = await refused(library, id="lib/manual.md", section="Linux")
    assert "2 sections" in said
    assert "'Manual > Setup > Linux' (13-20)" in said
    assert "'Manual > Troubleshooting > Linux' (33-35)" in said


async def test_an_unknown_heading_is_answered_by_the_nearest_ones(library: Client) -> None:
    said = await refused(library, id="lib/manual.md", section="Trouble shootings")
    assert "'Manual > Troubleshooting' (30-35)" in said
    assert "outline=true" in said
    assert "'Manual' (5-" in await refused(library, id="lib/manual.md", section="zygote")
    assert "no headings" in await refused(library, id="lib/plain.txt", section="Setup")


async def test_sections_of_the_same_path_are_told_apart_by_their_lines(connect: Any) -> None:
    async with connect() as client:
        text = "# Log\n\n## Fixed\n\nOne.\n\n## Fixed\n\nTwo.\n\n### Log\n\nThree.\n"
        await client.call_tool("index", {"documents": [{"id": "log", "text": text}]})
        said = await refused(client, id="log", section="Fixed")
        assert "'Log > Fixed' (3-5), 'Log > Fixed' (7-13)" in said
        assert (await read(client, id="log", section="Log"))["lines"] == "1-13"  # whose whole path that is


async def test_numbers_before_a_heading_do_not_count(connect: Any) -> None:
    async with connect() as client:
        text = (
            "# 1. Scope\n\nAll.\n\n# 2. Terms\n\n## 2.1 C\n\nc\n\n## 2.2 C++\n\ncpp\n\n# Kapitel 3: Preise\n\nTeuer.\n"
        )
        await client.call_tool("index", {"documents": [{"id": "d", "text": text}]})
        found = {
            section: (await read(client, id="d", section=section))["text"].split("\n")[-1]
            for section in ("Scope", "scope", "2.1 C", "C++", "terms > 2.2 c++", "Preise", "Kapitel 3: Preise")
        }
        assert [*found.values()] == ["All.", "All.", "c", "cpp", "cpp", "Teuer.", "Teuer."]
        assert "2 sections" in await refused(client, id="d", section="C?")
        assert "no section" in await refused(client, id="d", section=" " * 100_000 + "x > y" + " " * 100_000)


def test_an_outline_takes_time_in_proportion_to_the_text() -> None:
    def minified(size: int) -> None:
        text = "".join(f"function f{number}(){{return 1}};" for number in range(size))
        assert len(outline(Document("d", text, media_type="text/x-javascript"))) == size

    grows_linearly(minified, 300)
    grows_linearly(
        lambda size: outline(Document("d", "# A\n\n" * size + "\n" * size, media_type="text/markdown")), 2_000
    )


async def test_the_outline_of_a_section_has_that_section_alone(library: Client) -> None:
    structure = await read(library, id="lib/manual.md", section="Setup", outline=True)
    assert [each["heading"] for each in structure["outline"]] == ["Setup", "Linux", "macOS"]
    assert structure["section"] == "Manual > Setup"


async def test_code_has_its_definitions_and_restructuredtext_its_titles(library: Client) -> None:
    outline = (await read(library, id="lib/engine.py", outline=True))["outline"]
    assert [(each["level"], each["heading"], each["lines"]) for each in outline] == [
        (1, "class Engine", "6-14"), (2, "def start", "9-10"), (2, "def stop", "12-14"), (1, "def rotate_api_key", "17-18"),
    ]  # fmt: skip
    for section in ("Engine.stop", "stop", "class Engine > def stop"):
        text = (await read(library, id="lib/engine.py", section=section))["text"]
        assert text == "    # Stops it at once.\n    def stop(self):\n        return None"
    guide = (await read(library, id="lib/guide.rst", outline=True))["outline"]
    assert [(each["level"], each["heading"], each["lines"]) for each in guide] == [
        (1, "Guide", "1-12"), (2, "Setup", "6-7"), (2, "Usage", "9-12"),
    ]  # fmt: skip


async def test_a_document_without_headings_says_so_and_gives_its_pages_or_its_size(library: Client) -> None:
    plain = await library.call_tool("get_document", {"id": "lib/plain.txt", "outline": True})
    assert plain.structured_content["outline"] == []
    assert "no headings" in text_of(plain)
    assert "2 lines, 8 tokens in all" in text_of(plain)
    book = await read(library, id="lib/book.pdf", outline=True)
    assert [each["heading"] for each in book["outline"]] == ["page 1", "page 2"]
    assert any("these are its pages" in notice for notice in book["notices"])
    second = await read(library, id="lib/book.pdf", lines=book["outline"][1]["lines"])
    assert "Chapter two" in second["text"]


async def test_a_long_outline_comes_in_pages_that_lose_no_heading(connect: Any) -> None:
    text = "\n".join(f"## Heading number {number} of a manual of many headings\n\nWords.\n" for number in range(900))
    async with connect() as client:
        await client.call_tool("index", {"documents": [{"id": "long", "text": text}]})
        found, arguments = [], {"id": "long", "outline": True}
        while True:
            result = await client.call_tool("get_document", arguments)
            structure = result.structured_content
            assert len(text_of(result).encode()) < DEFAULT_CAP
            found += [each["heading"] for each in structure["outline"]]
            if not structure["truncated"]:
                break
            assert any("of 900 entries" in notice for notice in structure["notices"])
            arguments = {"id": "long", "cursor": structure["cursor"]}
    assert found == [f"Heading number {number} of a manual of many headings" for number in range(900)]


async def test_a_section_longer_than_the_answer_goes_on_by_its_cursor_and_ends_with_the_section(connect: Any) -> None:
    text = "# A\n\n" + "\n".join(f"line {number} of the first section" for number in range(900)) + "\n\n# B\n\nEnd.\n"
    async with connect() as client:
        await client.call_tool("index", {"documents": [{"id": "d", "text": text}]})
        shown, arguments = [], {"id": "d", "section": "A"}
        while True:
            structure = await read(client, **arguments)
            shown.append(structure["text"])
            if not structure["truncated"]:
                break
            arguments = {"id": "d", "cursor": structure["cursor"]}
    assert len(shown) > 2
    assert "\n".join(shown) == text[: text.index("\n\n# B")]


@pytest.mark.parametrize(
    ("pasted", "lines"),
    [
        ("lib/manual.md:13-20", "13-20"),
        ("lib/manual.md:13", "13"),
        ("lib/manual.md:13:5", "13"),
        ("lib/manual.md:13:", "13"),
        ("lib/manual.md:13–15", "13-15"),
        ("lib/manual.md#L13-L20", "13-20"),
        ("lib/manual.md#L13", "13"),
        ("lib/manual.md?plain=1#L13C2-L20C4", "13-20"),
        ("lib/manual.md#lines-13:20", "13-20"),
        ("lib/manual.md(13,4)", "13"),
        ("lib/manual.md, chunk 2, lines 13-20 (match 15), 9 of 100 tokens", "13-20"),
        ("`lib/manual.md:13-20`", "13-20"),
        ("lib/manual.md#troubleshooting", "30-35"),
        ("lib/manual.md:40-", "40-44"),
    ],
)
async def test_a_place_is_taken_as_people_paste_it(library: Client, pasted: str, lines: str) -> None:
    structure = await read(library, id=pasted)
    assert (structure["id"], structure["lines"]) == ("lib/manual.md", lines)


async def test_a_document_of_that_very_id_comes_first(connect: Any) -> None:
    async with connect() as client:
        documents = [{"id": "a.md", "text": "one\ntwo\nthree"}, {"id": "a.md:2", "text": "the very id"}]
        await client.call_tool("index", {"documents": documents})
        assert (await read(client, id="a.md:2"))["text"] == "the very id"
        assert (await read(client, id="a.md:3"))["text"] == "three"
        assert (await read(client, id="a.md:3", lines="1"))["text"] == "one"  # what is asked for by name counts
        assert "lines 1 to 3" in await refused(client, id="a.md:99")
        assert "no document 'b.md:99'" in await refused(client, id="b.md:99")


async def test_several_documents_share_one_answer_and_one_that_is_missing_spoils_none(connect: Any) -> None:
    async with connect() as client:
        long = "\n".join(f"line {number} of a long document" for number in range(2_000))
        documents = [
            {"id": "short", "text": "A short one."},
            {"id": "long", "text": long},
            {"id": "other", "text": long},
        ]
        await client.call_tool("index", {"documents": documents})
        result = await client.call_tool("get_document", {"ids": ["short", "long", "shirt", "other", "long:7-9"]})
        short, first, missing, second, lines = result.structured_content["documents"]
        assert len(text_of(result).encode()) < DEFAULT_CAP
        assert (short["text"], short["truncated"]) == ("A short one.", False)
        assert "Did you mean 'short'" in missing["error"]
        assert lines["text"] == "\n".join(long.split("\n")[6:9])
        assert abs(len(first["text"]) - len(second["text"])) < 100
        assert len(first["text"]) > 2_500  # what the short ones leave over
        assert first["truncated"]
        assert f'[more: id="long", cursor="{first["cursor"]}"]' in text_of(result)
        rest = await read(client, id="long", cursor=first["cursor"])
        assert rest["lines"].split("-")[0] == str(int(first["lines"].split("-")[1]) + 1)
        assert "Did you mean" in await refused(client, ids=["shirt", "longg"])
        assert "at most 20" in await refused(client, ids=[f"d{number}" for number in range(21)])
        assert "cursor" in await refused(client, ids=["long", "other"], cursor=first["cursor"])
        assert "Give the id" in await refused(client)


async def test_twenty_documents_with_all_that_they_may_have_fit_into_an_answer(connect: Any) -> None:
    ids = [f"{number:02d}" + "/係留場" * 120 for number in range(20)]
    documents = [{"id": id, "title": "係留" * 240, "text": "\t words\n" * 1_000} for id in ids]
    async with connect() as client:
        for start in range(0, 20, 5):
            added = await client.call_tool("index", {"documents": documents[start : start + 5]})
            assert not added.is_error, text_of(added)
        result = await client.call_tool("get_document", {"ids": ids, "max_tokens": 6_500})
        assert not result.is_error, text_of(result)
        assert len(text_of(result).encode()) <= TEXT_CAP
        assert len(json.dumps(result.structured_content, ensure_ascii=False)) < 50_000
        shown = len(result.structured_content["documents"])
        assert 0 < shown < 20
        assert f"{20 - shown} more" in result.structured_content["notices"][-1]


async def test_a_document_of_another_collection_is_named_with_the_next_call(connect: Any) -> None:
    async with connect() as client:
        for collection in ("default", "wiki"):
            documents = [{"id": f"{collection}.md", "text": "one\ntwo"}]
            await client.call_tool("index", {"documents": documents, "collection": collection})
        for pasted in ("wiki.md", "wiki.md:2"):
            said = await refused(client, id=pasted)
            assert "It is in 'wiki': call again with collection=\"wiki\"" in said
        both = await read(client, ids=["default.md", "wiki.md"])
        assert "'wiki'" in both["documents"][1]["error"]
        assert "It is in 'wiki'" in await refused(client, id="wiki.md", collection="nowhere")
        assert "It is in" not in await refused(client, id="nowhere.md")


async def test_sections_of_a_text_that_is_one_enormous_line_are_an_empty_outline(connect: Any) -> None:
    async with connect() as client:
        await client.call_tool("index", {"documents": [{"id": "line", "text": "# " + "word " * 60_000}]})
        structure = await read(client, id="line", outline=True)
        assert structure["outline"] == []
        assert structure["total_lines"] == 1
        assert structure["document_tokens"] == 100_001
        assert (await read(client, id="line:1"))["truncated"]
