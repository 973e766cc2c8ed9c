"""EPUB books, version 2 and 3, to Markdown: their pages in the order of reading.

Left out: the cover, the navigation document and tables of contents, which repeat the headings. A page without a heading
of its own gets those that the table of contents has for it.
"""

from __future__ import annotations

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.archive import Archive
from knowledge_core.ingestion.reading.books.about import about
from knowledge_core.ingestion.reading.books.package import Entry, Package
from knowledge_core.ingestion.reading.books.page_text import page_text
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.unreadable import Unreadable


def read_epub(data: bytes, name: str) -> Parsed:
    """Return a book as Markdown.

    Raises:
        Unreadable: with the reason "encrypted", "damaged" or "too large".
    """
    archive = Archive(data, name)
    package = Package(archive, name)
    items = package.texts()
    if package.encrypted(items):
        raise Unreadable("encrypted", f"{name} is locked by its seller (DRM). Index a copy without that.")
    repeated = package.repeated()
    entries: dict[str, list[Entry]] = {}
    for entry in package.contents():
        entries.setdefault(entry.path, []).append(entry)
    pages = [
        page_text(archive.read(path), repeated.get(path, ""), entries.get(path, []), first=number == 0)
        for number, path in enumerate(item.path for item in items)
    ]
    title, own, found = about(package.root)
    return Parsed(clean_text("\n\n".join(filter(None, pages))), title, from_file(found, own))
