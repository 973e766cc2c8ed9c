"""A file's bytes, or its text, to a `Parsed`, by the reader of its format: in a process of its own, or here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from knowledge_core.ingestion.content import reader_of
from knowledge_core.ingestion.format_table import Format
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.workers.pool import Workers


class Parse(Protocol):
    """Return what a format's reader makes of a file; see `parse`."""

    def __call__(self, format: Format, content: bytes | str, name: str) -> Parsed: ...


def parse(format: Format, content: bytes | str, name: str) -> Parsed:
    """Return what the format's reader makes of a file, run in this process.

    content: its bytes; for a format of texts, its text.
    name: the file's name in messages.

    Raises:
        Unreadable: the reader says what is wrong with the file.
    """
    parsed: Parsed = reader_of(format)(content, name)
    return parsed


def parse_in(workers: Workers | None, *, again: bool, stopped: Callable[[], bool]) -> Parse:
    """Return a `parse` that gives the files of isolated formats to `workers`, where there are any.

    again, stopped: as of `Workers.parse`.
    """

    def parsed(format: Format, content: bytes | str, name: str) -> Parsed:
        if format.isolated and workers is not None:
            return workers.parse(format, content, name, again=again, stopped=stopped)
        return parse(format, content, name)

    return parsed
