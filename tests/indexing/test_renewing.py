"""A new version reads again, in the background, what an earlier one read or cut otherwise; until then it is found as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.indexing import preparing
from knowledge_core.recorded_jobs import renewing
from knowledge_core.recorded_jobs.renewing import renew
from knowledge_core.serving.surface.application import application
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def old(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that an earlier version indexed, and one note by its text: that version, played, made one chunk of each."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("ferry", "bakery", "gone"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nThe {name} opens at noon.\n")
    (folder / "long.md").write_text("\n\n".join(f"## Part {n}\n\n" + f"Tide table number {n}. " * 40 for n in range(4)))
    engine.roots.add(folder)
    cut = preparing.chunk
    with monkeypatch.context() as earlier:
        earlier.setattr(preparing, "CHUNKER_VERSION", 0)
        earlier.setattr(preparing, "chunk", lambda document, count, size: cut(document, count, size=10 * size))
        async with Client(application(engine)) as client:
            await index(client, folder)
            given = [{"id": "given", "text": "# Lantern\n\nThe lantern is green."}]
            await client.call_tool("index", {"documents": given})
    (folder / "gone.md").unlink()
    return folder


async def chunks(client: Client) -> dict[str, int]:
    listed: dict[str, Any] = (await client.call_tool("list_documents", {"limit": 100})).structured_content
    return {item["id"]: item["chunks"] for item in listed["documents"]}


async def test_documents_of_an_earlier_version_are_cut_anew_and_the_others_are_not_embedded_again(
    engine, old, embedder
):
    async with Client(application(engine)) as client:
        assert (await chunks(client))["notes/long.md"] == 1
        embedder.embedded.clear()
        renew(engine)
        after = await chunks(client)
        assert after["notes/long.md"] == 4
        assert {id: after[id] for id in ("notes/ferry.md", "notes/gone.md", "given")} == {
            "notes/ferry.md": 1, "notes/gone.md": 1, "given": 1,
        }  # fmt: skip
        # Calibrating embeds snippets besides, which are shorter than any chunk.
        assert len([text for text in embedder.embedded if len(text) > 400]) == 4
        assert not [text for text in embedder.embedded if "opens at noon." in text or "lantern is green." in text]
        found = text_of(await client.call_tool("search", {"query": "gone", "mode": "lexical"}))
        assert "The gone opens at noon." in found


async def test_what_was_renewed_is_not_looked_at_again_by_the_next_process(engine, old, monkeypatch):
    renew(engine)
    with engine.collection("default").view() as view:
        assert view.of_other_versions(preparing.reading_version()) == []
    monkeypatch.setattr(renewing, "accept_index", lambda *given: pytest.fail("a document is read again"))
    renew(engine)


async def test_a_search_says_so_while_documents_of_an_earlier_version_are_read_again(engine, old, monkeypatch):
    said = []
    accept = renewing.accept_index

    def watched(*given: Any) -> Any:
        said.append(engine.renewing["default"])
        return accept(*given)

    monkeypatch.setattr(renewing, "accept_index", watched)
    monkeypatch.setattr(renewing, "PORTION", 2)
    renew(engine)
    assert said == [5, 3, 1]
    engine.renewing["default"] = 3
    async with Client(application(engine)) as client:
        for tool, arguments in (("search", {"query": "ferry"}), ("list_collections", {})):
            answer = text_of(await client.call_tool(tool, arguments))
            assert "3 documents of 'default' were read by an earlier version of Knowledge Core" in answer
