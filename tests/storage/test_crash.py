"""`kill -9` at any moment: what was acknowledged is there, and nothing is half-written."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from knowledge_core.storage.collection import Collection
from storage.shelf import damaged, found_by_vector, found_by_words, new_collection

WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from storage.shelf import Collection, change, document
shelf = Collection.open(Path(sys.argv[2]))
for batch in range(10_000):
    documents = [document(f"d{batch}-{n}", f"left word{batch}x{n}", f"right word{batch}x{n}") for n in range(3)]
    shelf.write(change(shelf, documents))
    print(batch, flush=True)
"""


def killed_writer(folder: Path, seed: int) -> int:
    """Let a process write until it is killed at a random time; return the last batch that it acknowledged."""
    tests = str(Path(__file__).parents[1])
    writer = subprocess.Popen([sys.executable, "-c", WRITER, tests, str(folder)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    last = int(writer.stdout.readline())
    time.sleep(random.Random(seed).uniform(0.0, 0.6))
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate()
    acknowledged = [line for line in rest.split("\n")[:-1] if line]
    return int(acknowledged[-1]) if acknowledged else last


def assert_whole(collection: Collection, last: int) -> None:
    with collection.view() as view:
        ids = set(view.document_ids())
        for batch in range(last + 1):
            for n in range(3):
                id = f"d{batch}-{n}"
                assert id in ids, f"{id} was acknowledged and is lost"
                assert [chunk.text.split()[0] for chunk in view.chunks_of_document(id)] == ["left", "right"]
        assert len(ids) % 3 == 0, "half a batch was written"
    for batch in {0, last // 2, last}:
        id = f"d{batch}-1"
        assert found_by_words(collection, f"word{batch}x1")[:2] == [id, id]
        assert id in found_by_vector(collection, f"left word{batch}x1")
    assert damaged(collection) == []


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_everything_acknowledged_survives_kill_9(tmp_path, seed):
    new_collection(tmp_path).close()
    last = killed_writer(tmp_path / "shelf", seed)
    collection = Collection.open(tmp_path / "shelf")
    assert_whole(collection, last)
    collection.close()


def derived(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("documents.db"))


@pytest.mark.parametrize(
    "harm", [pytest.param("delete", marks=pytest.mark.slow), pytest.param("truncate", marks=pytest.mark.slow), "flip"]
)
def test_each_derived_file_can_be_lost_or_damaged(tmp_path, harm):
    new_collection(tmp_path).close()
    last = killed_writer(tmp_path / "shelf", 3)
    Collection.open(tmp_path / "shelf").close()
    for number, path in enumerate(derived(tmp_path / "shelf")):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(tmp_path / "shelf", copy)
        victim = copy / path.relative_to(tmp_path / "shelf")
        content = bytearray(victim.read_bytes())
        if harm == "delete":
            victim.unlink()
        elif harm == "truncate":
            victim.write_bytes(content[: len(content) // 2])
        elif content:
            content[len(content) // 2] ^= 0x10
            victim.write_bytes(content)
        collection = Collection.open(copy)
        assert_whole(collection, last)
        collection.close()


def test_all_derived_files_can_be_deleted_at_once(tmp_path):
    new_collection(tmp_path).close()
    last = killed_writer(tmp_path / "shelf", 4)
    for path in derived(tmp_path / "shelf"):
        path.unlink()
    collection = Collection.open(tmp_path / "shelf")
    assert_whole(collection, last)
    collection.close()
