"""CSV and TSV: the text stays as it is, so that its lines are the file's; `cutting.csv_blocks` knows its records."""

from __future__ import annotations

from pathlib import PurePath

from knowledge_core.ingestion.reading.parsed import Parsed

_WITH_TABS = (".tsv", ".tab")


def read_delimited(text: str, name: str) -> Parsed:
    """Return the text as it is. What delimits the cells is found out where it is cut."""
    if PurePath(name).suffix.lower() in _WITH_TABS:
        return Parsed(text, "", {"format": "tsv"}, "text/tab-separated-values", lines_of_file=True)
    return Parsed(text, "", {"format": "csv"}, "text/csv", lines_of_file=True)
