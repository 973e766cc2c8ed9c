"""Where the text of a rich text file goes: the document, a note, a comment, a box; with its open paragraph and table."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from knowledge_core.ingestion.reading.office.markdown_text import Blocks, is_layout

_NUMBER = re.compile(r"(\d{1,6})[.)]?")
_LONGEST_HEADING = 300  # characters; a longer one is a paragraph
_PRIVATE = re.compile("[\ue000-\uf8ff]")  # characters of symbol fonts, of which no one else knows what they show


@dataclass
class Paragraph:
    """What is known of a paragraph. level: of the heading that it is, 0 for none. depth: in a list, 0 for none."""

    level: int = 0
    depth: int = 0
    in_table: bool = False


@dataclass
class Place:
    blocks: Blocks = field(default_factory=Blocks)
    line: list[str] = field(default_factory=list)
    label: str | None = None  # of the item that the open paragraph is
    cell: list[str] = field(default_factory=list)
    row: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    after: list[Blocks] = field(default_factory=list)  # to stand after the open paragraph

    def end_paragraph(self, about: Paragraph) -> None:
        text, label = self._taken(), self.label
        self.label = None
        if about.in_table or self.row:
            self.cell.append(text)
            return
        self.end_table()
        if about.level and len(text) <= _LONGEST_HEADING and text.strip():
            self.blocks.heading(about.level, f"{_shown(label)}{text}")
        elif label is not None or about.depth:
            number = _NUMBER.fullmatch(label or "")
            marker = f"{int(number[1])}. " if number else "- "
            self.blocks.item(max(1, about.depth), marker, text if number else f"{_shown(label)}{text}")
        else:
            self.blocks.paragraph(text)
        self._end_notes()

    def end_cell(self) -> None:
        self.row.append(" ".join([*self.cell, self._taken()]).strip())
        self.cell.clear()
        self.label = None

    def end_row(self) -> None:
        if any(self.row):
            self.rows.append(self.row)
        self.row = []

    def end_table(self) -> None:
        """Write the rows as a table, or what is in them where they only arrange it."""
        if self.row or self.cell:
            self.end_cell()
            self.end_row()
        rows, self.rows = self.rows, []
        if rows and is_layout(rows):
            for cell in (cell for each in rows for cell in each):
                self.blocks.paragraph(cell)
        else:
            self.blocks.table(rows)
        if rows:
            self._end_notes()

    def finished(self, about: Paragraph) -> Blocks:
        """Return the blocks, with those that are still open."""
        self.end_paragraph(about)
        self.end_table()
        self._end_notes()
        return self.blocks

    def _end_notes(self) -> None:
        for each in self.after:
            self.blocks.extend(each)
        self.after.clear()

    def _taken(self) -> str:
        """Return the open line; two halves of a character of the upper planes become one."""
        text = "".join(self.line)
        self.line.clear()
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return _PRIVATE.sub("", whole)


def _shown(label: str | None) -> str:
    """Return a label that says something, with a space; "" for a bullet."""
    return f"{label} " if label and any(map(str.isalnum, label)) else ""
