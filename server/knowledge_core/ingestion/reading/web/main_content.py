"""The main content of a page: what trafilatura finds, or the part of the page around it where that keeps more."""

from __future__ import annotations

import copy
import logging
import re

import trafilatura
from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.reading.web.boilerplate import without_boilerplate, without_unseen
from knowledge_core.ingestion.reading.web.maths import write_out_formulas
from knowledge_core.ingestion.reading.web.tables import span
from knowledge_core.ingestion.reading.web.writing import write

# Their messages hold parts of the page; our own report says what went wrong.
logging.getLogger("trafilatura").setLevel(logging.CRITICAL + 1)
logging.getLogger("htmldate").setLevel(logging.CRITICAL + 1)

# When the extracted main content is given up for the whole page.
_LITTLE = 0.2  # of the page's characters; with less, extraction failed: index pages, forms, short pages
_LITTLE_AND_SHORT = 0.5  # of the page's characters, where fewer than `_SHORT` were found: little is lost
_SHORT = 1000  # characters
_NEAR = 0.85  # of the characters around the main content: what the extraction left out is not worth its losses
_HEADINGS = 0.8  # of the headings around it; with fewer, and at least `_SOME` of the characters, they are worth more
_SOME = 0.3
_MOST_SPANNED = 5000  # cells that those of a page span
_EXTRACT_DEEPEST = 150  # tags within tags; pages have about 30, and extraction walks up from each tag, too
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_TELLING = 20  # characters, from which on the same text is the same place
_AROUND = 0.95  # of the extracted characters
_PARAGRAPHS = word_set("p span b strong em pre code blockquote li ul ol table td tr")  # no container of content


def main_content(page: lxml_html.HtmlElement) -> str:
    """Return the text of a page's main content; its tree is changed."""
    deep = _deeper_than(page, _EXTRACT_DEEPEST)
    without_unseen(page)
    write_out_formulas(page)
    other = None if deep else copy.deepcopy(page)  # extraction takes elements out
    without_boilerplate(page)
    body = page.find("body")
    body = page if body is None else body
    whole = write(body)
    if other is None:
        return whole
    _bound_spans(other)
    found = trafilatura.bare_extraction(other, with_metadata=False, include_comments=False, favor_recall=True)
    extracted = getattr(found, "body", None)
    if extracted is None:
        return whole
    main = write(extracted)
    share = len(main) / len(whole) if whole else 1.0
    if share < _LITTLE or (share < _LITTLE_AND_SHORT and len(main) < _SHORT):
        return whole
    part = _around(body, extracted)
    text = whole if part is body else write(part)
    kept = len(_HEADING.findall(main)) / max(1, len(_HEADING.findall(text)))
    near = len(main) >= _NEAR * len(text)
    return text if near or (kept < _HEADINGS and len(main) >= _SOME * len(text)) else main


def _bound_spans(page: lxml_html.HtmlElement) -> None:
    """Let no cell of a page span others where all of them together span more than tables do: extraction writes each out."""
    cells = [(span(cell.get("colspan")), span(cell.get("rowspan"))) for cell in page.iter("td", "th")]
    if sum(across * down for across, down in cells) > 2 * len(cells) + _MOST_SPANNED:
        etree.strip_attributes(page, "colspan", "rowspan")


def _around(body: lxml_html.HtmlElement, extracted: lxml_html.HtmlElement) -> lxml_html.HtmlElement:
    """Return the smallest element with nearly all of the extracted text in it; for a paragraph, what is hardly more around it."""
    told = {said for text in extracted.itertext() if len(said := " ".join(text.split())) >= _TELLING}
    total, least = sum(_told(element, told) for element in body.iter()), _AROUND * _length(extracted)
    sums = [(0, 0)]  # of each open element, extracted characters and all characters
    found: lxml_html.HtmlElement | None = None
    size = 0  # of the smallest
    for event, element in etree.iterwalk(body, events=("start", "end")):
        if event == "start":
            sums.append((_told(element, told), _signs(element.text) + sum(_signs(child.tail) for child in element)))
            continue
        weight, length = sums.pop()
        sums[-1] = (sums[-1][0] + weight, sums[-1][1] + length)
        if found is None and weight >= _AROUND * total and length >= least:
            found, size = element, length
        elif found is not None and element is found.getparent():
            if found.tag not in _PARAGRAPHS or size < _NEAR * length:
                return found
            found = element
    return body if found is None else found


def _length(element: lxml_html.HtmlElement) -> int:
    return sum(map(_signs, element.itertext()))


def _signs(text: str | None) -> int:
    return len(text) if text and not text.isspace() else 0


def _told(element: lxml_html.HtmlElement, told: set[str]) -> int:
    """Return how many characters directly in an element are among the extracted ones."""
    texts = [element.text, *(child.tail for child in element)]
    return sum(len(said) for text in texts if text and (said := " ".join(text.split())) in told)


def _deeper_than(page: lxml_html.HtmlElement, most: int) -> bool:
    depth = 0
    for event, _ in etree.iterwalk(page, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > most:
            return True
    return False
