"""Tables written as text: whole records, each chunk under the table's header, the lines those of the file."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from ingestion_material import Write, checked_chunks, count_words

from knowledge_core.ingestion.cutting.csv_blocks import csv_blocks
from knowledge_core.ingestion.cutting.csv_dialect import dialect_of
from knowledge_core.ingestion.readers import read_file
from knowledge_core.types import Chunk, Document

DATA = os.environ.get("KNOWLEDGE_CORE_TEST_DATA")


def read(path: Path) -> Document:
    return read_file(path, document_id=path.name, limit=60_000_000)


def chunks(path: Path, size: int = 40) -> list[Chunk]:
    return checked_chunks(read(path), count_words, size)


def test_the_text_stays_as_it_is_and_every_chunk_has_the_header(write: Write) -> None:
    text = "name,field\n" + "".join(f"person {n},subject {n}\n" for n in range(200))
    document = read(write("a.csv", text))
    assert (document.text, document.media_type, document.metadata) == (text, "text/csv", {"format": "csv"})
    first, *others = chunks(write("a.csv", text))
    assert (first.heading, first.lines.first) == ((), 1)
    assert len(others) > 5
    assert {one.heading for one in others} == {("name | field",)}
    assert chunks(write("a.csv", text), size=200)[0].heading == ()  # which holds the header itself, and more records


@pytest.mark.parametrize(
    ("text", "delimiter", "header"),
    [
        ("name;age\nAda;36\nBob, Jr.;7\n", ";", ("name", "age")),
        ("name\tage\nAda\t36\n", "\t", ("name", "age")),
        ("name|age\nAda|36\n", "|", ("name", "age")),
        ('sep=;\n"a,b";"c,d"\n"1,5";"2,5"\n', ";", ("a,b", "c,d")),
        ("# a comment\n# more\nname,age\nAda,36\n", ",", ("name", "age")),
        ("#name,age\nAda,36\n", ",", ("#name", "age")),
        ("Report on people\n\nname,age,city\nAda,36,London\nBob,7,Bonn\n", ",", ("name", "age", "city")),
        ("country,2019,2020\nFrance,1,2\n", ",", ("country", "2019", "2020")),
        ("1,2\n3,4\n", ",", ()),
        ("Ada,36\nBob,7\n", ",", ()),
        ("2024-01-31,7\n2024-02-01,8\n", ",", ()),
        ("ann@example.org,Ann\nbob@example.org,Bob\n", ",", ()),
        ("words without any table\nand more of them\n", "", ()),
        ("", "", ()),
    ],
)
def test_delimiter_and_header_are_found_out(text: str, delimiter: str, header: tuple[str, ...]) -> None:
    found = dialect_of(text)
    assert (found.delimiter, found.header) == (delimiter, header)


def test_a_record_of_several_lines_is_torn_only_where_it_alone_is_too_long(write: Write) -> None:
    note = "\n".join(f"line {n} of the note" for n in range(5))
    text = "name,note\n" + "".join(f'person {n},"{note}, ""quoted"" {n}"\n' for n in range(40))
    for one in chunks(write("a.csv", text), size=60):
        assert one.text.count('"') % 2 == 0
        assert one.lines.first == 1 or (one.lines.first - 2) % 5 == 0


def test_a_quote_within_a_cell_joins_no_records(write: Write) -> None:
    text = 'size,what\n5" pipe,a\n7" pipe,b\n"unclosed,c\n' + "".join(f"{n},d\n" for n in range(100))
    found = chunks(write("a.csv", text), size=20)
    assert found[0].text.startswith('size,what\n5" pipe,a\n')
    assert len(found) > 5


def test_a_header_is_at_most_200_characters_of_a_heading(write: Write) -> None:
    names = ",".join(f"column number {n}" for n in range(60))
    rows = (",".join(str(n * 7) for n in range(60)) + "\n") * 30
    found = chunks(write("a.csv", f"{names}\n{rows}"), size=200)
    assert all(len(one.heading[0]) <= 200 for one in found[1:])
    assert found[-1].heading[0].startswith("column number 0 | column number 1 | ")


@pytest.mark.slow  # it is timed, and a busy machine disturbs it
@pytest.mark.parametrize(
    "line",
    ["{n},name {n},{n}.5\n", '{n},"two\nlines",""\n', 'x"y,1\n', '"\n', '"x,""\n', '"""\n', ",,,,\n", "\n", "x\n"],
)
def test_time_is_in_proportion_to_the_text(line: str) -> None:
    def seconds(count: int) -> float:
        text = "id,name,value\n" + "".join(line.format(n=n) for n in range(count))
        begun = time.process_time()
        blocks = csv_blocks(text)
        taken = time.process_time() - begun
        assert blocks[0].start == 0
        assert blocks[-1].end == len(text)
        assert all(one.end == other.start for one, other in pairwise(blocks))
        return taken

    assert seconds(20_000) < max(0.05, 12 * seconds(5_000))


@pytest.mark.slow
def test_a_million_rows_become_blocks_in_seconds() -> None:
    text = "id,name,value\n" + "".join(f'{n},"name {n}",{n}.5\n' for n in range(1_000_000))
    begun = time.process_time()
    assert len(csv_blocks(text)) < 200_000
    assert time.process_time() - begun < 10


@pytest.mark.skipif(DATA is None, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files")
def test_real_tables_are_read_with_their_header() -> None:
    folder = Path(DATA or "") / "files" / "text"
    text = (folder / "csv-tab.csv").read_text("utf-8")
    assert dialect_of(text).header[:3] == ("Index", "Customer Id", "First Name")
    assert dialect_of((folder / "csv-comma-in-cell.csv").read_text("utf-8")).delimiter == ","
