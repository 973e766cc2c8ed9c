"""Folders are indexed incrementally, and what is gone is removed only when it is surely gone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """An allowed folder with three notes, two of them in a folder within."""
    made = tmp_path / "allowed" / "notes"
    (made / "deep").mkdir(parents=True)
    (made / "a.md").write_text("# Alpha\n\nalpha speaks of apples\n")
    (made / "deep" / "b.md").write_text("# Beta\n\nbeta speaks of bananas\n")
    (made / "deep" / "c.txt").write_text("gamma speaks of grapes\n")
    engine.roots.add(tmp_path / "allowed")
    return made


async def ids(client: Client) -> list[str]:
    listed = (await client.call_tool("list_documents", {"limit": 100})).structured_content
    return [item["id"] for item in listed["documents"]]


async def test_ids_are_the_folders_name_and_the_relative_path(client, folder):
    report = await index(client, folder)
    assert (report["indexed"], report["failed_total"]) == (3, 0)
    assert await ids(client) == ["notes/a.md", "notes/deep/b.md", "notes/deep/c.txt"]


async def test_indexing_again_costs_nothing_and_succeeds(client, folder, embedder):
    await index(client, folder)
    embedder.embedded.clear()
    report = await index(client, folder)
    assert (report["indexed"], report["unchanged"], report["embedded"]) == (0, 3, 0)
    assert embedder.embedded == []


async def test_a_touched_file_is_read_and_not_embedded_again(client, folder, embedder):
    await index(client, folder)
    os.utime(folder / "a.md", ns=(1, 1))
    embedder.embedded.clear()
    assert (await index(client, folder))["unchanged"] == 3
    assert embedder.embedded == []


async def test_only_the_changed_chunks_of_a_changed_file_are_embedded(client, folder, embedder):
    long = "\n\n".join(f"# Part {n}\n\n" + f"sentence about subject{n}. " * 60 for n in range(6))
    (folder / "long.md").write_text(long)
    await index(client, folder)
    embedder.embedded.clear()
    (folder / "long.md").write_text(long.replace("subject3", "another3"))
    report = await index(client, folder)
    assert report["indexed"] == 1
    assert 0 < report["embedded"] < report["chunks"]
    assert all("another3" in text for text in embedder.embedded)


async def test_a_vanished_file_is_removed(client, folder):
    await index(client, folder)
    (folder / "a.md").unlink()
    assert (await index(client, folder))["removed"] == 1
    assert "notes/a.md" not in await ids(client)


async def test_a_folder_that_is_suddenly_empty_is_an_error_and_deletes_nothing(client, folder):
    await index(client, folder)
    shutil.rmtree(folder)
    folder.mkdir()
    result = await client.call_tool("index", {"paths": [str(folder)]})
    assert result.is_error
    assert "Nothing was deleted" in text_of(result)
    assert len(await ids(client)) == 3


async def test_a_folder_that_is_missing_is_an_error_and_deletes_nothing(client, folder):
    await index(client, folder)
    shutil.rmtree(folder)
    result = await client.call_tool("index", {"paths": [str(folder)]})
    assert result.is_error
    assert len(await ids(client)) == 3


async def test_what_include_leaves_out_stays_indexed(client, folder):
    await index(client, folder)
    report = await index(client, folder, include=["*.txt"])
    assert report["removed"] == 0
    assert len(await ids(client)) == 3


async def test_include_and_exclude_choose_files(client, folder):
    assert (await index(client, folder, include=["*.md"], exclude=["deep/"]))["indexed"] == 1
    assert await ids(client) == ["notes/a.md"]


async def test_a_newly_ignored_file_is_removed(client, folder):
    await index(client, folder)
    (folder / ".kcoreignore").write_text("deep/\n")
    assert (await index(client, folder))["removed"] == 2


async def test_a_folder_inside_a_known_source_belongs_to_it(client, folder):
    await index(client, folder)
    (folder / "deep" / "d.md").write_text("delta\n")
    report = await index(client, folder / "deep")
    assert (report["indexed"], report["removed"]) == (1, 0)
    assert "notes/deep/d.md" in await ids(client)


async def test_a_folder_above_a_source_leaves_its_ids_alone(client, folder, embedder):
    await index(client, folder / "deep")
    assert await ids(client) == ["deep/b.md", "deep/c.txt"]
    embedder.embedded.clear()
    report = await index(client, folder)
    assert await ids(client) == ["deep/b.md", "deep/c.txt", "notes/a.md"]
    assert (report["indexed"], report["unchanged"], report["removed"]) == (1, 2, 0)
    assert len(embedder.embedded) == 1
    (folder / "deep" / "d.md").write_text("delta\n")
    (folder / "deep" / "b.md").unlink()
    await index(client, folder)
    assert await ids(client) == ["deep/c.txt", "deep/d.md", "notes/a.md"]


async def test_a_file_named_alone_keeps_its_id_when_the_folder_above_is_indexed(client, folder):
    await index(client, folder / "deep" / "b.md")
    await index(client, folder)
    assert await ids(client) == ["deep/b.md", "notes/a.md", "notes/deep/c.txt"]


async def test_a_folder_below_a_file_named_alone_is_a_source_of_its_own(client, folder, engine):
    await index(client, folder / "a.md")
    await index(client, folder / "deep")
    assert await ids(client) == ["deep/b.md", "deep/c.txt", "notes/a.md"]
    assert [(each.name, each.whole) for each in engine.collection("default").sources()] == [
        ("deep", True), ("notes", False),
    ]  # fmt: skip
    await index(client, folder)
    assert await ids(client) == ["deep/b.md", "deep/c.txt", "notes/a.md"]


async def test_two_folders_of_one_name_get_names_of_their_own(client, folder, tmp_path):
    other = tmp_path / "allowed" / "other" / "notes"
    other.mkdir(parents=True)
    (other / "a.md").write_text("another alpha\n")
    await index(client, folder)
    await index(client, other)
    assert "notes-2/a.md" in await ids(client)
    assert "notes/a.md" in await ids(client)


async def test_one_file_can_be_indexed_alone(client, folder):
    report = await index(client, folder / "a.md")
    assert (report["indexed"], report["removed"]) == (1, 0)
    assert await ids(client) == ["notes/a.md"]
    assert (await index(client, folder / "deep" / "b.md"))["removed"] == 0


async def test_an_id_that_belongs_to_an_inline_document_is_a_failure_of_that_file(client, folder):
    await client.call_tool("index", {"documents": [{"id": "notes/a.md", "text": "mine"}]})
    report = await index(client, folder)
    assert (report["indexed"], report["failed_total"]) == (2, 1)
    assert report["failed"][0]["reason"] == "id taken"


async def test_damaged_files_fail_alone_with_their_reason(client, folder):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 not really")
    (folder / "empty.md").write_text("")
    (folder / "data.bin").write_bytes(bytes(range(256)) * 10)
    report = await index(client, folder)
    assert report["indexed"] == 3
    reasons = {failure["document"]: failure["reason"] for failure in report["failed"]}
    assert reasons.get("notes/broken.pdf") == "damaged"
    assert "notes/empty.md" in reasons or "empty" in report["skipped"]
    assert "notes/data.bin" in reasons or "binary" in report["skipped"]


@pytest.mark.parametrize("now", [b"", b" \n\n", b"\0\1\2\3" * 500])
async def test_what_a_file_no_longer_says_leaves_the_index(client, folder, now):
    await index(client, folder)
    (folder / "a.md").write_bytes(now)
    await index(client, folder)
    assert await ids(client) == ["notes/deep/b.md", "notes/deep/c.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell when what is known of a file changed")
async def test_a_change_that_keeps_size_and_time_is_seen(client, folder):
    await index(client, folder)
    about = os.stat(folder / "a.md")
    (folder / "a.md").write_text("# Alpha\n\nalpha speaks of zebras\n")
    os.utime(folder / "a.md", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert os.stat(folder / "a.md").st_size == about.st_size
    assert (await index(client, folder))["indexed"] == 1


async def test_a_file_that_changes_while_it_is_read_is_read_again_and_marked_where_it_never_rests(
    client, folder, engine, monkeypatch
):
    from knowledge_core.indexing import preparing

    await index(client, folder)
    read, restless = preparing.read_file, 2

    def disturbed(path: Path, **more: object):
        nonlocal restless
        found = read(path, **more)
        if path.name == "a.md" and restless:
            restless -= 1
            path.write_text(f"# Alpha\n\nversion {restless}\n")
        return found

    monkeypatch.setattr(preparing, "read_file", disturbed)
    (folder / "a.md").write_text("# Alpha\n\nversion 2\n")
    assert (await index(client, folder))["failed_total"] == 0
    with engine.collection("default").view() as view:
        assert "version 0" in view.document("notes/a.md").document.text
    restless = 100
    (folder / "a.md").write_text("# Alpha\n\nnever at rest\n")
    report = await index(client, folder)
    assert [each["reason"] for each in report["failed"]] == ["changing"]
    with engine.collection("default").view() as view:
        stored = view.document("notes/a.md")
    assert "version 0" in stored.document.text
    assert "changed while it was read" in stored.unreadable


async def test_a_link_that_leaves_the_roots_is_not_followed(client, folder, tmp_path):
    (tmp_path / "secret.md").write_text("the password is swordfish")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    report = await index(client, folder)
    assert report["indexed"] == 3
    assert report["skipped"]["outside the roots"] == 1
    result = await client.call_tool("index", {"paths": [str(folder / "link.md")]})
    assert "outside the allowed roots" in text_of(result)


async def test_nothing_to_index_is_an_error_with_the_reasons(client, engine, tmp_path):
    engine.roots.add(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "x.png").write_bytes(b"\x89PNG\r\n")
    result = await client.call_tool("index", {"paths": [str(tmp_path / "pictures")]})
    assert result.is_error
    assert "1 .png (pictures/x.png)" in text_of(result)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another user")
async def test_an_unreadable_file_is_a_failure_of_its_own(client, folder):
    (folder / "private.md").write_text("secret")
    (folder / "private.md").chmod(0)
    os.seteuid(65534)
    try:
        readable = os.access(folder / "a.md", os.R_OK, effective_ids=True)
    finally:
        os.seteuid(0)
    if not readable:
        pytest.skip("the temporary folder is closed to other users")


async def test_hits_of_a_file_that_changed_since_are_named_as_stale(client, folder):
    await index(client, folder)
    (folder / "a.md").write_text("# Alpha\n\nalpha speaks of apples, and of much more now\n")
    answer = (await client.call_tool("search", {"query": "apples", "mode": "lexical"})).structured_content
    assert answer["stale"] == ["notes/a.md"]


async def test_a_second_job_on_a_collection_waits_for_the_first(client, folder):
    documents = [{"id": f"d{n}", "text": f"text {n}"} for n in range(200)]
    first = (await client.call_tool("index", {"documents": documents, "wait_seconds": 0})).structured_content
    report = await index(client, folder, wait_seconds=60)
    assert report["indexed"] == 3
    job = (await client.call_tool("job", {"id": first["job"], "wait_seconds": 60})).structured_content["jobs"][0]
    assert job["state"] == "done"
    assert len(await ids(client)) == 100
