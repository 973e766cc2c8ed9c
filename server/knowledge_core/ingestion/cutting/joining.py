"""Which blocks belong together although they are two: a heading and what it names, a lead-in and what it introduces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from knowledge_core.ingestion.cutting.blocks import JOIN_UP_TO, Block, Kind
from knowledge_core.ingestion.cutting.pieces import last_sentence


def joined(text: str, blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks with each that leads joined to what follows, and short neighbours of one section to each other.

    A lead-in of one short paragraph that ends in a colon is joined to a table, which may then be cut between rows. A heading
    that is followed by something left out, and then by more of its section, is left out with it: the heading path has it.
    """
    result: list[Block] = []
    for block in blocks:
        last = result[-1] if result else None
        if last is None or block.kind is Kind.LEFT_OUT:
            result.append(block)
        elif last.kind is Kind.LEFT_OUT:
            _leave_out_heading(result, block)
            result.append(block)
        elif last.leads:
            result[-1] = replace(block, start=last.start, lead=block.lead or block.start)
        elif last.section is block.section and not last.header and _join(text, last, block):
            kind = last.kind if block.kind is Kind.PROSE else block.kind
            lead = block.start if block.header else last.lead
            result[-1] = replace(block, start=last.start, kind=kind, lead=lead)
        else:
            result.append(block)
    return result


def _leave_out_heading(result: list[Block], following: Block) -> None:
    """Leave out a heading that stands alone before the last block, which is left out, if its section goes on."""
    heading = result[-2] if len(result) > 1 else None
    if heading and heading.leads and not heading.lead and heading.section is following.section and heading.section.path:
        result[-2] = replace(heading, kind=Kind.LEFT_OUT)


def _join(text: str, last: Block, block: Block) -> bool:
    if block.end - last.start <= JOIN_UP_TO:
        return not (block.leads or introduces(text, block.start, block.end))
    return bool(block.header) and last.end - last.start <= JOIN_UP_TO and introduces(text, last.start, last.end)


def introduces(text: str, start: int, end: int) -> bool:
    """Say whether text[start:end] ends in a colon, as what introduces a list or a table does."""
    last = text[max(start, end - 2 * JOIN_UP_TO) : end].rstrip()
    return last.endswith((":", "：")) and not last.endswith(":::")  # three close a container


def lead_ins_apart(text: str, blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield the blocks, the last sentence of each that introduces the next as a block of its own.

    So it can go into the next chunk alone. blocks: without white space at their ends.
    """
    for number, block in enumerate(blocks, start=1):
        following = blocks[number] if number < len(blocks) else None
        apart = 0
        goes_on = following and (following.section.path, following.part) == (block.section.path, block.part)
        if goes_on and block.kind is Kind.PROSE and introduces(text, block.start, block.end):
            apart = last_sentence(text, max(block.start, block.lead, block.end - JOIN_UP_TO), block.end)
        if apart:
            yield replace(block, end=apart)
            yield replace(block, start=apart, lead=0)
        else:
            yield block
