"""Blocks of a document in the order of reading, and how they are written as Markdown.

Emphasis is not written, nothing is escaped; `literal` keeps lines of the source ("# 3 pieces", "---") from being structure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby

from knowledge_core.ingestion.reading.literal import fenced, literal
from knowledge_core.ingestion.reading.parsed import row, table

DEEPEST_HEADING = 6
TITLE = 0  # the level of a document's title; it is written as a first-level heading
BULLET = "-"
MOST_COLUMNS = 200  # of a table; Word itself makes at most 63
_MOST_CELLS = 2_000_000  # of a table whose short rows are filled up
_TYPED_BULLET = re.compile(r"[•▪◦‣●○■]\s*(?=\S)")
_PLAIN_NUMBER = re.compile(r"\d{1,9}[.)]")
_LINE_ENDS = re.compile(r"[ \t]*\n[ \t]*")
_SPACES = re.compile(r"[ \t]{2,}")
_WIDE = dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")  # spaces of other widths
_DRAWN = {0xF0B7: "•", 0xF0A7: "▪", 0xF0D8: "➢", 0xF0E0: "→", 0xF0E8: "➔", 0xF0FC: "✓"}  # in fonts of signs
_INVISIBLE = str.maketrans({**_WIDE, **_DRAWN, "\u00ad": None, "\u200b": None, "\ufeff": None, "\x0b": "\n"})


class Kind(Enum):
    """What a block is."""

    PARAGRAPH = auto()
    HEADING = auto()
    ITEM = auto()
    CODE = auto()
    MARKDOWN = auto()  # written already: a table


@dataclass(frozen=True)
class Block:
    """One block.

    level: of a heading, from 1, or `TITLE`; of a list's item how deep it lies, from 0.
    marker: of an item: "-", "3.", "- a)".
    """

    text: str
    kind: Kind = Kind.PARAGRAPH
    level: int = 0
    marker: str = BULLET


def plain(text: str) -> str:
    """Return the text of a paragraph: no spaces at its lines' ends, none doubled, and no invisible characters."""
    # Runs of spaces first: the second pattern would look through a long one once for each of them.
    joined = _SPACES.sub(lambda run: "\t" if "\t" in run[0] else " ", text.translate(_INVISIBLE))
    return _LINE_ENDS.sub("\n", joined).strip()


def marker(label: str) -> str:
    """Return a list's label as the begin of a Markdown item: numbers as they are, all else ("b)", "1.2") behind a bullet."""
    return label if label == BULLET or _PLAIN_NUMBER.fullmatch(label) else f"{BULLET} {label}"


def paragraph_block(text: str) -> Block:
    """Return a paragraph outside of lists; one that begins with a typed bullet is an item all the same."""
    bullet = _TYPED_BULLET.match(text)
    return Block(text[bullet.end() :], Kind.ITEM) if bullet else Block(text)


def grid(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table without those rows and columns that are empty; "" where all are."""
    used = sorted({at for cells in rows for at, text in enumerate(cells) if text})
    filled = [[cells[at] if at < len(cells) else "" for at in used] for cells in rows if any(cells)]
    if len(filled) * len(used) > _MOST_CELLS:
        return "\n".join(row([text for text in cells if text]) for cells in filled)
    return table(filled)


def one_line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def written(blocks: Sequence[Block]) -> str:
    """Return blocks as Markdown: the items of a list on lines that follow each other, all else with an empty line between."""
    parts: list[str] = []
    for kind, run in groupby(blocks, key=lambda block: block.kind):
        if kind is Kind.ITEM:
            parts.append("\n".join(_items(list(run))))
        elif kind is Kind.CODE:
            parts.append(fenced("\n".join(block.text for block in run)))
        elif kind is Kind.HEADING:
            parts += ["#" * min(max(block.level, 1), DEEPEST_HEADING) + " " + one_line(block.text) for block in run]
        else:
            parts += [block.text if kind is Kind.MARKDOWN else literal(block.text) for block in run]
    return "\n\n".join(part for part in parts if part)


def in_a_cell(blocks: Sequence[Block]) -> str:
    """Return blocks as the text of a table's cell."""
    return " ".join(f"{block.marker} {block.text}" if block.kind is Kind.ITEM else block.text for block in blocks)


def _items(items: Sequence[Block]) -> list[str]:
    lines: list[str] = []
    depth = -1
    for item in items:
        depth = min(item.level, depth + 1)  # a list that begins deep, or leaves out a level
        indent = "  " * depth
        text = literal(item.text).replace("\n", f"\n{indent}  ")
        lines.append(f"{indent}{item.marker} {text}")
    return lines
