"""Saved web pages (MHTML, RFC 2557): the page's own HTML, by the reader of web pages."""

from __future__ import annotations

from collections.abc import Iterator

from knowledge_core.ingestion.decoding import clean_text, decode_as
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.html_text import read_html
from knowledge_core.ingestion.reading.mail.headers import date_of, header
from knowledge_core.ingestion.reading.mail.mime import Part, part_of
from knowledge_core.ingestion.reading.parsed import Parsed, facts
from knowledge_core.ingestion.unreadable import Unreadable
from knowledge_core.types import MetadataValue

_PAGES = ("text/html", "application/xhtml+xml")


def read_mhtml(data: bytes, name: str) -> Parsed:
    """Return the main content of a saved page as Markdown; where it is a set of frames, that of the frames."""
    saved = part_of(data, 0, len(data))
    pages = list(_pages(saved))
    if not pages:
        raise Unreadable("damaged", f"{name} holds no web page. Save it anew from a browser.")
    start = str(saved.head.get_param("start", "") or "").strip()
    pages.sort(key=lambda page: not (start and str(page.head.get("Content-ID", "")).strip() == start))
    texts: list[str] = []
    title = ""
    about: dict[str, MetadataValue] = {}
    for page in pages:
        found, its_title, its_facts = read_html(_html(page))
        if not texts:
            title, about = title or its_title, about or its_facts
        if found.strip():
            texts.append(found)
        if texts and page is pages[0]:
            break  # further pages are advertisements and the like in frames of the page
    url = header(saved.head, "Snapshot-Content-Location") or header(pages[0].head, "Content-Location")
    own = facts(date=date_of(str(saved.head.get("Date", "") or "")), url=url if url.startswith("http") else "")
    text = clean_text("\n\n".join(texts))
    return Parsed(text, title or header(saved.head, "Subject"), from_file({**own, **about}, {"format": "mhtml"}))


def _pages(part: Part) -> Iterator[Part]:
    """Yield the HTML parts in their order; goes down at most `mime.DEEPEST` levels."""
    if part.kind in _PAGES:
        yield part
    elif part.kind.startswith("multipart/"):
        for child in part.parts():
            yield from _pages(child)


def _html(page: Part) -> str:
    charset = page.head.get_param("charset", "") or ""
    return decode_as(page.body(), charset[2] if isinstance(charset, tuple) else str(charset))
