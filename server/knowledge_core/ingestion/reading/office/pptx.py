"""PowerPoint presentations (PPTX, PPTM, shows, templates) to Markdown, a page for each slide.

The slides come in the presentation's order, hidden ones among them: they hold what the speaker keeps at hand. Numbers,
dates and footers of slides are left out, as is what stands on layouts and masters. Speaker notes follow below "Notes:".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.reading.office.ooxml.blocks import one_line, written
from knowledge_core.ingestion.reading.office.ooxml.package import P, Package, R
from knowledge_core.ingestion.reading.office.ooxml.properties import about
from knowledge_core.ingestion.reading.office.slides.slide import Slides
from knowledge_core.ingestion.reading.parsed import Parsed, paged
from knowledge_core.ingestion.unreadable import Unreadable

_SLIDE = re.compile(r"(?:^|/)slides/slide(\d{1,6})\.xml$", re.IGNORECASE)


def read_pptx(data: bytes, name: str) -> Parsed:
    """Return the slides' texts, the title, and what the presentation says about itself.

    A slide without any text is a page with nothing in it, and named in `pictures`.

    name: the file's name in error messages.

    Raises:
        Unreadable: "damaged" where there is no slide in it, "encrypted", "too large".
    """
    package = Package(data, name)
    parts = _parts(package)
    slides = Slides(package, _authors(package))
    read = [slides.read(part) for part in parts]
    texts = [clean_text(written(blocks)) for _, blocks in read]
    text, pages = paged(texts)
    title, metadata = about(package, "pptx", pages=len(pages))
    first = read[0][0] if read else ""
    silent = tuple(number for number, each in enumerate(texts, start=1) if not each)
    return Parsed(text, title or first, metadata, pages=pages, pictures=silent)


def _parts(package: Package) -> list[str]:
    """Return the parts of the slides in the presentation's order, in that of their names where it does not say one."""
    by_name = sorted(filter(_SLIDE.search, package.names), key=_number)
    try:
        part, tree = package.main(f"{P}presentation", "ppt/")
    except Unreadable as error:
        if error.reason != "damaged" or not by_name:
            raise
        return by_name
    relations = package.relations(part)
    named = (relations.get(each.get(f"{R}id", "")) for each in tree.iter(f"{P}sldId"))
    shown = list(dict.fromkeys(relation.target for relation in named if relation and relation.target))
    return shown or by_name


def _number(part: str) -> int:
    found = _SLIDE.search(part)
    return int(found[1]) if found else 0


def _authors(package: Package) -> Mapping[str, str]:
    """Return the names of those who commented, by the ids in their comments."""
    found: dict[str, str] = {}
    for part in package.names:
        if re.search(r"(?:^|/)(?:commentAuthors|authors)\.xml$", part, re.IGNORECASE):
            tree = package.xml(part)
            for each in [] if tree is None else tree.iter("{*}cmAuthor", "{*}author"):
                found[each.get("id", "")] = one_line(each.get("name", ""))
    return found
