"""Office documents written as one XML file: Word 2003 and 2006 (WordprocessingML), Excel 2003 (SpreadsheetML).

Many programs export such files under the names .xml, .doc and .xls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.markup.trees import local, words
from knowledge_core.ingestion.reading.parsed import row, table

_WORD = ("wordDocument", "package")
_HEADING = re.compile(r"(?:heading|berschrift|Titre)\s?([1-6])", re.I)
_MOST_EMPTY = 200  # cells between two filled ones; an index may point far to the right


def office_xml(root: etree._Element) -> str:
    """Return a document or workbook as Markdown; "" for any other XML."""
    if local(root) in _WORD:
        body = next(root.iter("{*}body"), None)
        return "" if body is None else "\n\n".join(_paragraphs(body))
    if local(root) == "Workbook" and next(root.iter("{*}Worksheet"), None) is not None:
        return "\n\n".join(_sheets(root))
    return ""


def _paragraphs(body: etree._Element) -> Iterator[str]:
    """Yield headings, paragraphs and rows of tables in their order; a table in a table is read as text of its cell."""
    walk = etree.iterwalk(body, events=("start",), tag=("{*}p", "{*}tbl"))
    for _, element in walk:
        if local(element) == "tbl":
            walk.skip_subtree()
            rows = [[_text(cell) for cell in each.iterfind("{*}tc")] for each in element.iterfind("{*}tr")]
            if rows:
                yield table(rows)
        elif text := _text(element):
            walk.skip_subtree()
            style = next(element.iter("{*}pStyle"), None)
            name = "" if style is None else next(iter(style.attrib.values()), "")
            found = _HEADING.search(name)
            listed = next(element.iter("{*}listPr", "{*}numPr"), None) is not None
            yield "#" * int(found[1]) + " " + text if found else f"- {text}" if listed else text


def _text(element: etree._Element) -> str:
    parts: list[str] = []
    for each in element.iter("{*}t", "{*}tab", "{*}br", "{*}p"):
        kind = local(each)
        parts.append((each.text or "") if kind == "t" else " ")
    return " ".join("".join(parts).split())


def _sheets(root: etree._Element) -> Iterator[str]:
    for sheet in root.iter("{*}Worksheet"):
        rows = [cells for each in sheet.iterfind("{*}Table/{*}Row") if any(cells := _cells(each))]
        if rows:
            name = next((value for key, value in sheet.attrib.items() if key.endswith("}Name")), "")
            yield f"## {name}" if name else ""
            yield table(rows) if len(rows) > 1 else row(rows[0])


def _cells(each: etree._Element) -> list[str]:
    cells: list[str] = []
    for cell in each.iterfind("{*}Cell"):
        index = next((value for key, value in cell.attrib.items() if key.endswith("}Index")), "")
        if index.isdecimal() and len(index) < 7:
            cells += [""] * min(_MOST_EMPTY, max(0, int(index) - 1 - len(cells)))
        data = next(cell.iter("{*}Data"), None)
        value = "" if data is None else words(data)
        cells.append(re.sub(r"^(\d{4}-\d\d-\d\d)T00:00:00\.000$", r"\1", value))
    return cells
