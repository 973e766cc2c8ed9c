"""CSV and TSV."""

from __future__ import annotations

from pathlib import PurePath

from knowledge_core.ingestion.reading.parsed import Parsed


def read_delimited(text: str, name: str) -> Parsed:
    """Return the text as it is."""
    suffix = PurePath(name).suffix.lower()
    return Parsed(
        text,
        "",
        {"format": suffix[1:]},
        "text/tab-separated-values" if suffix == ".tsv" else "text/csv",
        lines_of_file=True,
    )
