"""OpenDocument texts and presentations, in packages made by hand and in real files where they are given."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable

import pytest
from ingestion_material import Write, checked_chunks, count_words

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Document

NAMESPACES = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
    for short, long in {
        "office": "office", "text": "text", "table": "table", "draw": "drawing", "style": "style", "meta": "meta",
        "presentation": "presentation", "svg": "svg-compatible", "manifest": "manifest",
    }.items()
)  # fmt: skip
NAMESPACES += ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink"'
NUMBERED = (
    '<text:list-style style:name="N"><text:list-level-style-number text:level="1" style:num-format="1"/>'
    '<text:list-level-style-bullet text:level="2"/></text:list-style>'
)


def package(kind: str, body: str, styles: str = "", **parts: str) -> bytes:
    """An OpenDocument package. parts: further parts, "__" in their names for "/", without the end ".xml"."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        content = f"<office:automatic-styles>{styles}</office:automatic-styles><office:body>{body}</office:body>"
        archive.writestr("content.xml", f"<office:document-content {NAMESPACES}>{content}</office:document-content>")
        for name, part in parts.items():
            archive.writestr(f"{name.replace('__', '/')}.xml", part)
    return made.getvalue()


Read = Callable[..., Document]


@pytest.fixture
def odt(write: Write) -> Read:
    """Read a text document of this body."""

    def read(body: str, styles: str = "", **parts: str) -> Document:
        data = package("text", f"<office:text>{body}</office:text>", styles, **parts)
        document = read_file(write("a.odt", data), document_id="a.odt", limit=len(data))
        checked_chunks(document, count_words, 50)
        return document

    return read


def p(text: str, style: str = "") -> str:
    return f'<text:p text:style-name="{style}">{text}</text:p>'


def cell(text: str, more: str = "") -> str:
    return f"<table:table-cell {more}>{p(text)}</table:table-cell>"


def rows(*rows: str) -> str:
    return "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)


def test_headings_keep_their_levels_and_the_first_is_the_title(odt: Read) -> None:
    document = odt(
        '<text:h text:outline-level="1">One</text:h><text:p>a</text:p><text:h text:outline-level="12">Deep</text:h>'
    )
    assert document.text == "# One\n\na\n\n###### Deep"
    assert document.title == "One"
    assert document.media_type == "text/markdown"


def test_paragraphs_whose_style_is_a_heading_are_headings(odt: Read) -> None:
    styles = (
        '<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Heading_20_2"/>'
        '<style:style style:name="Heading_20_2" style:family="paragraph" style:display-name="Heading 2"/>'
        '<style:style style:name="Title" style:family="paragraph"/>'
        '<style:style style:name="A" style:family="paragraph" style:parent-style-name="B"/>'
        '<style:style style:name="B" style:family="paragraph" style:parent-style-name="A"/>'
    )
    text = odt(p("Book", "Title") + p("Part", "P1") + p("a circle of styles", "A"), styles).text
    assert text == "# Book\n\n## Part\n\na circle of styles"


def test_lists_nest_and_number_as_their_style_says(odt: Read) -> None:
    inner = f"<text:list><text:list-item>{p('inner')}{p('more')}</text:list-item></text:list>"
    item = "<text:list-item>{}</text:list-item>"
    first = f'<text:list text:style-name="N">{item.format(p("a") + inner)}{item.format(p("b"))}</text:list>'
    second = f'<text:list text:style-name="N" text:continue-numbering="true">{item.format(p("c"))}</text:list>'
    assert odt(first + p("x") + second, NUMBERED).text == "1. a\n  - inner\n    more\n2. b\n\nx\n\n3. c"


def test_tables_have_one_header_row_and_covered_cells_stay_empty(odt: Read) -> None:
    spanned = cell("Year", 'table:number-columns-spanned="2"') + "<table:covered-table-cell/>"
    header = f"<table:table-header-rows>{rows(spanned, cell('Q1') + cell('Q2'))}</table:table-header-rows>"
    table = f"<table:table>{header}{rows(cell('1|2') + cell('two'))}</table:table>"
    assert odt(table).text == "| Year Q1 | Q2 |\n| --- | --- |\n| 1\\|2 | two |"


def test_a_table_in_a_table_is_text_of_its_cell_and_one_column_is_layout(odt: Read) -> None:
    inner = f"<table:table>{rows(cell('x') + cell('y'), cell('z') + cell('w'))}</table:table>"
    outer = rows(cell("a") + f"<table:table-cell>{inner}</table:table-cell>")
    assert "| a | x y; z w |" in odt(f"<table:table>{outer}</table:table>").text
    column = '<table:table-cell><text:h text:outline-level="2">Head</text:h><text:p>body</text:p></table:table-cell>'
    assert odt(f"<table:table>{rows(column)}</table:table>").text == "## Head\n\nbody"


def test_repeated_cells_and_rows_are_written_within_bounds(odt: Read, write: Write) -> None:
    thrice = cell("a", 'table:number-columns-repeated="3"')
    assert odt(f"<table:table>{rows(thrice + cell('b'))}</table:table>").text.startswith("| a | a | a | b |")
    many = 'table:number-columns-repeated="999999999"'
    row = f'<table:table-row table:number-rows-repeated="999999999">{cell("a" * 50, many)}</table:table-row>'
    data = package("text", f"<office:text><table:table>{row}</table:table></office:text>")
    assert len(read_file(write("many.odt", data), document_id="many", limit=len(data)).text) < 500_000


def test_notes_and_comments_stand_after_their_paragraph_with_their_mark(odt: Read) -> None:
    note = "<text:note><text:note-citation>{}</text:note-citation><text:note-body>{}</text:note-body></text:note>"
    comment = f"<office:annotation><dc:creator>Ann</dc:creator><dc:date>2026-01-31T10:00</dc:date>{p('why?')}</office:annotation>"
    text = odt(f"<text:p>Said{note.format('1', p('the source'))} once{comment}.</text:p>" + p("next")).text
    assert text == "Said[1] once.\n\n[1] the source\n\nComment (Ann, 2026-01-31): why?\n\nnext"


def test_boxes_in_a_paragraph_stand_after_it_and_a_picture_by_its_description(odt: Read) -> None:
    listed = f"<text:list><text:list-item>{p('item')}</text:list-item></text:list>"
    box = f"<draw:frame><draw:text-box>{p('in the box')}{listed}</draw:text-box></draw:frame>"
    picture = "<draw:frame><draw:image/><svg:title>A cat</svg:title><svg:desc>asleep</svg:desc></draw:frame>"
    assert odt(f"<text:p>be{box}fore{picture}</text:p>").text == "before\n\nin the box\n\n- item\n\n[A cat. asleep]"


def test_what_nobody_sees_and_what_repeats_the_headings_is_left_out(odt: Read) -> None:
    styles = (
        '<style:style style:name="H" style:family="text"><style:text-properties text:display="none"/></style:style>'
    )
    body = (
        f"<text:tracked-changes><text:changed-region><text:deletion>{p('deleted')}</text:deletion></text:changed-region></text:tracked-changes>"
        f"<text:table-of-content><text:index-body>{p('One 1')}</text:index-body></text:table-of-content>"
        f'<text:section text:display="none">{p("hidden section")}</text:section>'
        '<text:section><text:p>shown <text:span text:style-name="H">hidden</text:span>words</text:p></text:section>'
        '<text:p><text:hidden-text text:is-hidden="true">no</text:hidden-text>end</text:p>'
    )
    assert odt(body, styles).text == "shown words\n\nend"


def test_spaces_tabs_line_breaks_links_and_ruby_are_text(odt: Read) -> None:
    line = (
        'a<text:s text:c="999999"/>b<text:tab/>c<text:line-break/><text:a xlink:href="http://x">linked</text:a>\n  on'
    )
    ruby = "<text:ruby><text:ruby-base>東京</text:ruby-base><text:ruby-text>とうきょう</text:ruby-text></text:ruby>"
    assert odt(p(line) + p(ruby)).text == "a b c\nlinked on\n\n東京 (とうきょう)"


def test_preformatted_paragraphs_are_one_block_of_code(odt: Read) -> None:
    code = p('def f():<text:line-break/><text:s text:c="4"/>return 1', "Preformatted_20_Text") + p(
        "", "Preformatted_20_Text"
    )
    assert (
        odt(code + p("f()", "Preformatted_20_Text") + p("after")).text
        == "```\ndef f():\n    return 1\n\nf()\n```\n\nafter"
    )


def test_formulas_and_charts_are_read_from_their_objects(odt: Read) -> None:
    math = (
        '<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mrow><mi>x</mi><mo>=</mo><mfrac><mrow><mi>a</mi>'
        "<mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac></mrow><annotation>{a+b} over 2</annotation></semantics></math>"
    )
    table = f"<table:table>{rows(cell('') + cell('Q1'), cell('North') + cell('7'))}</table:table>"
    chart = f"<office:chart {NAMESPACES}><office:body>{p('Sales')}{table}</office:body></office:chart>"
    holder = '<draw:frame><draw:object xlink:href="./{}"/></draw:frame>'
    body = (
        f"<text:p>Mean {holder.format('Object 1')} and {holder.format('Object 2')}{holder.format('Object 2')}</text:p>"
    )
    text = odt(body, **{"Object 1__content": math, "Object 2__content": chart}).text
    assert text == "Mean x = (a+b)/2 and\n\nSales\n\n|  | Q1 |\n| --- | --- |\n| North | 7 |"


def test_lines_that_look_like_markdown_are_no_structure(odt: Read) -> None:
    document = odt(
        '<text:h text:outline-level="1">Real</text:h>'
        + "".join(map(p, ("# 1 of 3", "```", "---", "&lt;!-- x", "last")))
    )
    assert document.text == "# Real\n\n    # 1 of 3\n\n` ``\n\n    ---\n\n< !-- x\n\nlast"
    assert {chunk.heading for chunk in checked_chunks(document, count_words, 30)} == {("Real",)}


def test_the_file_says_title_author_dates_language_and_tags(odt: Read) -> None:
    meta = (
        f"<office:document-meta {NAMESPACES}><office:meta><dc:title>The Title</dc:title><dc:creator>Bob</dc:creator>"
        "<meta:initial-creator>Ann</meta:initial-creator><meta:creation-date>2026-01-30T08:00:00</meta:creation-date>"
        "<dc:date>2026-01-31T09:00:00.5</dc:date><dc:language>de-AT</dc:language><meta:keyword>a, b</meta:keyword>"
        "<meta:keyword>c</meta:keyword><dc:description>About it</dc:description></office:meta></office:document-meta>"
    )
    document = odt("<text:h>Other</text:h>", meta=meta)
    assert document.title == "The Title"
    assert document.metadata == {
        "format": "odt", "language": "de-AT", "author": "Ann", "date": "2026-01-30", "modified": "2026-01-31",
        "description": "About it", "tags": ["a", "b", "c"],
    }  # fmt: skip
    assert odt("<text:h>Other</text:h>", meta=meta.replace("The Title", "draft.odt")).title == "Other"


def test_a_slide_is_a_page_with_its_title_its_tables_and_its_notes(write: Write) -> None:
    def shape(kind: str, text: str, more: str = "") -> str:
        return f'<draw:frame presentation:class="{kind}" {more}><draw:text-box>{text}</draw:text-box></draw:frame>'

    first = (
        shape("outline", f"<text:list><text:list-item>{p('point')}</text:list-item></text:list>") + shape("title", p("Welcome"))
        + shape("footer", p("Company")) + shape("subtitle", p("Click to add"), 'presentation:placeholder="true"')
        + f"<presentation:notes><draw:page-thumbnail/>{shape('notes', p('say hello') + p('twice'))}</presentation:notes>"
    )  # fmt: skip
    second = f"<draw:frame><table:table>{rows(cell('a') + cell('b'))}</table:table></draw:frame>"
    pages = "".join(f"<draw:page>{each}</draw:page>" for each in (first, "", second))
    data = package("presentation", f"<office:presentation>{pages}</office:presentation>")
    document = read_file(write("a.odp", data), document_id="a.odp", limit=len(data))
    assert document.title == "Welcome"
    assert document.metadata == {"format": "odp", "pages": 3}
    assert [document.text[page.start : page.end] for page in document.pages] == [
        "# Welcome\n\n- point\n\nNotes: say hello\n\ntwice", "", "# Slide 3\n\n| a | b |\n| --- | --- |",
    ]  # fmt: skip


def test_templates_and_single_xml_files_are_read_alike(write: Write) -> None:
    body = f"<office:body><office:text>{p('words')}</office:text></office:body>"
    flat = f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<office:document {NAMESPACES}>{body}</office:document>'
    document = read_file(write("a.fodt", flat), document_id="a", limit=10_000)
    assert (document.text, document.metadata["format"]) == ("words", "fodt")
    data = package("text-template", f"<office:text>{p('template')}</office:text>")
    assert read_file(write("a.ott", data), document_id="a", limit=10_000).text == "template"


@pytest.mark.parametrize("part", ["content.xml", "encrypted-package"])
def test_a_file_with_a_password_says_so(write: Write, part: str) -> None:
    entry = f'<manifest:file-entry manifest:full-path="{part}"><manifest:encryption-data/></manifest:file-entry>'
    data = package("text", "", **{"META-INF__manifest": f"<manifest:manifest {NAMESPACES}>{entry}</manifest:manifest>"})
    with pytest.raises(Unreadable, match="password") as caught:
        read_file(write("a.odt", data), document_id="a.odt", limit=10_000)
    assert caught.value.reason == "encrypted"


@pytest.mark.parametrize("body", ["", "<office:text/>", f"<office:text>{p('')}</office:text>"])
def test_a_file_without_text_is_damaged_or_empty(write: Write, body: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_file(write("a.odt", package("text", body)), document_id="a.odt", limit=10_000)
    assert caught.value.reason == ("empty" if body else "damaged")


def test_a_table_of_one_wide_row_and_very_many_short_ones_stays_small(odt: Read) -> None:
    wide = "<table:table-row>" + "<table:table-cell><text:p>w</text:p></table:table-cell>" * 1500 + "</table:table-row>"
    text = odt(f"<table:table>{wide}{rows(cell('left') + cell('right')) * 1500}</table:table>").text
    assert len(text) < 200_000
    assert text.endswith("left; right")


def test_deep_nesting_takes_linear_time_and_no_recursion(odt: Read) -> None:
    began = time.monotonic()
    text = odt(
        "<text:section><text:list><text:list-item>" * 600
        + p("deep")
        + "</text:list-item></text:list></text:section>" * 600
    ).text
    boxes = "<text:p>a<draw:frame><draw:text-box>" * 600 + "</draw:text-box></draw:frame></text:p>" * 600
    assert text.strip() == "- deep"
    assert odt(boxes).text.count("a") == 600
    assert time.monotonic() - began < 5
