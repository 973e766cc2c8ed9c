"""The owner's log: one rotating file in the data directory. Every line has its request's id, none a document's text."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path

from knowledge_core.paths import LOGS
from knowledge_core.serving.connection_state import current_connection

LOG_FILE = "owner.log"
LARGEST = 1_000_000  # bytes per file: days of work at one line per call
KEPT = 3  # older files beside the current one
FORMAT = "%(asctime)s %(levelname)s [%(request)s] %(name)s: %(message)s"

current_request: ContextVar[str | int | None] = ContextVar("current_request", default=None)
"""The JSON-RPC id of the call that is being handled."""


def log_to(home: Path) -> None:
    """Send everything that this process logs to the data directory's log."""
    folder = home / LOGS
    folder.mkdir(exist_ok=True, mode=0o700)
    handler = RotatingFileHandler(folder / LOG_FILE, maxBytes=LARGEST, backupCount=KEPT, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(_name_request)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


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


def _name_request(record: logging.LogRecord) -> bool:
    """Give a log record the id of its request: connection and call (c3.17), else the name of its job's thread."""
    connection, request = current_connection.get(), current_request.get()
    if connection is not None:
        record.request = connection.label if request is None else f"{connection.label}.{request}"
    else:
        record.request = threading.current_thread().name
    return True
