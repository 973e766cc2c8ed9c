"""Workbooks become sections of tables: each under its header, with the values that a person sees."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import pytest
from ingestion_material import Write, checked_chunks, count_words
from workbook_material import ods, related, rows, xlsx, zipped

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Document

DATA = os.environ.get("KNOWLEDGE_CORE_TEST_DATA")
TABLE = [["Name", "Born", "Field"], ["Ada", 1815, "mathematics"], ["Grace", 1906, "compilers"]]
AS_MARKDOWN = "| Name | Born | Field |\n| --- | --- | --- |\n| Ada | 1815 | mathematics |\n| Grace | 1906 | compilers |"


def read(path: Path) -> Document:
    return read_file(path, document_id=path.name, limit=50_000_000)


def reason(path: Path) -> str:
    with pytest.raises(Unreadable) as caught:
        read(path)
    return caught.value.reason


def test_each_sheet_is_a_section_in_its_order_and_a_hidden_one_says_so(write: Write) -> None:
    book = xlsx({"People": rows(TABLE), "Nothing": "", "# Two": rows([["only"]])}, hidden="# Two")
    document = read(write("a.xlsx", book))
    assert document.text == f"# People\n\n{AS_MARKDOWN}\n\n# # Two (hidden)\n\nonly"
    assert document.media_type == "text/markdown"
    assert document.title == "a.xlsx"


def test_lines_above_a_table_are_text_and_blocks_apart_are_tables_of_their_own(write: Write) -> None:
    sheet = (
        rows([["Report 3"], ["Status:", "open"]])
        + rows(TABLE, first=3)
        + rows([["City", "Rain"], ["Bonn", 7.5]], first=9)
    )
    text = read(write("a.xlsx", xlsx({"S": sheet}))).text
    assert text == (
        f"# S\n\nReport 3\n\nStatus: open\n\n{AS_MARKDOWN}\n\n| City | Rain |\n| --- | --- |\n| Bonn | 7.5 |"
    )


def test_tables_side_by_side_are_apart_and_a_narrow_empty_column_parts_none(write: Write) -> None:
    beside = [[*row, None, *other] for row, other in zip(TABLE, [["City"], ["Bonn"], [None]], strict=True)]
    text = read(write("a.xlsx", xlsx({"S": rows(beside)}))).text
    assert AS_MARKDOWN in text
    assert text.endswith("City\n\nBonn")
    gap = [[row[0], None, *row[1:]] for row in TABLE]
    assert "| Ada |  | 1815 | mathematics |" in read(write("b.xlsx", xlsx({"S": rows(gap)}))).text


def test_rows_of_values_below_an_empty_row_stay_in_the_table(write: Write) -> None:
    sheet = rows(TABLE[:1]) + rows(TABLE[1:2], first=3) + rows(TABLE[2:], first=6)
    assert read(write("a.xlsx", xlsx({"S": sheet}))).text == f"# S\n\n{AS_MARKDOWN}"


def test_values_without_names_get_an_empty_header(write: Write) -> None:
    text = read(write("a.xlsx", xlsx({"S": rows([[1, "x"], [2, "y"]])}))).text
    assert text == "# S\n\n|  |  |\n| --- | --- |\n| 1 | x |\n| 2 | y |"


def test_numbers_have_no_noise_and_errors_are_left_out(write: Write) -> None:
    cells = (
        '<c r="A1"><v>0.30000000000000004</v></c><c r="B1"><v>12345678901234567</v></c><c r="C1" t="b"><v>1</v></c>'
        '<c r="D1" t="e"><v>#REF!</v></c><c r="E1" t="str"><v>a|b</v></c><c r="F1" s="1"><v>0.125</v></c>'
        '<c r="G1" s="2"><v>46053</v></c><c r="H1" s="2"><v>46053.5</v></c><c r="I1" s="3"><v>1.125</v></c>'
    )
    styles = (
        '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts count="2"><numFmt '
        'numFmtId="170" formatCode="yyyy-mm-dd hh:mm"/><numFmt numFmtId="171" formatCode="[h]:mm:ss"/></numFmts><cellXfs>'
        '<xf numFmtId="0"/><xf numFmtId="10"/><xf numFmtId="170"/><xf numFmtId="171"/></cellXfs></styleSheet>'
    )
    related_parts = {
        "xl/styles.xml": styles,
        "xl/_rels/workbook.xml.rels": related(("worksheet", "worksheets/s1.xml"), ("styles", "styles.xml")),
    }
    text = read(write("a.xlsx", xlsx({"S": f'<row r="1">{cells}</row>'}, more=related_parts))).text
    assert text == "# S\n\n0.3 12345678901234568 TRUE a|b 12.5% 2026-01-31 2026-01-31 12:00:00 27:00:00"


def test_a_cell_that_spans_rows_stands_in_each_and_one_that_spans_columns_names_its_group(write: Write) -> None:
    table = [[None, "2025", None], ["Team", "Spring", "Autumn"], ["North", 1, 2], [None, 3, 4]]
    merged = '<mergeCells><mergeCell ref="B1:C1"/><mergeCell ref="A3:A4"/></mergeCells>'
    text = read(write("a.xlsx", xlsx({"S": rows(table)}, after=merged))).text
    assert text == (
        "# S\n\n| Team | 2025 Spring | 2025 Autumn |\n| --- | --- | --- |\n| North | 1 | 2 |\n| North | 3 | 4 |"
    )


def test_comments_and_texts_in_drawings_stand_below_the_tables(write: Write) -> None:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    a = "http://schemas.openxmlformats.org/drawingml/2006/main"
    more = {
        "xl/worksheets/_rels/s1.xml.rels": related(("comments", "../comments1.xml"), ("drawing", "/xl/drawings/d.xml")),
        "xl/comments1.xml": f'<comments xmlns="{main}"><commentList><comment ref="B2"><text><r><t>too </t></r><r><t>early?'
        "</t></r></text></comment></commentList></comments>",
        "xl/drawings/d.xml": f'<d xmlns:a="{a}"><txBody><a:p><a:r><a:t># see the note</a:t></a:r></a:p></txBody></d>',
    }
    text = read(write("a.xlsx", xlsx({"S": rows(TABLE)}, more=more))).text
    assert text == f"# S\n\n{AS_MARKDOWN}\n\nComments:\n\n- B2: too early?\n\n- # see the note"


def test_what_a_workbook_says_about_itself_is_title_and_metadata(write: Write) -> None:
    core = (
        '<cp:coreProperties xmlns:cp="c" xmlns:dc="d" xmlns:dcterms="t"><dc:title>Plan</dc:title><dc:creator>Ann</dc:creator>'
        "<cp:keywords>x, y</cp:keywords><dcterms:created>2026-01-31T10:00:00Z</dcterms:created></cp:coreProperties>"
    )
    document = read(write("a.xlsx", xlsx({"S": rows(TABLE)}, more={"docProps/core.xml": core})))
    assert document.title == "Plan"
    assert document.metadata == {"format": "xlsx", "author": "Ann", "date": "2026-01-31", "tags": ["x", "y"]}


def test_cells_at_the_ends_of_a_sheet_cost_nothing_and_keep_their_order(write: Write) -> None:
    far = '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far away</t></is></c></row>'
    begun = time.process_time()
    assert read(write("one.xlsx", xlsx({"S": far}))).text == "# S\n\nfar away"
    assert read(write("two.xlsx", xlsx({"S": rows(TABLE) + far}))).text == f"# S\n\n{AS_MARKDOWN}\n\nfar away"
    assert time.process_time() - begun < 5


def test_a_sheet_too_large_for_a_matrix_is_cut_and_says_so(write: Write) -> None:
    diagonal = "".join(f'<row r="{n * 7}"><c r="{_letters(n * 3)}{n * 7}"><v>{n}</v></c></row>' for n in range(1, 5001))
    text = read(write("a.xlsx", xlsx({"S": diagonal}))).text
    assert text.startswith("# S\n\n1\n\n2\n\n3\n\n")
    assert text.endswith("The rest of this sheet is left out: it is too large.")


def _letters(number: int) -> str:
    letters = ""
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


def test_repeated_cells_of_an_ods_are_bounded_and_indented_xml_is_no_damage(write: Write) -> None:
    text = '<table:table-cell {} office:value-type="string"><text:p>words</text:p></table:table-cell>'
    repeated = text.format('table:number-columns-repeated="999999999"')
    document = read(
        write("a.ods", ods(f'<table:table-row table:number-rows-repeated="999999999">{repeated}</table:table-row>'))
    )
    assert document.text.count("words") <= 90_000
    assert document.text.endswith("it is too large.")
    indented = f"\n <table:table-row>\n  {text.format('')}\n  {text.format('')}\n </table:table-row>\n"
    document = read(write("b.ods", ods(indented)))
    assert (document.text, document.metadata["format"]) == ("# Sheet1\n\nwords words", "ods")


def test_every_chunk_of_a_long_table_has_its_header(write: Write) -> None:
    table = [["Name", "Field"], *([f"person {n}", f"subject {n}"] for n in range(300))]
    found = checked_chunks(read(write("a.xlsx", xlsx({"People": rows(table)}))), count_words, 60)
    assert len(found) > 20
    assert all("| Name | Field |" in one.text or one.heading == ("People", "Name | Field") for one in found)
    assert all(line.startswith("| ") and line.endswith(" |") for one in found for line in one.text.split("\n")[2:])


def test_what_is_wrong_with_a_workbook_is_told_apart(write: Write) -> None:
    assert reason(write("empty.xlsx", xlsx({"S": ""}))) == "empty"
    assert reason(write("cut.xlsx", xlsx({"S": rows(TABLE)})[:-60])) == "damaged"
    assert reason(write("other.xlsx", zipped({"a.txt": "words"}))) == "damaged"
    sheet = '<row r="1"><c r="A1" t="s"><v>7</v></c></row>'
    assert reason(write("strings.xlsx", xlsx({"S": sheet}))) == "damaged"
    begin = struct.pack("<HHHHHHIIHH", 0x809, 16, 0x600, 5, 0, 0, 0, 0, 0x2F, 2)
    assert (
        reason(write("locked.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + begin + bytes(512)))
        == "encrypted"
    )


def test_an_old_workbook_whose_sectors_go_round_in_a_circle_is_damaged(write: Write) -> None:
    free = b"\xff" * 4
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += (
        struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0) + struct.pack("<I", 0) + free * 108
    )
    fat = struct.pack("<III", 0xFFFFFFFD, 2, 1) + free * 125  # sector 1, the directory, is followed by 2, and that by 1
    assert reason(write("circle.xls", header + fat + bytes(1024))) == "damaged"


def test_one_damaged_sheet_costs_the_workbook_no_other(write: Write) -> None:
    bad = '<row r="1"><c r="A1" t="s"><v>7</v></c></row>'
    text = read(write("a.xlsx", xlsx({"Good": rows(TABLE), "Bad": bad}))).text
    assert text == f"# Good\n\n{AS_MARKDOWN}\n\n# Bad\n\nThis sheet is damaged and left out."


@pytest.mark.parametrize(
    ("content", "format", "words"),
    [
        ("<html><body><table><tr><th>Name</th></tr><tr><td>Ada</td></tr></table></body></html>", "html", "Ada"),
        ("<table><tr><td>Name<td>Ada</table>", "html", "Ada"),
        ("Name\tBorn\nAda\t1815\n", "csv", "Ada\t1815"),
    ],
)
def test_a_text_called_xls_is_read_as_what_it_is(write: Write, content: str, format: str, words: str) -> None:
    document = read(write("export.xls", content))
    assert document.metadata["format"] == format
    assert words in document.text


@pytest.mark.skipif(DATA is None, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files")
def test_real_workbooks_keep_their_tables_and_comments() -> None:
    folder = Path(DATA or "") / "files" / "xlsx"
    assert "| Zone NA | 12553 | 2713 | 2632 |" in read(folder / "2023-half-year-analyses-by-segment.xlsx").text
    assert (
        "| ColA | ColB | ColC | ColD |\n| --- | --- | --- | --- |\n| 1 | 2 | 3 | 4 |" in read(folder / "test.xls").text
    )
    assert "- A1: Why Python specifically?" in read(folder / "xlsx_comments.xlsx").text
    assert reason(folder / "empty.xlsx") == "empty"
    assert reason(folder / "password_protected.xlsx") == "encrypted"
