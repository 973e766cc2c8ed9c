"""PDF to text, page by page, through PDFium. The only file that speaks to PDFium.

PDFium is not thread-safe: one lock is held from a document's opening until it is closed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

import pypdfium2

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.reading.parsed import Parsed, paged
from knowledge_core.ingestion.unreadable import Unreadable
from knowledge_core.types import MetadataValue

_LOCK = threading.Lock()
_PASSWORD_NEEDED = 4  # FPDF_ERR_PASSWORD
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?")
# Titles that programs write where nobody gave one: the program's name, a placeholder, the name of the source file.
_NO_TITLE = re.compile(
    r"^\W*$|^(untitled|anonymous|unspecified|title|document|presentation|slide|powerpoint|microsoft|layout|print|"
    r"\(anonymous\)|\(unspecified\)).{0,25}$|\.(docx?|pptx?|xlsx?|odt|tex|dvi|ps|eps|indd|qxd|rtf|txt|pdf|p65|fm|ai)$",
    re.IGNORECASE,
)
_MOST_LACKING = (
    1000  # pages in a row that cannot be loaded, then the rest is given up: a file may claim two billion pages
)
_CONTROLS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read_pdf(data: bytes, name: str) -> Parsed:
    """Return the pages' texts (a page may be empty), the title ("" unless it is sensible), and author, dates and tags.

    name: the file's name in error messages.

    Raises:
        Unreadable: with the reason "encrypted" or "damaged".
    """
    with _LOCK:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if error.err_code == _PASSWORD_NEEDED:
                raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.") from error
            raise Unreadable("damaged", f"{name} is not a sound PDF. Open it elsewhere and save it anew.") from error
        try:
            pages = _pages(document)
            about = document.get_metadata_dict(skip_empty=True)
        finally:
            document.close()
    text, spans = paged([clean_text(page) for page in pages])
    metadata: dict[str, MetadataValue] = {"format": "pdf", "pages": len(pages), **_about(about)}
    return Parsed(text, _title(about.get("Title", "")), metadata, "text/plain", spans)


def _pages(document: pypdfium2.PdfDocument) -> list[str]:
    pages: list[str] = []
    lacking = 0  # pages in a row that could not be loaded, up to this one
    for number in range(len(document)):
        text = _page_text(document, number)
        lacking = lacking + 1 if text is None else 0
        pages.append(text or "")
        if lacking == _MOST_LACKING:
            return pages[:-lacking]
    return pages


def _page_text(document: pypdfium2.PdfDocument, number: int) -> str | None:
    """Return the text of a page; None if it cannot be loaded, which costs the document no other page."""
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return None
    try:
        view = page.get_textpage()
        try:
            text: str = view.get_text_range()
        finally:
            view.close()
    finally:
        page.close()
    # U+FFFE marks where PDFium removed a hyphen at a line's end and joined the word.
    text = text.replace("\r\n", "\n").replace("\ufffe", "").replace("\x02", "")
    return "\n".join(line.rstrip(" \t") for line in _CONTROLS.sub(" ", text).split("\n")).strip()


def _title(text: str) -> str:
    title = re.sub(r"^Microsoft (Word|PowerPoint|Excel) - ", "", " ".join(text.split()))
    return "" if _NO_TITLE.search(title) or len(title) > 300 else title


def _about(about: Mapping[str, str]) -> dict[str, MetadataValue]:
    result: dict[str, MetadataValue] = {}
    author = " ".join(about.get("Author", "").split())
    if author and not re.fullmatch(r"\(?(anonymous|unknown|unspecified)\)?", author, re.IGNORECASE):
        result["author"] = author[:300]
    for field, name in (("CreationDate", "date"), ("ModDate", "modified")):
        found = _DATE.match(about.get(field, ""))
        if found and "1970" <= found[1] <= "2999":
            result[name] = "-".join(part for part in found.groups() if part)
    keywords = [word.strip() for word in re.split("[,;]", about.get("Keywords", "")) if word.strip()]
    if keywords:
        result["tags"] = keywords[:50]
    return result
