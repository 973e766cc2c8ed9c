"""PDF: forms, outlines, hyphens, notes, pages that are pictures, titles."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from ingestion_material import Write
from pdf_material import PICTURE, pdf, text

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Document

DATA = os.environ.get("KNOWLEDGE_CORE_TEST_DATA")


def read(write: Write, data: bytes) -> Document:
    path = write("paper.pdf", data)
    return read_file(path, document_id="files/paper.pdf", limit=1_000_000)


def form(*fields: str) -> bytes:
    """A page without text whose form has these fields, as entries of their widgets."""
    numbers = " ".join(f"{10 + at} 0 R" for at in range(len(fields)))
    widgets = [f"<< /Type /Annot /Subtype /Widget /Rect [0 0 90 20] /P 100 0 R {field} >>" for field in fields]
    return pdf([""], widgets, catalogue=f"/AcroForm << /Fields [{numbers}] >>", on_pages=[f"/Annots [{numbers}]"])


def test_the_values_of_a_form_are_text_with_their_names_even_where_there_is_nothing_else(write: Write) -> None:
    found = read(write, form(
        "/FT /Tx /T (form.name[0]) /TU (Full name) /V (Ada Lovelace)",
        "/FT /Tx /T (city) /V (London)",
        "/FT /Tx /T (secret) /Ff 8192 /V (hunter2)",
        "/FT /Tx /T (empty) /V ()",
        "/FT /Ch /Ff 131072 /T (country) /Opt [(England) (Wales)] /V (Wales)",
        "/FT /Ch /T (tongues) /Ff 2097152 /Opt [(French) (Latin) (Greek)] /V [(French) (Greek)]",
        "/FT /Btn /T (member) /V /Yes /AS /Yes /AP << /N << /Yes 3 0 R /Off 3 0 R >> >>",
        "/FT /Btn /T (retired) /V /Off /AS /Off /AP << /N << /Yes 3 0 R /Off 3 0 R >> >>",
    ))  # fmt: skip
    assert found.text.split("\n") == [
        "Full name: Ada Lovelace", "city: London", "country: Wales", "tongues: French, Greek", "member: yes",
    ]  # fmt: skip


def test_what_people_noted_stands_at_the_end_of_its_page_and_links_do_not(write: Write) -> None:
    notes = [
        "<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (Ask the lawyer) >>",
        "<< /Type /Annot /Subtype /Highlight /Rect [0 0 9 9] /Contents (first page) >>",
        "<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /URI /URI (https://x.example) >> /Contents (Go) >>",
        "<< /Type /Annot /Subtype /FreeText /Rect [0 0 9 9] /F 2 /Contents (hidden) >>",
    ]
    found = read(write, pdf([text("The first page"), text("The second")], notes,
                            on_pages=["/Annots [10 0 R 11 0 R 12 0 R 13 0 R]"]))  # fmt: skip
    assert found.text == "The first page\n\nAsk the lawyer\n\nThe second"
    assert [found.text[span.start : span.end] for span in found.pages] == [
        "The first page\n\nAsk the lawyer",
        "The second",
    ]


def outline(*entries: str) -> list[str]:
    return ["<< /Type /Outlines /First 11 0 R /Last 11 0 R >>", *entries]


def test_an_outline_becomes_headings_at_the_lines_that_say_them(write: Write) -> None:
    pages = [text("A survey", "1. Introduction", "Words.", "2 On the", "longest title", "More words."), text("Others")]
    entries = outline(
        "<< /Title (Introduction) /Dest [100 0 R /Fit] /Next 12 0 R >>",
        "<< /Title (On the longest title) /A << /S /GoTo /D [100 0 R /Fit] >> /First 13 0 R /Next 14 0 R >>",
        "<< /Title (Not a line of the page) /Dest [100 0 R /Fit] >>",
        "<< /Title (Part two) /First 15 0 R >>",
        "<< /Title (Page 2) /Dest [101 0 R /Fit] /Next 16 0 R >>",
        "<< /Title (Others) /Dest [101 0 R /Fit] >>",
    )
    found = read(write, pdf(pages, entries, catalogue="/Outlines 10 0 R"))
    assert [(found.text[each.start :].split("\n")[0], each.level, each.name) for each in found.headings] == [
        ("1. Introduction", 1, "Introduction"),
        ("2 On the", 1, "On the longest title"),
        ("2 On the", 2, "Not a line of the page"),
        ("Others", 1, "Part two"),
        ("Others", 2, "Others"),
    ]


def test_an_outline_that_goes_in_circles_or_into_depth_ends(write: Write) -> None:
    circle = outline("<< /Title (One) /Dest [100 0 R /Fit] /First 12 0 R /Next 11 0 R >>",
                     "<< /Title (Two) /Dest [100 0 R /Fit] /First 11 0 R /Next 12 0 R >>")  # fmt: skip
    found = read(write, pdf([text("words")], circle, catalogue="/Outlines 10 0 R"))
    assert 1 <= len(found.headings) <= 10
    deep = outline(*(f"<< /Title (Level {at}) /Dest [100 0 R /Fit] /First {12 + at} 0 R >>" for at in range(80)))
    assert 5 <= len(read(write, pdf([text("words")], deep, catalogue="/Outlines 10 0 R")).headings) <= 80


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("the ef-", "ficient way", "efficient"),
        ("a dual-", "encoder, as any dual-encoder", "dual-encoder,"),
        ("for COVID-", "19 tests", "COVID-19"),
        ("by Lucene-", "BM25 rank", "Lucene-BM25"),
        ("of d-", "dimensional points", "d-dimensional"),
        ("a state-of-the-", "art, the state-of-the-art", "state-of-the-art,"),
        ("some em-", "beddings, embeddings and em-beddings", "embeddings,"),
    ],
)
def test_a_hyphen_at_a_lines_end_stays_where_it_belongs_to_the_word(
    write: Write, first: str, second: str, joined: str
) -> None:
    found = read(write, pdf([text(f"Here {first}", f"{second} and so on.")]))
    assert joined in found.text.split()


def test_no_word_is_joined_across_pages(write: Write) -> None:
    found = read(write, pdf([text("It ends with exam-"), text("ple words")]))
    assert found.text == "It ends with exam-\n\nple words"


def test_pages_that_are_pictures_are_named_and_the_others_are_kept(write: Write) -> None:
    found = read(
        write, pdf([text("Typed"), PICTURE, "", text("\\001\\002\\003\\004 ab"), text("Typed, too") + PICTURE])
    )
    assert found.metadata["pages_without_text"] == [2, 4]
    assert found.text.split() == ["Typed", "Typed,", "too"]
    assert len(found.pages) == found.metadata["pages"] == 5


def test_a_document_of_pictures_only_says_that_there_is_no_text_recognition(write: Write) -> None:
    with pytest.raises(Unreadable, match="pictures, and there is no text recognition") as caught:
        read(write, pdf([PICTURE, PICTURE]))
    assert caught.value.reason == "empty"


def test_the_title_is_its_own_or_the_large_words_at_the_top_of_page_1(write: Write) -> None:
    page = text("Shift work interventions", size=24) + text("", "", *["Words of the text, line by line."] * 9)
    assert read(write, pdf([page], about="/Title (A title)")).title == "A title"
    for about in ("", "/Title (88300 162..177)", "/Title (none)", "/Title (thesis.tex)"):
        assert read(write, pdf([page], about=about)).title == "Shift work interventions"
    assert read(write, pdf([text("Words of the text", "line by line")])).title == "paper"


def test_a_pdf_says_its_language_and_subject(write: Write) -> None:
    found = read(write, pdf([text("Worte")], catalogue="/Lang (de-AT)", about="/Subject (On words)"))
    assert found.metadata == {"format": "pdf", "pages": 1, "language": "de-AT", "description": "On words"}


@pytest.mark.skipif(DATA is None, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files")
def test_real_files_keep_their_hyphens_and_outlines() -> None:
    folder = Path(DATA or "") / "files" / "pdf"

    def real(name: str) -> Document:
        return read_file(folder / name, document_id=name, limit=50_000_000)

    paper = real("multi-column-2p.pdf")
    assert "dual-encoder framework" in paper.text
    assert "efficient passage retrieval" in paper.text
    assert "Lucene-BM25" in paper.text
    assert paper.title == "Dense Passage Retrieval for Open-Domain Question Answering"
    assert [each.name for each in real("pdflatex-outline.pdf").headings] == ["Foo", "Bar", "Baz"] * 3


def test_a_file_that_lists_one_page_very_often_is_read_up_to_a_thousand_times(write: Write) -> None:
    once = pdf([text("The same page")])
    kids = re.search(rb"/Kids \[ ?(\d+ 0 R) ?\]", once)
    assert kids
    often = once.replace(kids[0], b"/Kids [" + b" ".join([kids[1]] * 1_500) + b"]").replace(b"/Count 1", b"/Count 1500")
    assert len(read(write, often).pages) == 1_000
