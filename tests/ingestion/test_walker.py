"""A folder becomes the files in it that may be indexed; what was left out is counted, with its reason."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingestion_material import Write

from knowledge_core.errors import InvalidInput, PathNotAllowed, SourceUnavailable
from knowledge_core.ingestion.walking.walker import Selecting, Walk, allowed, found_file, walk

LIMIT = 1000
posix = pytest.mark.skipif(os.name != "posix", reason="needs links, pipes and permissions as POSIX has them")


def walked(folder: Path, *, roots: list[Path] | None = None, between: Any = lambda found: None, **more: Any) -> Walk:
    return walk(folder, [folder] if roots is None else roots, Selecting(LIMIT, **more), between=between)


def names(found: Walk) -> list[str]:
    return [file.relative for file in found.files]


def test_files_are_found_sorted_with_size_and_time(write: Write, tmp_path: Path) -> None:
    for name in ("b.md", "a/z.txt", "a.txt", "a/B.py"):
        write(name)
    found = walked(tmp_path)
    assert names(found) == ["a.txt", "a/B.py", "a/z.txt", "b.md"]
    assert found.files[0].path == tmp_path / "a.txt"
    assert found.files[0].size == 5
    assert found.files[0].mtime_ns == (tmp_path / "a.txt").stat().st_mtime_ns
    assert found.skipped == {}


def test_everything_left_out_has_a_reason(write: Write, tmp_path: Path) -> None:
    write("keep.md")
    write(".hidden/a.md")
    write(".secret")
    write("node_modules/a/b.md")
    write("environment/pyvenv.cfg")
    write("picture.png")
    write("letter.pages")
    write("big.txt", "x" * (LIMIT + 1))
    write(".gitignore", "*.log\nbuild/\n")
    write("a.log")
    write("build/b.md")
    found = walked(tmp_path)
    assert names(found) == ["keep.md"]
    assert found.skipped == {"binary": 1, "hidden": 3, "ignored": 4, "too large": 1, "unsupported": 1}
    assert found.skipped_examples["ignored"] == ("a.log", "build/", "environment/", "node_modules/")
    assert found.unread == {".pages": 1, ".png": 1}
    assert found.skipped_examples[".pages"] == ("letter.pages",)


@posix
def test_files_that_are_named_besides_their_folder_are_passed_over_and_not_gone(write: Write, tmp_path: Path) -> None:
    for name in ("a.md", ".b.md", "c.pages", "d.md"):
        write(name)
    (tmp_path / "link.md").symlink_to(tmp_path / "a.md")
    found = walked(tmp_path, named={str(tmp_path / name) for name in ("a.md", ".b.md", "c.pages")})
    assert names(found) == ["d.md"]
    assert found.passed == {"a.md", ".b.md", "c.pages"}
    assert found.skipped == {"linked twice": 1}


def test_a_walk_tells_how_far_it_is_before_every_folder_and_can_be_ended_there(write: Write, tmp_path: Path) -> None:
    for name in ("a.md", "b/c.md", "b/d/e.md"):
        write(name)
    heard: list[int] = []
    walked(tmp_path, between=heard.append)
    assert heard == [0, 1, 2]

    def end(found: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walked(tmp_path, between=end)


def test_deeper_ignore_files_and_kcoreignore_have_the_last_word(write: Write, tmp_path: Path) -> None:
    write(".gitignore", "*.md\n!sub/keep.md\n/top.txt\n")
    write(".kcoreignore", "!wanted.md\n!node_modules/\n")
    write("sub/.gitignore", "!*.md\nno.md\n")
    for name in ("a.md", "wanted.md", "top.txt", "sub/top.txt", "sub/b.md", "sub/no.md", "node_modules/x.txt"):
        write(name)
    assert names(walked(tmp_path)) == ["node_modules/x.txt", "sub/b.md", "sub/top.txt", "wanted.md"]


def test_a_malformed_or_foreign_ignore_file_does_no_harm(write: Write, tmp_path: Path) -> None:
    write(".gitignore", b"\xff\xfe!!\n!\n*.log\n/\n")
    write("a.log")
    write("a.md")
    assert names(walked(tmp_path)) == ["a.md"]


def test_ignore_files_above_count_up_to_the_repository_unless_they_ignore_the_folder_itself(
    write: Write, tmp_path: Path
) -> None:
    write("repo/.git/HEAD")
    write("repo/.gitignore", "docs/_build/\nout/\n")
    write("repo/docs/_build/a.md")
    write("repo/docs/b.md")
    write("repo/out/c.md")
    write(".gitignore", "*")
    roots = [tmp_path]
    assert names(walked(tmp_path / "repo" / "docs", roots=roots)) == ["b.md"]
    assert names(walked(tmp_path / "repo" / "out", roots=roots)) == ["c.md"]


def test_include_and_exclude_leave_out_but_are_told_apart_from_gone(write: Write, tmp_path: Path) -> None:
    for name in ("a.md", "b.txt", "old/c.md", "old/keep/d.md", "e.png"):
        write(name)
    found = walked(tmp_path, include=["*.md"], exclude=["old/*", "!old/keep/"])
    assert names(found) == ["a.md", "old/keep/d.md"]
    assert found.skipped == {"binary": 1, "excluded": 1, "not included": 1}
    assert found.excluded == {"b.txt", "old/c.md"}


def test_a_malformed_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="include: '!' is no pattern"):
        walked(tmp_path, include=["!"])


@posix
def test_links_within_the_roots_are_followed_once_and_those_leaving_are_refused(write: Write, tmp_path: Path) -> None:
    write("folder/real.md")
    write("folder/sub/x.md")
    write("other/far.md")
    write("outside/secret.md")
    folder = tmp_path / "folder"
    (folder / "a-link.md").symlink_to(folder / "real.md")
    (folder / "a-loop").symlink_to(folder)
    (folder / "far").symlink_to(tmp_path / "other")
    (folder / "again").symlink_to(tmp_path / "other")
    (folder / "gone.md").symlink_to(folder / "missing.md")
    (folder / "out.md").symlink_to(tmp_path / "outside" / "secret.md")
    (folder / "out").symlink_to(tmp_path / "outside")
    found = walked(folder, roots=[folder, tmp_path / "other"])
    assert names(found) == ["again/far.md", "real.md", "sub/x.md"]
    assert found.files[0].path == tmp_path / "other" / "far.md"
    assert found.skipped == {"broken link": 1, "linked twice": 3, "outside the roots": 2}


@posix
def test_a_link_counts_as_a_secret_for_what_it_leads_to(write: Write, tmp_path: Path) -> None:
    for name in ("folder/a.md", "folder/.env", "other/.ssh/config", "other/credentials/guide.md"):
        write(name)
    folder = tmp_path / "folder"
    (folder / "b.md").symlink_to(folder / ".env")
    (folder / "c").symlink_to(tmp_path / "other" / ".ssh")
    (folder / "d.md").symlink_to(tmp_path / "other" / ".ssh" / "config")
    (folder / "e").symlink_to(tmp_path / "other" / "credentials")
    found = walked(folder, roots=[tmp_path])
    assert names(found) == ["a.md", "e/guide.md"]
    assert found.skipped == {"secret": 4}
    assert found.skipped_examples["secret"] == (".env", "b.md", "c", "d.md")


@posix
def test_pipes_and_sockets_are_counted_and_not_opened(write: Write, tmp_path: Path) -> None:
    write("a.md")
    os.mkfifo(tmp_path / "pipe.md")
    assert walked(tmp_path).skipped == {"special file": 1}
    with pytest.raises(PathNotAllowed, match="device, a socket or a pipe"):
        allowed(tmp_path / "pipe.md", [tmp_path])


@posix
def test_a_name_that_is_no_utf_8_is_shown_with_escapes(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = walked(tmp_path)
    assert (names(found), dict(found.skipped)) == ([], {"name not UTF-8": 1})
    assert found.skipped_examples["name not UTF-8"] == ("caf\\xe9.md",)


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that a user without rights can reach, while the test is that user."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only the superuser can become another user")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "ok.md").write_text("x")
    (folder / "locked").mkdir()
    (folder / "locked" / "a.md").write_text("x")
    (folder / "locked").chmod(0o700)
    os.seteuid(65534)
    try:
        yield Path(os.path.realpath(folder))
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)


def test_a_locked_folder_below_is_counted_and_a_locked_top_is_an_error(as_nobody: Path) -> None:
    found = walked(as_nobody)
    assert names(found) == ["ok.md"]
    assert found.skipped == {"unreadable": 1}
    assert found.unreadable == {"locked/"}
    with pytest.raises(SourceUnavailable, match="Permission denied"):
        walked(as_nobody / "locked")


def test_a_folder_that_is_not_there_is_an_error(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="missing"):
        walked(tmp_path / "missing")
    with pytest.raises(SourceUnavailable):
        walked(write("a.md"))
    with pytest.raises(SourceUnavailable):
        found_file(tmp_path / "missing.md", Selecting(LIMIT))


def test_one_named_file_is_found_even_if_hidden_and_refused_with_a_reason(write: Write) -> None:
    path = write(".notes.md")
    found = found_file(path, Selecting(LIMIT))
    assert [(file.path, file.relative) for file in found.files] == [(path, ".notes.md")]
    assert found_file(write("a.png"), Selecting(LIMIT)).skipped == {"binary": 1}
    assert found_file(write("b.txt", "x" * 2000), Selecting(LIMIT)).skipped == {"too large": 1}


def test_nothing_is_allowed_without_roots(tmp_path: Path) -> None:
    with pytest.raises(PathNotAllowed, match="none are allowed yet") as caught:
        allowed(tmp_path / "a b", [])
    assert f"kcore roots add '{tmp_path / 'a b'}'" in str(caught.value)


def test_a_path_is_judged_by_where_it_leads(write: Write, tmp_path: Path) -> None:
    inside = write("root/a.md")
    root = tmp_path / "root"
    assert allowed(inside, [root]) == inside
    assert allowed(root / "not-there-yet.md", [root]) == root / "not-there-yet.md"
    assert allowed(inside, [inside]) == inside
    for outside in (root / ".." / "x.md", tmp_path / "rooted", tmp_path):
        with pytest.raises(PathNotAllowed, match="allowed: "):
            allowed(outside, [root])
    with pytest.raises(InvalidInput):
        allowed(Path("a\0b"), [root])


@posix
def test_a_link_out_of_a_root_is_outside_and_a_root_may_be_a_link(write: Write, tmp_path: Path) -> None:
    outside = write("outside/a.md")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.md").symlink_to(outside)
    (tmp_path / "alias").symlink_to(tmp_path / "outside")
    with pytest.raises(PathNotAllowed):
        allowed(tmp_path / "root" / "link.md", [tmp_path / "root"])
    assert allowed(tmp_path / "alias" / "a.md", [tmp_path / "alias"]) == outside


@posix
def test_a_socket_is_refused(tmp_path: Path) -> None:
    if len(str(tmp_path)) > 90:
        pytest.skip("the path is too long for a socket")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with pytest.raises(PathNotAllowed):
            allowed(tmp_path / "s", [tmp_path])


_PATTERNS = """a /a a/ *.md !c.md b/** **/b a/**/c.md /* !/a !a/ build/ !build *.log !x.log b/* !b/a/ a/b * !*/ !*.md
a/*/ ** [ab] ? d.txt/ /b/ !/b/c.md b/**/ **/c.md # ! / \\!x"""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("seed", range(12))
def test_ignore_files_mean_what_git_says_they_mean(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    folders = [tmp_path]
    for _ in range(6):
        folders.append(draw.choice(folders) / draw.choice(["a", "b", "build"]))
        folders[-1].mkdir(exist_ok=True)
    for folder in sorted(set(folders)):
        for name in ("c.md", "d.txt", "x.log"):
            (folder / name).write_text("x")
        if draw.random() < 0.6:
            (folder / ".gitignore").write_text("\n".join(draw.choices(_PATTERNS.split(), k=4)) + "\n")
    command = ["git", "-C", str(tmp_path), "ls-files", "-o", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    expected = sorted(name for name in listed if name and not name.endswith(".gitignore"))
    assert names(walked(tmp_path)) == expected


def test_what_is_ignored_everywhere_is_relative_to_the_source_whichever_folder_is_walked(
    write: Write, tmp_path: Path
) -> None:
    for name in ("drafts/no.md", "x/drafts/yes.md", "x/a.tmp"):
        write(name)
    ignored = ("/drafts/", "*.tmp")
    assert [file.relative for file in walked(tmp_path, ignored=ignored).files] == ["x/drafts/yes.md"]
    below = walked(tmp_path / "x", roots=[tmp_path], ignored=ignored, below="x/")
    assert [file.relative for file in below.files] == ["drafts/yes.md"]


def test_nothing_behind_a_link_out_of_the_roots_is_looked_at(write: Write, tmp_path: Path, monkeypatch) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    (outside / "deep").mkdir(parents=True)
    (top / "link").symlink_to(outside / "deep")
    looked: list[str] = []
    for name in ("stat", "scandir", "listdir"):
        real = getattr(os, name)

        def spied(path: Any = ".", *more: Any, real: Any = real, **options: Any) -> Any:
            if options.get("follow_symlinks", True):
                looked.append(os.path.realpath(path) if isinstance(path, str | os.PathLike) else "")
            return real(path, *more, **options)

        monkeypatch.setattr(os, name, spied)
    assert walked(top).skipped == {"outside the roots": 1}
    assert not [each for each in looked if each.startswith(str(outside))]
