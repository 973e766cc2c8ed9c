"""A second checkout within a checkout is left out and named; what belongs to the repository stays in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from knowledge_core.ingestion.walking.walker import Selecting, Walk, walk

LIMIT = 100_000


def walked(folder: Path) -> Walk:
    return walk(folder, [folder], Selecting(LIMIT))


def names(found: Walk) -> list[str]:
    return [file.relative for file in found.files]


def put(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit, a work tree and a clone within it, and a submodule with a blank in its path."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    part, top = tmp_path / "part", tmp_path / "repo"
    for folder, name in ((part, "part.md"), (top, "billing.md")):
        folder.mkdir()
        (folder / name).write_text("# Words\n")
        git(folder, "init", "-q")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "first")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(part), "own parts/sub")
    git(top, "worktree", "add", "-q", "wt/old")
    git(top, "clone", "-q", str(part), "vendor/clone")
    git(top, "clone", "-q", "--bare", str(part), "vendor/bare")
    return top


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_work_trees_and_clones_are_left_out_and_named_and_submodules_are_in(repository):
    found = walked(repository)
    assert names(found) == ["billing.md", "own parts/sub/part.md"]
    assert found.skipped["nested checkout"] == 3
    assert found.skipped_examples["nested checkout"] == ("vendor/bare/", "vendor/clone/", "wt/old/")


def test_a_checkout_that_is_named_itself_is_wanted(repository):
    assert names(walked(repository / "wt" / "old")) == ["billing.md"]
    assert names(walked(repository / "vendor" / "clone")) == ["part.md"]


def test_a_line_of_an_ignore_file_brings_a_checkout_back(repository):
    (repository / ".kcoreignore").write_text("!wt/old/\n")
    assert names(walked(repository)) == ["billing.md", "own parts/sub/part.md", "wt/old/billing.md"]


def test_clones_side_by_side_are_not_nested_and_their_work_trees_are_left_out(repository, tmp_path):
    projects = tmp_path / "projects"
    projects.mkdir()
    git(tmp_path / "part", "worktree", "add", "-q", str(projects / "part-next"))
    git(projects, "clone", "-q", str(tmp_path / "part"), "one")
    git(projects, "clone", "-q", str(tmp_path / "part"), "two")
    found = walked(projects)
    assert names(found) == ["one/part.md", "two/part.md"]
    assert found.skipped_examples["nested checkout"] == ("part-next/",)


def test_the_syntax_of_gitmodules_is_that_of_git(tmp_path):
    put(tmp_path, **{".git__HEAD": "x", "a b__.git": "gitdir: x", "a b__in.md": "x", "c__.git": "gitdir: x", "c__in.md": "x",
                     "d__.git": "gitdir: x", "d__out.md": "x"})  # fmt: skip
    (tmp_path / ".gitmodules").write_text(
        '# [submodule "d"]\n[submodule "one"]\n\tPath = "a b" ; said\n[other]\npath = d\n[submodule "c"] path=c\n'
    )
    assert names(walked(tmp_path)) == ["a b/in.md", "c/in.md"]
