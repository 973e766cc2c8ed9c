"""A collection that nobody is at lets go of its files, and its next use opens it again: whoever holds it need not know."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from knowledge_core.errors import CollectionNotFound, StorageError
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Change, Collection, JobRecord
from knowledge_core.storage.values import MARKED
from knowledge_core.storage.vectors import graph_building
from storage.large import CONTRACT, drawn, fill, low_thresholds, nearest
from storage.shelf import EMBEDDER, damaged, document, found_by_vector, found_by_words, put

QUERIES = drawn(3, seed=99)
linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists what a process has open")


def files_of(collection: Collection) -> list[str]:
    """The files of a collection that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if path.startswith(f"{collection.folder}/"):
            found.append(path)
    return found


@linux
def test_it_holds_no_file_while_it_rests_and_answers_as_before(shelf):
    put(shelf, document("a", "bread and butter"), document("b", "solar panels"))
    assert files_of(shelf)
    assert shelf.access.rest()
    assert (files_of(shelf), shelf.access.resting) == ([], True)
    assert found_by_words(shelf, "butter") == ["a"]
    assert found_by_vector(shelf, "solar panels") == ["b"]
    assert files_of(shelf)


def test_a_write_a_job_and_a_change_of_contract_go_on_after_a_rest(shelf):
    told = []
    shelf.listeners.append(lambda name, ids: told.extend(ids))
    put(shelf, document("a", "bread"))
    shelf.start_job(JobRecord("index-1", "index", "running", 0.0, 0.0, "{}"), [])
    moving = shelf.reembedding
    moving.begin(EMBEDDER.contract)
    assert shelf.access.rest()
    assert moving.left() == 1  # by what was held before the rest
    assert shelf.access.rest()
    assert [(job.id, job.state) for job in shelf.jobs()] == [("index-1", "running")]  # nobody died
    assert shelf.access.rest()
    put(shelf, document("b", "butter"))
    assert told == ["a", "b"]
    assert found_by_words(shelf, "butter") == ["b"]
    assert damaged(shelf) == []


def test_it_does_not_rest_while_somebody_reads_or_writes(shelf):
    put(shelf, document("a", "bread"))
    with shelf.view() as view:
        assert not shelf.access.rest()
        put(shelf, document("b", "butter"))
        assert not shelf.access.rest()  # the reader of a former generation counts, too
        assert view.counts().documents == 1
    with shelf.access.alone():
        assert not shelf.access.rest()  # the writer itself
        others = []
        thread = threading.Thread(target=lambda: others.append(shelf.access.rest()))
        thread.start()
        thread.join()
        assert others == [False]
    assert shelf.access.rest()
    assert not shelf.access.rest()  # it rests already


def test_readers_and_writers_never_notice_that_it_is_let_rest_all_the_time(shelf):
    put(shelf, document("kept", "bread"))
    over, errors, rests = threading.Event(), [], 0

    def read() -> None:
        while not over.is_set():
            try:
                assert "kept" in found_by_words(shelf, "bread")
            except Exception as error:  # noqa: BLE001  # whatever it is, the test must tell
                errors.append(error)
            time.sleep(0.002)

    def write() -> None:
        for number in range(25):
            try:
                put(shelf, document(f"d{number}", f"text {number}"))
            except Exception as error:  # noqa: BLE001  # whatever it is, the test must tell
                errors.append(error)
            time.sleep(0.005)
        over.set()

    threads = [threading.Thread(target=each) for each in (read, write)]
    for thread in threads:
        thread.start()
    while not over.is_set():
        rests += shelf.access.rest()
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert errors == []
    assert rests > 3
    with shelf.view() as view:
        assert view.counts().documents == 26
    assert damaged(shelf) == []


def test_a_closed_collection_does_not_wake(shelf):
    put(shelf, document("a", "bread"))
    shelf.access.rest()
    shelf.close()
    with pytest.raises(CollectionNotFound), shelf.view():
        pass


@linux
def test_one_that_cannot_be_opened_again_leaves_nothing_open_and_is_tried_by_the_next_use(shelf):
    put(shelf, document("a", "bread"))
    shelf.access.rest()
    record = shelf.folder / "documents.db"
    kept = record.read_bytes()
    record.write_bytes(b"no database" * 1_000)
    with pytest.raises(StorageError, match="damaged"), shelf.view():
        pass
    assert files_of(shelf) == []
    record.write_bytes(kept)
    assert found_by_words(shelf, "bread") == ["a"]


# -- the one thread that builds graphs ---------------------------------------------------------------------------------


def test_graphs_of_several_collections_are_built_one_after_the_other_on_one_thread(tmp_path, monkeypatch):
    low_thresholds(monkeypatch)
    at_once, most, threads = 0, 0, set()
    original = graph_building.Draft.add

    def counted(*arguments):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        threads.add(threading.current_thread().name)
        time.sleep(0.02)
        original(*arguments)
        at_once -= 1

    monkeypatch.setattr(graph_building.Draft, "add", counted)
    shelves = [create_collection(tmp_path / f"shelf{number}", f"shelf{number}", CONTRACT) for number in range(4)]
    for number, each in enumerate(shelves):
        fill(each, drawn(400, seed=number))
    for each in shelves:
        each.wait_for_graph()
        assert each.graph_work().builds == 1
        assert not nearest(each, QUERIES[0])[1]
    assert (most, threads) == (1, {"build-graphs"})
    for each in shelves:
        each.close()


def test_a_failure_that_nobody_foresaw_ends_no_other_collections_graphs(tmp_path, monkeypatch, caplog):
    low_thresholds(monkeypatch)
    original = graph_building.GraphBuilder.build
    bad, good = (create_collection(tmp_path / name, name, CONTRACT) for name in ("bad", "good"))

    def built(self):
        if self is bad._derived.builder:
            raise KeyError("a fault of ours")
        original(self)

    monkeypatch.setattr(graph_building.GraphBuilder, "build", built)
    fill(bad, drawn(400, seed=1))
    fill(good, drawn(400, seed=2))
    good.wait_for_graph()
    assert good.graph_work().builds == 1
    assert "a graph was not built" in caplog.text
    for each in (bad, good):
        each.close()


def test_a_collection_whose_graph_is_being_built_does_not_rest_and_one_that_rests_has_its_graph(tmp_path, monkeypatch):
    low_thresholds(monkeypatch)
    begun, go_on = threading.Event(), threading.Event()
    original = graph_building.Draft.add

    def held_up(*arguments):
        begun.set()
        assert go_on.wait(30)
        original(*arguments)

    monkeypatch.setattr(graph_building.Draft, "add", held_up)
    shelf = create_collection(tmp_path / "shelf", "shelf", CONTRACT)
    fill(shelf, drawn(400, seed=3))
    assert begun.wait(30)
    assert not shelf.access.rest()
    go_on.set()
    shelf.wait_for_graph()
    before = nearest(shelf, QUERIES[0])
    while not shelf.access.rest():  # the thread may not have turned to the next one yet
        time.sleep(0.005)
    if Path("/proc/self/fd").exists():
        assert files_of(shelf) == []
    assert nearest(shelf, QUERIES[0]) == before
    shelf.close()


def test_a_loss_that_is_found_when_it_is_opened_again_is_told_by_the_very_call_that_opens_it(shelf):
    put(shelf, document("a", "bread"))
    assert shelf.access.rest()  # with the log moved into the record
    older = (shelf.folder / "documents.db").read_bytes()
    put(shelf, document("b", "butter"))
    assert shelf.access.rest()
    (shelf.folder / "documents.db").write_bytes(older)
    assert "is behind" in shelf.check()[0].what
    assert shelf.access.rest()
    assert "is behind" in shelf.losses.accept()[0]
    assert shelf.losses.told() == []


def test_a_document_that_was_marked_as_damaged_stays_marked_when_a_reader_that_came_before_settles_it(shelf):
    put(shelf, document("a", "bread"))
    with shelf._alone():
        shelf._store.mark([1], [])  # as `kcore doctor --repair` does
    shelf.access.rest()
    assert shelf.stored_state("a").digest.startswith(MARKED)
    shelf.write(Change(digests={"a": "digest of a newer reader"}))
    assert shelf.stored_state("a").digest.startswith(MARKED)
