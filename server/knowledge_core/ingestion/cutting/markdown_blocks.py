"""Markdown to blocks under headings, from the runs of its lines."""

from __future__ import annotations

from dataclasses import replace

from knowledge_core.ingestion.cutting.blocks import Block, Kind, Outline, Section
from knowledge_core.ingestion.cutting.joining import joined
from knowledge_core.ingestion.cutting.markdown_runs import Role, runs

_KINDS = {
    Role.TEXT: Kind.PROSE,
    Role.HEADING: Kind.PROSE,
    Role.ITEM: Kind.ITEMS,
    Role.TABLE: Kind.LINES,
    Role.HTML_TABLE: Kind.ROWS,
    Role.CODE: Kind.LINES,
    Role.LEFT_OUT: Kind.LEFT_OUT,
}


def markdown_blocks(text: str) -> list[Block]:
    """Return the blocks of a Markdown text, each under the headings above it.

    Front matter is left out, unless there is nothing else: such a note is found by it.
    """
    blocks: list[Block] = []
    outline = Outline()
    section = Section()
    for run in runs(text):
        heading = run.role == Role.HEADING
        if heading:
            section = outline.enter(run.level, run.name)
        header = "" if heading else run.name
        blocks.append(Block(run.start, run.end, section, _KINDS[run.role], header, run.header_at, leads=heading))
    if len(blocks) == 1:
        return [replace(blocks[0], kind=Kind.LINES)] if blocks[0].kind is Kind.LEFT_OUT else blocks
    return joined(text, blocks)
