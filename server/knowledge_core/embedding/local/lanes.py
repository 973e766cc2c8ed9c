"""Threads that run a model's batches, shared by all callers: queries first, bulk work in turns.

Rules kept here:
- a query waits for the batch that is running, never for the whole work of a caller: urgent batches are taken before
  any further bulk batch;
- urgent batches that wait at the same time run as one: a model reads ten short texts about as fast as one;
- bulk callers take turns, one batch per turn, so that a large job does not starve a small one;
- queues are bounded: a caller that finds its queue full gets `Busy` at once, instead of waiting for ever;
- results come back in the order of the batches; an exception reaches only the caller whose batch raised it.
Knows nothing of models or texts: a batch is a list, and its result something of the same length that can be sliced.

Bulk work takes no more threads than it is allowed at the moment, rests between two batches where it shall, and leaves a
query that comes meanwhile all the rest of the machine. A thread that lowered its own priority cannot raise it: so bulk work
of low priority has threads of its own, and as many of normal priority take the queries that come beside it.

On a processor every thread of bulk work computes on one core, and a query that is alone computes on all cores. Why one
core per thread: an operation that is split over cores ends when the slowest core has finished. On 2 idle cores
two threads of one core each embedded texts of mixed lengths about 1.5 times as fast as the plain
`SentenceTransformer.encode` in a prototype, and the lead grew on a busy machine; `benchmarks/embedding.py` is what counts.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from knowledge_core.embedding.background.bulk_work import Allowance
from knowledge_core.embedding.background.priority import lower_own_priority
from knowledge_core.errors import Busy

_T = TypeVar("_T")
_R = TypeVar("_R")  # sliceable, as long as its batch: an array of vectors

MOST_THREADS = 16  # not measured beyond 2 cores; Python's own work between operations bounds what more would bring
LOOK_AGAIN = 1.0  # seconds between two looks at what is allowed, of a thread that has nothing to do beside bulk work
MOST_URGENT = 256  # urgent batches that may wait; at 20 ms a query and ten merged, the last waits half a second
MOST_CALLERS = 32  # bulk callers that may wait; each of them blocks a thread of its own


@dataclass(eq=False)
class _Call(Generic[_T, _R]):
    """One call of `run`."""

    waiting: deque[tuple[int, list[_T]]]  # batches that have not begun, each with its position in the call
    left: int  # batches that have not ended
    results: dict[int, _R] = field(default_factory=dict)  # by position
    error: BaseException | None = None  # the first


class Lanes(Generic[_T, _R]):
    """Runs one function over batches, in threads of its own that end with the process.

    work: the function, from a batch to its result; it runs on several threads at once where there are several cores.
    cores: how many processor cores to use; 1 for a model on an accelerator, which takes one batch at a time.
    weigh: the cost of a batch; by default its number of items.
    heaviest: the most that urgent batches may cost together to be merged.
    allowance: says how much bulk work may take of these cores; asked before every batch.
    """

    def __init__(
        self,
        work: Callable[[list[_T]], _R],
        *,
        cores: int,
        weigh: Callable[[list[_T]], int] = len,
        heaviest: int = 64,
        allowance: Callable[[int], Allowance] = Allowance,
    ) -> None:
        self._work, self._weigh, self._heaviest = work, weigh, heaviest
        self.width = max(1, min(cores, MOST_THREADS))
        self._allowance: Callable[[], Allowance] = lambda: allowance(self.width)
        self._state = threading.Condition()  # guards all that follows; nothing is computed under it
        self._urgent: deque[_Call[_T, _R]] = deque()
        self._bulk: deque[_Call[_T, _R]] = deque()
        self._bulk_running = 0
        self._pace = 0.1  # seconds per batch, a moving mean: `Busy` says by it when to try again
        self._starting = threading.Lock()
        self._started: set[bool] = set()  # the priorities ("low") for which there are threads; guarded by `_starting`
        if self.width == 1:
            self._thread("embed", self._take_only)
        else:
            self._thread("embed-alone", self._take_alone)
            self._start_beside(low=self._allowance().low)

    def run(self, batches: Sequence[list[_T]], *, urgent: bool = False) -> list[_R]:
        """Return the function's result for each batch, in the order of the batches. Blocks until all have ended.

        Where the function raises, the first exception is raised here, and batches that have not begun are dropped.

        urgent: somebody waits for the answer: these batches run before all bulk work, merged with other urgent ones.

        Raises:
            Busy: too many callers wait already.
        """
        if not batches:
            return []
        if self.width > 1 and not urgent:
            self._start_beside(low=self._allowance().low)
        call: _Call[_T, _R] = _Call(deque(enumerate(batches)), len(batches))
        with self._state:
            queue, most = (self._urgent, MOST_URGENT) if urgent else (self._bulk, MOST_CALLERS)
            if len(queue) >= most:
                seconds = max(1, round(len(queue) * self._pace / self.width))
                raise Busy(f"The model is busy: {len(queue)} others wait for it. Retry after {seconds} s.")
            queue.append(call)
            self._state.notify_all()
            self._state.wait_for(lambda: call.left == 0)
        if call.error is not None:
            raise call.error
        return [call.results[position] for position in range(len(batches))]

    # -- the threads -----------------------------------------------------------------------------------------------

    def _start_beside(self, *, low: bool) -> None:
        """Start the one-core threads for bulk work of a priority, unless they are there."""
        with self._starting:
            if low in self._started:
                return
            self._started.add(low)
            if not low:
                self._threads("embed", self._take_beside, share_cores)
                return
            self._threads("embed-urgent", self._take_urgent_beside, share_cores)
            self._threads("embed-low", self._take_low, share_cores, lower_own_priority)

    def _threads(self, name: str, take: _Take[_T, _R], *begin: Callable[[], object]) -> None:
        for number in range(self.width):
            self._thread(f"{name}-{number}", take, *begin)

    def _thread(self, name: str, take: _Take[_T, _R], *begin: Callable[[], object]) -> None:
        """Start a thread. begin: called in it first, in this order."""
        threading.Thread(target=self._serve, args=(take, begin), name=name, daemon=True).start()

    def _serve(self, take: _Take[_T, _R], begin: Sequence[Callable[[], object]]) -> None:
        for each in begin:
            each()
        while True:
            allowed = self._allowance()
            with self._state:
                taken = take(allowed)
                if not taken:
                    # What is allowed may change while others work; nobody says so.
                    self._state.wait(LOOK_AGAIN if self._bulk else None)
                    continue
                bulk = not taken[0].urgent
                self._bulk_running += bulk
            began = time.monotonic()
            self._compute(taken)
            with self._state:
                seconds = time.monotonic() - began
                self._pace += 0.1 * (seconds - self._pace)
                if bulk and allowed.rest:  # its place is not given to others meanwhile; a query ends the rest
                    self._state.wait_for(lambda: bool(self._urgent), allowed.rest * seconds)
                self._bulk_running -= bulk
                self._state.notify_all()

    def _take_only(self, allowed: Allowance) -> list[_Taken[_T, _R]]:
        """Return the next work where there is one thread for all."""
        return self._taken_urgent() or self._taken_bulk()

    def _take_alone(self, allowed: Allowance) -> list[_Taken[_T, _R]]:
        """Return the next work for the all-cores thread: any, but none while bulk batches occupy the cores."""
        if self._occupied(allowed):
            return []
        return self._taken_urgent() or self._taken_bulk()

    def _take_beside(self, allowed: Allowance) -> list[_Taken[_T, _R]]:
        """Return the next work for a one-core thread: none until bulk batches occupy the cores, then urgent work, too."""
        if not self._occupied(allowed):
            return []
        theirs = allowed.low and True in self._started
        return self._taken_urgent() or ([] if theirs else self._within(allowed))

    def _take_urgent_beside(self, allowed: Allowance) -> list[_Taken[_T, _R]]:
        return self._taken_urgent() if self._occupied(allowed) else []

    def _take_low(self, allowed: Allowance) -> list[_Taken[_T, _R]]:
        mine = allowed.low or False not in self._started
        return self._within(allowed) if mine and self._occupied(allowed) else []

    def _occupied(self, allowed: Allowance) -> bool:
        """Say whether bulk batches occupy one-core threads, or shall. A single one may have all cores, if it is allowed to."""
        waiting = sum(len(call.waiting) for call in self._bulk)
        return bool(self._bulk_running) or waiting > (1 if allowed.threads >= self.width else 0)

    def _within(self, allowed: Allowance) -> list[_Taken[_T, _R]]:
        """Take a bulk batch, if no more of them run than are allowed."""
        return self._taken_bulk() if self._bulk_running < allowed.threads else []

    def _taken_urgent(self) -> list[_Taken[_T, _R]]:
        """Take one batch of every urgent call, as long as they cost at most `heaviest` together."""
        taken: list[_Taken[_T, _R]] = []
        merged: list[_T] = []
        for _ in range(len(self._urgent)):
            call = self._urgent[0]
            if not call.waiting:
                self._urgent.popleft()  # another batch of this call has failed
                continue
            if taken and self._weigh(merged + call.waiting[0][1]) > self._heaviest:
                break
            position, batch = call.waiting.popleft()
            self._urgent.popleft()
            if call.waiting:
                self._urgent.append(call)
            taken.append(_Taken(call, position, batch, True))
            merged += batch
        return taken

    def _taken_bulk(self) -> list[_Taken[_T, _R]]:
        while self._bulk:
            call = self._bulk.popleft()
            if not call.waiting:
                continue  # another batch of this call has failed
            position, batch = call.waiting.popleft()
            if call.waiting:
                self._bulk.append(call)  # behind the other callers: one batch per turn
            return [_Taken(call, position, batch, False)]
        return []

    def _compute(self, taken: list[_Taken[_T, _R]]) -> None:
        """Run all batches that were taken as one; if that fails, run each alone, so that none fails the others."""
        merged = [item for each in taken for item in each.batch]
        try:
            rows: Any = self._work(merged)
        except BaseException as error:  # noqa: BLE001  # every exception is raised again in the caller's thread
            if len(taken) == 1:
                self._finish(taken[0], None, error)
            else:
                for each in taken:
                    self._compute([each])
            return
        start = 0
        for each in taken:
            end = start + len(each.batch)
            self._finish(each, rows if len(taken) == 1 else rows[start:end], None)
            start = end

    def _finish(self, taken: _Taken[_T, _R], rows: _R | None, error: BaseException | None) -> None:
        with self._state:
            call = taken.call
            call.left -= 1
            if error is not None:
                call.error = call.error or error
                call.left -= len(call.waiting)  # batches that have not begun are dropped
                call.waiting.clear()
            else:
                assert rows is not None
                call.results[taken.position] = rows
            self._state.notify_all()


@dataclass(frozen=True)
class _Taken(Generic[_T, _R]):
    """One batch that a thread runs: where it comes from, and whether somebody waits for the answer."""

    call: _Call[_T, _R]
    position: int
    batch: list[_T]
    urgent: bool


_Take = Callable[[Allowance], list[_Taken[_T, _R]]]
"""Returns the next work of a thread, by what bulk work may take; an empty list where there is none for it now."""


_limiting = threading.Lock()  # held while the number that new threads begin with is another one for a moment


def cores_here() -> int:
    """Return how many processor cores to use: torch's number where it is imported, else what the system allows.

    OMP_NUM_THREADS lowers both.
    """
    if (counted := getattr(sys.modules.get("torch"), "get_num_threads", None)) is not None:
        with _limiting:  # else it may be the 1 of a thread that is just being limited
            return int(counted())
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(allowed, int(wanted))) if wanted.isascii() and wanted.isdigit() else allowed


_own = threading.local()  # sharing: this thread computes on one core; limited: torch was told so


def shares_cores() -> bool:
    """Say whether the calling thread is one of several that compute at the same time, on one core each."""
    return getattr(_own, "sharing", False)


def share_cores() -> None:
    """Make the calling thread one that computes on one core, beside others of its kind, until it ends."""
    _own.sharing = True


def keep_torch_to_its_share() -> None:
    """Let torch compute on one core in the calling thread if that shares the cores. For all who compute by torch.

    The import of torch is left to the caller: a model that does not need it must not wait for it.
    """
    if not shares_cores() or getattr(_own, "limited", False):
        return
    import torch

    with _limiting:
        default = torch.get_num_threads()  # from now on this thread has a number of its own
        torch.set_num_threads(1)
        # New threads begin with the number that was set last, in whichever thread: it is put back by another one.
        other = threading.Thread(target=torch.set_num_threads, args=(default,))
        other.start()
        other.join()
    _own.limited = True


def passing(compute: Callable[[], _T]) -> _T:
    """Return what a function returns, or raise what it raises, after it ran on a thread that ends with it.

    For work by torch that does not belong to a lane, as loading a model. OpenMP keeps a helper per further core for every
    thread that ever computed on all cores; once there are more of these than cores, all of them sleep between any two
    operations instead of waiting awake, and a query by EmbeddingGemma-300m took 84 instead of 34 ms.
    """
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(compute())
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that asked
            done.set_exception(error)

    thread = threading.Thread(target=run, name="passing", daemon=True)  # the process may end while a model loads
    thread.start()
    thread.join()
    return done.result()
