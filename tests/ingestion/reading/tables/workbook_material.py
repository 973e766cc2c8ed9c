"""Workbooks made by hand: the least that a spreadsheet program would open."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

Cell = str | int | float | None
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def zipped(parts: Mapping[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return file.getvalue()


def rows(table: Sequence[Sequence[Cell]], first: int = 1, column: int = 0) -> str:
    """Rows of cells as a sheet has them; None leaves a cell out."""
    made = []
    for number, cells in enumerate(table, start=first):
        row = "".join(
            _cell(f"{chr(65 + column + at)}{number}", cell) for at, cell in enumerate(cells) if cell is not None
        )
        made.append(f'<row r="{number}">{row}</row>')
    return "".join(made)


def _cell(place: str, cell: Cell) -> str:
    if isinstance(cell, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
    return f'<c r="{place}"><v>{cell!r}</v></c>'


def related(*targets: tuple[str, str]) -> str:
    """The relationships of a part: kind and target; their ids are r1, r2 ..."""
    entries = "".join(
        f'<Relationship Id="r{at}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for at, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{entries}</Relationships>'


def xlsx(
    sheets: Mapping[str, str], *, hidden: str = "", after: str = "", more: Mapping[str, str] | None = None
) -> bytes:
    """A workbook. sheets: rows by the sheet's name. hidden: a sheet's name. after: XML behind each sheet's rows."""
    state = {name: ' state="hidden"' if name == hidden else "" for name in sheets}
    names = "".join(
        f'<sheet name="{escape(name)}" sheetId="{at}" r:id="r{at}"{state[name]}/>'
        for at, name in enumerate(sheets, start=1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Override PartName="/xl/workbook.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        "_rels/.rels": related(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": related(
            *[("worksheet", f"worksheets/s{at}.xml") for at in range(1, len(sheets) + 1)]
        ),
    }
    for at, content in enumerate(sheets.values(), start=1):
        sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{content}</sheetData>{after}</worksheet>'
        parts[f"xl/worksheets/s{at}.xml"] = sheet
    return zipped({**parts, **(more or {})})


def ods(table: str, name: str = "Sheet1") -> bytes:
    """An OpenDocument spreadsheet. table: rows as XML."""
    oasis = "urn:oasis:names:tc:opendocument:xmlns"
    spaces = f'xmlns:office="{oasis}:office:1.0" xmlns:table="{oasis}:table:1.0" xmlns:text="{oasis}:text:1.0"'
    return zipped({
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{oasis}:manifest:1.0"/>',
        "content.xml": f"<office:document-content {spaces}><office:body><office:spreadsheet>"
        f'<table:table table:name="{name}">{table}</table:table></office:spreadsheet></office:body></office:document-content>',
    })  # fmt: skip
