"""The model's lanes: queries first and together, bulk work in turns, bounded queues. No model, and no clock."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.embedding.local import lanes as module
from knowledge_core.embedding.local.lanes import Lanes
from knowledge_core.embedding.query_cache import REMEMBERED, QueryCache
from knowledge_core.errors import Busy
from knowledge_core.types import Task
from owner_processes import until


class Gate:
    """Work that a test lets through batch by batch, and that remembers what ran together."""

    def __init__(self, cores: int = 1) -> None:
        self.ran: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.lanes: Lanes[str, list[str]] = Lanes(self._work, cores=cores)
        self._callers = ThreadPoolExecutor(300)

    def _work(self, batch: list[str]) -> list[str]:
        self.ran.append(list(batch))
        self.entered.release()
        assert self.gate.acquire(timeout=30)
        if "bad" in batch:
            raise ValueError("bad")
        return [item.upper() for item in batch]

    def ask(self, *batches: list[str], urgent: bool = False) -> Future[list[list[str]]]:
        """Begin a call and return once it waits, or runs."""
        queue = self.lanes._urgent if urgent else self.lanes._bulk
        before, ran = len(queue), len(self.ran)
        future = self._callers.submit(self.lanes.run, list(batches), urgent=urgent)
        until(lambda: len(queue) > before or len(self.ran) > ran or future.done())
        return future

    def step(self, batches: int = 1) -> None:
        for _ in range(batches):
            self.gate.release()
            assert self.entered.acquire(timeout=30)

    def open(self) -> None:
        self.gate.release(10_000)


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.open()


def test_results_come_back_in_the_order_of_the_batches():
    lanes = Lanes(lambda batch: [2 * item for item in batch], cores=3)
    assert lanes.run([[i] for i in range(50)]) == [[2 * i] for i in range(50)]
    assert lanes.run([]) == []
    assert lanes.run([[4]], urgent=True) == [[8]]


def test_the_first_failure_is_raised_the_rest_not_begun_and_the_lanes_go_on():
    def work(batch: list[int]) -> list[int]:
        if batch == [5]:
            raise ValueError("five")
        return batch

    lanes = Lanes(work, cores=2)
    for _ in range(3):
        with pytest.raises(ValueError, match="five"):
            lanes.run([[i] for i in range(10)])
        assert lanes.run([[1], [2], [3]]) == [[1], [2], [3]]


def test_a_query_waits_for_the_running_batch_and_not_for_the_whole_work(gate):
    bulk = gate.ask(*[[f"bulk {i}"] for i in range(20)])
    assert gate.entered.acquire(timeout=30)
    query = gate.ask(["query"], urgent=True)
    gate.step()
    assert gate.ran[:2] == [["bulk 0"], ["query"]]
    gate.open()
    assert query.result(30) == [["QUERY"]]
    assert len(bulk.result(30)) == 20


def test_queries_that_wait_at_the_same_time_run_together_and_each_gets_its_own(gate):
    gate.ask(["bulk"], ["more"])
    assert gate.entered.acquire(timeout=30)
    queries = [gate.ask([f"q{i}", f"r{i}"], urgent=True) for i in range(5)]
    gate.step()
    assert gate.ran[1] == [name for i in range(5) for name in (f"q{i}", f"r{i}")]
    gate.open()
    assert [query.result(30) for query in queries] == [[[f"Q{i}", f"R{i}"]] for i in range(5)]


def test_a_query_that_fails_fails_none_of_those_it_ran_with(gate):
    gate.ask(["bulk"], ["more"])
    assert gate.entered.acquire(timeout=30)
    good, bad, other = (gate.ask([name], urgent=True) for name in ("good", "bad", "other"))
    gate.open()
    assert good.result(30) == [["GOOD"]]
    assert other.result(30) == [["OTHER"]]
    with pytest.raises(ValueError, match="bad"):
        bad.result(30)


def test_two_bulk_callers_take_turns(gate):
    first = gate.ask(*[[f"a{i}"] for i in range(6)])
    assert gate.entered.acquire(timeout=30)
    second = gate.ask(*[[f"b{i}"] for i in range(3)])
    gate.step(8)
    assert [batch[0] for batch in gate.ran] == ["a0", "a1", "b0", "a2", "b1", "a3", "b2", "a4", "a5"]
    gate.open()
    assert len(first.result(30)) == 6
    assert len(second.result(30)) == 3


def test_a_failed_call_of_several_urgent_batches_does_not_end_the_lane(gate):
    gate.open()
    with pytest.raises(ValueError, match="bad"):
        gate.lanes.run([["bad"], ["x"], ["y"]], urgent=True)
    assert gate.lanes.run([["q"]], urgent=True) == [["Q"]]


def test_batches_that_were_packed_apart_and_heavy_ones_are_not_run_as_one(gate):
    gate.open()
    gate.lanes.run([[letter] for letter in "abcdefgh"], urgent=True)
    assert [len(batch) for batch in gate.ran] == [1] * 8
    ran = []
    weighed = Lanes(
        lambda batch: [ran.append(len(batch)), *batch][1:],
        cores=1,
        weigh=lambda batch: sum(map(len, batch)),
        heaviest=10,
    )
    with ThreadPoolExecutor(20) as callers:
        list(callers.map(lambda text: weighed.run([[text]], urgent=True), ["long words"] * 20))
    assert ran == [1] * 20


@pytest.mark.parametrize(("urgent", "limit"), [(True, "MOST_URGENT"), (False, "MOST_CALLERS")])
def test_beyond_a_bound_a_caller_is_told_when_to_come_back(gate, monkeypatch, urgent, limit):
    monkeypatch.setattr(module, limit, 3)
    gate.ask(["running"], ["waiting"] if urgent else ["last"])
    assert gate.entered.acquire(timeout=30)
    waiting = [gate.ask([f"w{i}"], urgent=urgent) for i in range(3 if urgent else 2)]
    with pytest.raises(Busy, match=r"Retry after \d+ s"):
        gate.lanes.run([["one too many"]], urgent=urgent)
    gate.open()
    assert all(each.result(30) for each in waiting)


def test_with_several_cores_bulk_work_runs_side_by_side_and_a_query_still_comes_first():
    gate = Gate(cores=2)
    bulk = gate.ask(*[[f"bulk {i}"] for i in range(6)])
    for _ in range(2):
        assert gate.entered.acquire(timeout=30)  # two at once, or this would not return
    query = gate.ask(["query"], urgent=True)
    gate.step()
    assert gate.ran[2] == ["query"]
    gate.open()
    assert query.result(30) == [["QUERY"]]
    assert len(bulk.result(30)) == 6


def test_a_thread_of_bulk_work_computes_on_one_core_and_a_query_that_is_alone_on_all():
    torch = pytest.importorskip("torch")
    both = threading.Barrier(2)

    def work(batch: list[str]) -> list[int]:
        if batch != ["query"]:
            both.wait(30)  # on two threads
        module.keep_torch_to_its_share()  # as every runner does that computes by torch
        return [torch.get_num_threads()] * len(batch)

    lanes = Lanes(work, cores=2)
    assert lanes.run([["bulk"], ["more"]]) == [[1], [1]]
    assert lanes.run([["query"]], urgent=True) == [[torch.get_num_threads()]]


# -- the cache of queries ----------------------------------------------------------------------------------------------


def test_a_query_is_embedded_once_and_documents_are_not_remembered():
    inner = HashEmbedder()
    cached = QueryCache(inner)
    first = cached.embed(["why"], Task.QUERY)
    first[:] = 0  # a caller may do with its own what it likes
    assert (cached.embed(["why"], Task.QUERY) == inner.embed(["why"], Task.QUERY)).all()
    inner.embedded.clear()
    cached.embed(["why"], Task.QUERY)
    assert inner.embedded == []
    for task, texts in ((Task.CLUSTERING, ["why"]), (Task.DOCUMENT, ["why"]), (Task.QUERY, ["why", "how"])):
        cached.embed(texts, task)
        assert inner.embedded, task
        inner.embedded.clear()
    for number in range(REMEMBERED):
        cached.embed([f"other {number}"], Task.QUERY)
    inner.embedded.clear()
    cached.embed(["why"], Task.QUERY)
    assert inner.embedded, "the oldest are forgotten"
