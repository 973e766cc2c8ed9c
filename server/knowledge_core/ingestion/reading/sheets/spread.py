"""How far the cells of a sheet lie apart, before calamine reads them: it makes a matrix of all between the outermost.

Two cells at opposite corners of a sheet would be 17 billion. So the places of the cells are looked at first, in the sheet's
own bytes. Where the matrix would be too large, empty rows and columns are taken out of an XLSX and runs of equal cells are
shortened in an ODS; what remains too large is cut, and said to be.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial

from knowledge_core.ingestion.unreadable import Unreadable

MOST_AREA = 12_000_000  # cells of a matrix, of 24 bytes each; a full 50 MB workbook has 10 million
_ALWAYS_FINE = 1_000_000
_GAP = 4  # what is left of a longer distance between two used rows or columns
# Cells with a value: empty ones that only have a style are closed at once, and calamine passes them over.
_CELL = re.compile(rb'<(?:\w{1,20}:)?c\s(?:[^<>]{0,200}?\s)?r="([A-Za-z]{1,7})(\d{1,9})"[^<>]{0,200}(?<!/)>')
_PLACE = re.compile(rb'(<(?:\w{1,20}:)?c\s(?:[^<>]{0,200}?\s)?r=")([A-Za-z]{1,7})(\d{1,9})"(?=[^<>]{0,200}(?<!/)>)')
_ANY_CELL = re.compile(rb"<(?:\w{1,20}:)?c(?:\s[^<>]*)?(?<!/)>")
_ANY_ROW = re.compile(rb"<((?:\w{1,20}:)?)row[\s/>]")
_ROW = re.compile(rb"<((?:\w{1,20}:)?)row[\s/>]")
_ROW = re.compile(rb'<(?:\w{1,20}:)?row\s(?:[^<>]{0,400}?\s)?r="(\d{1,9})"')
_REPEATED = re.compile(rb'(number-(?:rows|columns)-repeated=")(\d+)(?=")')
_BETWEEN = re.compile(rb">\s+(?=</?table:)")  # which calamine takes for a damage, in a file with indented XML
_RUNS = (300, 30, 1)  # the most equal rows or cells of an ODS, tried in this order
_ODS_PART = re.compile(rb"<table:(table-row|table-cell|covered-table-cell|table)(?=[\s/>])([^<>]*)>")
_XLSB_ROW, _XLSB_CELLS = 0, range(1, 12)  # [MS-XLSB] 2.3.2: BrtRowHdr, and BrtCellBlank to BrtFmlaError


def column_number(letters: bytes) -> int:
    """Return the number of a column, counted from 1.

    >>> column_number(b"A"), column_number(b"XFD")
    (1, 16384)
    """
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def column_letters(number: int) -> bytes:
    """Return the name of a column, counted from 1.

    >>> column_letters(16384)
    b'XFD'
    """
    letters = b""
    while number:
        number, digit = divmod(number - 1, 26)
        letters = bytes([65 + digit]) + letters
    return letters


def gathered(xml: bytes) -> tuple[bytes, bool]:
    """Return the part of an XLSX sheet with its cells near enough together, and whether all of them are in it.

    The part itself where it is fine as it is; b"" where nothing of it can be read.
    """
    places = _CELL.findall(xml)
    if len(places) < sum(1 for _ in _ANY_CELL.finditer(xml)):
        area = _area_by_order(xml)  # some cells do not say where they are: they follow each other
        return (xml, True) if area <= MOST_AREA else (b"", False)
    columns = sorted({column_number(letters) for letters in {place[0] for place in places}})
    rows = sorted({int(row) for row in {place[1] for place in places}})
    if not rows or _extent(rows) * _extent(columns) <= _ALWAYS_FINE:
        return xml, True
    if _extent(rows) * _extent(columns) <= min(MOST_AREA, 4 * len(places)):
        return xml, True
    return _moved(xml, rows, columns)


def _extent(sorted_numbers: Sequence[int]) -> int:
    return sorted_numbers[-1] - sorted_numbers[0] + 1


def _area_by_order(xml: bytes) -> int:
    starts = [found.start() for found in _ANY_ROW.finditer(xml)]
    ends = [*starts[1:], len(xml)]
    widest = max((xml.count(b"<c", start, end) for start, end in zip(starts, ends, strict=False)), default=0)
    widest = max([widest, *(column_number(letters) for letters in {place[0] for place in _CELL.findall(xml)})])
    last = max((int(row) for row in _ROW.findall(xml)), default=0)
    last = max([last, *(int(row) for row in {place[1] for place in _CELL.findall(xml)})])
    return max(last, len(starts)) * widest


def _moved(xml: bytes, rows: Sequence[int], columns: Sequence[int]) -> tuple[bytes, bool]:
    new_rows, new_columns = _closer(rows), _closer(columns)
    width = new_columns[columns[-1]]
    most = max(1, MOST_AREA // width)
    complete = new_rows[rows[-1]] <= most
    if not complete:
        last = rows[bisect_left([new_rows[row] for row in rows], most)]
        xml = _cut_before(xml, last)

    def place(found: re.Match[bytes]) -> bytes:
        letters = column_letters(new_columns[column_number(found[2])])
        return b'%s%s%d"' % (found[1], letters, new_rows[int(found[3])])

    return _PLACE.sub(place, xml), complete


def _closer(numbers: Sequence[int]) -> dict[int, int]:
    """Return new numbers from 1 on, in the same order, that lie at most `_GAP` apart."""
    new: dict[int, int] = {}
    before, at = numbers[0], 1
    for number in numbers:
        at += min(number - before, _GAP)
        new[number] = at
        before = number
    return new


def _cut_before(xml: bytes, row: int) -> bytes:
    """Return the part up to its first cell of this row, or of a later one."""
    beyond = next((found for found in _CELL.finditer(xml) if int(found[2]) >= row), None)
    at = beyond.start() if beyond else len(xml)
    opened = _ANY_ROW.search(xml)
    prefix = opened[1] if opened else b""
    return b"%s</%srow></%ssheetData></%sworksheet>" % (xml[:at], prefix, prefix, prefix)


def shortened(xml: bytes, name: str) -> tuple[bytes, bool]:
    """Return the content of an ODS with runs of equal cells short enough, and whether all are as they were.

    The content itself where it is fine as it is.

    Raises:
        Unreadable: "too large" where even single cells lie too far apart.
    """
    xml = _BETWEEN.sub(b">", xml) if _BETWEEN.search(xml) else xml
    if _ods_area(xml) <= MOST_AREA:
        return xml, True
    for most in _RUNS:
        shorter = _REPEATED.sub(partial(_at_most, most), xml)
        if _ods_area(shorter) <= MOST_AREA:
            return shorter, False
    raise Unreadable("too large", f"{name} spreads its cells over more than {MOST_AREA} places. Split it.")


def _at_most(most: int, found: re.Match[bytes]) -> bytes:
    return b"%s%d" % (found[1], min(_count(found[2]), most))


def _count(digits: bytes) -> int:
    return int(digits) if len(digits) < 12 else 10**12


def _ods_area(xml: bytes) -> int:
    """Return how many cells the matrices of all sheets have, up to the last cell with content of each."""
    area = rows = columns = row = column = times = 0
    for found in _ODS_PART.finditer(xml):
        kind, attributes = found[1], found[2]
        repeated = _REPEATED.search(attributes)
        count = _count(repeated[2]) if repeated else 1
        if kind == b"table":
            area += rows * columns
            rows = columns = row = times = 0
        elif kind == b"table-row":
            row, column, times = row + times, 0, count
        else:
            column += count
            if not attributes.endswith(b"/") or b"value" in attributes:
                rows, columns = max(rows, row + times), max(columns, column)
    return area + rows * columns


def xlsb_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a part of an XLSB: kind and content ([MS-XLSB] 2.1.4)."""
    at, size = 0, len(data)
    while at < size:
        kind = data[at]
        at += 1
        if kind & 0x80 and at < size:
            kind = (kind & 0x7F) | (data[at] << 7)
            at += 1
        length = shift = 0
        for _ in range(4):
            if at >= size:
                return
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield kind, data[at : at + length]
        at += length


def xlsb_area(data: bytes) -> int:
    """Return how many cells lie between the outermost ones of an XLSB sheet.

    Far too many where a record of them is too short, or their rows are in no order: what calamine then takes for their
    places is anything.
    """
    row = top = bottom = last_column = 0
    first_column, seen = 1 << 32, False
    for kind, content in xlsb_records(data):
        if kind != _XLSB_ROW and kind not in _XLSB_CELLS:
            continue
        number = int.from_bytes(content[:4], "little")
        if len(content) < 8 or (kind == _XLSB_ROW and seen and number < bottom):
            return MOST_AREA + 1
        if kind == _XLSB_ROW:
            row = number
            continue
        top, bottom = (top if seen else row), row
        first_column, last_column, seen = min(first_column, number), max(last_column, number), True
    return (bottom - top + 1) * (last_column - first_column + 1) if seen else 0
