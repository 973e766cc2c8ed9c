"""Two calls at the same time, where there is a core for it: the searches by meaning and by words do not depend on each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

One = TypeVar("One")
Other = TypeVar("Other")

# One thread for the process: it helps a search that runs alone. Where several run, the cores are busy anyway, and each
# search makes both of its calls itself.
_SEVERAL_CORES = (os.cpu_count() or 1) > 1
_BESIDE = ThreadPoolExecutor(1, thread_name_prefix="beside")


def at_once(one: Callable[[], One], other: Callable[[], Other], *, worth_it: bool) -> tuple[One, Other]:
    """Return the results of both, or raise what either raises; either way, neither runs any more.

    worth_it: False to call one after the other.
    """
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
