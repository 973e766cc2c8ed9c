"""Threads that run a model's batches, shared by all callers.

Rules kept here: a call has at most one batch a thread under way, so that a query waits for one batch of other
callers' bulk work and not for all of it; results come back in the order of the batches; on a processor every thread
of bulk work computes on one core. Knows nothing of models or texts.

Why one core a thread: what is split over cores inside each operation waits for the slowest core at the end of each
operation. On 2 idle cores two threads of one core each embedded texts of mixed lengths about 1.5 times as fast as the
plain `SentenceTransformer.encode` in a prototype, and the lead grew on a busy machine; `benchmarks/embedding.py` is what
counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

MOST_THREADS = 16  # not measured beyond 2 cores; Python's own work between operations bounds what more would bring


class Lanes(Generic[_T, _R]):
    """Runs one function over batches, in threads of its own that live as long as it does.

    cores: how many processor cores to use; 1 for a model on an accelerator, which takes one batch at a time.
    """

    def __init__(self, work: Callable[[_T], _R], *, cores: int) -> None:
        self._work = work
        self._width = max(1, min(cores, MOST_THREADS))
        self._guard = threading.Lock()
        self._calls = 0
        self._alone = ThreadPoolExecutor(1, "embed-alone")
        self._bulk = _single_core_threads(self._width) if self._width > 1 else self._alone

    def run(self, batches: Sequence[_T]) -> list[_R]:
        """Return what the function gives for each batch; its first exception is raised, the rest not begun."""
        with self._guard:
            self._calls += 1
            pool = self._alone if self._calls == 1 and len(batches) == 1 else self._bulk
        under_way: dict[Future[_R], int] = {}
        results: dict[int, _R] = {}
        try:
            for position, batch in enumerate(batches):
                if len(under_way) == self._width:
                    _collect(under_way, results)
                under_way[pool.submit(self._work, batch)] = position
            while under_way:
                _collect(under_way, results)
        finally:
            for future in under_way:
                future.cancel()
            with self._guard:
                self._calls -= 1
        return [results[position] for position in range(len(batches))]


def _collect(under_way: dict[Future[_R], int], results: dict[int, _R]) -> None:
    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
        results[under_way.pop(future)] = future.result()


def _single_core_threads(count: int) -> ThreadPoolExecutor:
    import torch

    default = torch.get_num_threads()
    all_started = threading.Barrier(count + 1)
    pool = ThreadPoolExecutor(count, "embed", initializer=torch.set_num_threads, initargs=(1,))
    for _ in range(count):
        pool.submit(all_started.wait)
    all_started.wait()
    # The number is each thread's own once it has begun to compute, but what new threads begin with is shared.
    torch.set_num_threads(default)
    return pool
