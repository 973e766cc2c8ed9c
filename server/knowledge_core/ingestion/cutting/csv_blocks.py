"""A table written as text (CSV, TSV) to blocks of whole records. Linear in the text.

A record is a line, or several where a quoted cell holds line ends. Short records are joined into one block, those of
several lines only where the block fits any chunk: a block that does not is cut between lines. Every block knows the table's
header, which therefore stands above each chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge_core.ingestion.cutting.blocks import JOIN_UP_TO, Block, Kind, Section, header_line
from knowledge_core.ingestion.cutting.csv_dialect import dialect_of

_JOIN_SEVERAL = 120  # characters of a block with a record of several lines; 30 tokens of English
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"')
_LONGEST_QUOTED = 100_000  # characters; a quote that is not closed within them is a character like any other
_MOST_UNCLOSED = 100  # then no quote means anything: to look for each one's end would take time squared


def csv_blocks(text: str) -> list[Block]:
    """Return the records of a table as blocks, all in one section; what stands before its header comes first."""
    dialect = dialect_of(text)
    section, header = Section(), header_line(dialect.header)
    blocks = [Block(0, dialect.start, section, Kind.LINES)] if dialect.start else []
    begin = end = dialect.start
    most = JOIN_UP_TO
    for start, stop, several in _records(text, dialect.start, dialect.delimiter):
        most = _JOIN_SEVERAL if several else most
        if begin < end and stop - begin > most:
            blocks.append(Block(begin, end, section, Kind.LINES, header, dialect.start))
            begin, most = start, _JOIN_SEVERAL if several else JOIN_UP_TO
        end = stop
    if begin < end:
        blocks.append(Block(begin, end, section, Kind.LINES, header, dialect.start))
    return blocks


def record_blocks(text: str) -> list[Block]:
    """Return a text of one record a line as blocks of whole records, all in one section."""
    blocks: list[Block] = []
    section = Section()
    at = 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        end = max(end, text.rfind("\n", at, at + JOIN_UP_TO) + 1)
        blocks.append(Block(at, end, section, Kind.LINES))
        at = end
    return blocks


def _records(text: str, at: int, delimiter: str) -> Iterator[tuple[int, int, bool]]:
    """Yield the range of each record, and whether it has several lines. Lines without quotes may come several at once."""
    unclosed = 0 if delimiter else _MOST_UNCLOSED
    field = re.compile(f"[^{re.escape(delimiter)}\n]*")
    quote = text.find('"', at)
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        if quote >= 0 and quote < at:
            quote = text.find('"', at)
        if quote < 0 or unclosed >= _MOST_UNCLOSED or quote >= end + JOIN_UP_TO:
            end = max(end, text.rfind("\n", at, at + JOIN_UP_TO) + 1)
            yield at, end, False
        elif text.count('"', at, end) % 2 == 0:  # in a sound table, all cells are closed then
            yield at, end, False
        else:
            stop = _end_of_record(text, at, field)
            unclosed += stop < 0
            yield at, max(end, stop), stop > end
            end = max(end, stop)
        at = end


def _end_of_record(text: str, at: int, field: re.Pattern[str]) -> int:
    """Return where the record that begins here ends, behind its line end; -1 where one of its quotes is not closed."""
    while at < len(text):
        if text[at] == '"':
            quoted = _QUOTED.match(text, at, min(len(text), at + _LONGEST_QUOTED))
            if not quoted:
                return -1
            at = quoted.end()
        plain = field.match(text, at)
        at = plain.end() if plain else at
        if at < len(text) and text[at] == "\n":
            return at + 1
        at += 1
    return len(text)
