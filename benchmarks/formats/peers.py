"""Texts of files by other people's libraries, in a process of its own: run by the Python in which they are installed.

Asked and answered in lines of JSON: {"way": "openpyxl", "file": PATH} -> {"text", "headings", "ms"} or {"error"}. The first
line says which libraries there are. Knows nothing of Knowledge Core.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
import warnings
from importlib import metadata

WAYS = {"markitdown": "markitdown", "openpyxl": "openpyxl", "xlrd": "xlrd", "pyxlsb": "pyxlsb", "odfpy": "odfpy",
        "python-pptx": "python-pptx", "extract-msg": "extract-msg"}  # fmt: skip


ERRORS = ("#VALUE!", "#REF!", "#DIV/0!", "#NAME?", "#N/A", "#NUM!", "#NULL!")


def shown(value) -> str:
    """Return a cell's value as people write it: no binary noise, dates as ISO, nothing for empty cells."""
    if value is None or (isinstance(value, str) and value in ERRORS):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else f"{value:.15g}"
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("T00:00:00", "").replace("T", " ")
    return str(value)


def by_markitdown(file: str):
    global _markitdown
    if "_markitdown" not in globals():
        from markitdown import MarkItDown

        _markitdown = MarkItDown()
    return _markitdown.convert(file).text_content, []


def by_openpyxl(file: str):
    from openpyxl import load_workbook

    book = load_workbook(file, data_only=True, read_only=False)
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    cells = [shown(cell) for sheet in sheets for row in sheet.iter_rows(values_only=True) for cell in row]
    names = [sheet.title for sheet in sheets if any(cell is not None for row in sheet.values for cell in row)]
    return "\n".join(filter(None, [*names, *cells])), names


def by_xlrd(file: str):
    import xlrd

    book = xlrd.open_workbook(file)
    cells, names = [], []
    for sheet in book.sheets():
        if sheet.visibility:
            continue
        names += [sheet.name] if sheet.nrows else []
        for row in range(sheet.nrows):
            for cell in sheet.row(row):
                if cell.ctype == xlrd.XL_CELL_DATE:
                    with contextlib.suppress(Exception):
                        cells.append(shown(xlrd.xldate_as_datetime(cell.value, book.datemode)))
                elif cell.ctype == xlrd.XL_CELL_BOOLEAN:
                    cells.append(str(bool(cell.value)))
                elif cell.ctype != xlrd.XL_CELL_ERROR:
                    cells.append(shown(cell.value))
    return "\n".join(filter(None, [*names, *cells])), names


def by_pyxlsb(file: str):
    from pyxlsb import open_workbook

    cells = []
    with open_workbook(file) as book:
        names = []
        for name in book.sheets:
            with book.get_sheet(name) as sheet:
                said = list(filter(None, (shown(cell.v) for row in sheet.rows(sparse=True) for cell in row)))
            cells += said
            names += [name] if said else []
    return "\n".join(filter(None, [*names, *cells])), []


def by_odfpy(file: str):
    from odf import table, teletype, text
    from odf.opendocument import load

    found = load(file)
    if file.endswith("ods"):
        sheets = [sheet for sheet in found.body.getElementsByType(table.Table) if str(sheet).strip()]
        names = [sheet.getAttribute("name") for sheet in sheets]
        cells = [_of_cell(cell) for sheet in sheets for cell in sheet.getElementsByType(table.TableCell)]
        return "\n".join([*names, *cells]), names
    parts = []
    for each in (text.H, text.P):
        parts += [teletype.extractText(element) for element in found.body.getElementsByType(each)]
    return "\n".join(parts), []


def _of_cell(cell) -> str:
    """Return a cell's value as it is kept, and not as it is shown; as often as the cell is repeated."""
    from odf import teletype
    from odf.namespaces import OFFICENS, TABLENS

    kind = cell.attributes.get((OFFICENS, "value-type"))
    name = {"float": "value", "percentage": "value", "currency": "value", "date": "date-value"}.get(kind or "", "")
    value = cell.attributes.get((OFFICENS, name)) if name else None
    if value is not None:
        said = shown(float(value)) if name == "value" else value.replace("T00:00:00", "").replace("T", " ")
    else:
        said = teletype.extractText(cell)
    return "\n".join(
        [said] * (min(1000, int(cell.attributes.get((TABLENS, "number-columns-repeated"), 1))) if said else 1)
    )


def by_python_pptx(file: str):
    from pptx import Presentation

    parts, titles = [], []
    for slide in Presentation(file).slides:
        waiting = list(slide.shapes)
        while waiting:
            shape = waiting.pop(0)
            waiting = [*getattr(shape, "shapes", ()), *waiting]
            if shape.has_text_frame:
                parts.append(shape.text_frame.text)
            if getattr(shape, "has_table", False):
                parts += [cell.text for row in shape.table.rows for cell in row.cells]
        if getattr(slide.shapes.title, "has_text_frame", False) and slide.shapes.title.text.strip():
            titles.append(slide.shapes.title.text)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            parts.append(slide.notes_slide.notes_text_frame.text)
    return "\n".join(parts), titles


def by_extract_msg(file: str):
    import extract_msg

    with extract_msg.openMsg(file) as message:
        people = message.sender, message.to, message.cc
        return "\n".join(part or "" for part in (message.subject, *people, message.body)), []


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the libraries print is no answer
    has = {}
    for way, package in WAYS.items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            has[way] = metadata.version(package)
    print(json.dumps(has), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        begun = time.perf_counter()
        try:
            text, headings = globals()["by_" + asked["way"].replace("-", "_")](asked["file"])
            answer = {"text": text or "", "headings": headings, "ms": (time.perf_counter() - begun) * 1e3}
        except Exception as error:  # noqa: BLE001 other people's parsers, whatever they raise
            answer = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
