"""Markdown while it is being written: blocks with an empty line between them, items of one list without.

No emphasis and no escapes are written, because people search for words; `literal` keeps lines of the source from being
structure by accident.
"""

from __future__ import annotations

from collections.abc import Sequence

from knowledge_core.ingestion.reading.literal import fenced, literal
from knowledge_core.ingestion.reading.parsed import joined, table

DEEPEST_ITEM = 8  # an item deeper than this is indented like one of this depth
_MOST_CELLS = 2_000_000  # of a table, whose rows are filled up to the longest
_LONGEST_CELL = 2000  # characters


def lines_of(text: str) -> str:
    """Return a paragraph's lines with single spaces between words, without empty lines."""
    return "\n".join(line for each in text.split("\n") if (line := " ".join(each.split())))


def is_layout(rows: list[list[str]]) -> bool:
    """Say whether a table of these rows arranges text on a page: one column, or the text of a page in a cell."""
    return max(map(len, rows)) == 1 or any(len(cell) > _LONGEST_CELL for each in rows for cell in each)


class Blocks:
    """The blocks of a text in their order."""

    def __init__(self) -> None:
        self._blocks: list[tuple[bool, str]] = []  # tight (no empty line between two tight blocks), text
        self._plain: list[str] = []
        self._code: list[str] = []
        self.first_heading = ""

    def heading(self, level: int, text: str) -> None:
        """Add a heading on one line. level: from 1; more than 6 counts as 6."""
        if text := " ".join(text.split()):
            self.first_heading = self.first_heading or text
            self._add(f"{'#' * max(1, min(level, 6))} {text}", text)

    def paragraph(self, text: str) -> None:
        if text := lines_of(text):
            self._add(literal(text), text)

    def item(self, depth: int, marker: str, text: str) -> None:
        """Add an item of a list, or with an empty marker a further paragraph of one. depth: 1 for the outermost list."""
        if text := lines_of(text):
            before = "  " * (max(1, min(depth, DEEPEST_ITEM)) - 1)
            after = "\n" + before + (" " * len(marker) or "  ")
            start = marker or "  "
            self._add(before + start + literal(text).replace("\n", after), text, tight=True)

    def code(self, line: str) -> None:
        """Add a line of code; lines that follow each other become one block."""
        if not self._code and not line.strip():
            return
        self._code.append(line.rstrip())

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Add a table whose first row is its header. A sparse one of very many cells is written row by row."""
        if len(rows) * max(map(len, rows), default=0) > _MOST_CELLS:
            for each in rows:
                self.paragraph("; ".join(filter(None, each)))
        elif rows:
            self._add(table(rows), "; ".join(" ".join(filter(None, each)) for each in rows))

    def extend(self, other: Blocks) -> None:
        """Add all blocks of another text."""
        other._end_code()
        self._end_code()
        self._blocks += other._blocks
        self._plain += other._plain
        self.first_heading = self.first_heading or other.first_heading

    def prefix(self, words: str) -> None:
        """Put words before the first block, on its line."""
        self._end_code()
        if self._blocks:
            text = self._blocks[0][1]
            apart = "\n\n" if text.startswith(("|", "#", "`")) else " "
            self._blocks[0] = (False, f"{words}{apart}{text.lstrip()}")
            self._plain[0] = f"{words} {self._plain[0]}"

    def plain(self) -> str:
        """Return the words without structure, as they stand in a table's cell."""
        self._end_code()
        return " ".join(" ".join(self._plain).split())

    def text(self) -> str:
        self._end_code()
        return joined(self._blocks)

    def __bool__(self) -> bool:
        return bool(self._blocks or self._code)

    def _add(self, block: str, plain: str, *, tight: bool = False) -> None:
        self._end_code()
        self._blocks.append((tight, block))
        self._plain.append(plain)

    def _end_code(self) -> None:
        if not self._code:
            return
        text = "\n".join(self._code).rstrip()
        self._code.clear()
        self._blocks.append((False, fenced(text)))
        self._plain.append(text)
