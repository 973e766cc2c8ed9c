from __future__ import annotations

import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.lanes import Lanes


@given(st.lists(st.integers(0, 3000), max_size=200), st.integers(1, 9000), st.integers(1, 70))
def test_every_text_is_in_one_batch_within_the_budget_longest_first(lengths, budget, most):
    batches = pack(lengths, budget, most)
    flat = [index for batch in batches for index in batch]
    assert sorted(flat) == list(range(len(lengths)))
    assert flat == sorted(flat, key=lambda i: (-lengths[i], i))
    for batch in batches:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= budget
    for before, after in itertools.pairwise(batches):  # no batch is left half empty
        assert len(before) == most or (len(before) + 1) * max(1, lengths[before[0]]) > budget, after


def test_results_come_back_in_the_order_of_the_batches():
    lanes = Lanes(lambda batch: batch * 2, cores=3)
    assert lanes.run(list(range(50))) == [2 * i for i in range(50)]
    assert lanes.run([]) == []
    assert lanes.run([4]) == [8]


def test_the_first_failure_is_raised_and_the_lanes_go_on():
    def work(batch: int) -> int:
        if batch == 5:
            raise ValueError("five")
        return batch

    lanes = Lanes(work, cores=2)
    for _ in range(3):
        with pytest.raises(ValueError, match="five"):
            lanes.run(list(range(10)))
        assert lanes.run([1, 2, 3]) == [1, 2, 3]


def test_a_short_call_waits_for_a_batch_of_a_long_call_and_not_for_all_of_it():
    done: list[str] = []
    started = threading.Event()
    go_on = threading.Semaphore(0)

    def work(batch: str) -> str:
        if batch.startswith("bulk"):
            started.set()
            go_on.acquire()
        done.append(batch)
        return batch

    lanes = Lanes(work, cores=1)
    bulk = threading.Thread(target=lanes.run, args=([f"bulk {i}" for i in range(20)],))
    bulk.start()
    started.wait()
    query = threading.Thread(target=lanes.run, args=(["query"],))
    query.start()
    while lanes._calls < 2:
        time.sleep(0.001)
    for _ in range(20):
        go_on.release()
    query.join()
    bulk.join()
    assert done.index("query") <= 2
