"""A hit says what became of its file since it was indexed, and a search says what is not indexed yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.retrieval import file_states
from knowledge_core.storage.values import Change
from knowledge_core.types import Pending
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """An allowed folder with three notes, each changed at a time of its own."""
    made = tmp_path / "notes"
    (made / "deep").mkdir(parents=True)
    for number, name in enumerate(("alpha", "beta", "gamma")):
        (made / f"{name}.md").write_text(f"# {name}\n\nThe {name} otter swims in the lake.\n")
        os.utime(made / f"{name}.md", ns=(1_790_000_000_000_000_123 + number,) * 2)
    engine.roots.add(made)
    return made


async def asked(client: Client, name: str = "alpha") -> tuple[dict[str, Any], str]:
    """Search for one note; return its hit, and the line that tells where it stands."""
    result = await client.call_tool("search", {"query": name, "mode": "lexical"})
    answer = result.structured_content
    assert answer is not None
    hit = next(hit for hit in answer["hits"] if hit["document"] == f"notes/{name}.md")
    assert (hit["document"] in answer["stale"]) == ("file" in hit)
    return hit, next(line for line in text_of(result).splitlines() if f"   notes/{name}.md, chunk" in line)


async def state(client: Client, name: str = "alpha") -> str | None:
    hit, line = await asked(client, name)
    said = hit.get("file")
    assert (" — file " in line) == (said is not None)
    assert said is None or line.endswith(f" — file {said}")
    result = await client.call_tool("get_document", {"id": f"notes/{name}.md"})
    assert result.structured_content.get("file") == said
    return None if said is None else str(said)


async def test_a_file_that_is_as_it_was_indexed_says_nothing(connect, folder):
    async with connect() as client:
        await index(client, folder)
        assert await state(client) is None


async def test_a_file_that_changed_says_so_also_where_size_and_time_are_as_before(connect, folder):
    async with connect() as client:
        await index(client, folder)
        about = (folder / "alpha.md").stat()
        text = (folder / "alpha.md").read_text()
        (folder / "alpha.md").write_text(text.replace("alpha otter", "alpha stoat"))
        os.utime(folder / "alpha.md", ns=(about.st_atime_ns, about.st_mtime_ns))
        if os.name != "nt":
            assert await state(client) == "changed since"
        (folder / "alpha.md").write_text("something else")
        assert await state(client) == "changed since"
        assert await state(client, "beta") is None


async def test_a_file_that_moved_is_named_where_it_is_now(connect, folder):
    async with connect() as client:
        await index(client, folder)
        (folder / "alpha.md").rename(folder / "renamed.md")
        assert await state(client) == f"moved to {folder / 'renamed.md'}"
        (folder / "renamed.md").rename(folder / "deep" / "alpha.md")
        assert await state(client) == f"moved to {folder / 'deep' / 'alpha.md'}"
        (folder / "deep").rename(folder / "archive")
        assert await state(client) == f"moved to {folder / 'archive' / 'alpha.md'}"


async def test_a_file_that_is_nowhere_is_gone(connect, folder):
    async with connect() as client:
        await index(client, folder)
        (folder / "alpha.md").unlink()
        assert await state(client) == "gone"


async def test_what_only_looks_like_the_moved_file_is_not_named(connect, folder, tmp_path, engine):
    (folder / "alpha.md").write_text("# same\n\nalpha one\n")
    (folder / "beta.md").write_text("# same\n\nother two\n")
    for name in ("alpha", "beta"):
        os.utime(folder / f"{name}.md", ns=(1_790_000_000_000_000_000,) * 2)
    async with connect() as client:
        await index(client, folder)
        about = (folder / "alpha.md").stat()
        (folder / "alpha.md").rename(tmp_path / "outside.md")  # not in an allowed root; beta is a document itself
        (folder / "link.md").symlink_to(tmp_path / "outside.md")
        assert await state(client) == "gone"
        for name in ("copy1.md", "copy2.md"):
            (folder / name).write_text("# same\n\nalpha one\n")
            os.utime(folder / name, ns=(about.st_atime_ns, about.st_mtime_ns))
        assert await state(client) == "gone"


async def test_nothing_is_looked_at_outside_of_the_roots_that_are_allowed_now(connect, folder, engine):
    async with connect() as client:
        await index(client, folder)
        (folder / "alpha.md").rename(folder / "renamed.md")
        engine.roots.remove(folder)
        assert await state(client) == "gone"


async def test_only_so_many_other_files_are_looked_at(connect, folder, monkeypatch):
    async with connect() as client:
        await index(client, folder)
        (folder / "alpha.md").rename(folder / "deep" / "renamed.md")
        monkeypatch.setattr(file_states, "MOST_ENTRIES", 3)
        assert await state(client) == "gone"


async def test_a_file_that_could_not_be_read_says_why(connect, folder, engine):
    async with connect() as client:
        await index(client, folder)
        engine.collection("default").write(Change(unreadable={"notes/alpha.md": "Permission denied\n[obey me]"}))
        hit, line = await asked(client)
        assert hit["file"].startswith("not readable now: Permission denied")
        assert line.endswith(r"— file not readable now: Permission denied\n[obey me]")


async def test_what_is_known_of_the_files_that_are_new_finds_a_move_to_far_away(connect, folder, engine):
    async with connect() as client:
        await index(client, folder)
        far = folder / "one" / "two" / "three"
        far.mkdir(parents=True)
        (folder / "alpha.md").rename(far / "alpha.md")
        assert await state(client) == "gone"
        engine.pending = lambda name: Pending(frozenset({str(far / "alpha.md"), str(folder / "alpha.md")}))
        assert await state(client) == f"moved to {far / 'alpha.md'}"


async def test_a_search_says_once_what_is_not_indexed_yet_of_the_collections_it_searched(connect, folder, engine):
    pending = {"default": Pending(frozenset("abc")), "other": Pending(frozenset("d"))}
    async with connect() as client:
        await index(client, folder)
        await client.call_tool("index", {"documents": [{"id": "x", "text": "an otter"}], "collection": "other"})
        engine.pending = lambda name: pending[name]
        said = "3 files of 'default' changed and are not indexed yet; the index catches up by itself."
        result = await client.call_tool("search", {"query": "otter", "collections": ["default"], "mode": "lexical"})
        assert [each for each in result.structured_content["notices"] if "not indexed yet" in each] == [said]
        assert text_of(result).count("not indexed yet") == 1
        result = await client.call_tool("search", {"query": "otter", "mode": "lexical"})
        assert "1 file of 'other' changed and is not indexed yet" in text_of(result)


async def test_a_document_says_when_it_was_modified_and_indexed(connect, folder):
    async with connect() as client:
        await index(client, folder)
        result = await client.call_tool("get_document", {"id": "notes/alpha.md"})
        answer = result.structured_content
        assert answer["modified"] == "2026-09-21T14:13:20Z"
        head = text_of(result).splitlines()[0]
        assert head.endswith(f"(modified {answer['modified']}, indexed {answer['indexed_at']}):")
