"""PDF to text, page by page: what the pages say, then the values of their forms and what people noted on them.

The text is plain, not Markdown: what is a heading in it is said by the outline, which becomes `Parsed.headings`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.parsed import Parsed, facts, paged
from knowledge_core.ingestion.reading.pdf.hyphens import with_hyphens
from knowledge_core.ingestion.reading.pdf.outline import headings
from knowledge_core.ingestion.reading.pdf.pdfium import RawPage, document_of
from knowledge_core.ingestion.reading.pdf.title import title_of
from knowledge_core.ingestion.reading.properties import day, language, person, tags_of
from knowledge_core.types import MetadataValue

_CONTROLS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
# The replacement character, controls, and what is for private use: a font's own numbers of its shapes.
_MEANINGLESS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]")
_SENSELESS = 0.3  # of a page's characters; with more that mean nothing, its fonts do not say what they show
_MOST_PICTURES = 50  # numbers of pages in the metadata


def read_pdf(data: bytes, name: str) -> Parsed:
    """Return the pages' texts (a page may be empty), the outline as headings, the title ("" unless it is sensible).

    A page is among the `pictures` where its text layer is empty and something is drawn on it, or where more than
    three in ten characters of the layer mean nothing; that layer is left out.

    name: the file's name in error messages.

    Raises:
        Unreadable: with the reason "encrypted" or "damaged".
    """
    document = document_of(data, name)
    layers = [page.text for page in document.pages]
    senseless = {number for number, text in enumerate(layers) if _means_nothing(text)}
    layers = with_hyphens(["" if number in senseless else text for number, text in enumerate(layers)])
    text, spans = paged([_page_text(text, page) for text, page in zip(layers, document.pages, strict=True)])
    pictures = tuple(
        number + 1
        for number, page in enumerate(document.pages)
        if not layers[number].strip() and (page.drawn or number in senseless)
    )
    own: dict[str, MetadataValue] = {"format": "pdf", "pages": len(document.pages)}
    if pictures:
        own["pages_without_text"] = list(pictures[:_MOST_PICTURES])
    if said := language(document.language):
        own["language"] = said
    title = title_of(document.about.get("Title", ""), document.first)
    metadata = from_file(_about(document.about), own)
    return Parsed(text, title, metadata, "text/plain", spans, headings(document.outline, text, spans), pictures)


def _means_nothing(text: str) -> bool:
    """Say whether a text layer is mostly characters for private use, replacement characters and controls."""
    signs = len("".join(text.replace("\ufffe", "").split()))
    return len(_MEANINGLESS.findall(text)) > _SENSELESS * signs


def _page_text(layer: str, page: RawPage) -> str:
    """Return a page's text, its filled fields a line each, and its notes, save those that repeat what they mark."""
    text = "\n".join(line.strip(" \t") for line in _CONTROLS.sub(" ", layer).split("\n")).strip()
    filled = "\n".join(f"{name}: {value}" if name else value for name, value in page.fields)
    seen = " ".join(text.split())
    notes = [note for note in page.notes if " ".join(note.split()) not in seen]
    return clean_text("\n\n".join(part for part in (text, filled, *notes) if part))


def _about(about: Mapping[str, str]) -> Mapping[str, object]:
    return facts(
        author=person(about.get("Author", "")), date=day(about.get("CreationDate", "")),
        modified=day(about.get("ModDate", "")),
        description=" ".join(about.get("Subject", "").split())[:1000], tags=tags_of(about.get("Keywords", "")),
    )  # fmt: skip
