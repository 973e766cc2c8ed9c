"""What taking one file apart may cost: seconds, memory, and how large the outcome may be."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

# The slowest sound file of those that were tried, a web page of 48 MB, takes 5 s of the processor and 0.6 GB.
SECONDS = 20  # of the processor, for any file
SECONDS_PER_MB = 1.0
# Times as long on the clock. Beside programs that take all of it, work of low priority gets a tenth of the processor; only
# where the system limits no processor time must the clock do.
WALL = 4.0 if sys.platform == "win32" else 20.0
MEMORY = 1_500_000_000  # bytes of the child as a whole
SHARE_OF_MACHINE = 0.5  # of its memory, where that is less
MOST_TEXT = 200_000_000  # bytes of the text that a file may become, as UTF-8
MOST_ABOUT = 16_000_000  # bytes of what comes with it: title, metadata, pages, headings


def seconds(size: int) -> int:
    """Return the seconds of the processor that a file of so many bytes may take."""
    return int(SECONDS + SECONDS_PER_MB * size / 1e6)


def memory() -> int:
    """Return the bytes of memory that a child may have."""
    with contextlib.suppress(ValueError, OSError, AttributeError):  # Windows has no `sysconf`
        return min(MEMORY, int(SHARE_OF_MACHINE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    return MEMORY


def resident(process: int) -> int:
    """Return a process's resident memory in bytes; 0 where the system does not tell, or there is none."""
    try:
        if sys.platform == "darwin":
            return _resident_on_macos(process)
        with open(f"/proc/{process}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def _resident_on_macos(process: int) -> int:
    about = (ctypes.c_uint64 * 12)()  # proc_taskinfo: its second field is pti_resident_size
    task_info = 4  # PROC_PIDTASKINFO
    size = ctypes.sizeof(about)
    found = ctypes.CDLL("/usr/lib/libproc.dylib").proc_pidinfo(process, task_info, ctypes.c_uint64(0), about, size)
    return int(about[1]) if found == size else 0
