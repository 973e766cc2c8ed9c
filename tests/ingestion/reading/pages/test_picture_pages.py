"""Pages that are pictures of text are left out, and the person learns which."""

from __future__ import annotations

import pytest
from mcp.client import Client
from pdf_material import PICTURE, pdf, text

from knowledge_core.serving.surface.application import application
from mcp_text import text_of

pytestmark = pytest.mark.anyio


async def test_an_index_report_names_the_pages_without_text_and_so_does_the_document(engine, tmp_path):
    scan = tmp_path / "scans" / "scan.pdf"
    scan.parent.mkdir()
    scan.write_bytes(pdf([text("Typed words"), PICTURE, text("More words"), PICTURE]))
    engine.roots.add(scan.parent)
    async with Client(application(engine)) as client:
        result = await client.call_tool("index", {"paths": [str(scan)]})
        assert "2 of 4 pages of scans/scan.pdf (2, 4)" in text_of(result)
        assert "Text recognition is not built in" in result.structured_content["notices"][-1]
        document = await client.call_tool("get_document", {"id": "scans/scan.pdf"})
        assert document.structured_content["metadata"]["pages_without_text"] == [2, 4]


async def test_a_report_about_many_such_documents_names_three_and_counts_the_others(engine, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.pdf").write_bytes(pdf([text(f"Typed {number}"), *[PICTURE] * 60]))
    engine.roots.add(folder)
    async with Client(application(engine)) as client:
        result = await client.call_tool("index", {"paths": [str(folder)]})
    notice = result.structured_content["notices"][-1]
    assert notice.count("50 or more of 61 pages of scans/") == 3
    assert "and pages of 2 more documents" in notice
    assert len(notice) < 500


async def test_a_text_that_claims_such_pages_is_not_believed(engine):
    claim = {"id": "a", "text": "words", "metadata": {"pages_without_text": [1]}}
    async with Client(application(engine)) as client:
        assert "Pictures" not in text_of(await client.call_tool("index", {"documents": [claim]}))
