"""EPUB books made by hand."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from ingestion_material import Write

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Document

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="{}"/></rootfiles>'
    "</container>"
)
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf"'
TYPE = 'xmlns:epub="http://www.idpf.org/2007/ops"'
Read = Callable[..., Document]
DATA = os.environ.get("KNOWLEDGE_CORE_TEST_DATA")


def page(body: str, more: str = "") -> str:
    return (
        f'<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml" {TYPE}><head><title/></head>'
        f"<body {more}>{body}</body></html>"
    )


def book(
    parts: dict[str, str], spine: str = "", manifest: str = "", about: str = "", guide: str = "", opf: str = "OPS/b.opf"
) -> bytes:
    """A book whose parts all lie in OPS/. spine: "" for all pages in their order."""
    items = "".join(
        f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>'
        for name in parts
        if name.endswith("xhtml")
    )
    order = spine or "".join(f'<itemref idref="{name}"/>' for name in parts if name.endswith("xhtml"))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", CONTAINER.format(opf))
        archive.writestr(
            "OPS/b.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><metadata {DC}>{about}</metadata><manifest>{manifest}{items}'
            f"</manifest><spine>{order}</spine><guide>{guide}</guide></package>",
        )
        for name, part in parts.items():
            archive.writestr(name if name.startswith("META-INF") else f"OPS/{name}", part)
    return made.getvalue()


@pytest.fixture
def epub(write: Write) -> Read:
    """Read a book of these parts."""

    def read(parts: dict[str, str], **more: str) -> Document:
        data = book(parts, **more)
        return read_file(write("a.epub", data), document_id="a.epub", limit=len(data))

    return read


def test_pages_come_in_the_order_of_the_spine_and_what_is_not_in_its_flow_at_the_end(epub: Read) -> None:
    parts = {f"{name}.xhtml": page(f"<h1>{name}</h1><p>text {name}</p>") for name in ("one", "two", "note", "unused")}
    spine = '<itemref idref="note.xhtml" linear="no"/><itemref idref="two.xhtml"/><itemref idref="gone"/>'
    document = epub(parts, spine=f'{spine}<itemref idref="two.xhtml"/><itemref idref="one.xhtml"/>')
    assert document.text == "# two\n\ntext two\n\n# one\n\ntext one\n\n# note\n\ntext note"
    assert document.media_type == "text/markdown"


def test_the_book_says_title_authors_dates_language_and_subjects(epub: Read) -> None:
    about = (
        "<dc:title>The Book</dc:title><dc:creator opf:role='aut'>Ann</dc:creator><dc:creator opf:role='trl'>Tim</dc:creator>"
        "<dc:creator opf:role='aut'>Bob</dc:creator><dc:date opf:event='modification'>2020-02-02</dc:date>"
        "<dc:date opf:event='publication'>1999</dc:date><dc:language>en-GB</dc:language><dc:subject>Sea</dc:subject>"
        "<dc:subject>Ships</dc:subject><dc:description>&lt;p&gt;About it&lt;/p&gt;</dc:description>"
    )
    document = epub({"a.xhtml": page("<p>words</p>")}, about=about)
    assert document.title == "The Book"
    assert document.metadata == {
        "format": "epub", "language": "en-GB", "author": ["Ann", "Bob"], "date": "1999", "modified": "2020-02-02",
        "description": "About it", "tags": ["Sea", "Ships"],
    }  # fmt: skip


def test_titles_and_roles_of_epub_3_are_refined(epub: Read) -> None:
    about = (
        '<dc:title id="s">A Series</dc:title><dc:title id="m">Main</dc:title>'
        '<meta refines="#m" property="title-type">main</meta><dc:creator id="i">Ill</dc:creator>'
        '<meta refines="#i" property="role">ill</meta><dc:creator>Ann</dc:creator>'
        '<meta property="dcterms:modified">2021-03-04T00:00:00Z</meta>'
    )
    document = epub({"a.xhtml": page("<p>words</p>")}, about=about)
    assert document.title == "Main"
    assert (document.metadata["author"], document.metadata["modified"]) == ("Ann", "2021-03-04")


def test_cover_navigation_and_tables_of_contents_are_left_out(epub: Read) -> None:
    links = '<nav epub:type="toc"><h1>Contents</h1><ol><li><a href="c.xhtml">Chapter the first</a></li></ol></nav>'
    parts = {
        "a.xhtml": page('<img src="c.png" alt="The cover"/>'), "cover.xhtml": page("<p>The cover</p>"), "nav.xhtml": page(links),
        "toc.xhtml": page('<h1>Toc</h1><p><a href="c.xhtml">Chapter the first</a></p>'),
        "c.xhtml": page("<h1>Chapter the first</h1><p>words</p>"), "about.xhtml": page("<p>Called a cover but long</p>" * 20),
    }  # fmt: skip
    manifest = '<item id="nav.xhtml" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
    guide = "".join(
        f'<reference type="{kind}" href="{to}.xhtml"/>'
        for kind, to in (("cover", "cover"), ("toc", "toc"), ("cover", "about"))
    )
    text = epub(parts, manifest=manifest, guide=guide).text
    assert text.startswith("# Chapter the first\n\nwords\n\nCalled a cover but long")


def test_pages_without_headings_get_those_of_the_table_of_contents(epub: Read) -> None:
    ncx = (
        '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>'
        '<navPoint><navLabel><text>Part One</text></navLabel><content src="a%20b.xhtml"/>'
        '<navPoint><navLabel><text>The Storm</text></navLabel><content src="a%20b.xhtml#storm"/></navPoint></navPoint>'
        '<navPoint><navLabel><text>Two</text></navLabel><content src="two.xhtml"/></navPoint></navMap></ncx>'
    )
    parts = {
        "a b.xhtml": page('<p class="c">PART ONE</p><p>calm</p><p><a id="storm"/>wind</p>'),
        "two.xhtml": page("<h2>Own heading</h2><p>sea</p>"), "toc.ncx": ncx,
    }  # fmt: skip
    manifest = '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
    text = epub(parts, manifest=manifest).text
    assert text == "# PART ONE\n\ncalm\n\n## The Storm\n\nwind\n\n## Own heading\n\nsea"


def test_notes_are_kept_with_their_marks_apart(epub: Read) -> None:
    body = (
        '<p><span epub:type="pagebreak">7</span>Said<a epub:type="noteref" href="#n"><sup>1</sup></a> once.</p>'
        '<aside epub:type="footnote" id="n" hidden="hidden"><p>The source.</p></aside>'
    )
    assert epub({"a.xhtml": page(body)}).text == "Said[1] once.\n\nThe source."


def test_drawings_descriptions_and_fallbacks_are_text(epub: Read) -> None:
    body = (
        "<svg xmlns='http://www.w3.org/2000/svg'><style>.a {}</style><g><text>first <tspan>line</tspan></text>"
        "<text>second</text></g></svg><p>see <img src='x' alt='a cat asleep'/><img src='x' alt='a cat asleep'/>"
        "<img src='x' alt='x.png'/></p><object data='x'><p>shown instead</p></object>"
    )
    assert (
        epub({"0.xhtml": page("<p/>"), "a.xhtml": page(body)}).text
        == "first line\n\nsecond\n\nsee a cat asleep\n\nshown instead"
    )


def test_named_characters_and_pages_that_are_no_sound_xml_lose_no_words(epub: Read) -> None:
    parts = {
        "a.xhtml": page("<p>caf&eacute;&nbsp;&mdash; AT&amp;T &unheard; x</p>"),
        "b.xhtml": "<html><head><title/></head><body><p>one<br>and<p>two & <b>three</body></html>",
    }
    assert epub(parts).text.split("\n") == ["café — AT&T &unheard; x", "", "one", "", "and", "", "two & three"]


@pytest.mark.parametrize("opf", ["OPS/b.opf", "elsewhere/content.opf", "OPS%2Fb.opf"])
def test_the_package_is_found_where_the_container_is_wrong(epub: Read, opf: str) -> None:
    assert epub({"a.xhtml": page("<p>words</p>")}, about="<dc:title>T</dc:title>", opf=opf).title == "T"


def test_a_spine_that_leads_nowhere_costs_no_text(epub: Read) -> None:
    parts = {"B.XHTML": page("<p>b</p>"), "a.xhtml": page("<p>a</p>")}
    assert (
        epub(
            parts, spine='<itemref idref="gone"/>', manifest='<item id="b" href="b.xhtml" media-type="text/html"/>'
        ).text
        == "b\n\na"
    )


def encryption(algorithm: str, part: str) -> dict[str, str]:
    return {
        "META-INF/encryption.xml": '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
        'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
        f'<enc:EncryptionMethod Algorithm="{algorithm}"/><enc:CipherData><enc:CipherReference URI="{part}"/>'
        "</enc:CipherData></enc:EncryptedData></encryption>"
    }


def test_a_locked_book_says_so_and_one_with_hidden_fonts_is_read(epub: Read) -> None:
    pages = {"a.xhtml": page("<p>words</p>")}
    assert epub(pages | encryption("http://www.idpf.org/2008/embedding", "OPS/a.xhtml")).text == "words"
    assert epub(pages | encryption("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OPS/font.otf")).text == "words"
    with pytest.raises(Unreadable, match="DRM") as caught:
        epub(pages | encryption("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OPS/a.xhtml"))
    assert caught.value.reason == "encrypted"


def test_a_book_without_a_text_is_damaged(epub: Read) -> None:
    with pytest.raises(Unreadable) as caught:
        epub({"x.css": "p {}"})
    assert caught.value.reason == "damaged"


@pytest.mark.skipif(DATA is None, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files")
def test_a_real_book_keeps_the_words_that_another_project_finds_in_it() -> None:
    path = Path(DATA or "") / "files" / "epub" / "epub_purvis_poetry.epub"
    wanted = Counter(re.findall(r"\w+", (path.parent / f"{path.name}.expected.md").read_text("utf-8").lower()))
    document = read_file(path, document_id=path.name, limit=1_000_000)
    found = Counter(re.findall(r"\w+", document.text.lower()))
    assert document.title == "Poetry"
    assert (wanted & found).total() / wanted.total() > 0.95
