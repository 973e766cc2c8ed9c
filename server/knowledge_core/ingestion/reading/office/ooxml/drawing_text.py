"""Text in drawings, which Word and PowerPoint share: paragraphs of DrawingML, its tables, what a picture shows."""

from __future__ import annotations

import re
from itertools import islice

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import MOST_COLUMNS, grid, one_line, plain
from knowledge_core.ingestion.reading.office.ooxml.equations import equation
from knowledge_core.ingestion.reading.office.ooxml.package import MC, A, M, integer, skipped_variant

_P, _T, _BR, _FLD = f"{A}p", f"{A}t", f"{A}br", f"{A}fld"
_MATH, _VARIANTS = f"{M}oMath", (f"{MC}Choice", f"{MC}Fallback")
_LONGEST_NAME = 300  # characters; what is longer is no name of a file
_POWER = re.compile(r"[-−–+]?\d+")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")  # how the schemas write a character that XML does not allow
_BY_ITSELF = re.compile(
    r"(?:\n|\.)?\s*(?:Description automatically generated|AI-generated content may be incorrect).*", re.S
)
# Names that programs give, and addresses of files: neither says what is to be seen.
_NOT_SAID = re.compile(
    r"(?:[a-z]+://|[a-z]:\\|/|\.\.?/)\S*$|.{0,200}\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg|webp|pdf|eps)$|"
    r"(?:picture|image|img|grafik|bild|graphic|photo|object|placeholder|text ?box|textfeld|shape|rectangle|line|group|"
    r"content placeholder|diagram|chart|table|title|oval|arrow|connector|freeform|screenshot|logo|icon|default)?"
    r"[\s_\-#:]*[\d\s_\-.]*$",
    re.IGNORECASE,
)


def alt_text(element: etree._Element) -> str:
    """Return what the properties of a drawing say that it shows; "" for names that programs give.

    element: with the attributes `descr` and `title`.
    """
    if any(each.get("val") in ("1", "true") for each in element.iter("{*}decorative")):
        return ""
    for name in ("descr", "title"):
        said = _BY_ITSELF.sub("", one_line(element.get(name, ""))).strip()
        if said and not (len(said) <= _LONGEST_NAME and _NOT_SAID.match(said)):
            return said
    return ""


def unescaped(text: str) -> str:
    """Return a text with its characters that are written as `_x000D_`; control characters as spaces."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if int(found[1], 16) >= 32 else " ", text)


def paragraph_text(paragraph: etree._Element) -> str:
    """Return the text of an `a:p` with its line breaks, without the numbers of slides."""
    parts: list[str] = []
    walk = etree.iterwalk(paragraph, events=("start",), tag=(_T, _BR, _FLD, _MATH, *_VARIANTS))
    for _, each in walk:
        if each.tag == _T:
            parts.append(raised(unescaped(each.text or "")) if _is_raised(each) else unescaped(each.text or ""))
        elif each.tag == _BR:
            parts.append("\n")
        elif each.tag == _FLD:
            if each.get("type", "").startswith(("slidenum", "datetime")):
                walk.skip_subtree()
        elif each.tag == _MATH:
            parts.append(equation(each))
            walk.skip_subtree()
        elif skipped_variant(each):
            walk.skip_subtree()
    return plain("".join(parts))


def raised(text: str) -> str:
    """Return a text that stands above the line: a number is a power or a mark, "10^6"; else as it is, "1st"."""
    return f"^{text}" if _POWER.fullmatch(text) else text


def _is_raised(text: etree._Element) -> bool:
    properties = text.getparent().find(f"{A}rPr")
    return properties is not None and integer(properties.get("baseline")) > 0


def paragraphs_text(element: etree._Element) -> str:
    """Return the text of all paragraphs in an element, on one line."""
    return one_line(" ".join(paragraph_text(each) for each in element.iter(_P)))


def table_text(element: etree._Element) -> str:
    """Return an `a:tbl` as a Markdown table; "" where it has no text. A merged cell's text stands in its first place."""
    rows: list[list[str]] = []
    for row in element.iterchildren(f"{A}tr"):
        cells = islice(row.iterchildren(f"{A}tc"), MOST_COLUMNS)
        rows.append([paragraphs_text(cell) for cell in cells])
    return grid(rows)


def depth(paragraph: etree._Element) -> int:
    """Return how deep a paragraph of DrawingML lies in its list, from 0."""
    properties = paragraph.find(f"{A}pPr")
    return 0 if properties is None else min(max(integer(properties.get("lvl")), 0), 8)
