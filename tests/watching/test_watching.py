"""What is on disk is what is found, without a call, while an owner runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.config import Config, IndexingConfig
from knowledge_core.engine import Engine
from knowledge_core.indexing import missing
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.watching import platforms
from knowledge_core.watching import watching as module
from knowledge_core.watching.dirt import dirt_of
from knowledge_core.watching.watching import Watching

PATIENCE = 20.0  # seconds; about one is needed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "allowed" / "notes"
    (made / "deep").mkdir(parents=True)
    for number in range(3):
        (made / "deep" / f"n{number}.md").write_text(f"# Note {number}\n\nThe number {number} otter.\n")
    (made / "plain.txt").write_text("the walrus ledger\n")
    return made


class Owner:
    """An engine that watches, as the owner process has it."""

    def __init__(self, home: Path, folder: Path, config: Config | None = None) -> None:
        self.embedder = HashEmbedder()
        self.engine = Engine(home, config or Config(), make_embedder=lambda model, dimensions: self.embedder)
        self.engine.roots.add(folder.parent)
        self.watching = Watching(self.engine)

    def index(self, *folders: Path, by_person: bool = True, **more: object) -> None:
        request = IndexRequest("default", tuple(map(str, folders)), by_person=by_person, **more)
        job = accept_index(self.engine, request, (), ())
        assert job.wait(20)
        assert job.state == "done", job.error

    def ids(self) -> list[str]:
        with self.engine.collection("default").view() as view:
            return view.document_ids()

    def until(self, ids: list[str]) -> None:
        until(lambda: self.ids() == ids, lambda: self.ids())

    def quiet(self) -> None:
        """Wait until nothing is known to be out of step."""
        until(lambda: not (pending := self.engine.pending("default")).working and not pending.catching_up)

    def close(self) -> None:
        self.watching.stop()
        self.engine.close()


def until(holds: Callable[[], bool], shown: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, shown()
        time.sleep(0.02)


@pytest.fixture
def owner(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    monkeypatch.setattr(module, "SOURCES_EVERY", 0.1)
    monkeypatch.setattr(module, "LISTEN", 0.1)
    monkeypatch.setattr(platforms, "STEP", 50)
    for each in (module, missing):
        monkeypatch.setattr(each, "GRACE", 0.2)
    made = Owner(tmp_path / "home", folder)
    yield made
    made.close()


@pytest.fixture
def watched(owner: Owner, folder: Path) -> Owner:
    """An owner that watches the folder, and has caught up with it."""
    owner.index(folder)
    owner.watching.start()
    until(lambda: bool(owner.watching.described()))
    owner.quiet()
    owner.embedder.embedded.clear()
    return owner


DEEP = [f"notes/deep/n{number}.md" for number in range(3)]


def test_new_changed_and_deleted_files_are_taken_in(watched, folder):
    (folder / "new.md").write_text("# New\n\nquagga\n")
    watched.until([*DEEP, "notes/new.md", "notes/plain.txt"])
    (folder / "plain.txt").write_text("the okapi ledger\n")
    (folder / "deep" / "n0.md").unlink()
    watched.until([*DEEP[1:], "notes/new.md", "notes/plain.txt"])
    watched.quiet()
    with watched.engine.collection("default").view() as view:
        assert "okapi" in view.document("notes/plain.txt").document.text


def test_renamed_and_moved_files_and_folders_embed_nothing(watched, folder):
    (folder / "deep").rename(folder / "archive")
    (folder / "plain.txt").rename(folder / "archive" / "ledger.txt")
    watched.until(["notes/archive/ledger.txt", *(id.replace("deep", "archive") for id in DEEP)])
    assert watched.embedder.embedded == []


def test_a_folder_put_in_the_place_of_another_is_looked_through(watched, folder, tmp_path):
    other = tmp_path / "other"
    (other / "inner").mkdir(parents=True)
    (other / "inner" / "own.md").write_text("# Own\n\nits own words\n")
    shutil.rmtree(folder / "deep")
    other.rename(folder / "deep")
    watched.until(["notes/deep/inner/own.md", "notes/plain.txt"])


def test_a_change_in_a_folder_beside_one_in_the_folder_above_it_is_seen(watched, folder):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c.md").write_text("# C\n")
    (folder / "deep" / "n1.md").unlink()
    watched.until(["notes/a/b/c.md", DEEP[0], DEEP[2], "notes/plain.txt"])


def test_a_storm_of_files_is_few_jobs(watched, folder):
    before = len(watched.engine.jobs.all())
    for number in range(300):
        (folder / "deep" / f"m{number}.md").write_text(f"# M {number}\n")
    until(lambda: len(watched.ids()) == 304)
    watched.quiet()
    assert len(watched.engine.jobs.all()) - before <= 4


def test_what_no_walk_enters_causes_no_job(watched, folder):
    for name in (".git", "node_modules"):
        (folder / name).mkdir()
    watched.quiet()
    time.sleep(0.5)
    watched.quiet()
    before = [job.id for job in watched.engine.jobs.all()]
    for number in range(5):
        for name in (".git", "node_modules"):
            (folder / name / f"{number}.md").write_text("words\n")
        time.sleep(0.1)
    time.sleep(1.0)
    watched.quiet()
    assert [job.id for job in watched.engine.jobs.all()] == before
    assert [record.id for record in watched.engine.collection("default").jobs()] == before


def test_a_file_that_is_never_read_causes_no_job_however_often_it_is_written(watched, folder, monkeypatch):
    begun: list[IndexRequest] = []

    def counted(engine, request, *more):
        begun.append(request)
        return accept_index(engine, request, *more)

    def noted(events, source):
        told.update(path for _, path in events)
        return dirt_of(events, source)

    told: set[str] = set()
    monkeypatch.setattr(module, "accept_index", counted)
    monkeypatch.setattr(module, "dirt_of", noted)
    for size in range(1, 4):
        told.clear()
        (folder / "deep" / "video.bin").write_bytes(b"\0" * size)
        (folder / "deep" / f"{size}.tmp").write_bytes(b"\0")
        (folder / "deep" / f"{size}.tmp").unlink()
        until(lambda: str(folder / "deep" / "video.bin") in told)
        watched.quiet()
    (folder / "deep" / "n0.md").write_text("# Note 0\n\nquagga\n")
    until(lambda: bool(begun))
    watched.quiet()
    assert len(begun) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="a name that is no text")
def test_after_a_name_that_is_no_text_changes_are_found_as_before(watched, folder):
    bad = os.path.join(os.fsencode(folder), b"bad\xff.md")
    with open(bad, "wb") as file:
        file.write(b"# Bad\n")
    until(lambda: bool(watched.watching._lost))
    for name in ("first.md", "second.md"):
        (folder / name).write_text("# New\n")
        until(lambda name=name: f"notes/{name}" in watched.ids(), watched.watching.described)
    assert watched.watching.described()[0]["polled"] is None


def test_an_ignore_file_counts_at_once(watched, folder):
    (folder / ".kcoreignore").write_text("deep/\n")
    watched.until(["notes/plain.txt"])
    (folder / ".kcoreignore").unlink()
    watched.until([*DEEP, "notes/plain.txt"])


def test_an_emptied_file_is_gone_and_comes_back(watched, folder):
    (folder / "plain.txt").write_text("")
    watched.until(DEEP)
    (folder / "plain.txt").write_text("the walrus ledger again\n")
    watched.until([*DEEP, "notes/plain.txt"])


def test_what_changed_while_no_owner_ran_is_caught_up_with(owner, folder):
    owner.index(folder)
    (folder / "plain.txt").unlink()
    (folder / "new.md").write_text("# New\n")
    owner.watching.start()
    owner.until([*DEEP, "notes/new.md"])


def test_a_folder_that_is_gone_keeps_its_documents_and_is_watched_again_when_it_is_back(watched, folder):
    folder.rename(folder.with_name("elsewhere"))
    until(lambda: watched.watching.described()[0]["gone"])
    time.sleep(0.3)
    assert len(watched.ids()) == 4
    folder.with_name("elsewhere").rename(folder)
    (folder / "plain.txt").unlink()
    watched.until(DEEP)
    until(lambda: not watched.watching.described()[0]["gone"])
    (folder / "more.md").write_text("# More\n")
    watched.until([*DEEP, "notes/more.md"])


def test_a_file_named_alone_is_watched_and_nothing_beside_it(owner, folder):
    owner.index(folder / "plain.txt")
    owner.watching.start()
    until(lambda: bool(owner.watching.described()))
    owner.quiet()
    (folder / "beside.txt").write_text("not asked for\n")
    (folder / "plain.txt").write_text("the okapi ledger\n")

    def text() -> str:
        with owner.engine.collection("default").view() as view:
            return view.document("notes/plain.txt").document.text

    until(lambda: "okapi" in text())
    owner.quiet()
    assert owner.ids() == ["notes/plain.txt"]
    (folder / "plain.txt").unlink()
    owner.until([])


def test_the_sources_of_an_agent_are_not_watched(owner, folder):
    owner.index(folder, by_person=False)
    owner.watching.start()
    time.sleep(0.4)
    assert owner.watching.described() == []
    owner.index(folder)
    until(lambda: bool(owner.watching.described()))


def test_nothing_is_watched_where_the_configuration_says_so(tmp_path, folder):
    owner = Owner(tmp_path / "home", folder, Config(indexing=IndexingConfig(watch=False)))
    owner.index(folder)
    owner.watching.start()
    try:
        assert not owner.watching._thread.is_alive()
        assert owner.engine.collection("default").sources()[0].watch is False
    finally:
        owner.close()


def test_a_folder_of_which_the_system_does_not_tell_is_looked_through_again_and_again(owner, folder, monkeypatch):
    monkeypatch.setattr(module, "is_polled", lambda path: "it lies on a network")
    monkeypatch.setattr(module, "POLL_LEAST", 0.2)
    monkeypatch.setattr(module, "POLL_COST", 0.0)
    owner.index(folder)
    owner.watching.start()
    owner.quiet()
    (folder / "new.md").write_text("# New\n")
    owner.until([*DEEP, "notes/new.md", "notes/plain.txt"])
    assert owner.watching.described()[0]["polled"] == "it lies on a network"


def test_what_is_known_to_be_out_of_step_is_told_until_it_is_indexed(watched, folder, monkeypatch):
    with watched.engine.one_writer("default"):
        (folder / "plain.txt").write_text("the okapi ledger\n")
        until(lambda: str(folder / "plain.txt") in watched.engine.pending("default").files)
    watched.quiet()
    assert watched.engine.pending("default").files == frozenset()


def test_a_saved_file_that_is_replaced_as_editors_do_is_one_document(watched, folder):
    for number in range(3):
        with open(folder / ".plain.tmp", "w") as file:
            file.write(f"version {number} of the ledger\n")
        os.replace(folder / ".plain.tmp", folder / "plain.txt")
        watched.quiet()

    def text() -> str:
        with watched.engine.collection("default").view() as view:
            return view.document("notes/plain.txt").document.text

    until(lambda: "version 2" in text())
    assert watched.ids() == [*DEEP, "notes/plain.txt"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs the system's administrator")
def test_what_lies_on_a_disk_is_taken_in_once_it_is_mounted_and_stays_when_it_is_not(watched, folder):
    disk = folder / "usb"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let anybody mount")
    try:
        (disk / "trip.md").write_text("# Trip\n")
        watched.until([*DEEP, "notes/plain.txt", "notes/usb/trip.md"])
        (disk / "more.md").write_text("# More\n")
        watched.until([*DEEP, "notes/plain.txt", "notes/usb/more.md", "notes/usb/trip.md"])
        watched.quiet()
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    def unreadable() -> str:
        with watched.engine.collection("default").view() as view:
            return view.document("notes/usb/trip.md").unreadable

    until(lambda: "not mounted" in unreadable())
    subprocess.run(["mount", "-t", "tmpfs", "none", str(disk)], check=True)  # another one, which is empty
    try:
        watched.until([*DEEP, "notes/plain.txt"])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_move_of_which_the_ends_are_seen_one_after_the_other_embeds_nothing(watched, folder, tmp_path):
    aside = tmp_path / "aside.txt"
    for first, then in ((folder / "plain.txt", folder / "deep" / "ledger.txt"),):
        first.rename(aside)
        until(lambda first=first: str(first) in watched.engine.pending("default").files)
        until(lambda: bool(watched.engine.missing._since))  # a job looked, and did not find it
        assert "notes/plain.txt" in watched.ids()
        aside.rename(then)
    watched.until(["notes/deep/ledger.txt", *DEEP])
    watched.quiet()
    assert watched.embedder.embedded == []
    with watched.engine.collection("default").view() as view:
        assert view.document("notes/deep/ledger.txt").embedded_title == "plain"
