"""What an office file says about itself: docProps/core.xml, by the names that other readers use."""

from __future__ import annotations

from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.office.ooxml.package import Package
from knowledge_core.ingestion.reading.parsed import facts
from knowledge_core.ingestion.reading.properties import day, is_of_program, language, person, sensible_title, tags_of
from knowledge_core.types import MetadataValue

_LONGEST = 2_000  # characters of any property


def about(package: Package, format: str, **own: MetadataValue) -> tuple[str, dict[str, MetadataValue]]:
    """Return the title ("" unless it is a sensible one) and the metadata. own: what the reader found itself."""
    found = _core(package)
    description = found.get("description", "")
    said = language(found.get("language", ""))
    named = facts(
        author=person(found.get("creator", "")),
        date=day(found.get("created", "")),
        modified=day(found.get("modified", "")),
        tags=tags_of(found.get("keywords", "")),
        description="" if is_of_program(description) else description,
        subject=found.get("subject", ""),
    )
    first: dict[str, MetadataValue] = {"format": format, **own, **({"language": said} if said else {})}
    return sensible_title(found.get("title", "")), from_file(named, first)


def _core(package: Package) -> dict[str, str]:
    part = next((each.target for each in package.relations("").values() if each.kind == "core-properties"), "")
    tree = package.xml(part or package.find("docProps/core.xml"))
    found: dict[str, str] = {}
    for each in [] if tree is None else tree.iterchildren("*"):
        words = " ".join("".join(each.itertext()).split())[:_LONGEST]
        found.setdefault(each.tag.rpartition("}")[2], words)
    return found
