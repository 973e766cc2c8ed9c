"""Markdown to a `Parsed`: the text as it is, its title and its metadata."""

from __future__ import annotations

from knowledge_core.ingestion.cutting.markdown_blocks import first_heading
from knowledge_core.ingestion.front_matter import front_matter
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.parsed import Parsed


def read_markdown(text: str, name: str) -> Parsed:
    """Return a Markdown text under its title: that of its front matter, else its first heading."""
    found, _ = front_matter(text)
    title = found.pop("title", None)
    heading = title if isinstance(title, str) and title.strip() else first_heading(text)
    return Parsed(text, heading, from_file(found, {"format": "markdown"}), lines_of_file=True)
