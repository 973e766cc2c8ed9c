"""The beginning of a child process: its pipes, its limits, and the thread that ends it with its owner.

A child is started as `python -P -m MODULE --memory BYTES [--low]`. Its limits are set by itself, before the first request
comes; nothing that a library prints gets between the answers. It ends when its pipe does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import Any, BinaryIO

from knowledge_core.ingestion.workers.messages import BadMessage, read, write

NICER = 10  # steps of Unix's nice value, as bulk work has on its threads
FEW_FILES = 64  # that it may have open
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS of Linux

Message = tuple[dict[str, Any], bytes]


def begun() -> tuple[SimpleQueue[Message], BinaryIO]:
    """Set the limits of this process, and return where requests come and where answers go.

    The owner is told that this process is ready.
    """
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--memory", type=int, required=True)
    arguments.add_argument("--low", action="store_true")
    given = arguments.parse_args()
    requests, answers = _pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which ends this process
    coming: SimpleQueue[Message] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, coming), daemon=True).start()
    _confine(given.memory, given.low)
    write(answers, {"ready": True})
    return coming, answers


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return stdin and stdout for the child alone; to everybody else they are empty, and so is stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return requests, answers


def _listen(requests: BinaryIO, coming: SimpleQueue[Message]) -> None:
    """Queue what comes; end the process as soon as nothing can come any more, also in the middle of its work."""
    with contextlib.suppress(BadMessage, OSError, MemoryError):
        while (message := read(requests, sys.maxsize, sys.maxsize)) is not None:
            coming.put(message)
    os._exit(0)


def _confine(memory: int, low: bool) -> None:
    """Give up what the work does not need. Each step is left out where the system does not have it."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICER if low else 0)
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    limit("RLIMIT_CORE", 0)
    limit("RLIMIT_NOFILE", FEW_FILES)
    limit("RLIMIT_NPROC", 0)  # no further process or thread
    if sys.platform == "linux":
        limit("RLIMIT_DATA", memory)  # its own memory; elsewhere the owner watches


def limit(name: str, most: int, *, soft: bool = False) -> None:
    """Lower a limit of this process. soft: it may be raised again."""
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, hard if soft else most))
