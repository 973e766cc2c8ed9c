"""Ends a process that does not answer itself any more: from outside the interpreter's lock, which may be what is held.

The event loop puts the end off again every few seconds. While one piece of native code keeps the lock, no thread runs
any Python, neither a signal's handler nor a timer's: only what was arranged with the system and with `faulthandler`
before can still act. It writes what every thread was doing (code lines, never a text) and ends the process; the system
gives the data directory free, and the next client starts the next process, which reads here why.

The time is the system's timer, which stands still while the machine sleeps. A process that was stopped for as long (a
debugger, a frozen container) is ended, too, when it goes on; the beat tells that from a fault, so no job is blamed.
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
BEATS = 8  # within the time after which the process is ended
SLOWEST_BEAT = 5.0  # seconds
LATE = 1.5  # times the limit between the last beat and the end: then the process did not run meanwhile
_HEAD = 200  # bytes of the first line, which is written again with each beat
_SHOWN = 64 * 1024  # bytes of what the threads did


@dataclass(frozen=True)
class Ended:
    """How a former process was ended. at: seconds since 1970. threads: what they did. stuck: it ran, and did not answer."""

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
    """Return how the watchdog ended the process that held the data directory before; None if it did not.

    Call it once, before `watched`, which begins the file anew.
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
    """Say in the log and in the notices how the watchdog ended the former process, and let the jobs know; if it did."""
    ended = former_end(engine.home)
    if ended is None:
        return
    log.error("%s What its threads did:\n%s", ended, ended.threads)
    engine.notices.append(str(ended))
    engine.former_was_stuck = ended.stuck


@contextlib.contextmanager
def watched(home: Path, seconds: float | None, busy: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Yield what is to be called again and again; where it is not for `seconds`, this process ends.

    seconds: None for never. busy: whether jobs run, which the next process may have to blame.
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
    """Call `beat` on the event loop until cancelled: a loop that turns is a process that answers."""
    every = SLOWEST_BEAT if seconds is None else min(SLOWEST_BEAT, seconds / BEATS)
    while True:
        beat()
        await anyio.sleep(every)


class _Beats:
    """The file's first line: whose file it is, and when it last answered. Written while jobs run: an idle disk may rest."""

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
        with contextlib.suppress(OSError):  # a full disk is told by whoever wants to store something
            os.write(self._file, said.encode().ljust(_HEAD - 1) + b"\n")  # what the threads did goes behind it


def _timer(file: int, seconds: float) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what puts the end off, and what calls it off."""
    if sys.platform == "win32":
        return (
            lambda: faulthandler.dump_traceback_later(seconds, exit=True, file=file),
            faulthandler.cancel_dump_traceback_later,
        )
    # Not `dump_traceback_later`, whose clock is the wall's where Python was built for an older glibc (uv's is): a laptop
    # that slept would have no owner each morning. This timer's does not count sleep, on Linux and on macOS. "chain": after
    # the threads are written, the signal does what it did before, which is to end the process.
    faulthandler.register(signal.SIGALRM, file=file, all_threads=True, chain=True)

    def arm() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.unregister(signal.SIGALRM)

    return arm, disarm
