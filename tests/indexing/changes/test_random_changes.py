"""Whatever is done to folders between two calls: afterwards the index is what a fresh index of the same folders is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from changing_tree import ChangingTree

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index

ROUNDS, CHANGES = 4, 8


class Indexed:
    """A data directory of its own, into which the same folders are indexed."""

    def __init__(self, engine: Engine, embedder: HashEmbedder, folders: list[Path]) -> None:
        self.engine, self.embedder, self.folders = engine, embedder, folders
        for folder in folders:
            engine.roots.add(folder)

    def index(self) -> None:
        self.embedder.documents.clear()
        paths = tuple(map(str, self.folders))
        job = accept_index(self.engine, IndexRequest("notes", paths, by_person=True), (), ())
        assert job.wait(60)
        assert job.state == "done", job.error

    def look_at(self, *folders: Path) -> None:
        """Index what changed directly in folders, as the watcher does."""
        request = IndexRequest("notes", levels=tuple(map(str, folders)), watching=True)
        job = accept_index(self.engine, request, (), ())
        assert job.wait(60)
        assert job.state == "done", job.error

    def texts(self) -> dict[str, str]:
        with self.engine.collection("notes").view() as view:
            return {id: view.document(id).document.text for id in view.document_ids()}


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Callable[[str, list[Path]], Indexed]]:
    with ExitStack() as opened:

        def made(name: str, folders: list[Path]) -> Indexed:
            embedder = HashEmbedder()
            engine = Engine(tmp_path / name, Config(), command="test", make_embedder=lambda *_: embedder)
            return Indexed(opened.enter_context(engine), embedder, folders)

        yield made


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_after_random_changes_index_and_disk_are_equal_and_nothing_known_is_embedded(data, tmp_path, seed):
    folders = [tmp_path / "allowed" / name for name in ("notes", "work")]
    (tmp_path / "outside").mkdir()
    tree = ChangingTree(folders, tmp_path / "outside", seed)
    tree.fill(24, steady=4)
    kept = data("kept", folders)
    kept.index()
    for round in range(ROUNDS):
        before = set(kept.texts().values())
        done = [tree.change() for _ in range(CHANGES)]
        kept.index()
        again = [text for text in kept.embedder.documents if any(text.endswith(each.strip()) for each in before)]
        fresh = data(f"fresh {round}", folders)
        fresh.index()
        assert kept.texts() == fresh.texts(), f"after {done}"
        assert again == [], f"after {done}"
    assert all(finding.level == "ok" for finding in kept.engine.collection("notes").check(deep=True))


def test_a_link_to_what_has_a_path_of_its_own_in_a_source_makes_no_second_document(data, tmp_path):
    notes, work = (tmp_path / "allowed" / name for name in ("notes", "work"))
    for folder in (notes / "x", notes / "y", work / "z"):
        folder.mkdir(parents=True)
        (folder / "own.md").write_text(f"the otter of {folder.name}\n")
    kept = data("kept", [notes, work])
    kept.index()
    own = {"notes/x/own.md", "notes/y/own.md", "work/z/own.md"}
    (notes / "x" / "link.md").symlink_to(notes / "y" / "own.md")
    (notes / "x" / "folder").symlink_to(notes / "y")
    (notes / "x" / "other source").symlink_to(work / "z")
    kept.look_at(notes / "x")
    assert kept.texts().keys() == own
    kept.index()
    assert kept.texts().keys() == own
    fresh = data("fresh", [notes, work])
    fresh.index()
    assert fresh.texts().keys() == own
