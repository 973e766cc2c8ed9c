"""HTML to Markdown-like text: the main content of a page, with its headings, lists, tables and code.

Trafilatura finds the main content. The text is written here, from trafilatura's tree or from the whole page, because
trafilatura's own Markdown escapes punctuation inside words (`top\\_p`), which nobody searches for. No link is followed.
"""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Mapping

import trafilatura
from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.types import MetadataValue

# Their messages hold parts of the page; our own report says what went wrong.
logging.getLogger("trafilatura").setLevel(logging.CRITICAL + 1)
logging.getLogger("htmldate").setLevel(logging.CRITICAL + 1)


# When the extracted main content is given up for the whole page.
_LITTLE = 0.2  # of the page's characters; with less, extraction failed: index pages, forms, short pages
_LITTLE_AND_SHORT = 0.5  # of the page's characters, where fewer than `_SHORT` were found: little is lost
_SHORT = 1000  # characters
_EXTRACT_UP_TO = 5_000_000  # characters of a page; finding the main content takes 0.5 s per megabyte
_EXTRACT_DEEPEST = 150  # tags within tags; pages have about 30, and extraction walks up from each tag, too
_UNSEEN = word_set("script style noscript template svg math iframe object select textarea title link meta")
_BLOCKS = word_set(
    "p div section article main header footer nav aside address blockquote quote figure figcaption form fieldset "
    "dl dt dd ul ol list table caption thead tbody tfoot details summary hr body center h1 h2 h3 h4 h5 h6 head"
)
_TAG = re.compile("<[^<>]*>")
_LISTS = frozenset({"ul", "ol", "list"})
_ITEMS = frozenset({"li", "item"})
_ROWS = frozenset({"tr", "row"})
_CELLS = frozenset({"td", "th", "cell"})
_FIELDS = {
    "author": "author",
    "article:author": "author",
    "dc.creator": "author",
    "article:published_time": "date",
    "date": "date",
    "dc.date": "date",
    "dcterms.date": "date",
    "description": "description",
    "og:description": "description",
    "keywords": "tags",
}


def read_html_page(text: str, name: str) -> Parsed:
    """Return the main content of a web page as Markdown."""
    found, title, about = read_html(text)
    return Parsed(clean_text(found), title, from_file(about, {"format": "html"}))


def read_html(text: str) -> tuple[str, str, dict[str, MetadataValue]]:
    """Return the text, the title ("" if there is none), and the author, date, description and tags that the page gives."""
    page, whole_page = _parsed(text)
    if page is None:
        return "", "", {}
    title, about = _title(page), _about(page)
    body = page.find("body")
    if not whole_page:
        lines = (line.strip() for line in _unescaped(_TAG.sub("\n", text)).splitlines())
        return "\n".join(line for line in lines if line), title, about
    whole = write(page if body is None else body)
    main = _main_text(text) if len(text) <= _EXTRACT_UP_TO and not _deeper_than(page, _EXTRACT_DEEPEST) else ""
    share = len(main) / len(whole) if whole else 1.0
    if share < _LITTLE or (share < _LITTLE_AND_SHORT and len(main) < _SHORT):
        return whole, title, about
    return main, title, about


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


def _deeper_than(page: lxml_html.HtmlElement, most: int) -> bool:
    depth = 0
    for event, _ in etree.iterwalk(page, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > most:
            return True
    return False


def _main_text(text: str) -> str:
    page, _ = _parsed(text)  # another tree than the caller's: extraction removes elements
    found = trafilatura.bare_extraction(page, with_metadata=False, include_comments=False, favor_recall=True)
    body = getattr(found, "body", None)
    return "" if body is None else write(body)


def _title(page: lxml_html.HtmlElement) -> str:
    drawings = 0  # open <svg> elements: a title in them names a shape
    walk = etree.iterwalk(page, events=("start", "end"), tag=("svg", "title", "h1"))
    for event, element in walk:
        if element.tag == "svg":
            drawings += 1 if event == "start" else -1
        elif event == "start" and not (element.tag == "title" and drawings):
            title = " ".join("".join(element.itertext()).split())
            if title:
                return title
            walk.skip_subtree()  # no words in it, so none in its children
    return ""


def _about(page: lxml_html.HtmlElement) -> dict[str, MetadataValue]:
    result: dict[str, MetadataValue] = {}
    for element in page.iter("meta"):
        attributes: Mapping[str, str] = element.attrib
        name = _FIELDS.get((attributes.get("name") or attributes.get("property") or "").strip().lower())
        content = " ".join((attributes.get("content") or "").split())
        if name and content and name not in result:
            result[name] = content[:1000]
    return result


def write(root: lxml_html.HtmlElement) -> str:
    """Return the text below an element, of HTML or of trafilatura's tree. Not recursive, because pages nest deep."""
    writer = _Writer()
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        tag = element.tag
        if event == "start" and (tag in _UNSEEN or "hidden" in element.attrib):
            walk.skip_subtree()
            writer.unseen.add(element)
        elif event == "start" and (tag == "pre" or (tag == "code" and writer.holds_lines(element))):
            walk.skip_subtree()
            writer.code("".join(element.itertext()))
            writer.unseen.add(element)
        elif event == "start":
            writer.start(tag, element.attrib)
        else:
            if event == "end" and element not in writer.unseen:
                writer.end(tag, element)
            writer.inline(element.tail if element is not root else None)
            continue
        if element not in writer.unseen:
            writer.inline(element.text)
    return writer.text()


class _Writer:
    """Text while it is being written: finished blocks, and the line that is being gathered."""

    def __init__(self) -> None:
        self.unseen: set[lxml_html.HtmlElement] = set()
        self._blocks: list[tuple[bool, str]] = []  # tight (no empty line between two tight blocks), text
        self._line: list[str] = []
        self._prefix = ""
        self._lists = 0
        self._cells: list[str] | None = None
        self._one_line: lxml_html.HtmlElement | None = None  # the open code element, if it holds no line end

    def holds_lines(self, code: lxml_html.HtmlElement) -> bool:
        """Say whether a code element holds several lines. Code inside code of one line is not read again: it may nest deep."""
        if self._one_line is None and "\n" not in "".join(code.itertext()):
            self._one_line = code
        return self._one_line is None

    def inline(self, text: str | None) -> None:
        if text:
            self._line.append(text)

    def code(self, text: str) -> None:
        self._flush()
        text = text.strip("\n")
        longest = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        if text.strip():
            self._blocks.append((False, f"{fence}\n{text}\n{fence}"))

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        level = tag if re.fullmatch("h[1-6]", tag) else attributes.get("rend", "") if tag == "head" else ""
        if tag in _BLOCKS | _ITEMS and self._cells is None:
            self._flush()
        elif tag in ("br", "lb") and self._cells is None and not self._prefix.startswith("#"):
            self._flush(keep=True)
        elif tag in _BLOCKS | _ITEMS | _CELLS or tag in ("br", "lb"):
            self._line.append(" ")
        if tag in _ROWS:
            self._flush()
            self._cells = []
        if tag in _LISTS:
            self._lists += 1
        elif tag in _ITEMS:
            self._prefix = "  " * max(0, min(self._lists, 8) - 1) + "- "
        elif re.fullmatch("h[1-6]", level):
            self._prefix = "#" * int(level[1]) + " "

    def end(self, tag: str, element: lxml_html.HtmlElement) -> None:
        if element is self._one_line:
            self._one_line = None
        if tag in _CELLS and self._cells is not None:
            self._cells.append(self._taken())
        elif tag in _ROWS:
            self._row()
        elif tag in _BLOCKS | _ITEMS and self._cells is None:
            self._flush()
            self._prefix = ""
        elif tag in _BLOCKS | _ITEMS:
            self._line.append(" ")
        if tag in _LISTS:
            self._lists -= 1

    def text(self) -> str:
        self._flush()
        parts: list[str] = []
        for index, (tight, block) in enumerate(self._blocks):
            if index:
                parts.append("\n" if tight and self._blocks[index - 1][0] else "\n\n")
            parts.append(block)
        return "".join(parts)

    def _taken(self) -> str:
        text = " ".join("".join(self._line).split())
        self._line.clear()
        return text

    def _row(self) -> None:
        cells = [*(self._cells or []), *([rest] if (rest := self._taken()) else [])]
        self._cells = None
        filled = [cell for cell in cells if cell]
        if len(cells) == 1 and filled:  # a table of one column is page layout, not a table
            self._blocks.append((False, filled[0]))
        elif filled:
            self._blocks.append((True, "| " + " | ".join(cells) + " |"))

    def _flush(self, *, keep: bool = False) -> None:
        text = self._taken()
        if not text:
            return
        tight = self._prefix.endswith("- ") or keep
        self._blocks.append((tight, self._prefix + text))
        # In a list item, what follows a line break or a paragraph is indented under the item.
        self._prefix = "" if not self._prefix.endswith("- ") else " " * len(self._prefix)
