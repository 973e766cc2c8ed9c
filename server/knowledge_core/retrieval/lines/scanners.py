"""From a query to a function that finds matching lines in stored texts: here, or in a child process.

A literal text is found here: that takes a few milliseconds at most before other threads get their turn. A regular expression
is matched in a child, which is kept for some seconds: the next page of an answer comes soon. Where no child can be started,
it is matched here, too.
"""

from __future__ import annotations

import atexit
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from knowledge_core.errors import Busy, Cancelled, InvalidInput
from knowledge_core.ingestion.workers.worker import CannotStart, Lost, Worker
from knowledge_core.retrieval.lines.patterns import Match, Pattern, pattern_of
from knowledge_core.retrieval.lines.scanning import Line, Matched, scan_all

CHILD = (sys.executable, "-P", "-m", "knowledge_core.retrieval.lines.child")
IDLE = 10.0  # seconds that a child is kept which nobody needs
KEPT_SIZE = 300_000_000  # bytes; a larger child is not kept, because memory is rarely given back
SECONDS = 60  # of the processor for the texts that are handed over at once; 4 MB take a tenth of one

Stopped = Callable[[], bool]
Scan = Callable[[bytes, Sequence[int], int, int], list[Matched]]
"""Called with texts and their sizes, how many lines are wanted in all, and after which line of the first text: see `scan_all`.

Raises:
    Cancelled: the search is to stop. InvalidInput: the expression takes too long, or too much memory, on these texts.
"""


class Children:
    """The child processes that match: each belongs to one search, and one that nobody needs is kept for a while.

    idle: seconds after which that one is ended.
    """

    def __init__(self, idle: float = IDLE) -> None:
        self._idle = idle
        self._guard = threading.Lock()  # of what follows; nothing is started or waited for under it
        self._free: Worker | None = None
        self._reaper: threading.Timer | None = None

    def take(self) -> Worker | None:
        """Return a child for one search; None where none can be started."""
        worker = self._kept(None)
        if worker is not None and worker.alive:
            return worker
        try:
            return Worker(CHILD, low=False)
        except CannotStart:
            return None

    def give_back(self, worker: Worker) -> None:
        """Take a child back, whatever became of it."""
        gone: Worker | None = worker
        if worker.alive and worker.memory() < KEPT_SIZE:
            gone = self._kept(worker)
        if gone is not None:
            gone.kill()

    def end(self) -> None:
        """End the child that is kept."""
        worker = self._kept(None)
        if worker is not None:
            worker.kill()

    def _kept(self, worker: Worker | None) -> Worker | None:
        """Keep this child from now on, and return the one that was kept."""
        with self._guard:
            before, self._free = self._free, worker
            if self._reaper is not None:
                self._reaper.cancel()
            self._reaper = None if worker is None else threading.Timer(self._idle, self.end)
            if self._reaper is not None:
                self._reaper.daemon = True
                self._reaper.start()
        return before


CHILDREN = Children()
atexit.register(CHILDREN.end)


@contextmanager
def scanner(query: str, match: Match, stopped: Stopped) -> Iterator[Scan]:
    """Yield the function that finds the matching lines of texts.

    stopped: asked now and then; once it says yes, the search ends.

    Raises:
        InvalidInput: the query is empty, or no regular expression. Busy: the child was ended by somebody else.
    """
    worker = CHILDREN.take() if match == "regex" else None
    if worker is None:
        pattern = pattern_of(query, match)
        yield lambda data, sizes, wanted, after: _here(pattern, data, sizes, wanted, after, stopped)
        return
    try:
        answer, _ = _asked(worker, {"query": query}, b"", stopped)
        if refusal := answer.get("refused"):
            raise InvalidInput(str(refusal))
        yield lambda data, sizes, wanted, after: _there(worker, data, sizes, wanted, after, stopped)
    finally:
        CHILDREN.give_back(worker)


def _here(
    pattern: Pattern, data: bytes, sizes: Sequence[int], wanted: int, after: int, stopped: Stopped
) -> list[Matched]:
    if stopped():
        raise Cancelled("The search was withdrawn.")
    return scan_all(pattern, data, sizes, wanted, after)


def _there(
    worker: Worker, data: bytes, sizes: Sequence[int], wanted: int, after: int, stopped: Stopped
) -> list[Matched]:
    _, body = _asked(worker, {"sizes": sizes, "wanted": wanted, "after": after}, data, stopped)
    return [Matched(index, count, [Line(*line) for line in lines]) for index, count, lines in json.loads(body)]


def _asked(worker: Worker, request: Mapping[str, Any], body: bytes, stopped: Stopped) -> tuple[dict[str, Any], bytes]:
    try:
        return worker.ask({**request, "most_seconds": SECONDS}, body, stopped)
    except Lost as lost:
        if lost.why in ("time", "memory"):
            much = f"{SECONDS} s for" if lost.why == "time" else "the memory that there is for"
            raise InvalidInput(
                f"This regular expression takes more than {much} {max(len(body) // 1_000_000, 1)} MB of text. Write it "
                "without large counted repetitions, or narrow the search by `collections` or `filter`."
            ) from None
        raise Busy("The process that matches lines was ended from outside. Call again.") from None
