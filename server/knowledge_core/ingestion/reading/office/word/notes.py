"""Footnotes, endnotes and comments of Word, each read once, where the text refers to it."""

from __future__ import annotations

from collections.abc import Callable

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import Block, in_a_cell, plain
from knowledge_core.ingestion.reading.office.ooxml.package import Package, W

_PARTS = {"footnote": "footnotes", "endnote": "endnotes", "comment": "comments"}
_NO_NOTES = frozenset({"separator", "continuationSeparator", "continuationNotice"})


class Notes:
    """The notes of a document. read: turns the tree of one into blocks."""

    def __init__(self, package: Package, part: str, read: Callable[[etree._Element], list[Block]]) -> None:
        self._package, self._part, self._read = package, part, read
        self._found: dict[str, dict[str, etree._Element]] = {}
        self._open = False
        self._counts = 0

    def note(self, kind: str, id: str) -> tuple[str, list[Block]]:
        """Return the mark of a note in the text ("" for a comment's), and the blocks of the note, if there are any.

        kind: "footnote", "endnote" or "comment". Notes have one row of numbers, whatever their kind. A note is read
        where it is first referred to; a note within a note is left out.
        """
        if self._open:
            return "", []
        element = self._all(kind).pop(id, None)
        if element is None:
            return "", []
        self._open = True
        blocks = self._read(element)
        self._open = False
        text = in_a_cell(blocks) if len(blocks) > 1 else "".join(block.text for block in blocks)
        if not text:
            return "", []
        if kind == "comment":
            who = plain(element.get(f"{W}author", ""))
            return "", [Block(f"Comment ({who}): {text}" if who else f"Comment: {text}")]
        self._counts += 1
        return f"[^{self._counts}]", [Block(f"[^{self._counts}]: {text}")]

    def _all(self, kind: str) -> dict[str, etree._Element]:
        if kind not in self._found:
            tree = self._package.xml(self._package.related(self._part, _PARTS[kind]))
            each = [] if tree is None else tree.iterchildren(W + kind)
            self._found[kind] = {one.get(f"{W}id", ""): one for one in each if one.get(f"{W}type", "") not in _NO_NOTES}
        return self._found[kind]
