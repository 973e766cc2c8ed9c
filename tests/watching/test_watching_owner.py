"""A real owner keeps its folders in step, says what it takes in, and ends all the same when nobody needs it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge_core.paths import is_held
from owner_processes import KCORE, RawPipe, environment, kcore, own_home, until


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with own_home(tmp_path) as made:
        yield made


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere" / "notes"
    folder.mkdir(parents=True)
    (folder / "a.md").write_text("# Alpha\n\nwalrus\n")
    return folder


def ids(home: Path) -> list[str]:
    said = kcore(home, "list", "--collection", "default", "--json").stdout
    return [each["id"] for each in json.loads(said)["documents"]]


@pytest.mark.slow
def test_watch_says_what_is_taken_in_and_the_next_owner_catches_up(home, notes):
    assert kcore(home, "index", str(notes)).returncode == 0
    watching = subprocess.Popen([*KCORE, "watch"], env=environment(home), stdout=subprocess.PIPE, text=True)
    try:
        assert watching.stdout.readline() == f"Watching {notes} (default)\n"
        (notes / "b.md").write_text("# Beta\n\nquagga\n")
        said = watching.stdout.readline()
        assert "default: 1 indexed (notes/b.md)" in said
    finally:
        watching.terminate()
        watching.wait()
        watching.stdout.close()
    kcore(home, "stop")
    (notes / "a.md").rename(notes / "c.md")
    kcore(home, "status")
    until(lambda: ids(home) == ["notes/b.md", "notes/c.md"])


@pytest.mark.slow
def test_an_owner_ends_when_nobody_needs_it_though_files_change(home, notes):
    (home / "config.yaml").write_text("owner: {idle_minutes: 0.03}\n")
    kcore(home, "index", str(notes))
    number, deadline = 0, time.monotonic() + 30
    while is_held(home):
        assert time.monotonic() < deadline
        number += 1
        (notes / "a.md").write_text(f"# Alpha\n\nversion {number}\n")
        time.sleep(0.2)


@pytest.mark.slow
def test_a_folder_of_a_hosts_entry_is_there_without_a_word(home, notes):
    with RawPipe(home, "--root", str(notes)) as pipe:
        pipe.initialize()
        until(lambda: "default" in kcore(home, "list").stdout)
        until(lambda: ids(home) == ["notes/a.md"])
        assert "watched" in kcore(home, "sources").stdout
