"""What is open while the text of an OpenDocument part is written: places for text, lists, tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from knowledge_core.ingestion.reading.office.markdown_text import Blocks

_MOST_HEADERS = 8  # rows


@dataclass
class Place:
    """Where text goes: the document, a cell, a note, a box; with the paragraph and the lists that are open there."""

    blocks: Blocks = field(default_factory=Blocks)
    line: list[str] | None = None  # of the open paragraph
    after: list[Blocks] = field(default_factory=list)  # to stand after the open paragraph
    lists: list[OpenList] = field(default_factory=list)
    is_cell: bool = False


@dataclass
class OpenList:
    style: str
    numbered: bool
    number: int
    item_open: bool = False  # an item began, and none of its text was written


@dataclass
class OpenTable:
    headers: int = 0  # rows of the header
    rows: list[list[str]] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    parts: list[Blocks] = field(default_factory=list)  # the text of each cell that has one
    after: list[Blocks] = field(default_factory=list)
    in_header: bool = False

    def finished(self) -> list[list[str]]:
        """Return the rows with one header, without the columns in which no row has text."""
        rows = _with_one_header(self.rows, self.headers)
        used = sorted({i for each in rows for i, cell in enumerate(each) if cell})
        return [[each[i] for i in used if i < len(each)] for each in rows]


def _with_one_header(rows: list[list[str]], headers: int) -> list[list[str]]:
    """Join the rows of a header to one, because a Markdown table has one."""
    if not 1 < headers <= _MOST_HEADERS:
        return rows
    width = max(map(len, rows[:headers]))
    joined = [" ".join(filter(None, (each[i] for each in rows[:headers] if i < len(each)))) for i in range(width)]
    return [joined, *rows[headers:]]
