"""A Document to its Chunks: structure first, then size. Pure, deterministic, linear in the text.

Rules kept here:
- chunks are in text order, do not overlap, and together hold every non-space character once, but for what `left_out`
  names, which no chunk holds;
- no chunk holds text of two pages, and each has a letter or a digit, if the document has any: what has none joins a
  neighbour or is dropped;
- a chunk of a table that does not hold the table's header has it as the last element of its heading path;
- each chunk is trimmed, and `document.text[span]` is its text;
- together with its title (the document's and the headings'), no chunk has more than `size` tokens, save a single
  character that alone has more;
- tokens are counted in few large batches.

The steps: text to blocks (structure), blocks to units that fit (cutting what is too long), units to chunks (filling
each section evenly), small chunks to their neighbours, and a last count, because the tokens of joined texts are not
exactly the sum of the texts' tokens.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from knowledge_core.ingestion.cutting import blocks as structure
from knowledge_core.ingestion.cutting.blocks import Block, Kind, Section, parted
from knowledge_core.ingestion.cutting.code_blocks import code_blocks
from knowledge_core.ingestion.cutting.csv_blocks import csv_blocks, record_blocks
from knowledge_core.ingestion.cutting.joining import introduces, lead_ins_apart
from knowledge_core.ingestion.cutting.markdown_blocks import markdown_blocks
from knowledge_core.ingestion.cutting.payloads import payloads
from knowledge_core.ingestion.cutting.pieces import cut, trimmed
from knowledge_core.ingestion.cutting.rst_blocks import rst_blocks
from knowledge_core.ingestion.formats import LINE_TYPES
from knowledge_core.types import Chunk, Document, Lines, Span

CHUNKER_VERSION = 2

# The most characters per token of a chunk. Without this bound, a WordPiece model, for which a word of any length may be
# one token, would let binary data read as text become one chunk of megabytes.
_CHARACTERS_PER_TOKEN = 8  # English has 4 to 5, indented code up to 8
_SLACK = 0.9  # of the length that should fit: tokens are not spread evenly, and each further cut costs another count
_TINY = 8  # a chunk below 1/8 of the size joins a neighbour: less than two sentences say little alone
_MOST_MOVED = 3  # lead-ins at the end of a chunk that go with what follows
_COUNT_AT_ONCE = 2_000_000  # characters per batch; a tokenizer needs about 50 bytes per character while it works
_WORDS = re.compile(r"[^\W_]")

CountTokens = Callable[[Sequence[str]], list[int]]


def chunk(document: Document, count_tokens: CountTokens, *, size: int = 400) -> list[Chunk]:
    """Cut a document into chunks.

    count_tokens: returns the number of tokens per text, by the model that will embed the chunks.
    size: tokens of a chunk and its title together, at most; of a title's tokens at most size/4 are counted.

    Returns the chunks in text order; none for a text without any non-space character.
    """
    text = document.text
    raw = _blocks(document)
    gaps = [*_left_out(text, raw), *(Span(page.start, page.start) for page in document.pages)]
    kept = parted([_trim(text, block) for block in raw if block.kind is not Kind.LEFT_OUT], sorted(gaps))
    blocks = [block for block in (_trim(text, each) for each in kept) if block.start < block.end]
    blocks = [_trim(text, block) for block in lead_ins_apart(text, blocks)]
    room = _Room(document, blocks, count_tokens, size)
    units = _fold(_fitting(text, blocks, room), room)
    runs = (list(run) for _, run in groupby(units, key=lambda unit: (unit.part, unit.section.path)))
    drafts = [draft for run in runs for draft in _filled(run, min(room.tokens(unit.heading) for unit in run))]
    drafts = _verified(text, _tiny_joined(drafts, room), room)
    worded = [draft for draft in drafts if _WORDS.search(text, draft.start, draft.end)]
    return _chunks(document, worded or drafts)


def left_out(document: Document) -> list[Span]:
    """Return what of a document's text goes into no chunk, in order: front matter, payloads that are no words."""
    return _left_out(document.text, _blocks(document))


@dataclass(frozen=True, slots=True)
class _Unit:
    """A block, or a piece of one, that fits a chunk. introduces: what follows, so that it stays with that where it can."""

    block: Block
    tokens: int
    introduces: bool = False

    @property
    def start(self) -> int:
        return self.block.start

    @property
    def end(self) -> int:
        return self.block.end

    @property
    def section(self) -> Section:
        return self.block.section

    @property
    def part(self) -> int:
        return self.block.part

    @property
    def heading(self) -> tuple[str, ...]:
        return self.block.heading


@dataclass(frozen=True, slots=True)
class _Draft:
    """Units that become one chunk."""

    units: tuple[_Unit, ...]
    section: Section

    @property
    def tokens(self) -> int:
        # Between two units lies a line end, which is one token at most.
        return sum(unit.tokens for unit in self.units) + len(self.units) - 1

    @property
    def start(self) -> int:
        return self.units[0].start

    @property
    def end(self) -> int:
        return self.units[-1].end

    @property
    def heading(self) -> tuple[str, ...]:
        apart = (unit.block for unit in self.units if unit.block.header)
        header = next((one.header for one in apart if not self.start <= (one.header_at or 0) < self.end), "")
        return (*self.section.heading, header) if header else self.section.heading


class _Room:
    """How many tokens and characters a chunk may have, per section; and the counting of tokens."""

    def __init__(self, document: Document, blocks: Iterable[Block], count_tokens: CountTokens, size: int) -> None:
        self._count_tokens = count_tokens
        self.size = size
        # A joined chunk lies under fewer headings than its blocks, but has their header all the same.
        paths = {(block.section.heading, block.header) for block in blocks}
        shorter = {(heading[:depth], header) for heading, header in paths for depth in range(len(heading) + 1)}
        ordered = sorted({(*heading, header) if header else heading for heading, header in shorter}
                         | {heading for heading, _ in shorter})  # fmt: skip
        titles = [Chunk(0, "", Span(0, 0), Lines(1, 1), heading).title(document.title) for heading in ordered]
        taken = self.count(titles)
        self._left = {
            heading: max(1, size - min(count, size // 4)) for heading, count in zip(ordered, taken, strict=True)
        }

    def tokens(self, heading: tuple[str, ...]) -> int:
        return self._left[heading]

    def characters(self, heading: tuple[str, ...]) -> int:
        return self._left[heading] * _CHARACTERS_PER_TOKEN

    def holds(self, draft: _Draft) -> bool:
        short = draft.end - draft.start <= self.characters(draft.heading)
        return short and draft.tokens <= self.tokens(draft.heading)

    def count(self, texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        batch: list[str] = []
        characters = 0
        for text in texts:
            batch.append(text)
            characters += len(text)
            if characters > _COUNT_AT_ONCE:
                counts += self._count_tokens(batch)
                batch, characters = [], 0
        return counts + self._count_tokens(batch) if batch else counts


def _blocks(document: Document) -> list[Block]:
    text, kind = document.text, document.media_type
    if kind == "text/markdown":
        return markdown_blocks(text)
    if document.headings:
        return structure.headed_blocks(text, document.headings)
    if kind == "text/x-rst":
        return rst_blocks(text)
    if kind in ("text/csv", "text/tab-separated-values"):
        return csv_blocks(text)
    if kind == "application/jsonl":
        return record_blocks(text)
    if kind in LINE_TYPES:
        return structure.line_blocks(text)
    if kind.startswith("text/x-"):
        return code_blocks(text, kind.removeprefix("text/x-"))
    return structure.plain_blocks(text)


def _left_out(text: str, blocks: Iterable[Block]) -> list[Span]:
    found = [Span(block.start, block.end) for block in blocks if block.kind is Kind.LEFT_OUT]
    return sorted([*found, *payloads(text)])


def _trim(text: str, block: Block) -> Block:
    start, end = trimmed(text, block.start, block.end)
    header_at = start if block.header and block.header_at is None else block.header_at
    same = (start, end, header_at) == (block.start, block.end, block.header_at)
    return block if same else replace(block, start=start, end=end, header_at=header_at)


def _fitting(text: str, blocks: Sequence[Block], room: _Room) -> list[_Unit]:
    """Return the blocks as units, those that are too long in pieces.

    Works in rounds until every piece fits; each round counts all new pieces in one call.
    """
    pieces: list[Block | _Unit] = []
    for block in blocks:
        pieces += _pieces(text, block, room.characters(block.heading))
    while any(isinstance(piece, Block) for piece in pieces):
        new = [piece for piece in pieces if isinstance(piece, Block)]
        counts = iter(room.count([text[piece.start : piece.end] for piece in new]))
        judged: list[Block | _Unit] = []
        for piece in pieces:
            judged += [piece] if isinstance(piece, _Unit) else _judged(text, piece, next(counts), room)
        pieces = judged
    return [piece for piece in pieces if isinstance(piece, _Unit)]


def _pieces(text: str, block: Block, length: int) -> list[Block]:
    ranges = cut(text, block.start, block.end, length, block.kind, lead=block.lead)
    return [replace(block, start=start, end=end) for start, end in ranges] if len(ranges) > 1 else [block]


def _judged(text: str, piece: Block, tokens: int, room: _Room) -> Sequence[Block | _Unit]:
    most = room.tokens(piece.heading)
    length = piece.end - piece.start
    if tokens <= most or length == 1:
        holds_header = piece.header_at is not None and piece.start <= piece.header_at < piece.end
        prose = piece.kind in (Kind.PROSE, Kind.ITEMS)
        leading = prose and (piece.leads or introduces(text, piece.start, piece.end))
        return [_Unit(replace(piece, header="") if piece.header and holds_header else piece, tokens, leading)]
    return _pieces(text, piece, max(1, min(length - 1, int(length * most * _SLACK / tokens))))


def _fold(units: list[_Unit], room: _Room) -> list[_Unit]:
    """Give all units inside a section that should stay whole, and fits, that section as their own: they stay together."""
    deepest = max((len(unit.section.path) for unit in units if unit.section.whole), default=0)
    for depth in range(1, deepest + 1):
        folded: list[_Unit] = []
        for (_, path), run in groupby(units, key=lambda unit: (unit.part, unit.section.path[:depth])):
            members = tuple(run)
            section = members[0].section.parent(depth)
            whole = len(path) == depth and section.whole and room.holds(_Draft(members, section))
            if whole:
                folded += [replace(unit, block=replace(unit.block, section=section)) for unit in members]
            else:
                folded += members
        units = folded
    return units


def _filled(run: Sequence[_Unit], most: int) -> list[_Draft]:
    """Return the units of one section as drafts of about equal size, of `most` tokens at most each."""
    drafts: list[_Draft] = []
    open_units: list[_Unit] = []
    used, left = 0, sum(unit.tokens + 1 for unit in run)
    for unit in run:
        wanted = left / -(-left // most)
        cost = unit.tokens + 1
        too_long = open_units and unit.end - open_units[0].start > most * _CHARACTERS_PER_TOKEN
        if open_units and (too_long or used + cost > most + 1 or used + cost / 2 > wanted):
            moved = _introducing(open_units, unit, most)
            drafts.append(_Draft(tuple(open_units[: len(open_units) - len(moved)]), run[0].section))
            moved_cost = sum(each.tokens + 1 for each in moved)
            left -= used - moved_cost
            open_units, used = moved, moved_cost
        open_units.append(unit)
        used += cost
    return [*drafts, _Draft(tuple(open_units), run[0].section)]


def _introducing(units: Sequence[_Unit], following: _Unit, most: int) -> list[_Unit]:
    """Return those last units, not all, that introduce what follows and fit a chunk with it."""
    moved: list[_Unit] = []
    tokens = following.tokens
    for unit in reversed(units[-_MOST_MOVED:] if len(units) > _MOST_MOVED else units[1:]):
        tokens += unit.tokens + 1
        too_long = following.end - unit.start > most * _CHARACTERS_PER_TOKEN
        if not unit.introduces or tokens > most or too_long:
            break
        moved.insert(0, unit)
    return moved


def _tiny_joined(drafts: Sequence[_Draft], room: _Room) -> list[_Draft]:
    """Join drafts that are too small with the next one under the same parent, else with the one before."""
    tiny = room.size // _TINY
    forward: list[_Draft] = []
    for draft in drafts:
        last = forward[-1] if forward else None
        joined = _joined(last, draft) if last and last.tokens < tiny else None
        if joined and room.holds(joined):
            forward[-1] = joined
        else:
            forward.append(draft)
    result: list[_Draft] = []
    for draft in forward:
        joined = _joined(result[-1], draft) if result and draft.tokens < tiny else None
        if joined and room.holds(joined):
            result[-1] = joined
        else:
            result.append(draft)
    return result


def _joined(first: _Draft, second: _Draft) -> _Draft | None:
    """Return both drafts as one, under the section that encloses both; None unless siblings, or parent and child.

    None, too, where they lie in different parts.
    """
    if first.units[0].part != second.units[0].part:
        return None
    one, other = first.section.path, second.section.path
    shared = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    siblings = one[:-1] == other[:-1]
    if not (siblings or shared == len(one) or shared == len(other)):
        return None
    return _Draft((*first.units, *second.units), first.section.parent(shared))


def _verified(text: str, drafts: list[_Draft], room: _Room) -> list[_Draft]:
    """Count the drafts of several units again as whole texts, and split those that have too many tokens in the middle."""
    sound: dict[int, _Draft] = {}
    unsure = list(drafts)
    while unsure:
        several = [draft for draft in unsure if len(draft.units) > 1]
        sound |= {draft.start: draft for draft in unsure if len(draft.units) == 1}
        counts = room.count([text[draft.start : draft.end] for draft in several])
        unsure = []
        for draft, tokens in zip(several, counts, strict=True):
            if tokens <= room.tokens(draft.heading):
                sound[draft.start] = draft
            else:
                middle = len(draft.units) // 2
                middle -= middle > 1 and draft.units[middle - 1].introduces
                unsure += [replace(draft, units=draft.units[:middle]), replace(draft, units=draft.units[middle:])]
    return [sound[start] for start in sorted(sound)]


def _chunks(document: Document, drafts: Sequence[_Draft]) -> list[Chunk]:
    text = document.text
    page_starts = [page.start for page in document.pages]
    chunks: list[Chunk] = []
    line, counted = 1, 0
    for position, draft in enumerate(drafts):
        first = line + text.count("\n", counted, draft.start)
        line, counted = first + text.count("\n", draft.start, draft.end), draft.end
        page = bisect_right(page_starts, draft.start) if page_starts else None
        span = Span(draft.start, draft.end)
        body = text[draft.start : draft.end]
        chunks.append(Chunk(position, body, span, Lines(first, line), draft.heading, page))
    return chunks
