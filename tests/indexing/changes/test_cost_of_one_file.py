"""What one new file costs beside its embedding: views that are published, each of which every search takes up."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.storage.collection import Collection
from mcp_text import index

pytestmark = pytest.mark.anyio


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each published view."""
    found: list[str] = []
    publish = Collection._publish

    def counted(self: Collection) -> None:
        found.append(self.name)
        publish(self)

    monkeypatch.setattr(Collection, "_publish", counted)
    return found


async def test_one_new_file_publishes_its_plan_and_its_document_and_no_more(
    client: Client, engine: Engine, tmp_path: Path, published: list[str]
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    engine.roots.add(folder)
    for number in range(5):
        (folder / f"{number}.md").write_text(f"# Note {number}\n\nThe otter number {number}.\n")
    await index(client, folder)
    published.clear()
    (folder / "new.md").write_text("# New\n\nA quokka.\n")
    report = await index(client, folder)
    assert report["indexed"] == 1
    assert len(published) == 2
    found = (await client.call_tool("search", {"query": "quokka", "mode": "lexical"})).structured_content
    assert [hit["title"] for hit in found["hits"]] == ["New"]
