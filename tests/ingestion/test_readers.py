"""One file, or one text, becomes one document, or says in one word why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ingestion_material import Write, pdf_bytes

from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.readers import Unreadable, clean_text, inline_document, read_file, supported
from knowledge_core.types import Document

LIMIT = 1_000_000


def read(path: Path) -> Document:
    return read_file(path, document_id=f"files/{path.name}", limit=LIMIT)


def reason(path: Path, limit: int = LIMIT) -> str:
    with pytest.raises(Unreadable) as caught:
        read_file(path, document_id=f"files/{path.name}", limit=limit)
    assert f"files/{path.name}" in str(caught.value)
    assert str(path.parent) not in str(caught.value)
    return caught.value.reason


def test_clean_text_changes_line_ends_marks_and_what_is_no_character_and_nothing_else() -> None:
    assert clean_text("\ufeffa\r\nb\rc\x00\ud800 \u2028\ufeff\t") == "a\nb\nc\ufffd\ufffd \u2028\ufeff\t"


def test_markdown_front_matter_becomes_metadata_and_stays_in_the_text(write: Write) -> None:
    head = "---\ntitle: The Title\nauthor: Ann\ndate: 2026-01-31\ntags: a, b\nid: 7\ndeep: {x: [1, 2]}\nlevels: [1, 2]\n---\n"
    document = read(write("note.md", head + "# Heading\ntext"))
    assert document.title == "The Title"
    assert document.text == head + "# Heading\ntext"
    assert document.metadata == {
        "format": "markdown",
        "author": "Ann",
        "date": "2026-01-31",
        "tags": ["a", "b"],
        "file_id": 7,
        "deep": '{"x": [1, 2]}',
        "levels": [1, 2],
    }
    assert document.media_type == "text/markdown"
    assert document.uri == (write("note.md", head)).as_uri()


def test_html_gives_its_main_text_with_headings_and_what_it_says_about_itself(write: Write) -> None:
    page = """<!doctype html><html><head><title>A  page</title><meta name="author" content="Ann">
    <meta name="keywords" content="x, y"><script>var a = "never";</script></head><body>
    <nav><a href="/">home</a> <a href="/all">everything else on this site</a></nav>
    <article><h1>Engines</h1><p>The first <b>paragraph</b> about engines says enough to be found again.</p>
    <h2>Parts</h2><ul><li>a wheel that turns<li>a top_p setting [0, 1]</ul>
    <pre><code>def run():
    # comment
    return 1</code></pre><table><tr><th>name<th>size<tr><td>one<td>1</table></article></body></html>"""
    document = read(write("page.html", page))
    assert document.title == "A page"
    assert document.metadata == {"format": "html", "author": "Ann", "tags": ["x", "y"]}
    assert document.media_type == "text/markdown"
    for expected in (
        "# Engines\n\nThe first paragraph about engines says enough to be found again.\n\n## Parts\n\n",
        "- a wheel that turns\n- a top_p setting [0, 1]\n",
        "```\ndef run():\n    # comment\n    return 1\n```",
        "| name | size |\n| --- | --- |\n| one | 1 |",
    ):
        assert expected in document.text
    assert "never" not in document.text


def test_a_page_without_main_content_gives_all_its_text(write: Write) -> None:
    links = "".join(f"<div><a href='/{i}'>Chapter {i} of the long book</a></div>" for i in range(40))
    assert "Chapter 39 of the long book" in read(write("index.html", f"<body>{links}</body>")).text


def test_html_nested_deeper_than_the_parser_goes_loses_nothing(write: Write) -> None:
    deep = "<div>" * 5000 + "the kernel" + "</div>" * 5000 + "<p>the rest"
    assert read(write("deep.html", f"<p>the start{deep}")).text.split("\n") == ["the start", "the kernel", "the rest"]


def test_a_pdf_gives_its_pages_and_what_it_says_about_itself(write: Write) -> None:
    about = "/Title (On Engines) /Author (Ann) /CreationDate (D:20260131120000Z)"
    document = read(write("paper.pdf", pdf_bytes([["First page", "second line"], [], ["Third page"]], about)))
    assert [document.text[page.start : page.end] for page in document.pages] == [
        "First page\nsecond line",
        "",
        "Third page",
    ]
    assert document.title == "On Engines"
    assert document.metadata == {"format": "pdf", "pages": 3, "author": "Ann", "date": "2026-01-31"}


def test_a_pdf_title_that_is_a_file_name_or_a_placeholder_is_not_taken(write: Write) -> None:
    for title in ("untitled", "Microsoft Word - draft3.docx", "paper.dvi", r"\(anonymous\)"):
        assert read(write("paper.pdf", pdf_bytes([["text"]], f"/Title ({title})"))).title == "paper"


def test_what_is_wrong_with_a_pdf_is_told_apart(write: Write) -> None:
    assert reason(write("locked.pdf", pdf_bytes([["text"]], password=True))) == "encrypted"
    assert reason(write("cut.pdf", b"%PDF-1.4\n1 0 obj\n<<")) == "damaged"
    assert reason(write("wrong.pdf", b"hello")) == "damaged"
    assert reason(write("scan.pdf", pdf_bytes([[], []]))) == "empty"


def test_a_pdf_under_another_name_is_read_as_what_it_is(write: Write) -> None:
    assert read(write("paper.txt", pdf_bytes([["text"]]))).metadata["format"] == "pdf"


@pytest.mark.parametrize(
    ("name", "content", "media_type", "metadata"),
    [
        ("a.py", "x = 1", "text/x-python", {"format": "code", "language": "python"}),
        ("tool", "#!/usr/bin/env python3\nx = 1", "text/x-python", {"format": "code", "language": "python"}),
        ("Makefile", "all:", "text/x-make", {"format": "code", "language": "make"}),
        ("a.csv", "a,b", "text/csv", {"format": "csv"}),
        ("a.rst", "T\n=", "text/x-rst", {"format": "rst"}),
        ("a.txt", "words", "text/plain", {"format": "text"}),
        ("LICENSE", "words", "text/plain", {"format": "text"}),
        ("page", "\n<!-- x -->\n<!DOCTYPE html><p>words", "text/markdown", {"format": "html"}),
    ],
)
def test_name_and_content_say_what_a_file_is(
    write: Write, name: str, content: str, media_type: str, metadata: dict[str, str]
) -> None:
    document = read(write(name, content))
    assert (document.media_type, document.metadata) == (media_type, metadata)


def test_files_that_are_no_text_say_why(write: Write) -> None:
    assert reason(write("a.txt", b"ab\0cd")) == "binary"
    assert reason(write("b.md", bytes(range(1, 32)) * 9)) == "binary"
    assert reason(write("c.png", b"x")) == "binary"
    assert reason(write("d.pages", b"x")) == "unsupported"
    assert reason(write("e.txt", b"")) == "empty"
    assert reason(write("f.txt", b" \n\t ")) == "empty"
    assert reason(write("g.txt", b"x" * 11), limit=10) == "too large"


def test_a_path_that_is_no_readable_file_says_so(tmp_path: Path) -> None:
    assert reason(tmp_path / "missing.txt") == "unreadable"
    (tmp_path / "folder.txt").mkdir()
    assert reason(tmp_path / "folder.txt") == "unreadable"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert reason(tmp_path / "pipe.txt") == "unreadable"


def test_supported_is_about_the_name_alone() -> None:
    assert supported(Path("notes.md"))
    assert supported(Path("README"))
    assert not supported(Path("photo.JPG"))


def test_an_inline_document_keeps_what_it_was_given() -> None:
    metadata = {"year": 2026, "tags": ["a", "b"], "score": 0.5, "open": True, "none": None, "mixed": [1, 2.5]}
    document = inline_document("notes/1", "a\r\nb", "Title", "https://example.org/1", metadata)
    assert document == Document(
        "notes/1", "a\nb", "Title", "https://example.org/1", {**metadata, "mixed": [1.0, 2.5]}, "text/markdown"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": ""}, "1 to 500"),
        ({"id": "x" * 501}, "501"),
        ({"id": "a\nb"}, "control"),
        ({"text": " \n"}, "no text"),
        ({"text": "é" * 6}, "12 bytes; at most 10"),
        ({"title": "x" * 501}, "500"),
        ({"metadata": {"source": "x"}}, "reserved"),
        ({"metadata": {"$x": 1}}, "reserved"),
        ({"metadata": {"": 1}}, "metadata name"),
        ({"metadata": {"a": {"b": 1}}}, "an object"),
        ({"metadata": {"a": float("nan")}}, "out of range"),
        ({"metadata": {"a": 2**64}}, "out of range"),
        ({"metadata": {"a": ["x", 1]}}, "mixes"),
        ({"metadata": {"a": [True]}}, "mixes"),
        ({"metadata": {"a": [["x"]]}}, "mixes"),
        ({"metadata": {"a": "\ud800"}}, "surrogate"),
        ({"metadata": {str(i): i for i in range(65)}}, "at most 64"),
        ({"metadata": {"a": "x" * 17_000}}, "at most 16384"),
    ],
)
def test_an_inline_document_that_cannot_be_kept_says_what_is_wrong(change: dict[str, object], says: str) -> None:
    given: dict[str, object] = {"id": "x", "text": "words"} | change
    with pytest.raises(InvalidInput, match=says):
        inline_document(**given, limit=10)  # type: ignore[arg-type]
