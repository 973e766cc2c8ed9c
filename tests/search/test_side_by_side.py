"""Two things at once: what comes back, and what has ended by then."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from knowledge_core.retrieval.two_threads import at_once


@pytest.mark.parametrize("worth_it", [True, False])
def test_both_results_come_back_in_their_order(worth_it: bool) -> None:
    assert at_once(lambda: 1, lambda: "two", worth_it=worth_it) == (1, "two")


def test_each_waits_for_the_other_only_if_they_run_at_once() -> None:
    together = threading.Barrier(2)
    at_once(lambda: together.wait(10), lambda: together.wait(10), worth_it=True)


def test_whoever_finds_the_helper_busy_does_its_own_work() -> None:
    begun, over = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(at_once, lambda: (begun.set(), over.wait(10)), lambda: begun.wait(10), worth_it=True)
        assert begun.wait(10)
        mine = threading.current_thread()
        assert at_once(threading.current_thread, lambda: None, worth_it=True) == (mine, None)
        over.set()
        first.result()


@pytest.mark.parametrize("broken", ["one", "other"])
def test_a_failure_is_raised_once_nothing_runs_any_more(broken: str) -> None:
    begun, ended = threading.Event(), threading.Event()

    def lasting() -> None:
        begun.set()
        ended.wait(0.05)
        ended.set()

    def failing() -> None:
        begun.wait(10)
        raise ZeroDivisionError

    one, other = (failing, lasting) if broken == "one" else (lasting, failing)
    with pytest.raises(ZeroDivisionError):
        at_once(one, other, worth_it=True)
    assert ended.is_set()
