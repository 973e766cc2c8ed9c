"""One block of a sheet's cells to Markdown: a table under its header, or lines of text.

- Rows above the header are lines of text: a title, the date of a report. A row above it whose cells span several columns
  names groups of columns; each name of a column then begins with its group's.
- The header is the first row of names above other rows. A table without one gets an empty header row.
- A single row, and a few cells in one column, are lines of text. Names in the last row are a header without a table yet: the
  rows may follow below an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from knowledge_core.ingestion.reading.parsed import row
from knowledge_core.ingestion.reading.sheets.values import Value, is_text, shown

Row = tuple[int, Sequence[Value]]
"""A row's number, counted from 0, and its cells from the sheet's first used column on."""

Spans = Sequence[tuple[int, int]]
"""First and last columns of cells of one row that span several columns."""

_HEADER_WITHIN = 15  # rows of a block; reports begin with up to ten lines of titles and dates
_NAMES_SHARE = 0.75  # of a header's cells: a column may be called 7
_FILLED_SHARE = 0.5  # of the cells of the block's fullest row, that a header has at least
_TITLE_SHARE = 2 / 3  # a row that fills no more, from the left on, and has a fuller row of names below is a line
_LIST_FROM = 4  # cells; fewer in one column are lines of text
_STRUCTURE = re.compile(r"#|```|~~~|<!--|\||-{3}|\+{3}")


def plain_line(text: str) -> str:
    """Return a text as one line of Markdown that is no heading, fence or table: what looks like one becomes an item.

    >>> plain_line("# of\\nunits")
    '- # of units'
    """
    line = " ".join(text.split())
    return f"- {line}" if _STRUCTURE.match(line) else line


class Block:
    """What was written of one block.

    columns: its first and last one.
    band: the rows that decide what it is.
    names: how many columns its header names; 0 without one.
    """

    def __init__(self, columns: tuple[int, int], band: Sequence[Row], merged: Mapping[int, Spans]) -> None:
        self.columns = columns
        self._lines: list[str] = []  # above the table
        self._rows: list[str] = []
        self._header = ""  # as a line
        self._width = columns[1] - columns[0] + 1
        parts = ((number, cells[columns[0] : columns[1] + 1]) for number, cells in band)
        inside = [(number, cells) for number, cells in parts if any(cell != "" for cell in cells)]
        most = max((_filled(cells) for _, cells in inside), default=0)
        self._table = most > 1 or len(inside) >= _LIST_FROM
        at = _header(inside, most, merged) if self._table else None
        self._table = self._table and (at is not None or len(inside) > 1)
        self.names = 0 if at is None else _filled(inside[at][1])
        self._first = inside[_titles(inside) if at is None else at][0] if self._table else None  # row of the table
        self._groups_row, self._groups = -1, [""] * self._width
        if at and _filled(inside[at - 1][1]) and (spans := merged.get(inside[at - 1][0])):
            self._name_groups(inside[at - 1], spans)

    def add(self, each: Row, start: int, end: int, percent: frozenset[int]) -> int:
        """Write the cells start to end of a row, those outside of the block's columns last; return their length.

        percent: columns of the cells that show hundredths.
        """
        number, cells = each
        first, last = self.columns
        if number == self._groups_row:
            return 0
        texts = [shown(cells[at], percent=at in percent) for at in range(first, min(last + 1, len(cells)))]
        around = [*range(start, first), *range(last + 1, min(end, len(cells)))]
        if more := [text for at in around if (text := shown(cells[at], percent=at in percent))]:
            texts += [*[""] * (self._width - len(texts)), *more]
        while texts and not texts[-1]:
            texts.pop()
        if not texts:
            return 0
        if self._first is None or number < self._first:
            self._lines.append(plain_line(" ".join(text for text in texts if text)))
            return len(self._lines[-1])
        return self._add_row(number, texts)

    def markdown(self) -> str:
        if not self._rows:
            return "\n\n".join(self._lines)
        if len(self._rows) == 1:
            return "\n\n".join([*self._lines, plain_line(self._header)])
        rows = "\n".join([self._rows[0], "|" + " --- |" * self._width, *self._rows[1:]])
        return "\n\n".join([*self._lines, rows])

    def _add_row(self, number: int, texts: list[str]) -> int:
        if self.names and number == self._first:
            texts += [""] * (self._width - len(texts))
            names = zip([*self._groups, *[""] * len(texts)], texts, strict=False)
            texts = [text if text == group else f"{group} {text}".strip() for group, text in names]
            self._header = " ".join(text for text in texts if text)
        elif not self._rows:
            self._rows.append(row([""] * self._width))
        self._rows.append(row(texts))
        return len(self._rows[-1])

    def _name_groups(self, above: Row, spans: Spans) -> None:
        """Take a row above the header as names of groups of columns, unless one cell is all there is: a title."""
        first, last = self.columns
        inside = [(a - first, b - first) for a, b in spans if first <= a and b <= last]
        if not inside or (_filled(above[1]) == 1 and inside[0] == (0, self._width - 1)):
            return
        self._groups_row = above[0]
        self._groups = [shown(cell) for cell in above[1]] + [""] * (self._width - len(above[1]))
        for start, end in inside:
            self._groups[start : end + 1] = [self._groups[start]] * (end + 1 - start)


def _filled(cells: Sequence[Value]) -> int:
    return sum(cell != "" for cell in cells)


def _header(rows: Sequence[Row], most: int, merged: Mapping[int, Spans]) -> int | None:
    """Return the place of the row that names the columns; None where none does.

    most: cells of the fullest row.
    """
    for at, (number, cells) in enumerate(rows[:_HEADER_WITHIN]):
        count = _filled(cells)
        if count < max(min(2, most), most * _FILLED_SHARE):
            continue
        if not _names(cells):  # where values come first, there is no header in the middle
            return None
        below = rows[at + 1][1] if at + 1 < len(rows) and _names(rows[at + 1][1]) else ()
        groups = number in merged and _filled(below) >= count
        title = cells[0] != "" and cells[-1] == "" and count <= most * _TITLE_SHARE and _filled(below) > count
        if not (groups or title):
            return at
    return None


def _names(cells: Sequence[Value]) -> bool:
    filled = [cell for cell in cells if cell != ""]
    return any(isinstance(cell, str) for cell in filled) and sum(map(is_text, filled)) >= _NAMES_SHARE * len(filled)


def _titles(rows: Sequence[Row]) -> int:
    """Return how many rows at the start hold one cell only: they are titles, unless all are such."""
    return next((at for at, (_, cells) in enumerate(rows) if _filled(cells) > 1), 0)
