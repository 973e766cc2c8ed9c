"""What PDFium finds in a PDF, as plain values. With `annotations.py`, which it calls, the only file that speaks to PDFium.

PDFium is not thread-safe: one lock is held from a document's opening until it is closed.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pypdfium2
from pypdfium2 import raw

from knowledge_core.ingestion.reading.pdf.annotations import Annotations
from knowledge_core.ingestion.unreadable import Unreadable

logging.getLogger("pypdfium2").setLevel(logging.CRITICAL + 1)  # our own report says what went wrong

_LOCK = threading.Lock()
_PASSWORD_NEEDED = 4  # FPDF_ERR_PASSWORD
_MOST_LACKING = (
    1000  # pages in a row that cannot be loaded, then the rest is given up: a file may claim two billion pages
)
_MOST_ALIKE = 1000  # pages of the very same text; a small file may list one page 400,000 times
_MOST_BOOKMARKS = 5000  # of an outline; a manual of 3,000 pages has about 2,000
_MOST_OBJECTS = 2000  # that are looked at to tell a picture from an empty page
_FIRST = 1500  # characters of page 1, in which its title is looked for
_DRAWN = 20  # paths, from which on a page without text is a picture: letters as outlines, a drawing; not a frame


@dataclass(frozen=True)
class RawPage:
    """A page as PDFium reads it.

    text: lines end with "\\n"; U+FFFE stands where PDFium took a hyphen at a line's end away and joined the word.
    fields: name and value of its form's filled fields.
    notes: what its annotations say.
    drawn: whether a page without text shows a picture or a drawing.
    """

    text: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    drawn: bool = False


@dataclass(frozen=True)
class Bookmark:
    """An entry of the outline. level: from 1. page: from 0; None where it leads nowhere."""

    name: str
    level: int
    page: int | None


@dataclass(frozen=True)
class RawDocument:
    """A document as PDFium reads it.

    about: its information dictionary. language: of its catalogue, or "".
    first: the first characters of page 1, each with its height in points.
    """

    pages: tuple[RawPage, ...]
    outline: tuple[Bookmark, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    language: str = ""
    first: tuple[tuple[str, float], ...] = ()


def document_of(data: bytes, name: str) -> RawDocument:
    """Return what is in a PDF. name: the file's name in messages.

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
            annotations = Annotations(document)  # first: a form is only known to pages that are loaded after it
            return RawDocument(
                tuple(_pages(document, annotations)), tuple(_outline(document)), _about(document), _language(document),
                tuple(_first(document)),
            )  # fmt: skip
        finally:
            document.close()


def _pages(document: pypdfium2.PdfDocument, annotations: Annotations) -> list[RawPage]:
    pages: list[RawPage] = []
    lacking = 0  # pages in a row that could not be loaded, up to this one
    told: Counter[str] = Counter()  # how many pages have a text
    for number in range(len(document)):
        page = _page(document, number, annotations)
        lacking = lacking + 1 if page is None else 0
        pages.append(page or RawPage())
        if page and page.text:
            told[page.text] += 1
            if told[page.text] > _MOST_ALIKE:
                return pages[:-1]
        if lacking == _MOST_LACKING:
            return pages[:-lacking]
    return pages


def _page(document: pypdfium2.PdfDocument, number: int, annotations: Annotations) -> RawPage | None:
    """Return a page; None if it cannot be loaded, which costs the document no other page."""
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return None
    try:
        view = page.get_textpage()
        try:
            text = _text(view)
        finally:
            view.close()
        fields, notes = annotations.of(page)
        return RawPage(text, fields, notes, not text.strip() and _is_drawn(page))
    finally:
        page.close()


def _text(view: pypdfium2.PdfTextPage) -> str:
    """Return a page's text. PDFium cuts characters beyond U+FFFF to 16 bits here, but not where it is asked for an area."""
    text: str = view.get_text_range()
    if not text:
        return ""
    wide = [sign for sign in view.get_text_bounded(-1e6, -1e6, 1e6, 1e6) if sign > "\uffff"]
    cut: dict[str, Iterator[str]] = {}
    for low, count in Counter(chr(ord(sign) & 0xFFFF) for sign in wide).items():
        if text.count(low) == count:  # else some of them are what they seem
            cut[low] = iter([sign for sign in wide if ord(sign) & 0xFFFF == ord(low)])
    if cut:
        text = "".join(next(cut[sign]) if sign in cut else sign for sign in text)
    return text.replace("\r\n", "\n").replace("\x02", "\ufffe")


def _first(document: pypdfium2.PdfDocument) -> Iterator[tuple[str, float]]:
    try:
        page = document[0]
    except pypdfium2.PdfiumError:
        return
    view = page.get_textpage()
    matrix = raw.FS_MATRIX()
    for at in range(min(view.count_chars(), _FIRST)):
        code = raw.FPDFText_GetUnicode(view, at)
        scale = (abs(matrix.d) or abs(matrix.b)) if raw.FPDFText_GetMatrix(view, at, matrix) else 1.0
        if code not in (0, 2, 0xFFFE):
            yield chr(code), round(raw.FPDFText_GetFontSize(view, at) * scale, 1)
    view.close()
    page.close()


def _is_drawn(page: pypdfium2.PdfPage) -> bool:
    paths = 0
    for each in itertools.islice(page.get_objects(max_depth=3), _MOST_OBJECTS):
        if each.type == raw.FPDF_PAGEOBJ_IMAGE:
            return True
        paths += each.type == raw.FPDF_PAGEOBJ_PATH
    return paths >= _DRAWN


def _outline(document: pypdfium2.PdfDocument) -> Iterator[Bookmark]:
    for each in itertools.islice(document.get_toc(), _MOST_BOOKMARKS):
        size = raw.FPDFBookmark_GetTitle(each, None, 0)
        buffer = ctypes.create_string_buffer(size)
        raw.FPDFBookmark_GetTitle(each, buffer, size)
        name = buffer.raw[: max(0, size - 2)].decode("utf-16-le", "replace")
        destination = each.get_dest()
        yield Bookmark(" ".join(name.split()), each.level + 1, destination.get_index() if destination else None)


def _about(document: pypdfium2.PdfDocument) -> dict[str, str]:
    about: dict[str, str] = {}
    for key in document.METADATA_KEYS:
        try:
            about[key] = document.get_metadata_value(key)
        except UnicodeDecodeError:  # half a surrogate pair
            continue
    return about


def _language(document: pypdfium2.PdfDocument) -> str:
    buffer = (raw.FPDF_WCHAR * 64)()
    size = raw.FPDFCatalog_GetLanguage(document, buffer, ctypes.sizeof(buffer))
    return bytes(buffer)[: max(0, size - 2)].decode("utf-16-le", "replace") if size <= ctypes.sizeof(buffer) else ""
