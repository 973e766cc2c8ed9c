"""A few at a time, first come, first served.

Threads that search let go of Python's lock and take it back dozens of times; the more of them, the longer each waits for
it, and the fewer searches are answered in all. `threading.Semaphore` is not fair: whoever comes back first is served.
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
        """Wait for a turn, and have it until the end of the block."""
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
