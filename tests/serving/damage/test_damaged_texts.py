"""A text or a vector of the record that is not as it was stored is found, told where it is shown, and read again."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.client import Connection
from knowledge_core.serving.surface import private
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.private import PrivateRequests
from knowledge_core.storage import checking
from mcp_text import NOTES, text_of

pytestmark = pytest.mark.anyio

HARMS = {
    "another letter": "UPDATE documents SET text = replace(text, 'turns', 'burns') WHERE id = ?",
    "no UTF-8": "UPDATE documents SET text = replace(text, 'turns', CAST(X'ff75726e73' AS TEXT)) WHERE id = ?",
    "another title": "UPDATE documents SET title = 'Lunar' WHERE id = ?",
    "metadata cut": "UPDATE documents SET metadata = '{\"a' WHERE id = ?",
    "another span": "UPDATE chunks SET end = end - 3 WHERE document = (SELECT number FROM documents WHERE id = ?)",
}


def opened(home):
    return Engine(home, Config(), make_embedder=lambda model, dimensions: HashEmbedder())


async def called(engine, tool, **arguments):
    async with Client(application(engine)) as client:
        return await client.call_tool(tool, arguments)


async def filled(home, folder):
    """A collection of a file, "notes/solar.txt", and of the three notes."""
    folder.mkdir()
    (folder / "solar.txt").write_text("A solar panel turns sunlight into electricity. " * 3)
    with opened(home) as engine:
        engine.roots.add(folder)
        done = await called(engine, "index", paths=[str(folder)], documents=NOTES)
        assert not done.is_error, text_of(done)


def harmed(home, sql, *parameters):
    connection = sqlite3.connect(home / "collections" / "default" / "documents.db")
    with connection:
        connection.execute(sql, parameters)
    connection.close()


def damaged(report):
    return [each for each in report["collections"][0]["findings"] if each["level"] == "damaged"]


@pytest.mark.parametrize(
    "harm", [pytest.param(name, marks=() if name == "no UTF-8" else pytest.mark.slow) for name in HARMS]
)
async def test_a_damaged_document_is_told_and_read_again_from_its_file(home, tmp_path, harm):
    await filled(home, tmp_path / "notes")
    harmed(home, HARMS[harm], "notes/solar.txt")
    with opened(home) as engine:
        asked = PrivateRequests(engine, {})
        assert not (await called(engine, "search", query="solar panel sunlight")).is_error
        read = await called(engine, "get_document", id="notes/solar.txt")
        assert ("not as it was stored" in text_of(read)) is (harm != "another span"), text_of(read)
        (found,) = damaged(asked._doctor())
        assert "'notes/solar.txt'" in found["what"]
        assert found["repairable"]
        report = asked._doctor(repair=True)
        assert report["clean"], report
        assert any("1 documents were read again" in each["what"] for each in report["collections"][0]["findings"])
        read = await called(engine, "get_document", id="notes/solar.txt")
        assert read.structured_content["text"].count("turns sunlight into electricity.") == 3
        assert not read.structured_content["notices"]
        found = await called(engine, "search", query="solar panel turns sunlight", mode="lexical")
        assert "notes/solar.txt" in [hit["document"] for hit in found.structured_content["hits"]]
    with opened(home) as engine:
        assert PrivateRequests(engine, {})._doctor()["clean"]


async def test_a_damaged_text_that_was_given_is_named_and_not_unchanged_when_it_is_given_again(home, tmp_path):
    await filled(home, tmp_path / "notes")
    harmed(home, HARMS["another letter"], "solar")
    with opened(home) as engine:
        asked = PrivateRequests(engine, {})
        report = asked._doctor(repair=True)
        (found,) = damaged(report)
        assert "Index their texts again" in found["what"]
        assert not found["repairable"]
        again = await called(engine, "index", documents=NOTES)
        assert (again.structured_content["indexed"], again.structured_content["unchanged"]) == (1, 2)
        assert asked._doctor()["clean"]


@pytest.mark.slow
async def test_a_damaged_text_that_is_given_again_before_any_doctor_came_is_stored_again(home, tmp_path):
    await filled(home, tmp_path / "notes")
    harmed(home, HARMS["another letter"], "solar")
    with opened(home) as engine:
        again = await called(engine, "index", documents=NOTES)
        assert (again.structured_content["indexed"], again.structured_content["unchanged"]) == (1, 2)


@pytest.mark.slow
async def test_a_file_that_is_gone_is_named(home, tmp_path):
    await filled(home, tmp_path / "notes")
    harmed(home, HARMS["another letter"], "notes/solar.txt")
    (tmp_path / "notes" / "solar.txt").unlink()
    with opened(home) as engine:
        (found,) = damaged(PrivateRequests(engine, {})._doctor(repair=True))
        assert "no file is there to read again ('notes/solar.txt')" in found["what"]


@pytest.mark.parametrize("kind", ["of norm 1", pytest.param("not finite", marks=pytest.mark.slow)])
async def test_a_damaged_vector_is_embedded_again(home, tmp_path, kind):
    await filled(home, tmp_path / "notes")
    record = home / "collections" / "default" / "documents.db"
    other = np.full(HashEmbedder().contract.dimensions, np.nan, "<f2")
    if kind == "of norm 1":
        other = np.eye(1, len(other), dtype="<f2")[0]
    connection = sqlite3.connect(record)
    (before,) = connection.execute("SELECT vector FROM vectors WHERE key = 2").fetchone()
    connection.close()
    harmed(home, "UPDATE vectors SET vector = ? WHERE key = 2", other.tobytes())
    with opened(home) as engine:
        asked = PrivateRequests(engine, {})
        assert any("1 vectors" in each["what"] for each in damaged(asked._doctor()))
        assert asked._doctor(repair=True)["clean"]
    connection = sqlite3.connect(record)
    assert (before,) in connection.execute("SELECT vector FROM vectors").fetchall()
    connection.close()


@pytest.mark.slow
async def test_a_sample_is_compared_by_default_and_everything_with_deep(home, tmp_path, monkeypatch):
    await filled(home, tmp_path / "notes")
    monkeypatch.setattr(checking, "SAMPLED", 2)
    with opened(home) as engine:
        asked = PrivateRequests(engine, {})
        said = [each["what"] for each in asked._doctor()["collections"][0]["findings"]]
        assert any("2 of 4 were compared" in each and "--deep compares all" in each for each in said)
        said = [each["what"] for each in asked._doctor(deep=True)["collections"][0]["findings"]]
        assert any("all 4 were compared" in each for each in said)


async def test_a_long_check_tells_how_far_it_is(home, tmp_path, monkeypatch):
    await filled(home, tmp_path / "notes")
    monkeypatch.setattr(checking, "TEXTS_AT_ONCE", 1)
    monkeypatch.setattr(private, "TOLD_EVERY", -1.0)
    told = []
    with opened(home) as engine:
        async with Client(application(engine, for_cli=True)) as client:
            report = await Connection(client).ask("doctor", lambda *said: told.append(said))
    assert report["collections"][0]["collection"] == "default"
    assert [said[:2] for said in told] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert "texts compared" in told[0][2]
