"""A data directory with two small collections, and `kcore` as a person runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knowledge_core.cli.main import main
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Collection
from storage.shelf import EMBEDDER, document, put

Run = Callable[..., tuple[int, str, str]]


def made(home: Path, name: str, count: int = 3) -> None:
    """A collection of documents d0, d1, ... with text, title and metadata."""
    folder = home / "collections"
    folder.mkdir(parents=True, exist_ok=True)
    collection = create_collection(folder / name, name, EMBEDDER.contract)
    put(collection, *(new(name, number) for number in range(count)))
    collection.close()


def new(name: str, number: int) -> Any:
    parts = [f"the {name} tells of word{number}", f"and of lighthouse{number % 7} at sea"]
    return document(f"d{number}", *parts, title=f"Title {number}", metadata={"number": number})


def added(home: Path, name: str, number: int) -> None:
    with_open = Collection.open(home / "collections" / name)
    put(with_open, new(name, number))
    with_open.close()


def contents(home: Path, name: str) -> dict[str, tuple[str, str, Any]]:
    """Id, text, title and metadata of every document, as a search would show them."""
    collection = Collection.open(home / "collections" / name)
    try:
        with collection.view() as view:
            stored = (view.document(id).document for id in view.document_ids())
            return {each.id: (each.text, each.title, dict(each.metadata)) for each in stored}
    finally:
        collection.close()


def structure(out: str) -> dict[str, Any]:
    return json.loads(out)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes; locks, which are empty, left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("filled") / "home"
    for name in ("letters", "notes"):
        made(home, name)
    return home


@pytest.fixture
def home(tmp_path: Path, filled: Path) -> Path:
    shutil.copytree(filled, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], home: Path) -> Run:
    """Run a command in this process, on the fixture's data directory unless --home says another."""

    def kcore(*argv: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        given = [str(each) for each in argv]
        code = main([*given, *([] if "--home" in given else ["--home", str(home)]), "--in-process"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return kcore
