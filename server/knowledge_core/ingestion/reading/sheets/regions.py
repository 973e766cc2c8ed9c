"""The rows of a sheet to Markdown: its blocks of cells, each a table under its header, or lines of text.

A sheet is taken row by row. Rows without an empty one between them are a band; the columns that a band leaves empty part
it into blocks that stand side by side. What a block is, its first rows decide; the later ones are written as they come,
so that a long table is never held as cells. An empty row ends a table, unless rows of values follow in its columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from knowledge_core.ingestion.reading.sheets.block import Block, Row, Spans
from knowledge_core.ingestion.reading.sheets.values import Value, is_text

_ROWS_THAT_DECIDE = 500  # of a band, before its blocks are settled
_TITLES_ABOVE = 3  # rows, by which one part of a table may begin higher than the other
_EMPTY_ROWS_WITHIN = 2  # at most, in a table that goes on below


class Regions:
    """What was read of a sheet so far.

    percent: columns of the cells that show hundredths, by row number.
    merged: first and last columns of the cells that span several, by row number.
    length: characters of Markdown so far.
    """

    def __init__(self, percent: Mapping[int, frozenset[int]], merged: Mapping[int, Spans]) -> None:
        self.length = 0
        self._percent, self._merged = percent, merged
        self._blocks: list[Block] = []
        self._open: list[Block] = []  # blocks of the band at hand, or of the last one
        self._band: list[Row] = []  # while its blocks are not settled
        self._settled = False
        self._last = self._before = -1  # the last row taken, and the last one before the band at hand

    def take(self, number: int, cells: Sequence[Value]) -> None:
        """Take the next row that has a value; rows come in order."""
        if number > self._last + 1:
            self._end_band()
        self._last = number
        if self._settled:
            self._feed((number, cells))
            return
        self._band.append((number, cells))
        if len(self._band) == _ROWS_THAT_DECIDE:
            self._settle()

    def markdown(self) -> list[str]:
        """Return the blocks in the order in which they begin. Nothing can be taken afterwards."""
        self._end_band()
        return [text for block in self._blocks if (text := block.markdown())]

    def _end_band(self) -> None:
        if self._band:
            self._settle()
        self._settled = False
        self._before = self._last

    def _settle(self) -> None:
        """Decide what the rows at hand are, and write them."""
        if not self._goes_on():
            self._open = [Block(columns, self._band, self._merged) for columns in _side_by_side(self._band)]
            self._blocks += self._open
        rows, self._band, self._settled = self._band, [], True
        for each in rows:
            self._feed(each)

    def _goes_on(self) -> bool:
        """Say whether the band continues the table above: values in its columns, close below."""
        number, cells = self._band[0]
        if len(self._open) != 1 or number - self._before - 1 > _EMPTY_ROWS_WITHIN:
            return False
        first, last = self._open[0].columns
        filled = [column for column, cell in enumerate(cells) if cell != ""]
        inside = all(first <= column <= last for column in filled)
        years = sum(not isinstance(cells[column], str) and is_text(cells[column]) for column in filled)
        values = years == 1 or not all(is_text(cells[column]) for column in filled)  # several years are names
        return inside and values and 1 < len(filled) <= 2 * self._open[0].names

    def _feed(self, each: Row) -> None:
        start = 0
        for block in self._open:
            # A cell right of a block's columns, which came too late to decide, belongs to the next block, or the last one.
            end = len(each[1]) if block is self._open[-1] else block.columns[1] + 1
            self.length += block.add(each, start, end, self._percent.get(each[0], frozenset()))
            start = end


def _side_by_side(band: Sequence[Row]) -> list[tuple[int, int]]:
    """Return the first and last columns of a band's blocks.

    Neighbours of the same height are one table with empty columns in it, as narrow ones for the looks.
    """
    extents: dict[int, tuple[int, int]] = {}  # column to the first and the last row in which it is filled
    for number, cells in band:
        for column, cell in enumerate(cells):
            if cell != "":
                extents[column] = (extents.get(column, (number, 0))[0], number)
    blocks: list[_Extent] = []
    for column, (top, bottom) in sorted(extents.items()):
        if blocks and column == blocks[-1].last + 1:
            before = blocks[-1]
            blocks[-1] = _Extent(before.first, column, min(before.top, top), max(before.bottom, bottom))
        else:
            blocks.append(_Extent(column, column, top, bottom))
    joined: list[_Extent] = []
    for each in blocks:
        if joined and joined[-1].goes_on_in(each):
            before = joined[-1]
            joined[-1] = _Extent(before.first, each.last, min(before.top, each.top), each.bottom)
        else:
            joined.append(each)
    return [(each.first, each.last) for each in joined]


class _Extent(NamedTuple):
    """The columns and rows of a block, each with both ends."""

    first: int
    last: int
    top: int
    bottom: int

    def goes_on_in(self, other: _Extent) -> bool:
        """Say whether both are parts of one table. Beside one narrow column, a title may stand above one of them."""
        lower = abs(self.top - other.top)
        return self.bottom == other.bottom and lower <= (_TITLES_ABOVE if other.first - self.last == 2 else 0)
