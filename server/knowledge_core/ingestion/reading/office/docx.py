"""Word documents (DOCX, DOCM, templates) to Markdown.

Headers and footers are furniture of pages and left out, unless a document has no other text (a letterhead). Comments
and notes follow the paragraph, list or table that refers to them. A table's first row is its header, and every row that
repeats on each page. Numbers that Word shows before headings and paragraphs are part of the text.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.decoding import clean_text, decode
from knowledge_core.ingestion.reading.office.ooxml.blocks import TITLE, Block, Kind, written
from knowledge_core.ingestion.reading.office.ooxml.graphics import graphic
from knowledge_core.ingestion.reading.office.ooxml.package import Package, W
from knowledge_core.ingestion.reading.office.ooxml.properties import about
from knowledge_core.ingestion.reading.office.word.notes import Notes
from knowledge_core.ingestion.reading.office.word.numbering import Numbering
from knowledge_core.ingestion.reading.office.word.story import Story
from knowledge_core.ingestion.reading.office.word.styles import Styles
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.unreadable import Unreadable

_DEEPEST_DOCUMENTS = 2  # documents within documents


def read_docx(data: bytes, name: str) -> Parsed:
    """Return a Word document's text, with its title and what it says about itself.

    name: the file's name in error messages.

    Raises:
        Unreadable: "damaged" where there is no text of a document in it, "encrypted", "too large".
    """
    package = Package(data, name)
    blocks = _blocks(package, 1)
    title, metadata = about(package, "docx")
    return Parsed(clean_text(written(blocks)), title or _title(blocks), metadata)


def _title(blocks: Sequence[Block]) -> str:
    """Return the paragraph in the style of titles, or a first-level heading at the begin; "" where there is neither."""
    headings = [block for block in blocks if block.kind is Kind.HEADING]
    titles = [block for block in headings if block.level == TITLE]
    leading = [block for block in blocks[:1] if block in headings[:1] and block.level == 1]
    return next((block.text for block in (*titles, *leading)), "")


def _blocks(package: Package, depth: int) -> list[Block]:
    part, tree = package.main(f"{W}document", "word/")
    document = _Document(package, part, depth)
    body = tree.find(f"{W}body")
    blocks = document.read(tree if body is None else body)
    if any(block.text.strip() for block in blocks):
        return blocks
    for relation in package.relations(part).values():
        if relation.kind in ("header", "footer") and (furniture := package.xml(relation.target)) is not None:
            blocks += document.read(furniture)
    return blocks


class _Document:
    """The parts around a document's text. depth: 1, or more for a document within another."""

    def __init__(self, package: Package, part: str, depth: int) -> None:
        self._package, self._part, self._depth = package, part, depth
        self.styles = Styles(package.xml(package.related(part, "styles")))
        self.numbering = Numbering(package.xml(package.related(part, "numbering")))
        self._read: set[str] = set()
        self._notes = Notes(package, part, self.read)
        self.note = self._notes.note

    def read(self, tree: etree._Element) -> list[Block]:
        return Story(self).read(tree)

    def graphic(self, element: etree._Element) -> list[Block]:
        return graphic(self._package, self._part, element)

    def other_part(self, id: str) -> list[Block]:
        """Return what a part in another format says (`w:altChunk`): HTML, text, or a Word document."""
        relation = None if id in self._read else self._package.relations(self._part).get(id)
        self._read.add(id)
        data = self._package.read(relation.target) if relation else b""
        suffix = posixpath.splitext(relation.target)[1].lower() if relation else ""
        if data.startswith(b"PK"):
            return self._inner(data)
        text = clean_text(decode(data) or "") if data else ""
        if suffix in (".htm", ".html", ".xhtml", ".xht"):
            from knowledge_core.ingestion.reading.html_text import read_html  # takes half a second, for few documents

            return [Block(read_html(text)[0], Kind.MARKDOWN)]
        if suffix in (".mht", ".mhtml"):
            return self._saved_page(data)
        return [Block(text.strip())] if suffix == ".txt" else []

    def _saved_page(self, data: bytes) -> list[Block]:
        from knowledge_core.ingestion.reading.mail.mhtml import read_mhtml

        try:
            return [Block(read_mhtml(data, self._package.name).text, Kind.MARKDOWN)]
        except Unreadable:
            return []

    def _inner(self, data: bytes) -> list[Block]:
        if self._depth >= _DEEPEST_DOCUMENTS:
            return []
        try:
            return _blocks(Package(data, self._package.name), self._depth + 1)
        except Unreadable:
            return []
