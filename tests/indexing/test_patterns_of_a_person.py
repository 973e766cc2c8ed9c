"""What a person left out of a source, no agent's call brings in, and an agent's own patterns change no source."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    made = tmp_path / "allowed" / "notes"
    (made / "work" / "private").mkdir(parents=True)
    (made / "a.md").write_text("# Alpha\n")
    (made / "work" / "b.md").write_text("# Beta\n")
    (made / "work" / "private" / "diary.md").write_text("# Diary\n\nmarmalade\n")
    engine.roots.add(tmp_path / "allowed")
    return made


def by_person(engine: Engine, *paths: Path, **more: object) -> None:
    job = accept_index(engine, IndexRequest("default", tuple(map(str, paths)), by_person=True, **more), (), ())
    assert job.wait(20)
    assert job.state == "done", job.error


async def ids(client: Client) -> list[str]:
    listed = (await client.call_tool("list_documents", {"limit": 100})).structured_content
    return [item["id"].removeprefix("notes/") for item in listed["documents"]]


async def test_an_agent_that_names_what_a_person_left_out_is_refused(client, folder, engine):
    by_person(engine, folder, exclude=("private/",))
    for path in (folder / "work" / "private" / "diary.md", folder / "work" / "private"):
        result = await client.call_tool("index", {"paths": [str(path)], "include": ["*.md"]})
        assert "excluded" in text_of(result) or "left out by the patterns" in text_of(result)
    await index(client, folder, include=["**/diary.md"])
    assert await ids(client) == ["a.md", "work/b.md"]


async def test_patterns_of_a_folder_within_hold_for_that_folder(client, folder, engine):
    by_person(engine, folder)
    by_person(engine, folder / "work", exclude=("*.md",))
    assert await ids(client) == ["a.md"]
    await index(client, folder)
    assert await ids(client) == ["a.md"]
    (source,) = engine.collection("default").sources()
    assert [(each.base, each.exclude) for each in source.patterns] == [("work/", ("*.md",))]


async def test_an_agents_patterns_narrow_its_call_alone(client, folder, engine):
    by_person(engine, folder)
    report = await index(client, folder, exclude=["work/"], include=["*.md"])
    assert report["removed"] == 0
    assert len(await ids(client)) == 3
    assert engine.collection("default").sources()[0].patterns == ()


async def test_a_malformed_pattern_is_refused_before_anything_is_recorded(client, folder, engine):
    by_person(engine, folder)
    job = accept_index(engine, IndexRequest("default", (str(folder),), exclude=("[a",), by_person=True), (), ())
    job.wait(20)
    assert (job.state, "no pattern" in job.error) == ("failed", True)
    assert engine.collection("default").sources()[0].patterns == ()
