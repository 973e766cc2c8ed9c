"""Several threads that read one collection at once."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from knowledge_core.retrieval.fair_semaphore import FairSemaphore
from knowledge_core.storage import gil_pauses
from knowledge_core.storage.record.snapshot import CONNECTIONS, VECTORS_AT_ONCE, RecordSnapshot
from knowledge_core.storage.vectors.int8_scan import inner_products, largest
from storage.shelf import EMBEDDER, document, new_collection, put

HALF_A_SECOND = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    collection = new_collection(tmp_path)
    put(collection, *(document(f"d{number}", f"text {number}") for number in range(20)))
    collection.close()
    return collection.folder


def test_a_statement_that_takes_long_keeps_no_other_reader_waiting(folder: Path) -> None:
    record = RecordSnapshot(folder / "documents.db", "shelf")
    with ThreadPoolExecutor(1) as beside:
        long = beside.submit(record.rows, HALF_A_SECOND)
        assert record.rows("SELECT count(*) FROM documents") == [(20,)]
        assert not long.done()
        assert long.result() == [(3_000_000,)]
    record.close()


def test_every_reader_of_a_snapshot_sees_its_generation_whatever_was_written_since(tmp_path: Path) -> None:
    collection = new_collection(tmp_path)
    put(collection, document("a", "first"))
    with collection.view() as view:
        put(collection, document("b", "second"))
        with ThreadPoolExecutor(4 * CONNECTIONS) as readers:
            seen = list(readers.map(lambda _: view.document_ids(), range(200)))
    assert seen == [["a"]] * 200
    collection.close()


def test_vectors_come_in_the_order_asked_for_however_many(tmp_path: Path) -> None:
    collection = new_collection(tmp_path)
    put(collection, *(document(f"d{number}", f"text {number}") for number in range(VECTORS_AT_ONCE + 50)))
    with collection.view() as view:
        keys = view.all_keys()[::-1]
        together = view.vectors(keys)
        one_by_one = np.concatenate([view.vectors([key]) for key in keys.tolist()])
        assert view.vectors([]).shape == (0, EMBEDDER.contract.dimensions)
        with pytest.raises(KeyError):
            view.vectors([1, 10**9])
    assert (together == one_by_one).all()
    collection.close()


def test_those_who_wait_are_served_in_the_order_they_came() -> None:
    turns, served = FairSemaphore(1), []

    def take(number: int) -> None:
        with turns.one():
            served.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    with turns.one():
        for waiting, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= waiting:  # until it stands in line
                pass
    for thread in threads:
        thread.join()
    assert served == list(range(8))


def test_a_turn_is_given_back_by_a_reader_that_fails() -> None:
    turns = FairSemaphore(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.one():
            raise ZeroDivisionError
    with turns.one():
        pass


@pytest.mark.parametrize("dimensions", [1, 31, 384, 768, 4_096])
def test_products_of_the_largest_rows_are_exact(dimensions: int) -> None:
    rows = np.full((3, dimensions), 127, np.int8)
    rows[1] = -127
    rows[2, ::2] = -127
    products = inner_products(rows, rows[:1])
    assert products.tolist() == (rows.astype(np.int64) @ rows[0].astype(np.int64)).tolist()


@given(some.data())
def test_the_largest_products_are_found_ties_by_place_and_the_dead_passed_over(data: some.DataObject) -> None:
    rows = np.array(data.draw(some.lists(some.tuples(*[some.integers(-2, 2)] * 3), max_size=30)), np.int8).reshape(
        -1, 3
    )
    query = np.array([data.draw(some.tuples(*[some.integers(-2, 2)] * 3))], np.int8)
    dead = np.array(sorted(data.draw(some.sets(some.integers(0, len(rows) - 1)))) if len(rows) else [], np.int64)
    limit = data.draw(some.integers(1, 40))
    products = rows.astype(int) @ query[0].astype(int)
    alive = [place for place in range(len(rows)) if place not in dead]
    best = sorted(alive, key=lambda place: (-products[place], place))[:limit]
    places, found = largest(rows, query, limit, dead)
    assert (places.tolist(), found.tolist()) == (best, products[best].tolist())


def test_a_loop_pauses_where_it_has_worked_long_enough_and_yields_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", pauses.append)
    seen = []
    for item in gil_pauses.with_pauses(range(100)):
        seen.append(item)
        now[0] += gil_pauses.EVERY / 9.5
    assert seen == list(range(100))
    assert pauses == [gil_pauses.PAUSE] * 9


def test_threads_hand_over_often_wherever_a_collection_is_open(tmp_path: Path) -> None:
    usual = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        new_collection(tmp_path).close()
        assert sys.getswitchinterval() == pytest.approx(gil_pauses.INTERVAL)
        sys.setswitchinterval(gil_pauses.INTERVAL / 2)
        new_collection(tmp_path, "other").close()
        assert sys.getswitchinterval() == pytest.approx(gil_pauses.INTERVAL / 2)  # whoever wants it shorter still
    finally:
        sys.setswitchinterval(usual)


def test_a_connection_that_is_refused_lets_readers_wait_and_fails_none(folder: Path) -> None:
    record = RecordSnapshot(folder / "documents.db", "shelf")
    (folder / "documents.db").rename(folder / "moved.db")
    (folder / "documents.db").mkdir()  # as little to be opened as a file beyond the limit of open ones
    with ThreadPoolExecutor(4) as readers:
        found = list(readers.map(lambda _: record.rows("SELECT count(*) FROM documents"), range(50)))
        long = readers.submit(record.rows, HALF_A_SECOND)
        assert record.rows("SELECT count(*) FROM documents") == [(20,)]
        assert long.result() == [(3_000_000,)]
    assert found == [[(20,)]] * 50
    record.close()
