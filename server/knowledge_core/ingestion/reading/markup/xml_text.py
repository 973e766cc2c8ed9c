"""XML of unknown kind."""

from __future__ import annotations

from pathlib import PurePath

from knowledge_core.ingestion.reading.parsed import Parsed


def read_xml(text: str, name: str) -> Parsed:
    """Return the text as it is."""
    suffix = PurePath(name).suffix.lower()
    return Parsed(text, "", {"format": suffix[1:]}, "application/xml", lines_of_file=True)
