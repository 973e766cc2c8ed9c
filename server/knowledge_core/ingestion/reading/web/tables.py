"""A table of a web page as text. Pure.

A Markdown table, with the header cells above in its first row; a table of names and values is a line for each; a table of one
column is its cells, as it only lays out a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowledge_core.ingestion.reading.parsed import row, table

_WIDEST = 200  # columns that cells may span
_DEEPEST = 1000  # rows that a cell may span
_REPEATED = 100_000  # characters that are written again in a table because their cells span others
_HEADER_ROWS = 4


@dataclass(frozen=True)
class Cell:
    """A cell. across, down: columns and rows that it spans."""

    text: str
    header: bool = False
    across: int = 1
    down: int = 1


def span(text: str | None, most: int = _DEEPEST) -> int:
    """Return how much a cell spans by its attribute, 1 to `most`.

    >>> span("3"), span("0"), span(None), span("many")
    (3, 1, 1, 1)
    """
    plain = (text or "").strip()
    return max(1, min(int(plain), most)) if plain.isdecimal() and len(plain) <= 6 else 1


def table_text(rows: Sequence[Sequence[Cell]], before: str = "") -> str:
    """Return a table as text; "" where nothing is in it. before: its caption.

    >>> print(table_text([[Cell("a", True, down=2), Cell("b", True, across=2)], [Cell("x", True), Cell("y", True)],
    ...                   [Cell("1"), Cell("2"), Cell("3")]]))
    | a | b x | b y |
    | --- | --- | --- |
    | 1 | 2 | 3 |
    """
    above = [before] if before else []
    rows = [each for each in rows if any(cell.text for cell in each)]
    while len(rows) > 1 and len(rows[0]) == 1 and max(map(len, rows)) > 1:  # a title across the table
        above.append(rows[0][0].text)
        rows = rows[1:]
    if rows and len(rows) > 1 and all(_is_name_and_value(each) for each in rows):
        lines = [": ".join(cell.text.removesuffix(":") for cell in each if cell.text) for each in rows]
        return "\n\n".join([*above, "\n".join(lines)])
    grid, headers = _grid(rows)
    kept = [at for at in range(max(map(len, grid), default=0)) if any(at < len(each) and each[at] for each in grid)]
    grid = [[each[at] if at < len(each) else "" for at in kept] for each in grid]
    if len(kept) <= 1:
        return "\n\n".join([*above, *(each[0] for each in grid if each)])
    if len(grid) == 1:
        return "\n\n".join([*above, row(grid[0])])
    if headers > 1:
        merged = [" ".join(dict.fromkeys(each[at] for each in grid[:headers] if each[at])) for at in range(len(kept))]
        grid = [merged, *grid[headers:]]
    return "\n\n".join([*above, table(grid)])


def _is_name_and_value(cells: Sequence[Cell]) -> bool:
    alone = len(cells) == 1 and cells[0].across > 1
    named = len(cells) == 2 and (cells[0].header or cells[0].text.endswith(":"))
    return alone or (named and not cells[1].header and cells[0].down == 1)


def _grid(rows: Sequence[Sequence[Cell]]) -> tuple[list[list[str]], int]:
    """Return the texts of a table's cells by row and column, and how many rows at its top are headers.

    What spans rows, and a header that spans columns, stands in all of them: each row, and each column, is read alone.
    """
    grid: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}  # column -> rows to go, and the text of a cell that reaches down to them
    room = _REPEATED
    headers = 0
    for cells in rows:
        texts: list[str] = []
        below: dict[int, tuple[int, str]] = {}
        room = _hang(texts, hanging, below, room)
        for cell in cells:
            for column in range(min(cell.across, _WIDEST - len(texts)) if len(texts) < _WIDEST else 1):
                again = cell.text if column == 0 or (cell.header and len(cell.text) <= room) else ""
                room -= len(again) if column else 0
                if cell.down > 1 and len(texts) < _WIDEST:
                    below[len(texts)] = (cell.down - 1, again)
                texts.append(again)
            room = _hang(texts, hanging, below, room)
        if headers == len(grid) < _HEADER_ROWS and all(cell.header for cell in cells):
            headers += 1
        grid.append(texts)
        hanging = below
    return grid, headers if headers < len(grid) else 1


def _hang(texts: list[str], hanging: dict[int, tuple[int, str]], below: dict[int, tuple[int, str]], room: int) -> int:
    """Fill the columns that cells of rows above reach into, up to the next free one; return what room is left."""
    while (found := hanging.get(len(texts))) is not None:
        left, text = found
        text = text if len(text) <= room else ""
        room -= len(text)
        if left > 1:
            below[len(texts)] = (left - 1, text)
        texts.append(text)
    return room
