"""Workbooks to Markdown, through calamine: XLSX, XLSM, XLSB, XLS, ODS. The only file that speaks to calamine.

Each sheet is a section, in the workbook's order, hidden ones too, which say so. Below its tables stand its comments, each
with the name of its cell, and the texts of its drawings. Formulas are what they last came to; errors are left out. A cell
that spans rows stands in each of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import python_calamine as calamine

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.reading.sheets import package
from knowledge_core.ingestion.reading.sheets.block import Row, plain_line
from knowledge_core.ingestion.reading.sheets.packed import Packed, packed
from knowledge_core.ingestion.reading.sheets.regions import Regions
from knowledge_core.ingestion.reading.sheets.values import Value
from knowledge_core.ingestion.unreadable import Unreadable

MOST_TEXT = 50_000_000  # characters of Markdown of one workbook: as many as the largest text file that is read has
_LONGEST_REPEATED = 80  # characters of a cell that spans rows and stands in each of them
_SHEETS = (
    calamine.SheetTypeEnum.WorkSheet,
    calamine.SheetTypeEnum.DialogSheet,
    calamine.SheetTypeEnum.MacroSheet,
)
_T = TypeVar("_T")


def read_workbook(data: bytes, name: str) -> Parsed:
    """Return a workbook as Markdown, a section for each sheet that holds something.

    Raises:
        Unreadable: "encrypted", "damaged" or "too large".
    """
    found = packed(data, name)
    book = _asked(lambda: calamine.load_workbook(io.BytesIO(found.data)), name)
    sections: list[str] = []
    failures: list[Unreadable] = []
    room = MOST_TEXT
    for about in book.sheets_metadata:
        if about.typ not in _SHEETS:
            continue
        try:
            section = _asked(lambda about=about, room=room: _section(book, about, found, room), name)  # type: ignore[misc]
        except Unreadable as error:  # one damaged sheet costs the workbook no other
            failures.append(error)
            section = f"{_heading(about)}\n\nThis sheet is damaged and left out."
        room -= len(section)
        sections += [section] if section else []
    if failures and len(failures) == len(sections):
        raise failures[0]
    title, own = package.properties(found.archive) if found.archive else ("", {})
    ods = found.archive is not None and "content.xml" in found.archive
    return Parsed(clean_text("\n\n".join(sections)), title, from_file(own, {"format": "ods" if ods else "xlsx"}))


def _asked(work: Callable[[], _T], name: str) -> _T:
    """Return what calamine answers; its errors, and its panics, become ours."""
    try:
        return work()
    except calamine.PasswordError as error:
        raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.") from error
    except (calamine.CalamineError, OSError) as error:
        raise Unreadable("damaged", f"{name} is not a sound workbook. Open it elsewhere and save it anew.") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # which is no Exception, and has no public name
            raise
        raise Unreadable("damaged", f"{name} has a damaged sheet. Open it elsewhere and save it anew.") from error


def _section(book: calamine.CalamineWorkbook, about: calamine.SheetMetadata, found: Packed, room: int) -> str:
    """Return a sheet's Markdown, of about `room` characters at most; "" for one that holds nothing."""
    complete = not {about.name, ""} & found.cut
    parts: list[str] = []
    if found.looked_at and about.name not in found.parts:
        raise calamine.CalamineError("a sheet without a part")
    if about.name not in found.lost:
        sheet = book.get_sheet_by_name(about.name)
        parts, whole = _tables(sheet, about.name, found, room)
        complete = complete and whole
    else:
        complete = False
    parts += _notes(about.name, found)
    if not complete:
        parts.append("The rest of this sheet is left out: it is too large.")
    return "\n\n".join([_heading(about), *parts]) if parts else ""


def _heading(about: calamine.SheetMetadata) -> str:
    hidden = "" if about.visible == calamine.SheetVisibleEnum.Visible else " (hidden)"
    return f"# {' '.join(about.name.split())}{hidden}"


def _tables(sheet: calamine.CalamineSheet, name: str, found: Packed, room: int) -> tuple[list[str], bool]:
    if sheet.start is None:
        return [], True
    left = sheet.start[1]  # calamine's rows begin with the first column that is used
    percent = {
        row: frozenset(column - left for column in columns) for row, columns in found.percent.get(name, {}).items()
    }
    merged = [] if name in found.moved else sheet.merged_cell_ranges or []
    spans: dict[int, list[tuple[int, int]]] = {}
    for (top, first), (_, last) in merged:
        if last > first >= left:
            spans.setdefault(top, []).append((first - left, last - left))
    down = {(top, first - left): bottom for (top, first), (bottom, last) in merged if bottom > top and last == first}
    regions = Regions(percent, spans)
    for number, cells in _filled_down(_rows(sheet), down):
        if regions.length > room:
            return regions.markdown(), False
        regions.take(number, cells)
    return regions.markdown(), True


def _rows(sheet: calamine.CalamineSheet) -> Iterator[tuple[int, list[Value]]]:
    """Yield the rows that hold something, and their numbers, counted from 0."""
    for number, cells in enumerate(sheet.iter_rows()):
        if any(cell != "" for cell in cells):
            yield number, cells


def _filled_down(rows: Iterator[tuple[int, list[Value]]], down: dict[tuple[int, int], int]) -> Iterator[Row]:
    """Yield the rows with the cells that span several of them in each.

    down: the last row of each such cell, by its first row and its column.
    """
    starts: dict[int, list[int]] = {}
    for top, column in down:
        starts.setdefault(top, []).append(column)
    spanning: dict[int, tuple[int, Value]] = {}  # column to the last row, and the value
    for number, cells in rows:
        for column, (bottom, value) in list(spanning.items()):
            if number > bottom:
                del spanning[column]
            elif column < len(cells) and cells[column] == "":
                cells[column] = value
        for column in starts.get(number, ()):
            if column < len(cells) and cells[column] != "" and len(str(cells[column])) <= _LONGEST_REPEATED:
                spanning[column] = down[number, column], cells[column]
        yield number, cells


def _notes(name: str, found: Packed) -> list[str]:
    """Return the comments of a sheet and the texts of its drawings, as lists."""
    comments: Sequence[tuple[str, str]] = [("", text) for text in found.annotations.get(name, ())]
    drawn: Sequence[str] = ()
    if found.archive and name in found.parts:
        comments, drawn = package.notes(found.archive, found.parts[name])
    lists: list[str] = []
    if comments:
        lines = [f"{cell}: {text}" if cell else text for cell, text in comments]
        lists.append("\n".join(["Comments:", "", *(f"- {' '.join(line.split())}" for line in lines)]))
    if drawn:
        lists.append("\n\n".join(plain_line(text) for text in drawn))
    return lists
