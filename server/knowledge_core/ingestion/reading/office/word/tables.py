"""Tables of Word as tables of Markdown, or as the text in their cells where they only arrange a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import MOST_COLUMNS, Block, Kind, grid, in_a_cell
from knowledge_core.ingestion.reading.office.ooxml.package import W, integer
from knowledge_core.ingestion.reading.office.word.styles import on

_LONG = 400  # characters; a cell of several blocks that are longer is a part of a page, not a fact


@dataclass
class Row:
    """A row that is being read. cells: the blocks of each, with empty ones where a merged cell goes on."""

    header: bool = False
    cells: list[list[Block]] = field(default_factory=list)


def row_of(properties: etree._Element | None) -> Row | None:
    """Return an empty row; None for one that is hidden, or deleted by a tracked change."""
    if properties is None:
        return Row()
    if on(properties.find(f"{W}hidden")) or properties.find(f"{W}del") is not None:
        return None
    before = properties.find(f"{W}gridBefore")
    empty = 0 if before is None else min(integer(before.get(f"{W}val")), MOST_COLUMNS)
    return Row(bool(on(properties.find(f"{W}tblHeader"))), [[] for _ in range(empty)])


def width_of(properties: etree._Element | None) -> int:
    """Return how many columns a cell fills."""
    span = None if properties is None else properties.find(f"{W}gridSpan")
    return 1 if span is None else min(max(integer(span.get(f"{W}val"), 1), 1), MOST_COLUMNS)


def table_blocks(rows: Sequence[Row]) -> Iterator[Block]:
    """Yield a table, or what is in its cells where it only arranges a page; after a table, the tables within its cells."""
    filled = [row for row in rows if any(map(_has_words, row.cells))]
    if not filled:
        return
    if _arranges(filled):
        for row in filled:
            for cell in row.cells:
                yield from cell
        return
    header = [row.header for row in filled]
    above = max(header.index(False) if False in header else 1, 1)
    texts = [
        [in_a_cell([block for block in cell if block.kind is not Kind.MARKDOWN]) for cell in row.cells]
        for row in filled
    ]
    yield Block(grid([_joined(texts[:above]), *texts[above:]]), Kind.MARKDOWN)
    for row in filled:
        for cell in row.cells:
            yield from (block for block in cell if block.kind is Kind.MARKDOWN)


def _has_words(cell: Sequence[Block]) -> bool:
    return any(block.text for block in cell)


def _arranges(rows: Sequence[Row]) -> bool:
    """Say whether a table only arranges a page: one column; parts of a page side by side; sections; other tables."""
    if all(sum(map(_has_words, row.cells)) <= 1 for row in rows):
        return True
    cells = [cell for row in rows for cell in row.cells if cell]
    within = sum(len(block.text) for cell in cells for block in cell if block.kind is Kind.MARKDOWN)
    everything = sum(len(block.text) for cell in cells for block in cell)
    if within * 2 > everything and len(rows) <= 2:
        return True
    sections = sum(len(cell) > 2 and any(block.kind is Kind.HEADING for block in cell) for cell in cells)
    parts = sum(len(cell) > 2 and sum(len(block.text) for block in cell) > _LONG for cell in cells)
    return bool(sections) or (len(rows) <= 2 and bool(parts))


def _joined(header: Sequence[Sequence[str]]) -> list[str]:
    """Return several rows of a header as one: below each other in a column, behind each other in the text."""
    width = max(map(len, header))
    return [" ".join(row[at] for row in header if at < len(row) and row[at]) for at in range(width)]
