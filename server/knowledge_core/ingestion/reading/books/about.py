"""What a book says about itself in its package document: Dublin Core, of EPUB 2 and of EPUB 3."""

from __future__ import annotations

import re

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.parsed import facts
from knowledge_core.ingestion.reading.properties import day, language
from knowledge_core.types import MetadataValue

_DC = "{http://purl.org/dc/elements/1.1/}"
_OPF = "{http://www.idpf.org/2007/opf}"
_TAG = re.compile(r"<[^<>]*>")
_LONGEST = 2000  # characters of one value
_MOST = 50  # authors, or tags


def about(package: etree._Element | None) -> tuple[str, dict[str, MetadataValue], dict[str, object]]:
    """Return the title, what this reader knows, and what the book says about itself.

    Of several people the authors count, where the book says who is one; of several dates the publication.
    """
    own: dict[str, MetadataValue] = {"format": "epub"}
    if package is None:
        return "", own, {}
    refined = _refined(package)
    if said := language(_first(_said(package, "language"))):
        own["language"] = said
    authors = _authors(package, refined)
    dates = {each.get(f"{_OPF}event", ""): date for each, date in _said(package, "date") if _day(date)}
    published = dates.get("publication") or dates.get("") or next(iter(dates.values()), "")
    modified = next((_text(each) for each in package.iter("{*}meta") if each.get("property") == "dcterms:modified"), "")
    found = facts(
        author=authors[0] if len(authors) == 1 else authors[:_MOST],
        date=_day(published),
        modified=_day(modified or dates.get("modification", "")),
        description=" ".join(_TAG.sub(" ", _first(_said(package, "description"))).split()),
        publisher=_first(_said(package, "publisher")),
        tags=list(dict.fromkeys(text for _, text in _said(package, "subject")))[:_MOST],
    )
    return _title(package, refined), own, dict(found)


def _said(package: etree._Element, name: str) -> list[tuple[etree._Element, str]]:
    """Return the elements of a Dublin Core name that hold text, and their texts."""
    return [(each, text) for each in package.iter(f"{_DC}{name}", f"{_DC}{name.title()}") if (text := _text(each))]


def _first(said: list[tuple[etree._Element, str]]) -> str:
    return said[0][1] if said else ""


def _text(element: etree._Element) -> str:
    return " ".join("".join(element.itertext()).split())[:_LONGEST]


def _refined(package: etree._Element) -> dict[tuple[str, str], str]:
    """Return what EPUB 3 says about elements by their ids: (id, property) -> value."""
    metas = (each for each in package.iter("{*}meta") if each.get("refines"))
    return {(each.get("refines", "")[1:], each.get("property", "")): _text(each) for each in metas}


def _title(package: etree._Element, refined: dict[tuple[str, str], str]) -> str:
    titles = _said(package, "title")
    main = [text for each, text in titles if refined.get((each.get("id", ""), "title-type")) == "main"]
    return main[0] if main else _first(titles)


def _authors(package: etree._Element, refined: dict[tuple[str, str], str]) -> list[str]:
    people = _said(package, "creator")
    roles = [each.get(f"{_OPF}role") or refined.get((each.get("id", ""), "role"), "aut") for each, _ in people]
    authors = [name for role, (_, name) in zip(roles, people, strict=True) if role == "aut"]
    return list(dict.fromkeys(authors or [name for _, name in people]))


def _day(date: str) -> str:
    return day(date, since=1000)  # when the book appeared, not the file
