"""Further attempts at an HTTP request that failed in a way that may pass: how many, and how long to wait before each.

Rules kept here: how attempts are counted, how long to pause and what an error says of both is the same for the hub and
the endpoint; each passes its own attempt, its own way of waiting and its own error. Nothing here knows of HTTP.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

ATTEMPTS: Final = 5  # with pauses that double, half a minute at the hub: what is not over by then will take longer


class PassingError(Exception):
    """An attempt failed in a way that may pass. The text says how, as the end of a sentence about the other side.

    after: seconds that the other side asked to wait; None where it did not say.
    """

    def __init__(self, how: str, after: float | None = None) -> None:
        super().__init__(how)
        self.after = after

    def summary(self, attempts: int) -> str:
        """Return the end of a sentence about the other side, for the error after the last of `attempts` attempts.

        >>> PassingError("answered 503", after=60).summary(5)
        'answered 503 after 5 attempts. It asks to wait 60 s.'
        """
        tried = f" after {attempts} attempts" if attempts > 1 else ""
        later = f" It asks to wait {self.after:.0f} s." if self.after else ""
        return f"{self}{tried}.{later}"


@dataclass(frozen=True)
class Pauses:
    """Seconds between attempts where the other side asks for none: the first, and the longest of those that follow."""

    first: float
    longest: float

    def after(self, failed: int) -> float:
        """Return how many seconds to wait once `failed` attempts in a row have failed.

        Exponential with jitter, so that many clients do not return together: M. Brooker, "Exponential Backoff And
        Jitter", AWS Architecture Blog, 2015.
        """
        return float(min(self.first * 2 ** (failed - 1), self.longest) * random.uniform(0.5, 1.0))


def with_retries(
    attempt: Callable[[], T],
    *,
    pauses: Pauses,
    longest_wait: Callable[[], float],
    wait: Callable[[float, PassingError], None],
    refusal: Callable[[str], Exception],
    received: Callable[[], int] = lambda: 0,
) -> T:
    """Return what the first attempt that succeeds returns; only `PassingError` leads to another one.

    Args:
        attempt: makes one attempt; every error of it but `PassingError` ends the attempts.
        pauses: between attempts.
        longest_wait: returns how many seconds may be waited now; asked after every failed attempt.
        wait: waits that many seconds after this failure; may raise to end the attempts.
        refusal: makes this side's error out of `PassingError.summary`.
        received: what arrived so far, in any unit. A failed attempt that received more starts the count again.
    """
    failed = 0
    while True:
        before = received()
        try:
            return attempt()
        except PassingError as passing:
            failed = 1 if received() > before else failed + 1
            seconds = pauses.after(failed) if passing.after is None else passing.after
            if failed >= ATTEMPTS or seconds > longest_wait():
                raise refusal(passing.summary(failed)) from passing
            wait(seconds, passing)
