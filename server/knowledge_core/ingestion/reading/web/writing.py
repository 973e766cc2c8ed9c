"""The tree of a page, or trafilatura's of its main content, as Markdown-like text.

Trafilatura's own Markdown is not used, because it escapes punctuation inside words (`top\\_p`), which nobody searches for.
Inline emphasis and addresses of links are not written; `literal` keeps paragraphs ("# 3", "---") from being structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.reading.literal import fenced, literal
from knowledge_core.ingestion.reading.parsed import joined
from knowledge_core.ingestion.reading.web.code import code_language, code_lines
from knowledge_core.ingestion.reading.web.maths import formula, tex
from knowledge_core.ingestion.reading.web.tables import Cell, span, table_text
from knowledge_core.ingestion.reading.web.unseen import alternative, is_unseen

_BLOCKS = word_set(
    "p div section article main header footer nav aside address blockquote quote figure figcaption form fieldset legend "
    "dl dt dd ul ol menu list table caption thead tbody tfoot details summary hr body center h1 h2 h3 h4 h5 h6 head dialog search"
)
_LISTS = word_set("ul ol menu list")
_ITEMS = word_set("li item")
_ROWS = word_set("tr row")
_CELLS = word_set("td th cell")
_BREAKS = word_set("br lb")
_HEADING = re.compile("h[1-6]")
_OF_TABLES = (*_CELLS, "table", "p", "pre", "h1", "h2", "h3", "h4", "h5", "h6")
_LONGEST_TERM = 200  # characters; a longer one stands alone
_DEEPEST_ITEM = 8  # an item deeper than this is indented like one of this depth


def write(root: lxml_html.HtmlElement) -> str:
    """Return the text below an element, of HTML or of trafilatura's tree. Not recursive, because pages nest deep."""
    writer = _Writer(_layouts(root))
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        if event == "start":
            if writer.is_taken_whole(element):
                walk.skip_subtree()
                writer.closed.add(element)
            else:
                writer.start(element.tag, element)
                writer.inline(element.text)
            continue
        if event == "end" and element not in writer.closed:
            writer.end(element.tag, element)
        writer.inline(element.tail if element is not root else None)
    return writer.text()


def _layouts(root: lxml_html.HtmlElement) -> set[lxml_html.HtmlElement]:
    """Return the tables that lay out a page.

    They have another table in them, a heading, code but no header cells, or cells of many paragraphs.
    """
    found: set[lxml_html.HtmlElement] = set()
    headed: set[lxml_html.HtmlElement] = set()
    around: list[lxml_html.HtmlElement] = []
    more: list[int] = []  # of each open table, twice its cells less its paragraphs
    for event, element in etree.iterwalk(root, events=("start", "end"), tag=_OF_TABLES):
        tag = element.tag
        if event == "end":
            if tag == "table":
                found |= {around[-1]} if more.pop() < 0 else set()
                around.pop()
        elif tag == "table":
            if around or element.get("role") == "presentation":
                found.add(around[-1] if around else element)
            around.append(element)
            more.append(0)
        elif around and tag in ("td", "p", "cell"):
            more[-1] += -1 if tag == "p" else 2
        elif around and (tag == "th" or element.get("role") == "head"):
            headed.add(around[-1])
        elif around and (_HEADING.fullmatch(tag) or (tag == "pre" and around[-1] not in headed)):
            found.add(around[-1])
    return found


class _Writer:
    """Text while it is being written: finished blocks, and the line that is being gathered."""

    def __init__(self, layouts: set[lxml_html.HtmlElement]) -> None:
        self.closed: set[lxml_html.HtmlElement] = set()  # elements that are done with when they begin
        self._layouts = layouts
        self._blocks: list[tuple[bool, str]] = []  # tight (no empty line between two tight blocks), text
        self._line: list[str] = []
        self._prefix = ""
        self._lists: list[int | None] = []  # of each open list, the number of its next item; None where it has none
        self._terms: list[str] | None = None  # of a definition, until it begins
        self._in_term = 0
        self._rows: list[list[Cell]] | None = None  # of the open table
        self._caption = ""
        self._readings: list[str] = []  # of the open ruby element
        self._one_line: lxml_html.HtmlElement | None = None  # the open code element, if it holds no line end

    def is_taken_whole(self, element: lxml_html.HtmlElement) -> bool:
        """Write an element that is no text like any other, or pass it over; say whether it is done with."""
        tag = element.tag
        if is_unseen(tag, element.attrib) or (tag == "button" and not self._prefix.startswith("#")):
            return True
        if tag == "pre" or (tag == "code" and self._holds_lines(element)):
            self._code(element)
        elif tag == "math":
            self.inline(f" {formula(element)} ")
        elif tag == "script":
            self.inline(f" {tex(''.join(element.itertext()))} ")
        elif tag == "rt":
            self._readings.append("".join(element.itertext()).strip())
        elif tag == "img":
            said = alternative(element.attrib)
            maths = said.startswith(("{\\displaystyle", "{\\textstyle"))
            self.inline(f" {tex(said) if maths else said} ")
        else:
            return False
        return True

    def inline(self, text: str | None) -> None:
        if text:
            self._line.append(text)

    def start(self, tag: str, element: lxml_html.HtmlElement) -> None:
        attributes: Mapping[str, str] = element.attrib
        level = tag if _HEADING.fullmatch(tag) else attributes.get("rend", "") if tag == "head" else ""
        blocks = tag in _BLOCKS or tag in _ITEMS
        if blocks and self._rows is None:
            self._flush()
        elif tag in _BREAKS and self._rows is None and not self._prefix.startswith("#"):
            self._flush(keep=True)
        elif blocks or tag in _CELLS or tag in _BREAKS:
            self._line.append(" ")
        if tag == "table" and element not in self._layouts:
            self._rows = []
        elif tag in _ROWS and self._rows is not None:
            self._rows.append([])
        elif tag in _CELLS and self._rows is None:
            self._flush()
        elif tag in _LISTS:
            numbered = tag == "ol" or (tag == "list" and attributes.get("rend") == "ol")
            self._lists.append(span(attributes.get("start")) if numbered else None)
        elif tag in _ITEMS and self._rows is None:
            self._prefix = self._mark()
        elif tag == "dt":
            self._in_term += 1
        elif _HEADING.fullmatch(level) and self._rows is None:
            self._prefix = "#" * int(level[1]) + " "

    def end(self, tag: str, element: lxml_html.HtmlElement) -> None:
        if element is self._one_line:
            self._one_line = None
        if tag == "ruby" and self._readings:
            self._line.append(f"({''.join(self._readings)})")
            self._readings.clear()
        elif tag in _CELLS and self._rows:
            header = tag == "th" or element.get("role") == "head"
            across, down = span(element.get("colspan")), span(element.get("rowspan"))
            self._rows[-1].append(Cell(self._taken(), header, across, down))
        elif tag == "table" and element not in self._layouts:
            self._table()
        elif tag == "caption" and self._rows is not None:
            self._caption = self._taken()
        elif tag in _BLOCKS or tag in _ITEMS or tag in _CELLS:
            if self._rows is None:
                self._flush()
                self._prefix = ""
            else:
                self._line.append(" ")
        if tag in _LISTS and self._lists:
            self._lists.pop()
        elif tag == "dt":
            self._in_term = max(0, self._in_term - 1)
        elif tag == "dl" and not self._in_term:
            self._end_terms()

    def text(self) -> str:
        self._flush()
        self._end_terms()
        return joined(self._blocks)

    def _mark(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number + 1
        depth = max(0, min(len(self._lists), _DEEPEST_ITEM) - 1)
        return "  " * depth + ("- " if number is None else f"{number}. ")

    def _holds_lines(self, code: lxml_html.HtmlElement) -> bool:
        """Say whether a code element holds several lines. Code inside code of one line is not read again: it may nest deep."""
        if self._one_line is None:
            if "\n" in "".join(code.itertext()).strip() or next(code.iter("br"), None) is not None:
                return True
            self._one_line = code
        return False

    def _code(self, element: lxml_html.HtmlElement) -> None:
        text = code_lines(element).strip("\n")
        if self._rows is not None:
            self._line.append(f" {text} ")
            return
        self._flush()
        self._end_terms()
        self._prefix = ""
        if code := fenced(text, code_language(element)):
            self._blocks.append((False, code))

    def _table(self) -> None:
        rows, self._rows = self._rows or [], None
        caption, self._caption = self._caption, ""
        if rest := self._taken():
            rows.append([Cell(rest)])
        if found := table_text(rows, caption):
            self._end_terms()
            self._blocks.append((False, found))

    def _taken(self) -> str:
        text = " ".join("".join(self._line).split())
        self._line.clear()
        return text

    def _end_terms(self) -> None:
        """Write terms that no text of a definition follows."""
        if self._terms:
            self._blocks.append((False, ", ".join(self._terms)))
        self._terms = None

    def _flush(self, *, keep: bool = False) -> None:
        text = self._taken()
        if not text:
            return
        if self._in_term and self._prefix[:1] != "#":
            self._terms = [*(self._terms or []), text]
            return
        if self._terms:
            said = ", ".join(self._terms)
            if len(said) <= _LONGEST_TERM and not self._prefix:
                text = f"{said}: {text}"
                self._terms = None
            else:
                self._end_terms()
        if not self._prefix.startswith("#"):
            text = literal(text)
        item = self._prefix.endswith(("- ", ". "))
        self._blocks.append((item or keep, self._prefix + text))
        # In a list item, what follows a line break or a paragraph is indented under the item.
        self._prefix = " " * len(self._prefix) if item else "" if self._prefix.strip() else self._prefix
