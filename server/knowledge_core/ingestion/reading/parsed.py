"""What a format's reader makes of a file: the one form that the door of reading and chunking know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knowledge_core.types import Heading, Metadata, Span

BETWEEN_PAGES = "\n\n"


@dataclass(frozen=True)
class Parsed:
    """A file's text with its structure. Every field can be written as JSON: a parser may run in a process of its own.

    text: as of `clean_text`; spans and headings count its characters.
    title: "" where the file does not say one; the door then takes the file's name.
    metadata: what filters can ask for, within the bounds of `metadata.from_file`, "format" among it.
    media_type: how the chunker reads the text; Markdown for all that has headings, lists and tables.
    pages: as in `Document`.
    headings: as in `Document`; for texts whose headings are not written in them.
    pictures: numbers of the pages, from 1, that hold no text but pictures of it; they have empty spans.
    lines_of_file: whether the lines of `text` are the lines of the file.
    """

    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    media_type: str = "text/markdown"
    pages: tuple[Span, ...] = ()
    headings: tuple[Heading, ...] = ()
    pictures: tuple[int, ...] = ()
    lines_of_file: bool = False


def paged(texts: Sequence[str]) -> tuple[str, tuple[Span, ...]]:
    """Return the text of a document of pages, and the span of each page in it."""
    spans: list[Span] = []
    start = 0
    for text in texts:
        spans.append(Span(start, start + len(text)))
        start += len(text) + len(BETWEEN_PAGES)
    return BETWEEN_PAGES.join(texts), tuple(spans)


def row(cells: Sequence[str]) -> str:
    """Return cells as one row of a Markdown table, on one line; a bar in a cell is escaped.

    >>> row(["a|b", "two\\nlines"])
    '| a\\\\|b | two lines |'
    """
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table whose first row is its header; "" without rows. Short rows are filled up."""
    if not rows:
        return ""
    width = max(map(len, rows))
    filled = [[*each, *[""] * (width - len(each))] for each in rows]
    return "\n".join([row(filled[0]), "|" + " --- |" * width, *map(row, filled[1:])])


def joined(blocks: Sequence[tuple[bool, str]]) -> str:
    """Return blocks of Markdown as one text, with an empty line between two unless both are tight.

    blocks: of each, whether it is tight, as the items of a list are, and its text.
    """
    parts: list[str] = []
    for index, (tight, block) in enumerate(blocks):
        if index:
            parts.append("\n" if tight and blocks[index - 1][0] else "\n\n")
        parts.append(block)
    return "".join(parts)


def facts(**given: object) -> Mapping[str, object]:
    """Return what a file says about itself without what it leaves empty."""
    return {name: value for name, value in given.items() if value not in (None, "", [], ())}
