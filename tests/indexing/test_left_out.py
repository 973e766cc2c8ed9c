"""What is left out is named: which formats, how many of each, an example; what was asked for by name is never a skip."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from knowledge_core.cli import content
from knowledge_core.cli.main import parser
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.ingestion import formats
from knowledge_core.ingestion.walking.left_out import KINDS_KEPT, KINDS_SHOWN, LONGEST_SHOWN, OTHER, LeftOut, shown
from knowledge_core.serving.client import Connection, Refused
from knowledge_core.serving.surface.application import application
from knowledge_core.storage.collection import JobRecord
from mcp_text import text_of

NO_TEXT = bytes(range(256)) * 8

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """An allowed folder with one note that is read, and much that is not."""
    made = tmp_path / "papers"
    (made / "office").mkdir(parents=True)
    (made / "a.md").write_text("# Lease\n\nThe boathouse is leased until May.\n")
    for name in (
        "office/plan.pages",
        "office/PLAN2.PAGES",
        "office/sums.numbers",
        "talk.key",
        "all.tar.gz",
        "photo.png",
    ):
        (made / name).write_bytes(NO_TEXT)
    engine.roots.add(tmp_path)
    return made


async def indexed(client: Client, *paths: Path, **more: Any) -> tuple[dict[str, Any], str]:
    result = await client.call_tool("index", {"paths": [str(path) for path in paths], **more})
    assert not result.is_error, text_of(result)
    return result.structured_content, text_of(result)


async def refused(client: Client, *paths: Path, **more: Any) -> str:
    result = await client.call_tool("index", {"paths": [str(path) for path in paths], **more})
    assert result.is_error, text_of(result)
    return text_of(result)


NOT_READ = (
    "6 files are in formats that are not read: 2 .pages (papers/office/PLAN2.PAGES …), 1 .key (papers/talk.key), "
    "1 .numbers (papers/office/sums.numbers), 1 .png (papers/photo.png), 1 .tar.gz (papers/all.tar.gz)."
)


async def test_formats_that_are_not_read_are_counted_by_kind_with_an_example_each_time(client, folder):
    for _ in range(2):  # a call that changes nothing says it again
        report, text = await indexed(client, folder)
        assert report["unread"] == {".pages": 2, ".key": 1, ".png": 1, ".tar.gz": 1, ".numbers": 1}
        assert report["skipped"] == {"binary": 2, "unsupported": 4}
        assert report["skipped_examples"][".pages"] == ["papers/office/PLAN2.PAGES", "papers/office/plan.pages"]
        assert NOT_READ in text
    job = await client.call_tool("job", {"id": report["job"]})
    assert NOT_READ in text_of(job)
    assert job.structured_content["jobs"][0]["result"]["unread"] == report["unread"]


async def test_files_that_turn_out_to_be_no_text_count_as_formats_unless_their_name_promised_text(client, folder):
    for name in ("core", "README", "x.xyz", "y.XYZ", "odd.1234", "odd.this is no suffix", "lies.txt", "Makefile"):
        (folder / name).write_bytes(NO_TEXT)
    report, text = await indexed(client, folder)
    assert (report["unread"]["binary without suffix"], report["unread"][".xyz"]) == (4, 2)
    assert "4 binary without suffix (papers/README …)" in text
    assert report["skipped"]["binary"] == 2 + 6
    assert sorted(each["document"] for each in report["failed"]) == ["papers/Makefile", "papers/lies.txt"]
    assert "Failed: papers/lies.txt: binary: " in text


async def test_every_other_reason_has_its_count_and_examples(client, folder, tmp_path):
    (folder / ".git").mkdir()
    (folder / ".env").write_text("x")
    (folder / "node_modules").mkdir()
    (folder / "b.txt").write_text("not wanted")
    (tmp_path / "elsewhere").mkdir()
    _, text = await indexed(client, folder, exclude=["*.txt"])
    assert (
        "Skipped: 1 excluded (papers/b.txt), 1 hidden (papers/.git/), 1 ignored (papers/node_modules/), "
        "1 secret (papers/.env)." in text
    )


async def test_several_paths_add_up_under_the_names_that_their_documents_have(client, folder, tmp_path):
    other = tmp_path / "more" / "papers"
    other.mkdir(parents=True)
    (other / "b.md").write_text("# Other\n")
    (other / "b.pages").write_bytes(NO_TEXT)
    report, text = await indexed(client, folder, other)
    assert report["unread"][".pages"] == 3
    await indexed(client, other)
    _, text = await indexed(client, other)
    assert "1 .pages (papers-2/b.pages)" in text


async def test_a_named_file_that_cannot_be_read_is_an_error_and_leaves_no_collection(client, folder, engine, embedder):
    (folder / "lies.txt").write_bytes(NO_TEXT)
    (folder / "blob").write_bytes(NO_TEXT)
    (folder / "empty.md").write_bytes(b"")
    for name, words in (
        ("office/plan.pages", "office/plan.pages is in a format that is not read (.pages). Export it from Pages"),
        ("all.tar.gz", "papers/all.tar.gz is in a format that is not read (.tar.gz)"),
        ("lies.txt", "papers/lies.txt is no text"),
        ("blob", "papers/blob is no text"),
        ("empty.md", "papers/empty.md has no bytes"),
    ):
        assert words in await refused(client, folder / name)
    both = await refused(client, folder / "office" / "plan.pages", folder / "talk.key")
    assert "plan.pages" in both
    assert "talk.key" in both
    assert engine.names() == []


async def test_a_named_file_of_another_format_needs_no_model_to_be_refused(home, folder, tmp_path):
    class Unloadable:
        def __init__(self) -> None:
            from hash_embedder import HashEmbedder

            self.static_contract = HashEmbedder().static_contract
            self.engine, self.sizes = "", HashEmbedder().sizes
            self.loaded = False

        @property
        def contract(self):
            raise AssertionError("a model was loaded for nothing")

    config = Config.model_validate({"roots": [str(tmp_path)]})
    with Engine(tmp_path / "other home", config, make_embedder=lambda model, dimensions: Unloadable()) as engine:
        async with Client(application(engine)) as client:
            assert "not read (.pages)" in await refused(client, folder / "office" / "plan.pages")


async def test_beside_others_a_named_file_that_cannot_be_read_is_a_failure_by_name(client, folder):
    (folder / ".hidden.md").write_text("# Hidden\n\nNamed files are read even so.\n")
    (folder / "huge.txt").write_bytes(b"x" * 60_000_000)
    named = [folder / name for name in ("office/plan.pages", "huge.txt", ".hidden.md")]
    for beside in ([folder / "a.md"], [folder]):  # a file, or the folder that holds them all
        report, text = await indexed(client, *beside, *named)
        assert {each["document"].rpartition("/")[2]: each["reason"] for each in report["failed"]} == {
            "plan.pages": "unsupported", "huge.txt": "too large",
        }  # fmt: skip
        assert report["indexed"] + report["unchanged"] == 2
        assert "plan.pages is in a format that is not read (.pages)" in text
        assert sum(report["unread"].values()) == (0 if beside[0] != folder else 5)  # each counts once
        assert "too large" not in report["skipped"]
    again, _ = await indexed(client, folder, *named)
    assert (again["unchanged"], again["removed"]) == (2, 0)


async def test_a_folder_in_which_nothing_can_be_read_is_an_error_that_names_what_is_there(client, folder):
    text = await refused(client, folder / "office")
    assert f"Nothing to index: {folder / 'office'} holds no files that can be indexed." in text
    assert "3 files are in formats that are not read: 2 .pages (office/PLAN2.PAGES …), 1 .numbers" in text
    (folder / "blobs").mkdir()
    (folder / "blobs" / "one").write_bytes(NO_TEXT)
    assert "1 file is in a format that is not read: 1 binary without suffix (blobs/one)." in await refused(
        client, folder / "blobs"
    )


async def test_a_folder_with_nothing_to_read_beside_good_ones_is_a_failure_and_loses_nothing(client, folder):
    (folder / "nothing").mkdir()
    report, _ = await indexed(client, folder, folder.parent)  # one call, one walk
    assert report["failed_total"] == 0
    empty = folder.parent / "empty"
    empty.mkdir()
    report, text = await indexed(client, empty, documents=[{"id": "note", "text": "some words"}])
    assert (report["indexed"], report["failed_total"]) == (1, 1)
    assert f"Failed: {empty}: nothing to index: {empty} holds no files." in text


async def test_strange_names_come_as_one_short_line(client, folder):
    (folder / "two\nlines.pages").write_bytes(NO_TEXT)
    (folder / "two\nlines.md").write_bytes(b"")
    (folder / ("long" * 60 + ".pages")).write_bytes(NO_TEXT)
    report, text = await indexed(client, folder)
    assert "two\\nlines" in text
    assert "two\nlines" not in text
    assert all(len(each) <= LONGEST_SHOWN for some in report["skipped_examples"].values() for each in some)
    assert report["skipped_examples"][".pages"][0].endswith("long.pages")


async def test_many_kinds_and_many_failures_stay_short_and_are_counted_to_the_last(client, folder):
    for number in range(30):
        (folder / f"a.fmt{number:02}x").write_bytes(NO_TEXT)
        (folder / f"empty{number:02}.md").write_bytes(b"")
    report, text = await indexed(client, folder)
    others = f"({35 - KINDS_SHOWN} other kinds)"
    assert len(report["unread"]) == KINDS_SHOWN + 1
    assert report["unread"][others] == 35 - KINDS_SHOWN
    assert sum(report["unread"].values()) == 36
    assert f", and {35 - KINDS_SHOWN} more of {others[1:-1]}." in text
    assert "... and 10 more failures (of all: 30 empty)." in text
    assert len(text) < 6_000


async def test_a_report_that_was_stored_before_kinds_were_counted_can_still_be_read(engine, client):
    await client.call_tool("index", {"documents": [{"id": "a", "text": "some words"}]})
    old = {
        "indexed": 3, "unchanged": 1, "removed": 0, "failed": [], "failed_total": 0, "chunks": 4, "embedded": 4,
        "skipped": {"binary": 1, "hidden": 2, "unsupported": 7}, "reused": 0, "tokens": 9, "cut": 0, "cut_tokens": 0,
        "seconds": 1.5, "planned": True,
    }  # fmt: skip
    record = JobRecord("index-old", "index", "done", 1.0, 1.0, '{"collection": "default"}', json.dumps(old))
    engine.collection("default").start_job(record, [])
    told = await client.call_tool("job", {"id": "index-old"})
    item = told.structured_content["jobs"][0]
    assert (item["state"], item["result"]["indexed"], item["result"]["unread"]) == ("done", 3, {})
    assert "Skipped: 1 binary, 2 hidden, 7 unsupported." in text_of(told)


async def test_the_shell_says_the_same_and_fails_where_nothing_came_of_it(engine, folder, capsys):
    async def shell(*argv: str) -> tuple[int, str]:
        arguments = parser().parse_args(["index", *argv])
        async with Client(application(engine, for_cli=True)) as client:
            code = await content._index(Connection(client), arguments)
        return code, capsys.readouterr().out

    code, out = await shell(str(folder))
    assert (code, NOT_READ in out) == (0, True)
    code, out = await shell(str(folder), "--json")
    assert (code, json.loads(out)["unread"][".pages"]) == (0, 2)
    code, out = await shell(str(folder), str(folder / "talk.key"))
    assert (code, "Failed: papers/talk.key: unsupported" in out) == (0, True)
    with pytest.raises(ExceptionGroup) as raised:
        await shell(str(folder / "talk.key"))
    assert raised.group_contains(Refused, match=r"papers/talk\.key is in a format that is not read \(\.key\)")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.PAGES", ".pages"), ("b.tar.gz", ".tar.gz"), ("b.x.gz", ".gz"), ("c", ""), (".DS_Store", ""), ("d.", ""),
        ("e.4711", ""), ("f.7z", ".7z"), ("g.c++", ".c++"), ("h.no suffix", ""), ("i." + "x" * 40, ""), ("j.文書", ".文書"),
        ("k.db-wal", ".db-wal"), ("l.--", ""),
    ],
)  # fmt: skip
def test_a_kind_is_what_a_reader_would_call_a_format(name, kind):
    assert formats.kind(Path(name)) == kind


def test_every_format_that_is_refused_by_name_has_a_kind():
    assert [suffix for suffix in formats.BINARY | formats.UNSUPPORTED if not formats.kind(Path("a" + suffix))] == []


def test_kinds_are_bounded_however_many_there_are_and_none_is_lost():
    many = LeftOut()
    for number in range(2 * KINDS_KEPT):
        many = many.plus(LeftOut({"binary": 1}, {f".k{number}": 1}, {f".k{number}": [f"a.k{number}"]}))
    assert len(many.unread) == KINDS_KEPT + 1
    assert many.unread[OTHER] == KINDS_KEPT
    assert len(many.examples) == KINDS_KEPT
    short = many.shortened()
    assert sum(short.unread.values()) == many.skipped["binary"] == 2 * KINDS_KEPT
    assert re.fullmatch(r"\(\d+ other kinds\)", list(short.unread)[-1])


def test_a_single_kind_is_never_left_to_the_others():
    unread = {f".q{number}": 1 for number in range(KINDS_SHOWN + 1)}
    assert LeftOut({"unsupported": len(unread)}, unread).shortened().unread == unread


def test_a_shown_name_has_no_character_that_moves_a_cursor_or_the_line():
    name = shown("a\u202egnp.\x1b[2Jexe\u2028b\ud800")
    assert name.isprintable()
    assert os.fsencode(name)


async def test_generated_code_is_counted_and_leaves_a_collection_that_had_it_but_is_read_where_it_is_named(
    client, folder
):
    code = folder / "api.go"
    code.write_text("// package api is written by hand\npackage api\n")
    await indexed(client, folder)
    code.write_text("// Code generated by protoc-gen-go. DO NOT EDIT.\npackage api\n")
    report, text = await indexed(client, folder)
    assert (report["skipped"]["generated"], report["removed"]) == (1, 1)
    assert "1 generated (papers/api.go)" in text
    report, _ = await indexed(client, code)
    assert (report["indexed"], report["failed_total"]) == (1, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system whose names are bytes")
async def test_a_name_that_is_no_utf8_is_reported_and_costs_no_other_file_anything(client, folder):
    (folder / os.fsdecode(b"caf\xe9.md")).write_text("# Latin name")
    report, text = await indexed(client, folder)
    assert (report["indexed"], report["skipped"]["name not UTF-8"]) == (1, 1)
    assert "caf\\xe9.md" in text


async def test_a_broken_link_keeps_no_documents_whose_names_begin_like_its_own(client, folder):
    (folder / "report-old.md").write_text("# Old")
    await indexed(client, folder)
    (folder / "report").symlink_to("archive/report")
    (folder / "report-old.md").unlink()
    report, _ = await indexed(client, folder)
    assert report["removed"] == 1
