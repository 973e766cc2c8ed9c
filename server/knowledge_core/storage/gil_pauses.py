"""Letting go of Python's lock for long enough that a waiting thread gets it.

A thread that writes row after row lets go of the lock at each row and takes it back microseconds later. A thread that
waits for the lock is woken each time, comes too late, and waits again: searches beside a write took 300 ms now and then,
where the interpreter means to give them a turn every 5 ms. And where the other threads only compute, a writer waits those
5 ms at each row. docs/decisions/readers.md has the measurements.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

EVERY = 0.004  # seconds of work between two pauses
PAUSE = 0.0005  # seconds; a waiting thread needs a tenth of that to wake up
INTERVAL = 0.0005  # seconds that a thread computes while others wait; the interpreter's own choice is 0.005

Item = TypeVar("Item")


def with_pauses(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items, and pause now and then: for loops whose steps are short calls of SQLite or Tantivy."""
    last = time.monotonic()
    for item in items:
        if time.monotonic() - last > EVERY:
            time.sleep(PAUSE)
            last = time.monotonic()
        yield item


def shorten_switch_interval() -> None:
    """Shorten the turns in which this process's threads have Python's lock to a tenth, unless they are shorter already."""
    sys.setswitchinterval(min(sys.getswitchinterval(), INTERVAL))
