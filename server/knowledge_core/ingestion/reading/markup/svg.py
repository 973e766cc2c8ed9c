"""SVG."""

from __future__ import annotations

from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.unreadable import Unreadable


def read_svg(text: str, name: str) -> Parsed:
    """Not written yet."""
    raise Unreadable("unsupported", f"{name} is in a format that is not read.")
