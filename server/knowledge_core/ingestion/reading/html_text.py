"""HTML to Markdown-like text: the main content of a page, with its headings, lists, tables, formulas and code.

The parts are in `web/`: what is left out, which part of the page is its content, how that is written. No link is followed.
"""

from __future__ import annotations

import html
import re

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.reading.web.about import facts_of, language_of, title_of
from knowledge_core.ingestion.reading.web.main_content import main_content
from knowledge_core.ingestion.reading.web.script_content import content_without_scripts
from knowledge_core.ingestion.reading.web.writing import write
from knowledge_core.types import MetadataValue

__all__ = ["read_html", "read_html_page", "write"]

_EXTRACT_UP_TO = 5_000_000  # characters of a page; finding the main content takes 0.5 s per megabyte
_TAG = re.compile("<[^<>]*>")
_EMPTY = 200  # characters; a page with fewer may be filled by a script


def read_html_page(text: str, name: str) -> Parsed:
    """Return the main content of a web page as Markdown."""
    found, title, about, language = _read(text)
    own: dict[str, MetadataValue] = {"format": "html", **({"language": language} if language else {})}
    return Parsed(clean_text(found), title, from_file(about, own))


def read_html(text: str) -> tuple[str, str, dict[str, MetadataValue]]:
    """Return the text, the title ("" if there is none), and the author, dates, description and tags that the page gives."""
    found, title, about, _ = _read(text)
    return found, title, about


def _read(text: str) -> tuple[str, str, dict[str, MetadataValue], str]:
    """Return what `read_html` does, and the language."""
    page, whole_page = _parsed(text)
    if page is None:
        return "", "", {}, ""
    title, language = title_of(page), language_of(page)
    about: dict[str, MetadataValue] = {**facts_of(page)}
    if not whole_page:
        lines = (line.strip() for line in _unescaped(_TAG.sub("\n", text)).splitlines())
        return "\n".join(line for line in lines if line), title, about, language
    if len(text) > _EXTRACT_UP_TO:
        body = page.find("body")
        return write(page if body is None else body), title, about, language
    found = main_content(page)
    if len(found) < _EMPTY:
        again, _ = _parsed(text)
        found = max(found, content_without_scripts(again), key=len)
    return found, title, about, language


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits
        return text


def _parsed(text: str) -> tuple[lxml_html.HtmlElement | None, bool]:
    """Return the page's tree, and whether the whole page is in it: the parser gives up at 2048 tags within tags."""
    try:
        # As bytes with a given encoding: a declaration in the page is about the bytes that were decoded before.
        parser = lxml_html.HTMLParser(encoding="utf-8", huge_tree=True)
        page = lxml_html.document_fromstring(text.encode("utf-8"), parser=parser)
    except etree.ParserError:  # nothing but white space or comments
        return None, True
    return page, not any("depth" in entry.message for entry in parser.error_log)
