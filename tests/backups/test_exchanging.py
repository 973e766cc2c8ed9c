"""A folder that could not be put in place leaves nothing behind that would come back later."""

from __future__ import annotations

import shutil

import pytest

from backups.conftest import made
from knowledge_core.errors import StorageError
from knowledge_core.storage.catalogue import collection_names, exchange, sweep


def test_an_exchange_that_is_refused_leaves_nothing_that_a_later_start_would_put_in_place(tmp_path):
    made(tmp_path / "home", "notes")
    made(tmp_path / "other", "notes", 1)
    folder, aside = tmp_path / "home" / "collections", tmp_path / "home" / "set-aside"
    aside.write_text("a file where a folder should be")
    with pytest.raises(StorageError):
        exchange(folder, "notes", tmp_path / "other" / "collections" / "notes", aside)
    assert collection_names(folder) == ["notes"]
    shutil.rmtree(folder / "notes")  # deleted by a person
    sweep(folder)
    assert collection_names(folder) == []
