"""Letting go of Python's lock for long enough that a waiting thread gets it.

A thread that writes row after row lets go of the lock at each and takes it back microseconds later. Whoever waits for it
is woken each time, comes too late, and begins to wait anew: searches beside a write took 300 ms now and then, where the
interpreter means to give them a turn every 5. docs/decisions/readers.md has the measurements.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

EVERY = 0.004  # seconds of work between two pauses
PAUSE = 0.0005  # seconds; a thread needs a tenth of that to wake up

Item = TypeVar("Item")


def giving_way(items: Iterable[Item]) -> Iterator[Item]:
    """Yield what is given, and pause now and then: for loops whose steps are short calls of SQLite or Tantivy."""
    last = time.monotonic()
    for item in items:
        if time.monotonic() - last > EVERY:
            time.sleep(PAUSE)
            last = time.monotonic()
        yield item
