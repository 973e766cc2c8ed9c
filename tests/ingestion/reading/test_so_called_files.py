"""Files that are not what their names say: the content decides what is read, and what is refused says why."""

from __future__ import annotations

import io
import zipfile

import pytest
from ingestion_material import Write

from knowledge_core.ingestion.format_table import FORMATS
from knowledge_core.ingestion.readers import Unreadable, read_file

SUFFIXES = [suffix for each in FORMATS for suffix in each.suffixes.split()]
PAGE = "<html><body><h1>Kiln</h1><p>It is hot.</p></body></html>"
SAVED_PAGE = (
    "Date: Tue, 1 Dec 2026 05:00:00 +0000\nMessage-ID: <1@x>\nSubject: Exported\nMIME-Version: 1.0\n"
    f'Content-Type: multipart/related; boundary="x"\n\n--x\nContent-Type: text/html; charset=UTF-8\n\n{PAGE}\n\n--x--\n'
)
WORD_XML = (
    '<?xml version="1.0"?><?mso-application progid="Word.Document"?><w:wordDocument '
    'xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"><w:body><w:p><w:r><w:t>Kiln</w:t></w:r></w:p></w:body>'
    "</w:wordDocument>"
)
RICH = r"{\rtf1\ansi Kiln}"


def archive(**files: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "format", "text"),
    [
        *(
            (f"a{suffix}", SAVED_PAGE, "mhtml", "# Kiln\n\nIt is hot.")
            for suffix in (".doc", ".XLS", ".rtf", ".4711", "")
        ),
        *((f"a{suffix}", PAGE, "html", "# Kiln\n\nIt is hot.") for suffix in (".doc", ".xls", ".rtf", ".dot", "")),
        *((f"a{suffix}", WORD_XML, "xml", "Kiln") for suffix in (".doc", ".xls", ".rtf", ".xml", "")),
        *((f"a{suffix}", RICH, "rtf", "Kiln") for suffix in (".doc", ".RTF", ".txt", "")),
        ("a.rtf", f"\ufeff{RICH}", "rtf", "Kiln"),
        ("de.pot", 'msgid "kiln"\n', "text", 'msgid "kiln"\n'),
        ("graph.dot", "digraph { kiln }\n", "text", "digraph { kiln }\n"),
        ("Pose.msg", "float64 kiln\n", "text", "float64 kiln\n"),
        ("a.xlt", "kiln;hot\nbowl;cold\n", "csv", "kiln;hot\nbowl;cold\n"),
    ],
)
def test_the_content_decides_what_is_read(write: Write, name: str, content: str, format: str, text: str) -> None:
    document = read_file(write(name, content), document_id=name, limit=10_000)
    assert (document.metadata["format"], document.text) == (format, text)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".4711", ""])
def test_an_archive_of_unknown_content_is_refused_by_its_name_and_its_bytes(write: Write, suffix: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_file(write(f"a{suffix}", archive(readme="words")), document_id="a", limit=10_000)
    by_name = next((each.content for each in FORMATS if suffix in each.suffixes.split()), "text")
    assert refused.value.reason == ("binary" if by_name == "text" else "damaged")
    assert "taken apart" not in str(refused.value)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ""])
@pytest.mark.parametrize("data", [b"", b" \r\n\t\n"], ids=["no bytes", "white space"])
def test_a_file_without_text_is_empty_whatever_it_is_called(write: Write, suffix: str, data: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        read_file(write(f"a{suffix.upper()}", data), document_id="a", limit=10_000)
    assert refused.value.reason == "empty"


def test_a_book_needs_neither_suffix_nor_media_type(write: Write) -> None:
    book = archive(**{"META-INF/container.xml": "<container/>", "a.xhtml": "<html><body><p>Kiln</p></body></html>"})
    assert read_file(write("book", book), document_id="a", limit=10_000).metadata["format"] == "epub"
