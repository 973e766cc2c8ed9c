"""Rich text made by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from ingestion_material import Write, checked_chunks, count_words

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Document

FONTS = r"{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}{\f2\fcharset128 C;}{\f3\fcharset238 D;}}"
Read = Callable[..., Document]


@pytest.fixture
def rtf(write: Write) -> Read:
    """Read a document of this text."""

    def read(body: str | bytes, name: str = "a.rtf") -> Document:
        body = body.encode("latin-1") if isinstance(body, str) else body
        data = rb"{\rtf1\ansi\ansicpg1252\deff0" + FONTS.encode() + body + b"}"
        document = read_file(write(name, data), document_id=name, limit=len(data))
        checked_chunks(document, count_words, 50)
        return document

    return read


def test_rich_text_is_known_by_its_content_whatever_it_is_called(rtf: Read) -> None:
    document = rtf(r"\pard one\par two\par", "letter.doc.txt")
    assert (document.text, document.metadata, document.media_type) == ("one\n\ntwo", {"format": "rtf"}, "text/markdown")


def test_headings_are_found_by_their_style_and_by_their_outline_level(rtf: Read) -> None:
    styles = r"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 Kop 1;}{\s7\sbasedon0\sqformat heading 3;}}"
    body = r"\pard\s1 First\par\pard text\par\pard\s7 Third\par\pard\outlinelevel1 Second\par\pard end"
    document = rtf(styles + body)
    assert document.text == "# First\n\ntext\n\n### Third\n\n## Second\n\nend"
    assert document.title == "First"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"caf\'e9 \u8364?\u-3913? x", "café € x"),
        (r"\f1 \'cf\'f0\'e8\'e2\'e5\'f2", "Привет"),
        (r"\f2 \'83\'5c\'83A", "ソア"),  # a backslash and a letter may be second bytes
        (r"\f3 moø\'f8e{\f0 \'f8}", "mořře" + "ø"),
        (r"{\uc2\u26085\'93\'fa}{\uc0\u26412}x", "日本x"),
        (r"\u-10179?\u-8694?!", "\U0001f60a!"),
        (r"\lquote a\rquote\emdash b\~c\_d\-e\tab f\{g\}\\", "‘a’—b c-de f{g}\\"),
        ("UTF-8: \u00e2\u0082\u00ac", "UTF-8: €"),
    ],
)
def test_characters_are_read_by_the_encoding_of_their_font(rtf: Read, written: str, shown: str) -> None:
    assert rtf(written).text == shown


def test_tables_are_rows_under_their_header_and_one_column_is_layout(rtf: Read) -> None:
    row = r"\trowd\cellx1\cellx2\pard\intbl {}\cell {}\cell\row"
    nested = r"in\par {\pard\intbl\itap2 x\nestcell y\nestcell{\*\nesttableprops\trowd}\nestrow}"
    text = rtf(row.format("Name", "Age") + row.format("Ann|e", nested) + r"\pard after\par").text
    assert text == "| Name | Age |\n| --- | --- |\n| Ann\\|e | in x y ; |\n\nafter"
    assert rtf(r"\trowd\pard\intbl only\cell\row\trowd\pard\intbl one\cell\row\pard end").text == "only\n\none\n\nend"


def test_lists_keep_their_labels_and_their_depth(rtf: Read) -> None:
    first = r"\pard{\listtext\f3 \'b7\tab}\ls1\ilvl0 a\par\pard{\listtext 2.\tab}\ls1\ilvl1 b\par"
    second = r"\pard{\pntext 3)\tab}{\*\pn\pnlvlbody{\pntxta )}}c\par\pard{\listtext iv.\tab}\ls2 d\par\pard\ls1 e\par"
    assert rtf(first + second).text == "- a\n  2. b\n3. c\n- iv. d\n- e"


def test_notes_comments_and_boxes_stand_after_their_paragraph(rtf: Read) -> None:
    note = r"{\super\chftn}{\footnote\pard{\super\chftn} the {\i source}}"
    comment = r"{\*\atnid A}{\*\atnauthor Ann}\chatn{\*\annotation{\*\atndate 1}\pard why?\par}"
    box = r"{\shp{\*\shpinst\shpleft1{\sp{\sn n}{\sv 1}}{\shptxt\pard boxed\par}}{\shprslt{\*\do\dptxbx{\dptxbxtext twice}}}}"
    text = rtf(rf"\pard Said{note} once{comment}{box}.\par next").text
    assert text == "Said[1] once.\n\n[1] the source\n\nComment (Ann): why?\n\nboxed\n\nnext"


def test_what_is_no_text_of_the_document_is_left_out(rtf: Read) -> None:
    out = (
        r"{\header head}{\footerr foot}{\pict\pngblip 89504e47}{\object{\*\objdata 0105}{\result shown}}{\*\generator X;}"
        r"{\v hidden}{\deleted gone}\v h\v0 {\*\unknown{\b dest}}{\field{\*\fldinst TOC \\o}{\fldrslt One 1\par Two 2}}"
        r'{\field{\*\fldinst{HYPERLINK "http://x"}}{\fldrslt link}}{\upr{?}{\*\ud{\u233\'e9}}}{\xe{index}}'
    )
    data = (r"\pard a" + out + "b").encode("latin-1") + b"{\\pict\\bin9 }}{{\\par\xff}" + rb"c\par}after the document"
    assert rtf(data).text == "ashownlinkébc"


def test_the_file_says_title_author_dates_and_tags(rtf: Read) -> None:
    info = (
        r"{\info{\title Le caf\'e9}{\author Ann}{\operator Bob}{\keywords a, b}{\doccomm About}"
        r"{\creatim\yr2026\mo1\dy31\hr5}{\revtim\yr2026\mo2\dy3}{\nofpages2}}"
    )
    document = rtf(info + "words")
    assert document.title == "Le café"
    assert document.metadata == {
        "format": "rtf", "author": "Ann", "date": "2026-01-31", "modified": "2026-02-03", "description": "About",
        "tags": ["a", "b"],
    }  # fmt: skip


def test_lines_that_look_like_markdown_are_no_structure(rtf: Read) -> None:
    document = rtf(r"\pard\outlinelevel0 Real\par\pard # 1 of 3\par ```\par last\par")
    assert {chunk.heading for chunk in checked_chunks(document, count_words, 30)} == {("Real",)}


@pytest.mark.parametrize("body", ["", r"\'", "\\", r"\u", "{{{", "}}}", r"{\pict", r"\bin99999", r"\'zz\u99999999 "])
def test_damaged_rich_text_costs_what_is_damaged(write: Write, body: str) -> None:
    path = write("a.rtf", r"{\rtf1 kept " + body)
    assert read_file(path, document_id="a.rtf", limit=1000).text.startswith("kept")


def test_rich_text_without_words_is_empty(rtf: Read) -> None:
    with pytest.raises(Unreadable) as caught:
        rtf(r"\pard\par{\pict 00}")
    assert caught.value.reason == "empty"


def test_hostile_rich_text_takes_linear_time(write: Write) -> None:
    began = time.process_time()
    for unit in ("{", "{\\footnote ", '{\\field{\\*\\fldinst{HYPERLINK "a" ', "{\\*\\x", "\\u1?", "{\\pict{"):
        path = write("a.rtf", "{\\rtf1 a" + unit * (40_000 // len(unit)))
        assert read_file(path, document_id="a.rtf", limit=200_000).text.startswith("a")
    assert time.process_time() - began < 4
