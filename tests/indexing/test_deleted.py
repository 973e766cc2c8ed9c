"""What was deleted here stays out, whatever happens to its file, until a person asks it back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.config import Config, IndexingConfig
from knowledge_core.engine import Engine
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    made = tmp_path / "allowed" / "notes"
    (made / "private").mkdir(parents=True)
    (made / "picnic.md").write_text("# Picnic\n\nWe meet at the lake.\n")
    (made / "private" / "diary.md").write_text("# Diary\n\nThe zebra password is marmalade.\n")
    engine.roots.add(tmp_path / "allowed")
    return made


async def ids(client: Client) -> list[str]:
    listed = (await client.call_tool("list_documents", {"limit": 100})).structured_content
    return [item["id"] for item in listed["documents"]]


async def deleted(client: Client, **which: object) -> str:
    return text_of(await client.call_tool("delete", {"collection": "default", **which}))


@pytest.mark.parametrize(
    "which", [{"ids": ["notes/private/diary.md"]}, {"filter": {"id": {"$glob": "*/private/*"}}, "confirm": True}]
)
async def test_a_deleted_file_stays_out_and_both_answers_say_so(client, folder, which):
    await index(client, folder)
    said = await deleted(client, **which)
    assert "stays out of later index calls" in said
    assert "kcore index --restore" in said
    report = await client.call_tool("index", {"paths": [str(folder)]})
    assert "1 deleted (notes/private/diary.md)" in text_of(report)
    assert await ids(client) == ["notes/picnic.md"]


@pytest.mark.parametrize("then", ["edited", "renamed", "moved", "touched"])
async def test_a_deleted_file_stays_out_when_it_is(client, folder, then):
    await index(client, folder)
    await deleted(client, ids=["notes/private/diary.md"])
    diary = folder / "private" / "diary.md"
    if then == "edited":
        diary.write_text("# Diary\n\nThe zebra password is quince.\n")
    elif then == "touched":
        os.utime(diary, ns=(1, 1))
    else:
        diary.rename(folder / "moved.md" if then == "moved" else diary.with_name("journal.md"))
    await index(client, folder)
    assert await ids(client) == ["notes/picnic.md"]


async def test_a_file_that_was_deleted_is_refused_by_name_with_what_brings_it_back(client, folder):
    await index(client, folder)
    await deleted(client, ids=["notes/private/diary.md"])
    result = await client.call_tool("index", {"paths": [str(folder / "private" / "diary.md")]})
    assert result.is_error
    assert "kcore index --restore" in text_of(result)


async def test_a_person_brings_deleted_documents_back(client, folder, engine):
    await index(client, folder)
    await deleted(client, ids=["notes/private/diary.md"])
    request = IndexRequest("default", paths=(str(folder),), by_person=True, restore=True)
    assert accept_index(engine, request, (), ()).wait(20)
    assert await ids(client) == ["notes/picnic.md", "notes/private/diary.md"]
    await index(client, folder)
    assert len(await ids(client)) == 2


async def test_a_text_given_again_under_the_id_of_a_deleted_one_is_there(client, engine):
    given = {"documents": [{"id": "a", "text": "some words"}]}
    await client.call_tool("index", given)
    assert "stay out" not in await deleted(client, ids=["a"])
    await client.call_tool("index", given)
    assert await ids(client) == ["a"]


async def test_a_collection_that_was_deleted_as_a_whole_begins_anew(client, folder):
    await index(client, folder)
    await deleted(client, ids=["notes/private/diary.md"])
    await deleted(client, all=True, confirm=True)
    await index(client, folder)
    assert len(await ids(client)) == 2


async def test_notes_that_ask_to_be_left_out_leave_the_index(client, folder, engine):
    await index(client, folder)
    (folder / "private" / "diary.md").write_text(
        "---\nindex: false\n---\n# Diary\n\nThe zebra password is marmalade.\n"
    )
    report = await index(client, folder)
    assert await ids(client) == ["notes/picnic.md"]
    assert report["skipped"] == {"asks to be left out": 1}
    assert report["skipped_examples"] == {"asks to be left out": ["notes/private/diary.md"]}


@pytest.mark.parametrize("no", ["False", "no", "Off", '"no"'])
async def test_a_note_is_left_out_by_each_word_that_means_no(client, folder, no):
    (folder / "private" / "diary.md").write_text(
        f"---\nindex: {no}\n---\n# Diary\n\nThe zebra password is marmalade.\n"
    )
    report = await index(client, folder)
    assert await ids(client) == ["notes/picnic.md"]
    assert report["skipped"] == {"asks to be left out": 1}


@pytest.mark.parametrize(
    ("tags", "kept"),
    [("[work, private]", False), ("PRIVATE", False), ("work, private/diary", False), ("[privateer]", True)],
)
async def test_notes_with_a_tag_of_the_configuration_or_one_below_it_are_left_out(client, folder, engine, tags, kept):
    engine.config = Config(indexing=IndexingConfig(exclude_tags=("#Private",)))
    (folder / "private" / "diary.md").write_text(
        f"---\ntags: {tags}\n---\n# Diary\n\nThe zebra password is marmalade.\n"
    )
    await index(client, folder)
    assert ("notes/private/diary.md" in await ids(client)) is kept
