"""What a person says of their folders lasts: patterns, deletions, moves, and what is left out everywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from knowledge_core.cli.main import main


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "docs" / "notes"
    (folder / "private").mkdir(parents=True)
    (folder / "solar.md").write_text("# Solar\n\nA solar panel turns sunlight into electricity.\n")
    (folder / "private" / "diary.md").write_text("# Diary\n\nThe zebra password is marmalade.\n")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def command(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*argv, "--in-process"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return command


def ids(run) -> list[str]:
    return [each["id"] for each in json.loads(run("list", "--collection", "default", "--json")[1])["documents"]]


def test_patterns_last_and_take_out_what_they_newly_leave_out(run, notes):
    run("index", str(notes))
    _, out, _ = run("index", str(notes), "--exclude", "private/")
    assert "1 removed" in out
    assert "1 excluded" in out
    assert "Patterns of the source notes hold: without private/." in out
    run("index", str(notes))
    run("sync")
    assert ids(run) == ["notes/solar.md"]
    for command in ("sources", "status", "list"):
        assert "without private/" in run(command)[1]
    (notes / "more.txt").write_text("words")
    run("sources", "set", "notes", "--include", "*.txt")
    assert ids(run) == ["notes/more.txt"]
    assert "only *.txt" in run("sources")[1]
    run("sources", "set", "notes", "--no-patterns")
    assert ids(run) == ["notes/more.txt", "notes/private/diary.md", "notes/solar.md"]


def test_what_was_deleted_comes_back_by_the_option_alone(run, notes):
    run("index", str(notes))
    assert "stays out of later index calls" in run("delete", "--id", "notes/private/diary.md")[1]
    assert "1 deleted" in run("sync")[1]
    assert "1 deleted and kept out" in run("sources")[1]
    code, out, _ = run("index", "--restore")
    assert (code, "1 documents indexed" in out) == (0, True)
    assert len(ids(run)) == 2
    code, _, err = run("index", "--restore")
    assert (code, "nothing was deleted" in err) == (1, True)


def test_a_folder_above_others_is_not_opened_without_a_yes(run, notes, monkeypatch):
    run("index", str(notes))
    for command in ("index", "roots"):
        more = ("add",) if command == "roots" else ()
        code, _, err = run(command, *more, str(notes.parent))
        assert (code, "lies above" in err, "--yes" in err) == (2, True, True)
    monkeypatch.setenv("HOME", str(notes.parent))
    code, _, err = run("index", str(notes.parent))
    assert (code, "your home folder" in err) == (2, True)
    (notes.parent / "top.md").write_text("# Top\n")
    code, out, _ = run("index", str(notes.parent), "--yes")
    assert (code, "1 documents indexed" in out, "2 unchanged" in out) == (0, True, True)
    assert ids(run) == ["docs/top.md", "notes/private/diary.md", "notes/solar.md"]


def test_a_folder_that_moved_is_offered_and_moved_without_embedding(run, notes):
    run("index", str(notes))
    run("index", str(notes.parent), "--yes")
    new = notes.parent / "elsewhere" / "journal"
    new.parent.mkdir()
    os.rename(notes, new)
    code, out, _ = run("sources")
    assert f"{new} holds the same files: kcore sources move notes {new}" in out
    code, out, _ = run("sync")
    assert code == 1
    assert "is gone" in out
    code, out, _ = run("sources", "move", "notes", str(new), "--json")
    assert (code, json.loads(out)["embedded"]) == (0, 0)
    assert ids(run) == ["notes/private/diary.md", "notes/solar.md"]
    assert run("sync")[0] == 0


def test_a_source_is_removed_with_or_without_its_documents(run, notes):
    run("index", str(notes))
    code, _, err = run("sources", "remove", "notes")
    assert (code, "--delete-documents or --keep-documents" in err) == (2, True)
    code, out, _ = run("sources", "remove", "notes", "--keep-documents")
    assert "2 documents stay" in out
    assert len(ids(run)) == 2
    run("index", str(notes))
    code, out, _ = run("sources", "remove", "notes", "--delete-documents")
    assert "Deleted 2 documents" in out
    assert ids(run) == []


def test_a_root_that_is_removed_says_what_stays(run, notes):
    run("index", str(notes))
    _, out, _ = run("roots", "remove", str(notes))
    assert "2 documents of" in out
    assert "stay indexed" in out
    assert len(ids(run)) == 2
    run("roots", "add", str(notes))
    assert "Deleted 2 documents" in run("roots", "remove", str(notes), "--delete-documents")[1]
    assert ids(run) == []
    assert "No folder is indexed yet" in run("sources")[1]


def test_documents_that_stayed_are_not_taken_over_by_another_folder_of_that_name(run, notes, tmp_path):
    run("index", str(notes))
    run("sources", "remove", "notes", "--keep-documents")
    other = tmp_path / "other" / "notes"
    other.mkdir(parents=True)
    (other / "own.md").write_text("# Own\n")
    run("index", str(other))
    assert ids(run) == ["notes-2/own.md", "notes/private/diary.md", "notes/solar.md"]
    run("index", str(notes))
    assert ids(run) == ["notes-2/own.md", "notes/private/diary.md", "notes/solar.md"]


def test_what_is_ignored_everywhere_leaves_every_source(run, notes):
    run("index", str(notes))
    run("ignore", "private/")
    assert ids(run) == ["notes/solar.md"]
    assert "private/" in run("status")[1]
    (notes / ".kcoreignore").write_text("!private/\n")
    run("sync")
    assert len(ids(run)) == 2
    run("ignore", "--remove", "private/")
    assert "Nothing is left out everywhere" in run("ignore")[1]
    code, _, err = run("ignore", "[a")
    assert (code, "is no pattern" in err) == (1, True)


def test_only_files_that_were_named_are_brought_in_step(run, notes):
    run("index", str(notes / "solar.md"))
    (notes / "new.md").write_text("# New\n")
    (notes / "solar.md").write_text("# Solar\n\nchanged\n")
    assert "1 documents indexed" in run("sync")[1]
    assert ids(run) == ["notes/solar.md"]
    (notes / "solar.md").unlink()
    assert "1 removed" in run("index")[1]


def test_sync_says_once_what_is_no_matter_of_a_source(run, notes, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.md").write_text("# A\n")
    run("index", str(notes))
    run("index", str(tmp_path / "other"))
    _, out, _ = run("sync")
    assert (out.count("unchanged"), out.count("No EmbeddingGemma was found")) == (2, 1)


def test_a_wrong_name_of_a_source_is_answered_with_the_right_ones(run, notes):
    run("index", str(notes))
    code, _, err = run("sources", "set", "nots", "--no-watch")
    assert (code, "Did you mean" in err or "notes" in err) == (1, True)
