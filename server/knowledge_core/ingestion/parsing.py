"""A file's bytes, or its text, to a `Parsed`, by the reader of its format."""

from __future__ import annotations

from knowledge_core.ingestion.content import reader_of
from knowledge_core.ingestion.format_table import Format
from knowledge_core.ingestion.reading.parsed import Parsed


def parse(format: Format, content: bytes | str, name: str) -> Parsed:
    """Return what the format's reader makes of a file.

    content: its bytes; for a format of texts, its text.
    name: the file's name in messages.

    Raises:
        Unreadable: the reader says what is wrong with the file.
    """
    parsed: Parsed = reader_of(format)(content, name)
    return parsed
