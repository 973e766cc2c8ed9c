"""A semaphore that serves waiting threads in the order in which they came.

A searching thread releases and takes the interpreter's lock dozens of times. The more threads search at once, the longer
each waits for that lock, and the fewer searches are answered in all. `threading.Semaphore` gives no order: a thread that
just released it may get it again before those that wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class FairSemaphore:
    """At most `count` threads at a time; the others wait in the order in which they came."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a free place, and hold it until the end of the block."""
        called = None
        with self._guard:
            if self._free:
                self._free -= 1
            else:
                called = threading.Event()
                self._waiting.append(called)
        if called:
            called.wait()
        try:
            yield
        finally:
            with self._guard:
                if self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._free += 1
