"""Lines are those of the file where it has lines, and said to be of the extracted text where it has not."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio


async def test_hits_and_documents_say_whose_lines_they_name(client: Client, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Boats\n\nThe blue boat leaks.\n")
    (tmp_path / "page.html").write_text(
        "<html><body><h1>Kites</h1><p>The red kite is torn at its tail.</p></body></html>"
    )
    engine.roots.add(tmp_path)
    await index(client, tmp_path)
    found = text_of(await client.call_tool("search", {"query": "kite", "mode": "lexical"}))
    assert "page.html, chunk 0, lines 1-3 of the extracted text" in found
    found = text_of(await client.call_tool("search", {"query": "boat", "mode": "lexical"}))
    assert "note.md, chunk 0, lines 1-3, " in found
    page, note = [
        text_of(await client.call_tool("get_document", {"id": f"{tmp_path.name}/{name}"}))
        for name in ("page.html", "note.md")
    ]
    assert "Its lines are those of the text that was extracted from the file." in page
    assert "extracted" not in note
