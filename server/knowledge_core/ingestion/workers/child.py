"""The process that parses: `python -P -m knowledge_core.ingestion.workers.child --memory BYTES [--low]`.

It reads requests from stdin and writes answers to stdout, one after the other, until stdin ends. It knows the readers and
nothing else of this program. Its limits are set by itself, before the first byte of a file comes; nothing that a library
prints gets between the answers.
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

from knowledge_core.ingestion.content import BY_NAME, reader_of
from knowledge_core.ingestion.unreadable import Unreadable, not_taken_apart
from knowledge_core.ingestion.workers import limits
from knowledge_core.ingestion.workers.messages import BadMessage, answer_of, read, write

NICER = 10  # steps of Unix's nice value, as bulk work has on its threads
FEW_FILES = 64  # that it may have open
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS of Linux

Message = tuple[dict[str, Any], bytes]


def main() -> None:
    """Answer requests until the owner closes the pipe, or is gone."""
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
    while True:
        write(answers, *_answer(*coming.get()))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return stdin and stdout for this module alone; to everybody else they are empty, and so is stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return requests, answers


def _listen(requests: BinaryIO, coming: SimpleQueue[Message]) -> None:
    """Queue what comes; end the process as soon as nothing can come any more, also in the middle of a file."""
    with contextlib.suppress(BadMessage, OSError, MemoryError):
        while (message := read(requests, sys.maxsize, sys.maxsize)) is not None:
            coming.put(message)
    os._exit(0)


def _confine(memory: int, low: bool) -> None:
    """Give up what parsing does not need. Each step is left out where the system does not have it."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICER if low else 0)
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_NOFILE", FEW_FILES)
    _limit("RLIMIT_NPROC", 0)  # no further process or thread
    if sys.platform == "linux":
        _limit("RLIMIT_DATA", memory)  # its own memory; elsewhere the owner watches


def _limit(name: str, most: int, *, soft: bool = False) -> None:
    """Lower a limit of this process. soft: it may be raised again."""
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, hard if soft else most))


def _answer(header: dict[str, Any], body: bytes) -> Message:
    # Counted from now on: the limit is one of the process's whole life.
    _limit("RLIMIT_CPU", int(sum(os.times()[:2])) + 1 + int(header["seconds"]), soft=True)
    content = body.decode("utf-8") if header["is_text"] else body
    try:
        answer, text = answer_of(reader_of(BY_NAME[header["format"]])(content, header["name"]))
    except Unreadable as error:
        return _refusal(error)
    except MemoryError:
        return {"lost": "memory"}, b""
    except Exception as error:  # noqa: BLE001  # other people's parsers raise whatever they like
        return _refusal(not_taken_apart(header["name"], error))
    return ({"lost": "output"}, b"") if len(text) > limits.MOST_TEXT else (answer, text)


def _refusal(error: Unreadable) -> Message:
    return {"unreadable": [error.reason, str(error)]}, b""


if __name__ == "__main__":
    main()
