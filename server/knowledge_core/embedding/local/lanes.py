"""Threads that run a model's batches, shared by all callers: queries first, bulk work in turns.

Rules kept here:
- a query waits for the batch that is running, never for a caller's whole work: what is urgent is taken before any
  further bulk batch;
- urgent batches that wait at the same time run as one: a model reads ten short texts about as fast as one;
- bulk callers take turns, a batch each, so that a large job does not starve a small one;
- queues are bounded: beyond that a caller is told `Busy` at once, instead of waiting for ever;
- results come back in the order of the batches; the first exception of a call is its own, and nobody else's.
Knows nothing of models or texts: a batch is a list, and its result something of the same length that can be sliced.

On a processor every thread of bulk work computes on one core, and a query alone on all of them. Why one core a thread:
what is split over cores inside each operation waits for the slowest core at the end of each operation. On 2 idle cores
two threads of one core each embedded texts of mixed lengths about 1.5 times as fast as the plain
`SentenceTransformer.encode` in a prototype, and the lead grew on a busy machine; `benchmarks/embedding.py` is what counts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from knowledge_core.errors import Busy

_T = TypeVar("_T")
_R = TypeVar("_R")  # sliceable, as long as its batch: an array of vectors

MOST_THREADS = 16  # not measured beyond 2 cores; Python's own work between operations bounds what more would bring
MOST_URGENT = 256  # urgent batches that may wait; at 20 ms a query and ten merged, the last waits half a second
MOST_CALLERS = 32  # bulk callers that may wait; each has a thread of its own that waits with it


@dataclass(eq=False)
class _Call(Generic[_T, _R]):
    """One call of `run`: what waits, how many batches are not over, and what came out."""

    waiting: deque[tuple[int, list[_T]]]
    left: int
    results: dict[int, _R] = field(default_factory=dict)
    error: BaseException | None = None


class Lanes(Generic[_T, _R]):
    """Runs one function over batches, in threads of its own that end with the process.

    cores: how many processor cores to use; 1 for a model on an accelerator, which takes one batch at a time.
    weigh: what a batch costs; urgent batches are merged up to `heaviest` of that. Without it: its items, up to 64.
    """

    def __init__(
        self,
        work: Callable[[list[_T]], _R],
        *,
        cores: int,
        weigh: Callable[[list[_T]], int] = len,
        heaviest: int = 64,
    ) -> None:
        self._work, self._weigh, self._heaviest = work, weigh, heaviest
        self._width = max(1, min(cores, MOST_THREADS))
        self._state = threading.Condition()  # guards what follows
        self._urgent: deque[_Call[_T, _R]] = deque()
        self._bulk: deque[_Call[_T, _R]] = deque()
        self._bulk_running = 0
        self._pace = 0.1  # seconds of a batch, a moving mean: for telling when to come back
        self._thread("embed-alone", self._take_alone)
        if self._width > 1:
            _start_single_core([lambda: self._serve(self._take_beside) for _ in range(self._width)])

    def run(self, batches: Sequence[list[_T]], *, urgent: bool = False) -> list[_R]:
        """Return what the function gives for each batch; its first exception is raised, the rest not begun.

        urgent: somebody waits for an answer; before all bulk work, and together with other urgent batches.

        Raises:
            Busy: too many wait already.
        """
        if not batches:
            return []
        call: _Call[_T, _R] = _Call(deque(enumerate(batches)), len(batches))
        with self._state:
            queue, most = (self._urgent, MOST_URGENT) if urgent else (self._bulk, MOST_CALLERS)
            if len(queue) >= most:
                seconds = max(1, round(len(queue) * self._pace / self._width))
                raise Busy(f"The model is busy: {len(queue)} others wait for it. Retry after {seconds} s.")
            queue.append(call)
            self._state.notify_all()
            self._state.wait_for(lambda: call.left == 0)
        if call.error is not None:
            raise call.error
        return [call.results[position] for position in range(len(batches))]

    # -- the threads -----------------------------------------------------------------------------------------------

    def _thread(self, name: str, take: Callable[[], list[_Taken[_T, _R]]]) -> None:
        threading.Thread(target=self._serve, args=(take,), name=name, daemon=True).start()

    def _serve(self, take: Callable[[], list[_Taken[_T, _R]]]) -> None:
        while True:
            with self._state:
                while not (taken := take()):
                    self._state.wait()
                bulk = not taken[0].urgent
                self._bulk_running += bulk
            began = time.monotonic()
            self._compute(taken)
            with self._state:
                self._bulk_running -= bulk
                self._pace += 0.1 * (time.monotonic() - began - self._pace)
                self._state.notify_all()

    def _take_alone(self) -> list[_Taken[_T, _R]]:
        """Take what the thread with all cores should do: everything, unless bulk work has the cores."""
        pending = sum(len(call.waiting) for call in self._bulk)
        if self._width == 1:
            return self._taken_urgent() or self._taken_bulk()
        if self._bulk_running or pending > 1:
            return []
        return self._taken_urgent() or self._taken_bulk()

    def _take_beside(self) -> list[_Taken[_T, _R]]:
        """Take what a thread with one core should do: urgent work too, while bulk work has the cores."""
        if not (self._bulk_running or sum(len(call.waiting) for call in self._bulk) > 1):
            return []
        return self._taken_urgent() or self._taken_bulk()

    def _taken_urgent(self) -> list[_Taken[_T, _R]]:
        """Take one batch of every urgent call, as far as together they are not too heavy."""
        taken: list[_Taken[_T, _R]] = []
        merged: list[_T] = []
        for _ in range(len(self._urgent)):
            call = self._urgent[0]
            if not call.waiting:
                self._urgent.popleft()  # it failed meanwhile
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
                continue  # it failed meanwhile
            position, batch = call.waiting.popleft()
            if call.waiting:
                self._bulk.append(call)  # behind the others: a batch each
            return [_Taken(call, position, batch, False)]
        return []

    def _compute(self, taken: list[_Taken[_T, _R]]) -> None:
        """Run what was taken as one batch; if that fails, each alone, so that one cannot fail the others."""
        merged = [item for each in taken for item in each.batch]
        try:
            rows: Any = self._work(merged)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is raised in the caller's thread
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
                call.left -= len(call.waiting)  # what has not begun is not begun
                call.waiting.clear()
            else:
                assert rows is not None
                call.results[taken.position] = rows
            self._state.notify_all()


@dataclass(frozen=True)
class _Taken(Generic[_T, _R]):
    call: _Call[_T, _R]
    position: int
    batch: list[_T]
    urgent: bool


def _start_single_core(targets: Sequence[Callable[[], None]]) -> None:
    """Start a thread a target in which torch computes on one core."""
    import torch

    default = torch.get_num_threads()
    all_started = threading.Barrier(len(targets) + 1)

    def begin(target: Callable[[], None]) -> None:
        torch.set_num_threads(1)
        all_started.wait()
        target()

    for number, target in enumerate(targets):
        threading.Thread(target=begin, args=(target,), name=f"embed-{number}", daemon=True).start()
    all_started.wait()
    # The number is each thread's own once it has begun to compute, but what new threads begin with is shared.
    torch.set_num_threads(default)
