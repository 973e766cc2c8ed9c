"""Two things at once, where there is a core for it: what searches by meaning and by words need of each other is nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

One = TypeVar("One")
Other = TypeVar("Other")

# One thread: it helps a search that is alone. Where others search, too, the cores are busy, and each does its own work.
_SEVERAL_CORES = (os.cpu_count() or 1) > 1
_BESIDE = ThreadPoolExecutor(1, thread_name_prefix="beside")


def at_once(one: Callable[[], One], other: Callable[[], Other], *, worth_it: bool) -> tuple[One, Other]:
    """Return what both return, or raise what either raises, once neither is running any more."""
    if not worth_it or not _SEVERAL_CORES:
        return one(), other()
    beside = _BESIDE.submit(one)
    try:
        second = other()
    except BaseException:
        if not beside.cancel():
            wait([beside])
        raise
    return one() if beside.cancel() else beside.result(), second
