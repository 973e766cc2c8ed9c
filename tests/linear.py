"""Whether the time that something takes grows at most in proportion to its input, told by the processor's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable

FLOOR = 0.02  # seconds of the processor: below, start-up and chance outweigh the work
SLACK = 3.0  # eight times the input may take 24 times as long; work that grows with the square takes 64 times


def grows_linearly(work: Callable[[int], object], size: int, *, times: int = 8, floor: float = FLOOR) -> None:
    """Fail if `work` on `times` the size takes more than `times` as long, with much room for a busy machine."""
    large = _least(work, times * size, runs=1)
    if large < floor:
        return
    small = max(_least(work, size), floor / times)
    if large > SLACK * times * small:  # once more, by then everything is loaded
        large, small = _least(work, times * size), max(_least(work, size), floor / times)
    assert large <= SLACK * times * small, f"{size}: {small:.4f} s, {times * size}: {large:.4f} s"


def _least(work: Callable[[int], object], size: int, *, runs: int = 3) -> float:
    least = float("inf")
    for _ in range(runs):
        began = time.thread_time()
        work(size)
        least = min(least, time.thread_time() - began)
    return least
