"""Ends a process whose event loop has stopped, from outside the interpreter's lock (GIL), which may be what is held.

The event loop restarts a timer every few seconds. While native code holds the lock, no thread runs any Python, neither
a signal's handler nor a timer's; only what was set up before with the system and with `faulthandler` can still act. When
the timer runs out, `faulthandler` writes what every thread was doing (lines of code, never a text) and the process ends.
The system releases the data directory, and the next client starts the next process, which reads here why.

The timer is the system's and stands still while the machine sleeps. A process that was itself stopped for that long (a
debugger, a frozen container) is ended, too, when it continues; the time of its last beat shows that it was not stuck, so
no job is blamed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

from knowledge_core.engine import Engine
from knowledge_core.paths import LOGS

log = logging.getLogger(__name__)

FILE = "unanswered.log"
BEATS = 8  # at least, within the time after which the process is ended
SLOWEST_BEAT = 5.0  # seconds between two beats
LATE = 1.5  # times that limit: a longer time from the last beat to the end means that the process did not run meanwhile
_HEAD = 200  # bytes of the file's first line, which each beat overwrites
_SHOWN = 64 * 1024  # bytes that are read of what the threads did


@dataclass(frozen=True)
class Ended:
    """How the watchdog ended a former process.

    pid: its process number.
    at: when it ended, in seconds since 1970.
    seconds: how long it had not answered; the limit at that time.
    threads: what its threads did, as `faulthandler` wrote it.
    stuck: it ran and did not answer; False: it was stopped from outside.
    """

    pid: int
    at: float
    seconds: float
    threads: str
    stuck: bool

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))
        if not self.stuck:
            return f"The former owner (process {self.pid}) was stopped for more than {self.seconds:g} s, and ended at {when}."
        return (
            f"The former owner (process {self.pid}) was ended at {when}, because for {self.seconds:g} s it had not "
            "answered even itself. `kcore logs --lines 500` shows what it was doing, `kcore status` what became of its jobs."
        )


def former_end(home: Path) -> Ended | None:
    """Return how the watchdog ended the process that held the data directory before; None if it did not end it.

    Call it once, before `watched`, which empties the file.
    """
    file = home / LOGS / FILE
    try:
        at = file.stat().st_mtime
        with open(file, "rb") as opened:
            head, threads = opened.read(_HEAD), opened.read(_SHOWN).decode("utf-8", "replace").strip()
        said = json.loads(head)
        pid, seconds, beat = int(said["pid"]), float(said["seconds"]), float(said["beat"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not threads:
        return None
    return Ended(pid, at, seconds, threads, stuck=not beat or at - beat < LATE * seconds + 1)


def tell_of_former_end(engine: Engine) -> None:
    """Where the watchdog ended the former process, say so in the log and in the notices, and note it for the jobs."""
    ended = former_end(engine.home)
    if ended is None:
        return
    log.error("%s What its threads did:\n%s", ended, ended.threads)
    engine.notices.append(str(ended))
    engine.former_was_stuck = ended.stuck


@contextlib.contextmanager
def watched(home: Path, seconds: float | None, busy: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Yield the beat, a function to be called regularly: after `seconds` without a call, this process is ended.

    seconds: None for never. busy: says whether jobs run, which the next process may have to blame.
    """
    folder = home / LOGS
    folder.mkdir(exist_ok=True, mode=0o700)
    with open(folder / FILE, "wb", buffering=0) as file:
        if seconds is None:
            yield lambda: None
            return
        beats = _Beats(file.fileno(), seconds, busy)
        arm, disarm = _timer(file.fileno(), seconds)

        def beat() -> None:
            beats.note()
            arm()

        try:
            yield beat
        finally:
            disarm()


async def answer(beat: Callable[[], None], seconds: float | None) -> None:
    """Call `beat` on the event loop until cancelled: as long as the loop runs, the process answers."""
    every = SLOWEST_BEAT if seconds is None else min(SLOWEST_BEAT, seconds / BEATS)
    while True:
        beat()
        await anyio.sleep(every)


class _Beats:
    """The file's first line: which process writes it, and its last beat (only while jobs run: an idle disk may rest)."""

    def __init__(self, file: int, seconds: float, busy: Callable[[], bool]) -> None:
        self._file, self._seconds, self._busy = file, seconds, busy
        self._write(0.0)
        self._resting = True

    def note(self) -> None:
        busy = self._busy()
        if busy or not self._resting:
            self._write(time.time() if busy else 0.0)
        self._resting = not busy

    def _write(self, beat: float) -> None:
        said = json.dumps({"pid": os.getpid(), "seconds": self._seconds, "beat": beat})
        os.lseek(self._file, 0, os.SEEK_SET)
        with contextlib.suppress(OSError):  # a full disk is reported by whoever has to store something
            os.write(self._file, said.encode().ljust(_HEAD - 1) + b"\n")  # what the threads did is written behind it


def _timer(file: int, seconds: float) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return two functions: one that restarts the timer, and one that ends the watching."""
    if sys.platform == "win32":
        return (
            lambda: faulthandler.dump_traceback_later(seconds, exit=True, file=file),
            faulthandler.cancel_dump_traceback_later,
        )
    # Not `dump_traceback_later`: where Python was built for an older glibc (as uv's is), its clock counts sleep, and a
    # laptop would have lost its owner each morning. `setitimer` does not count sleep, on Linux and on macOS. "chain":
    # after the threads are written, the signal has its default effect, which is to end the process.
    faulthandler.register(signal.SIGALRM, file=file, all_threads=True, chain=True)

    def arm() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.unregister(signal.SIGALRM)

    return arm, disarm
