"""A file that was renamed or moved is the same document: nothing is embedded again, and it is found throughout."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.storage.collection import Collection
from mcp_text import index

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """An allowed folder with five notes; two are called by their names, as they have no heading."""
    made = tmp_path / "allowed" / "notes"
    (made / "old").mkdir(parents=True)
    for number in range(3):
        (made / "old" / f"n{number}.md").write_text(
            f"# Note {number}\n\nThe number {number} otter swims in lake {number}.\n"
        )
    (made / "plain.txt").write_text("the walrus ledger is in the cellar\n")
    (made / "tool.py").write_text("def rotate():\n    return 'quokka'\n")
    engine.roots.add(tmp_path / "allowed")
    return made


async def ids(client: Client) -> list[str]:
    listed = (await client.call_tool("list_documents", {"limit": 100})).structured_content
    return [item["id"] for item in listed["documents"]]


async def test_a_renamed_folder_and_a_renamed_file_embed_nothing(client, folder, embedder):
    await index(client, folder)
    embedder.embedded.clear()
    (folder / "old").rename(folder / "archive")
    (folder / "plain.txt").rename(folder / "ledger.txt")
    (folder / "tool.py").rename(folder / "archive" / "rotation.py")
    report = await index(client, folder)
    assert embedder.embedded == []
    assert (report["moved"], report["indexed"], report["removed"], report["embedded"]) == (5, 0, 0, 0)
    expected = [f"notes/archive/n{number}.md" for number in range(3)]
    assert await ids(client) == [*expected, "notes/archive/rotation.py", "notes/ledger.txt"]
    again = await index(client, folder)
    assert (again["unchanged"], again["embedded"]) == (5, 0)


async def test_a_renamed_file_is_found_by_its_new_name_and_sound(client, folder, engine):
    await index(client, folder)
    (folder / "plain.txt").rename(folder / "receipts.txt")
    await index(client, folder)
    found = (await client.call_tool("search", {"query": "receipts", "mode": "lexical"})).structured_content
    assert [hit["title"] for hit in found["hits"]] == ["receipts"]
    assert all(finding.level == "ok" for finding in engine.collection("default").check(deep=True))


async def test_an_edit_after_a_rename_embeds_only_what_was_edited(client, folder, embedder):
    parts = [f"part {number} " + f"speaks of subject{number}. " * 200 for number in range(4)]
    (folder / "long.txt").write_text("\n\n".join(parts))
    await index(client, folder)
    (folder / "long.txt").rename(folder / "longer.txt")
    await index(client, folder)
    embedder.embedded.clear()
    parts[2] = parts[2].replace("subject2", "another2")
    (folder / "longer.txt").write_text("\n\n".join(parts))
    report = await index(client, folder)
    assert 0 < report["embedded"] < report["chunks"]
    assert all("another2" in text for text in embedder.embedded)


async def test_files_of_equal_text_move_one_by_one_and_copies_embed_nothing(client, folder, embedder):
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("the very same words\n")
    await index(client, folder)
    embedder.embedded.clear()
    (folder / "new").mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).rename(folder / "new" / name)
    shutil.copy(folder / "plain.txt", folder / "copy of plain.txt")
    report = await index(client, folder)
    assert (report["moved"], report["indexed"], report["removed"]) == (2, 1, 0)
    assert embedder.embedded == []


async def test_a_moved_document_keeps_the_time_at_which_it_was_indexed(client, folder, engine):
    await index(client, folder)
    with engine.collection("default").view() as view:
        before = view.document("notes/plain.txt").indexed_at
    (folder / "plain.txt").rename(folder / "moved.txt")
    await index(client, folder)
    with engine.collection("default").view() as view:
        assert view.document("notes/moved.txt").indexed_at == before


async def test_a_source_that_moved_keeps_its_ids_and_is_not_doubled(client, folder, embedder, tmp_path):
    await index(client, folder)
    embedder.embedded.clear()
    before = await ids(client)
    new = tmp_path / "allowed" / "elsewhere" / "journal"
    new.parent.mkdir()
    folder.rename(new)
    (new / "more.md").write_text("# More\n\nnew words\n")
    report = await index(client, new)
    assert await ids(client) == sorted([*before, "notes/more.md"])
    assert len(embedder.embedded) == 1
    assert report["unchanged"] + report["moved"] + report["indexed"] == 6
    listed = (await client.call_tool("search", {"query": "walrus ledger"})).structured_content
    assert os.path.exists(listed["hits"][0]["uri"].removeprefix("file://"))


async def test_files_of_a_source_that_is_gone_move_into_another(client, folder, embedder, tmp_path):
    other = tmp_path / "allowed" / "work"
    other.mkdir()
    (other / "own.md").write_text("# Own\n\nits own words\n")
    await index(client, folder)
    await index(client, other)
    embedder.embedded.clear()
    folder.rename(other / "taken over")
    report = await index(client, other)
    assert (report["moved"], report["indexed"], embedder.embedded) == (5, 0, [])
    assert all(id.startswith("work/") for id in await ids(client))


async def test_a_renamed_file_is_found_while_the_job_runs(client, folder, engine, monkeypatch):
    await index(client, folder)
    (folder / "old").rename(folder / "archive")
    seen: list[int] = []
    write = Collection.write

    def counted(self: Collection, change):
        with self.view() as view:
            seen.append(len(view.document_ids({"id": {"$glob": "*/n?.md"}})))
        return write(self, change)

    monkeypatch.setattr(Collection, "write", counted)
    await index(client, folder)
    assert seen
    assert set(seen) == {3}


async def test_two_texts_that_swap_names_after_one_was_renamed_embed_nothing(client, folder, embedder):
    (folder / "first.txt").write_text("the heron counts the boats\n")
    await index(client, folder)
    (folder / "plain.txt").rename(folder / "renamed.txt")
    await index(client, folder)
    embedder.embedded.clear()
    (folder / "renamed.txt").rename(folder / "between.txt")
    (folder / "first.txt").rename(folder / "renamed.txt")
    (folder / "between.txt").rename(folder / "first.txt")
    report = await index(client, folder)
    assert (embedder.embedded, report["embedded"]) == ([], 0)
