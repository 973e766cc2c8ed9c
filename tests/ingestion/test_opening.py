"""What was judged is what is read: a file that leads outside of the roots when it is opened is not read."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from knowledge_core.errors import PathNotAllowed
from knowledge_core.indexing import preparing
from knowledge_core.ingestion.access import opening
from knowledge_core.ingestion.access.opening import opened_inside
from knowledge_core.ingestion.readers import read_file
from knowledge_core.ingestion.unreadable import Unreadable
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.types import Document

SECRET = "The secret lies outside."
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


@pytest.fixture(params=["beneath", "judged by its descriptor"])
def way(request, monkeypatch):
    """Both ways to open a file: the kernel's own, and the one for links and for systems that have no other."""
    if request.param != "beneath":
        monkeypatch.setattr(opening, "_beneath", lambda path, roots: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "note.md").write_text(SECRET)
    (tmp_path / "root" / "folder").mkdir(parents=True)
    (tmp_path / "root" / "folder" / "note.md").write_text("A note inside.")
    return tmp_path / "root"


def text_at(path: Path, *roots: Path) -> str:
    with opened_inside(path, roots) as file:
        return file.read().decode()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("link", ["relative", "absolute", "folder"])
def test_a_link_that_stays_inside_a_root_is_followed(root, link):
    named = root / "link.md"
    if link == "folder":
        (root / "other").symlink_to("folder")
        named = root / "other" / "note.md"
    else:
        named.symlink_to("folder/note.md" if link == "relative" else root / "folder" / "note.md")
    assert text_at(named, root) == "A note inside."


@pytest.mark.usefixtures("way")
def test_a_link_into_another_root_and_a_root_that_is_a_file_are_read(root, tmp_path):
    (root / "link.md").symlink_to("../outside/note.md")
    assert text_at(root / "link.md", root, tmp_path / "outside") == SECRET
    assert text_at(root / "link.md", root, tmp_path / "outside" / "note.md") == SECRET
    assert text_at(tmp_path / "outside" / "note.md", tmp_path / "outside" / "note.md") == SECRET


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("target", ["../outside/note.md", "{outside}/note.md", "/proc/self/environ", "/etc/passwd"])
def test_a_link_that_leads_outside_is_refused(root, tmp_path, target):
    (root / "link.md").symlink_to(target.format(outside=tmp_path / "outside"))
    with pytest.raises((PathNotAllowed, FileNotFoundError), match=r"outside of the allowed roots|No such file"):
        text_at(root / "link.md", root)


@pytest.mark.skipif(sys.platform != "linux", reason="openat2 is a system call of Linux")
@pytest.mark.parametrize(
    "target", ["../outside/note.md", "folder/../../outside/note.md", "{outside}/note.md", "/etc/passwd"]
)
def test_the_kernel_itself_opens_nothing_outside_of_a_root(root, tmp_path, target):
    inside = opening._beneath(root / "folder" / "note.md", [root])
    if inside is None:
        pytest.skip("this kernel has no openat2")
    os.close(inside)
    (root / "link.md").symlink_to(target.format(outside=tmp_path / "outside"))
    assert opening._beneath(root / "link.md", [root]) is None
    (root / "deep").symlink_to("../outside")
    assert opening._beneath(root / "deep" / "note.md", [root]) is None
    assert opening._beneath(root / ".." / "outside" / "note.md", [root]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="openat2 is a system call of Linux")
def test_what_the_kernel_opened_beneath_a_root_is_not_judged_again(root, monkeypatch):
    inside = opening._beneath(root / "folder" / "note.md", [root])
    if inside is None:
        pytest.skip("this kernel has no openat2")
    os.close(inside)
    monkeypatch.setattr(opening, "_is_inside", None)
    assert text_at(root / "folder" / "note.md", root) == "A note inside."


@pytest.mark.usefixtures("way")
def test_a_root_whose_name_only_begins_like_the_folder_does_not_count(root, tmp_path):
    (tmp_path / "root and more").mkdir()
    (tmp_path / "root and more" / "note.md").write_text(SECRET)
    with pytest.raises(PathNotAllowed):
        text_at(tmp_path / "root and more" / "note.md", root)


@pytest.mark.usefixtures("way")
def test_a_pipe_in_a_files_place_holds_nobody_up(root):
    os.mkfifo(root / "pipe.md")
    with pytest.raises(Unreadable, match="no regular file"):
        read_file(root / "pipe.md", document_id="pipe.md", limit=1000, roots=[root])


@pytest.mark.usefixtures("way")
def test_a_file_that_was_replaced_once_it_was_open_is_read_as_it_was(root):
    named = root / "folder" / "note.md"
    with opened_inside(named, [root]) as file:
        named.unlink()
        assert file.read() == b"A note inside."


def test_a_folder_that_becomes_a_link_between_the_walk_and_the_reading_brings_nothing_in(
    root, tmp_path, engine, monkeypatch
):
    engine.roots.add(root)
    read = preparing.read_file

    def swapped(path, **options):
        (root / "folder").rename(root / "before")
        (root / "folder").symlink_to(tmp_path / "outside")
        return read(path, **options)

    monkeypatch.setattr(preparing, "read_file", swapped)
    job = accept_index(engine, IndexRequest("c", (str(root),)), [Document("kept", "some words")], ())
    assert job.wait(20)
    with engine.collection("c").view() as view:
        assert view.document_ids() == ["kept"]
    assert "allowed roots" in engine.collection("c").job(job.id).report


def swaps(root: Path, outside: Path, times: int, stopped: threading.Event) -> None:
    """Exchange a folder and a link that leads outside, again and again."""
    for _ in range(times):
        os.rename(root / "folder", root / "before")
        os.symlink(outside, root / "folder")
        os.unlink(root / "folder")
        os.rename(root / "before", root / "folder")
    stopped.set()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("times", [300, pytest.param(20_000, marks=pytest.mark.slow)])
def test_of_many_swaps_of_a_link_none_lets_a_file_outside_be_read(root, tmp_path, times):
    stopped = threading.Event()
    swapping = threading.Thread(target=swaps, args=(root, tmp_path / "outside", times, stopped))
    swapping.start()
    found = set()
    while not stopped.is_set():
        try:
            found.add(text_at(root / "folder" / "note.md", root))
        except (PathNotAllowed, OSError) as error:
            found.add(type(error))
    swapping.join()
    assert SECRET not in found
    assert text_at(root / "folder" / "note.md", root) == "A note inside."
