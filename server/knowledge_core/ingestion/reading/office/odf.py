"""OpenDocument texts and presentations, as packages and as single XML files, to Markdown.

The package is opened here, and what it says about itself is read here; `odf_text` and `odf_slides` write the text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.archive import Archive, parsed_xml
from knowledge_core.ingestion.reading.office.odf_slides import slides
from knowledge_core.ingestion.reading.office.odf_styles import DC, MANIFEST, META, OFFICE, Styles
from knowledge_core.ingestion.reading.office.odf_text import Writer
from knowledge_core.ingestion.reading.parsed import Parsed, facts, paged
from knowledge_core.ingestion.reading.properties import day, language, person, sensible_title, tags_of
from knowledge_core.ingestion.unreadable import Unreadable
from knowledge_core.types import MetadataValue

_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,200}\?>")  # its encoding is about the bytes that were decoded before
_SLIDES = (f"{OFFICE}presentation", f"{OFFICE}drawing")
Embedded = Callable[[str], etree._Element | None]


def read_odt(content: bytes | str, name: str) -> Parsed:
    """Return an OpenDocument text, a package or one XML file, as Markdown.

    Raises:
        Unreadable: with the reason "encrypted", "damaged" or "too large".
    """
    return _read(content, name, "odt")


def read_odp(content: bytes | str, name: str) -> Parsed:
    """Return an OpenDocument presentation, a package or one XML file, as Markdown; a slide is a page.

    Raises:
        Unreadable: with the reason "encrypted", "damaged" or "too large".
    """
    return _read(content, name, "odp")


def _read(content: bytes | str, name: str, format: str) -> Parsed:
    if isinstance(content, str):
        trees, embedded, format = *_flat(content, name), f"f{format}"
    else:
        trees, embedded = _package(content, name)
    body = trees[0].find(f"{OFFICE}body")
    inner = next(body.iterchildren(f"{OFFICE}*"), None) if body is not None else None
    if inner is None:
        raise Unreadable(
            "damaged", f"{name} is an OpenDocument file without a body. Open it elsewhere and save it anew."
        )
    writer = Writer(Styles(trees), embedded)
    title, own, about = _about(trees, format)
    if inner.tag in _SLIDES:
        texts, first = slides(inner, writer)
        text, pages = paged([clean_text(each) for each in texts])
        if text.strip():
            own["pages"] = len(pages)
        return Parsed(text, title or first, from_file(about, own), pages=pages)
    blocks = writer.write(inner)
    return Parsed(clean_text(blocks.text()), title or blocks.first_heading, from_file(about, own))


def _flat(text: str, name: str) -> tuple[list[etree._Element], Embedded]:
    found = _DECLARATION.match(text)
    tree = parsed_xml(text[found.end() if found else 0 :].encode("utf-8", "replace"), name)
    if tree is None or tree.tag != f"{OFFICE}document":
        raise Unreadable("damaged", f"{name} is not an OpenDocument file of one XML text. Save it anew.")
    return [tree], lambda _: None  # what is embedded stands in the text itself


def _package(data: bytes, name: str) -> tuple[list[etree._Element], Embedded]:
    archive = Archive(data, name)
    if _encrypted(archive):
        raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.")
    content = archive.xml("content.xml")
    if content is None:
        raise Unreadable("damaged", f"{name} has no content.xml. Open it elsewhere and save it anew.")
    others = [tree for part in ("styles.xml", "meta.xml") if (tree := archive.xml(part)) is not None]

    def embedded(address: str) -> etree._Element | None:
        part = posixpath.normpath(address) + "/content.xml"
        tree = archive.xml(part)
        body = tree.find(f"{OFFICE}body") if tree is not None else None
        return tree if body is None else body

    return [content, *others], embedded


def _encrypted(archive: Archive) -> bool:
    """Say whether the text is encrypted: since ODF 1.3 the whole package may be, before that each part."""
    manifest = archive.xml("META-INF/manifest.xml") if "META-INF/manifest.xml" in archive else None
    if manifest is None:
        return "encrypted-package" in archive
    return any(
        entry.find(f"{MANIFEST}encryption-data") is not None
        for entry in manifest.iter(f"{MANIFEST}file-entry")
        if entry.get(f"{MANIFEST}full-path") in ("content.xml", "encrypted-package")
    )


def _about(trees: list[etree._Element], format: str) -> tuple[str, dict[str, MetadataValue], dict[str, object]]:
    """Return the title, what this reader knows, and what the file says about itself."""
    meta = next((found for tree in trees for found in tree.iter(f"{OFFICE}meta")), None)
    own: dict[str, MetadataValue] = {"format": format}
    if meta is None:
        return "", own, {}

    def first(tag: str) -> str:
        return " ".join(meta.findtext(tag, "").split())[:1000]

    if said := language(first(f"{DC}language")):
        own["language"] = said
    about = facts(
        author=person(first(f"{META}initial-creator") or first(f"{DC}creator")),
        date=day(first(f"{META}creation-date")),
        modified=day(first(f"{DC}date")),
        description=first(f"{DC}description"),
        subject=first(f"{DC}subject"),
        tags=tags_of(*(" ".join(each.itertext()) for each in meta.iterchildren(f"{META}keyword"))),
    )
    return sensible_title(first(f"{DC}title")), own, dict(about)
