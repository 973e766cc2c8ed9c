"""Ending the process that holds a data directory and does not answer: that one, and never another.

The number in the lock file may be a dead process's, and belong to some other program by now. So a process is ended only if
the system says that it holds the lock, or, where the system does not tell, if it has lived since before the lock file was
written: then it is the one that wrote it. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from knowledge_core.errors import DataDirectoryHeld
from knowledge_core.paths import LOCK_FILE, Holder, holder, is_held

ORDERLY = 5.0  # seconds for a process that was asked to end before it is killed
KILLED = 10.0  # seconds for the system to clear a killed process away
CLOCKS = 2.0  # seconds by which the system's time of a process's start may differ from the clock


def end(home: Path, held_by: Holder) -> None:
    """End the process that holds a data directory: first by asking it, then by force.

    Raises:
        DataDirectoryHeld: it is not certain that this process holds it, or it cannot be ended.
    """
    for number, seconds in _signals():
        if not _still(home, held_by):
            return
        if not is_the_holder(home, held_by):
            raise DataDirectoryHeld(
                f"{home} is held, but it cannot be told whether by process {held_by.pid}, which `{LOCK_FILE}` names: another "
                "program may have that number by now. Nothing was ended. Find the process that has that file open, and end "
                "that one."
            )
        try:
            os.kill(held_by.pid, number)
        except ProcessLookupError:
            continue
        except OSError as error:
            raise DataDirectoryHeld(f"{held_by} holds {home} and cannot be ended ({error.strerror}).") from error
        deadline = time.monotonic() + seconds
        while _still(home, held_by) and time.monotonic() < deadline:
            time.sleep(0.05)
    if _still(home, held_by):
        raise DataDirectoryHeld(f"{home} is still held by {held_by}, although it was killed. Restart the machine.")


def is_the_holder(home: Path, held_by: Holder) -> bool:
    """Say whether the process of that number is certainly the one that holds the data directory."""
    locking = _locking(home / LOCK_FILE)
    if locking:
        return held_by.pid in locking
    started = process_started(held_by.pid)
    return started is not None and started <= held_by.started + CLOCKS


def process_started(pid: int) -> float | None:
    """Return when a process started, in seconds since 1970; None where it is gone or the system does not tell."""
    try:
        if sys.platform == "win32":
            return _started_on_windows(pid)
        if os.path.exists("/proc/stat"):
            return _started_on_linux(pid)
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10, env={**os.environ, "LC_ALL": "C"}
        )
        return time.mktime(time.strptime(told.stdout.strip(), "%a %b %d %H:%M:%S %Y"))
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None


def _signals() -> list[tuple[signal.Signals, float]]:
    if sys.platform == "win32":  # there, this one ends a process at once
        return [(signal.SIGTERM, KILLED)]
    else:
        return [(signal.SIGTERM, ORDERLY), (signal.SIGKILL, KILLED)]


def _still(home: Path, held_by: Holder) -> bool:
    """Say whether the data directory is held, and the lock file names that process."""
    now = holder(home)  # None while it is being written
    return is_held(home) and (now is None or (now.pid, now.started) == (held_by.pid, held_by.started))


def _locking(file: Path) -> set[int]:
    """Return the numbers of the processes that hold a lock on a file; none where the system does not tell (Linux does)."""
    found = set()
    with contextlib.suppress(OSError, ValueError, IndexError):
        inode = os.stat(file).st_ino
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            # "1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF"; "->" before the kind: it waits for the lock
            parts = line.split()
            if parts[1] != "->" and parts[5].rpartition(":")[2] == str(inode):
                found.add(int(parts[4]))
    return found  # with 0 for a process that this one cannot see, in another container


def _started_on_linux(pid: int) -> float:
    ticks = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])
    booted = next(line for line in Path("/proc/stat").read_text(encoding="ascii").splitlines() if line[:6] == "btime ")
    return int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")


if sys.platform == "win32":

    def _started_on_windows(pid: int) -> float | None:
        import ctypes
        from ctypes import wintypes

        limited = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = kernel.OpenProcess(limited, False, pid)
        if not handle:
            return None
        times = [wintypes.FILETIME() for _ in range(4)]
        try:
            if not kernel.GetProcessTimes(wintypes.HANDLE(handle), *map(ctypes.byref, times)):
                return None
        finally:
            kernel.CloseHandle(wintypes.HANDLE(handle))
        since_1601 = ((times[0].dwHighDateTime << 32) + times[0].dwLowDateTime) / 1e7  # of 100 nanoseconds each
        return since_1601 - 11_644_473_600
