"""A folder that a person chose in a host's own settings is indexed and watched; what a project's file names is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.config import Config, IndexingConfig
from knowledge_core.engine import Engine
from knowledge_core.watching.host_roots import HostRoots
from watching.test_watching import until


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "notes"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"n{number}.md").write_text(f"# Note {number}\n")
    return folder


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = Config(indexing=IndexingConfig(root_files=10, root_mb=0.001))
    with Engine(tmp_path / "data", config, make_embedder=lambda model, dimensions: HashEmbedder()) as made:
        yield made


def named(engine: Engine, root: Path, folder: Path | None) -> None:
    engine.roots.add(root)
    HostRoots(engine).named([str(root)], None if folder is None else str(folder))


def ids(engine: Engine) -> list[str]:
    if not engine.names():
        return []
    with engine.collection("default").view() as view:
        return view.document_ids()


def waits(engine: Engine, root: Path, why: str) -> None:
    until(lambda: str(root) in engine.waiting_roots)
    said = engine.waiting_roots[str(root)]
    assert why in said
    assert f"kcore index {root}" in said
    assert ids(engine) == []


def test_it_becomes_a_source_of_a_person_and_is_watched(engine, notes, tmp_path):
    named(engine, notes, tmp_path)
    until(lambda: len(ids(engine)) == 3)
    (source,) = engine.collection("default").sources()
    assert (source.path, source.by_person, source.watch) == (str(notes), True, True)
    until(lambda: not engine.jobs.running())
    before = len(engine.jobs.all())
    named(engine, notes, tmp_path)  # by another connection
    named(engine, notes / ".." / "notes", tmp_path)
    until(lambda: not engine.jobs.running())
    assert len(engine.jobs.all()) == before
    assert engine.waiting_roots == {}


def test_a_home_folder_waits_for_a_yes(engine, notes):
    waits_for = notes.parent
    named(engine, waits_for, None)
    waits(engine, waits_for, "home folder")


def test_a_folder_with_too_many_files_waits_for_a_yes(engine, notes):
    for number in range(10):
        (notes / f"m{number}.md").write_text(f"# M {number}\n")
    named(engine, notes, notes.parent.parent)
    waits(engine, notes, "more than 10 files")


def test_a_folder_that_is_too_large_waits_for_a_yes(engine, notes):
    (notes / "large.md").write_text("words " * 1000)
    named(engine, notes, notes.parent.parent)
    waits(engine, notes, "MB of files")


@pytest.mark.parametrize("file", [".mcp.json", ".vscode/mcp.json", ".codex/config.toml"])
def test_what_a_projects_own_file_names_waits_for_a_yes(engine, notes, tmp_path, file):
    project = tmp_path / "project"
    (project / file).parent.mkdir(parents=True)
    entry = {"mcpServers": {"kc": {"command": "kcore", "args": ["serve", "--root", "/somewhere"]}}}
    (project / file).write_text(json.dumps(entry).replace("-", "\\u002d"))
    (project / "deep").mkdir()
    named(engine, notes, project / "deep")
    waits(engine, notes, "a project's own file")


def test_what_a_client_names_that_does_not_say_where_it_was_started_waits_for_a_yes(engine, notes, tmp_path):
    named(engine, notes, None)
    waits(engine, notes, "does not say where it was started")
    named(engine, notes, tmp_path)  # from a host's own settings
    until(lambda: len(ids(engine)) == 3)
    assert engine.waiting_roots == {}


def test_a_project_that_names_no_folder_is_in_nobodys_way(engine, notes, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / ".mcp.json").write_text('{"mcpServers": {"kc": {"command": "kcore", "args": ["serve"]}}}')
    named(engine, notes, project)
    until(lambda: len(ids(engine)) == 3)
