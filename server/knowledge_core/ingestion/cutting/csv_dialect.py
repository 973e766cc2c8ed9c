"""How a table is written as text: its delimiter, and where its header and its records begin. Sees the start of it only."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITERS = ",\t;|"  # of equals the first
_SAMPLE = 65_536  # characters
_RECORDS = 100
_SEPARATOR = re.compile(r"[\ufeff\"]?sep=(.)\"?[ \t]*(?:\n|\Z)", re.I)  # a line that tells spreadsheets the delimiter
_NAMES_SHARE = 0.75  # of a header's cells: a column may be called 7
_LONGEST_NAME = 80  # characters of a column's name
_YEARS = range(1500, 2200)
_LONGEST_NUMBER = 40  # characters
_NUMBER = re.compile(r"[-+(]?[$€£¥]?\s?[\d.,'’\s]*\d[\d.,'’\s]*(?:[eE][-+]?\d{1,3})?[%€)]?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ].{0,30})?|\d{1,2}:\d\d(?::\d\d)?.{0,10}")


@dataclass(frozen=True)
class Dialect:
    """delimiter: "" where the text is no table; columns: how many its records have mostly.

    header: the names of the columns; empty where no record names them.
    start: where the header begins, or the first record; what lies before it are titles and comments.
    """

    delimiter: str = ""
    columns: int = 1
    header: tuple[str, ...] = ()
    start: int = 0


def is_value(cell: str) -> bool:
    """Say whether a cell's text is a number, a date or a time, and no name. A year may be the name of a column.

    >>> [is_value(cell) for cell in ("Name", "2024", "1.200,50 €", "-3e5", "2024-01-31", "12:30", "A1")]
    [False, False, True, True, True, True, False]
    """
    short = cell.strip()
    if len(short) == 4 and short.isdecimal():
        return int(short) not in _YEARS
    return len(short) <= _LONGEST_NUMBER and bool(_NUMBER.fullmatch(short) or _DATE.fullmatch(short))


def dialect_of(text: str) -> Dialect:
    """Return the dialect of a table; a text that is none has the delimiter ""."""
    told = _SEPARATOR.match(text)
    start = told.end() if told else 0
    end = start + _SAMPLE
    if end < len(text):  # a record that is cut off would have too few cells
        end = text.rfind("\n", start, end) + 1 or end
    sample = text[start:end]
    best, share = ("", 1), 0.0
    for delimiter in told[1] if told else DELIMITERS:
        width, found = _width(sample, delimiter)
        if width > 1 and (found, width) > (share, best[1]):
            best, share = (delimiter, width), found
    delimiter, width = best
    if not delimiter or share < 0.5:
        return Dialect(start=start)
    return _with_header(sample, start, delimiter, width)


def cells(record: str, delimiter: str) -> list[str]:
    """Return the cells of one record."""
    try:
        return next(csv.reader([record.rstrip("\n")], delimiter=delimiter), [])
    except csv.Error:  # a cell of more than 131,072 characters
        return record.split(delimiter)


def _rows(sample: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(sample.splitlines(keepends=True), delimiter=delimiter)
    try:
        for row in reader:
            rows += [row] if row else []
            if len(rows) == _RECORDS:
                break
    except csv.Error:
        return [line.split(delimiter) for line in sample.split("\n")[:_RECORDS] if line]
    return rows


def _width(sample: str, delimiter: str) -> tuple[int, float]:
    """Return how many cells most records have with this delimiter, and which share of the records has as many."""
    counts = Counter(len(row) for row in _rows(sample, delimiter))
    several = {width: count for width, count in counts.items() if width > 1}
    if not several:
        return 1, 0.0
    width = max(several, key=lambda each: (several[each], each))
    return width, several[width] / counts.total()


def _with_header(sample: str, start: int, delimiter: str, width: int) -> Dialect:
    """Find the first record of full width: the lines before it are titles and comments."""
    at = 0
    while at < len(sample):
        end = sample.find("\n", at) + 1 or len(sample)
        first = cells(sample[at:end], delimiter)
        if len(first) >= max(2, width - 1):
            rest = _rows(sample[end:], delimiter)
            names = tuple(cell.strip() for cell in first) if _are_names(first, rest) else ()
            return Dialect(delimiter, width, names, start + at)
        at = end
    return Dialect(delimiter, width, (), start)


def _are_names(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Say whether a record names the columns: words, where other records have values, or at least short and all different."""
    filled = [cell.strip() for cell in first if cell.strip()]
    if not rest or not filled or sum(map(is_value, filled)) > (1 - _NAMES_SHARE) * len(filled):
        return False
    if any(len(cell) > _LONGEST_NAME for cell in filled):
        return False
    columns = zip(first, *(row for row in rest if len(row) == len(first)), strict=False)
    if any(not is_value(name) and len(below) and all(map(is_value, below)) for name, *below in columns):
        return True
    return len(set(filled)) == len(first) and not any("@" in cell or "://" in cell for cell in filled)
