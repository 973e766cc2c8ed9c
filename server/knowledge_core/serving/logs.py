"""The owner's log: one rotating file in the data directory. Every line has its request's id, none a document's text.

The rules, kept by the one handler that everything passes (`_Quiet`), so that no caller and no library can break them:
- our own records are written as they are; an exception in one is told by its type, and by its text only where that is ours
  or the operating system's;
- other libraries' records are written from WARNING on, without their arguments: a line of the place, and the sentence with
  its gaps (httpx names an endpoint's whole address at each request, the SDK the arguments of a call that failed);
- tracebacks show places in the code and types of exceptions, never an exception's text, which may quote what was parsed;
- a record cannot begin a line that looks like another record, nor steer the terminal that shows it, and is bounded.

What Python itself would print of an exception that nobody caught, or of a warning, goes the same way.
"""

from __future__ import annotations

import copy
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.language.printable import one_line, printable
from knowledge_core.paths import LOGS
from knowledge_core.serving.connection_state import current_connection

LOG_FILE = "owner.log"
LARGEST = 1_000_000  # bytes per file: days of work at one line per call
KEPT = 3  # older files beside the current one
FORMAT = "%(asctime)s %(levelname)s [%(request)s] %(name)s: %(message)s"
LONGEST_RECORD = 50_000  # characters; the threads of a process that was stuck take 20,000
LONGEST_REQUEST = 60  # characters of a request's id, which a client chooses
OURS = (
    "knowledge_core",
    "__main__",
)  # names of our loggers, up to their first dot; an owner's main module is the second
_WARNED_AT = re.compile(r"(.*?:\d+: \w+):")  # the part of a Python warning before its text

current_request: ContextVar[str | int | None] = ContextVar("current_request", default=None)
"""The JSON-RPC id of the call that is being handled."""


def log_to(home: Path) -> None:
    """Send everything that this process logs to the data directory's log."""
    folder = home / LOGS
    folder.mkdir(exist_ok=True, mode=0o700)
    _take_over(
        RotatingFileHandler(folder / LOG_FILE, maxBytes=LARGEST, backupCount=KEPT, encoding="utf-8"), logging.INFO
    )


def log_to_stderr(level: int) -> None:
    """Send everything from a level on that this process logs to stderr, by the same rules."""
    _take_over(logging.StreamHandler(sys.stderr), level)


def tail(home: Path, lines: int) -> list[str]:
    """Return the last lines of the log, oldest first; an empty list where there is no log."""
    kept: list[str] = []
    for file in _files(home):
        if len(kept) >= lines:
            break
        try:
            kept = file.read_text(encoding="utf-8", errors="replace").splitlines() + kept
        except FileNotFoundError:
            continue
    return kept[-lines:]


def _files(home: Path) -> Iterable[Path]:
    """Return the log's files, newest first."""
    newest = home / LOGS / LOG_FILE
    return [newest, *(newest.with_name(f"{LOG_FILE}.{number}") for number in range(1, KEPT + 1))]


def _take_over(handler: logging.Handler, level: int) -> None:
    handler.setFormatter(_Quiet(FORMAT))
    handler.addFilter(_let_through)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # of a record that cannot be written, its text and arguments would go to stderr
    log = logging.getLogger(__name__)

    def uncaught(kind: type[BaseException], error: BaseException | None, at: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.error("an exception that nobody caught", exc_info=(kind, error or kind(), at))

    sys.excepthook = uncaught
    sys.unraisablehook = lambda each: uncaught(each.exc_type, each.exc_value, each.exc_traceback)
    threading.excepthook = lambda each: uncaught(each.exc_type, each.exc_value, each.exc_traceback)


def _let_through(record: logging.LogRecord) -> bool:
    """Say whether a record is written, and give it the id of its request: connection and call (c3.17), else its thread."""
    connection, request = current_connection.get(), current_request.get()
    if connection is not None:
        called = "" if request is None else f".{one_line(str(request)[:LONGEST_REQUEST])}"
        record.request = f"{connection.label}{called}"
    else:
        record.request = threading.current_thread().name
    return _is_ours(record) or record.levelno >= logging.WARNING


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in OURS


class _Quiet(logging.Formatter):
    """Writes records by the rules above."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as it is written: its further lines are indented."""
        record = copy.copy(record)
        record.msg, record.args, record.exc_text = self._said(record), None, None
        lines = printable(super().format(record)[:LONGEST_RECORD])
        return lines.replace("\n", "\n    ")

    def formatException(self, ei: Any) -> str:  # noqa: N802  the name is the library's
        """Return the places of a traceback, and the types of its exceptions."""
        return "\n".join(_traced(ei[1], set()))

    def _said(self, record: logging.LogRecord) -> str:
        if _is_ours(record):
            given = record.args
            told = tuple(map(_told, given)) if isinstance(given, tuple) else given
            return str(record.msg) % told if told else str(record.msg)
        where = f"({Path(record.pathname).name}, line {record.lineno})"
        if record.name == "py.warnings":
            found = _WARNED_AT.match(record.getMessage())
            return found[1] if found else where
        return f"{record.msg if record.args and isinstance(record.msg, str) else 'its text is left out'} {where}"


def _told(argument: object) -> object:
    return exception_told(argument) if isinstance(argument, BaseException) else argument


def exception_told(error: BaseException) -> str:
    """Return what a log may say of an exception: its type, and its text where that is ours or the operating system's."""
    ours = isinstance(error, KnowledgeCoreError) or (
        isinstance(error, OSError) and type(error).__module__ == "builtins"
    )
    return f"{type(error).__name__}: {error}" if ours else type(error).__qualname__


def _traced(error: BaseException, seen: set[int]) -> Iterator[str]:
    """Yield the lines of an exception and of what it came from, each once, the first cause first."""
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _traced(before, seen)
        yield "which led to"
    yield "Traceback (most recent call last):"
    yield from (line.rstrip("\n") for line in traceback.format_tb(error.__traceback__))
    yield exception_told(error)
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _traced(each, seen)
