"""Markdown to a `Parsed`: the text as it is shown, its title, and what it says about itself.

Line numbers are the file's own. Front matter stays in the text; chunks are made of what is below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from knowledge_core.ingestion.cutting.payloads import without_payloads
from knowledge_core.ingestion.front_matter import front_matter
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.notes.excalidraw import is_drawing, labels_of_drawing
from knowledge_core.ingestion.reading.notes.links import Told, bounded, shown_text
from knowledge_core.ingestion.reading.notes.note import read_note
from knowledge_core.ingestion.reading.notes.titles import leading_heading, stated_title
from knowledge_core.ingestion.reading.parsed import Parsed


def read_markdown(text: str, name: str) -> Parsed:
    """Return a Markdown text under the title that its front matter states, else that of the heading it begins with."""
    shown, title, found = read_parts(text, name)
    return Parsed(shown, title, from_file(found, {"format": "markdown"}), lines_of_file=True)


def read_parts(text: str, name: str = "") -> tuple[str, str, dict[str, object]]:
    """Return a Markdown text as it is shown, its title, "" for none, and what it says about itself.

    name: the document's id, whose suffix tells MDX and drawings.
    """
    fields, start = front_matter(text)
    by_name = {key.lower(): key for key in reversed(fields)}
    if is_drawing(fields, name):
        text = labels_of_drawing(text, start)
    shown, told = read_note(without_payloads(text), start, mdx=PurePath(name).suffix.lower() == ".mdx")
    for value in fields.values():
        _tell_links(value, told)
    stated = _shown(fields.pop(by_name.get("title", ""), None))
    title = stated_title(stated) or stated_title(told.fields.pop("title", None))
    if not is_drawing(fields, name):
        title = title or leading_heading(shown, start)
    return shown, title, _about(fields, by_name, told)


def _tell_links(value: object, told: Told) -> None:
    """Tell the pages that a field of front matter links to."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            shown_text(item, told)
        elif isinstance(item, list) and all(isinstance(part, str) for part in item):
            told.link(", ".join(item).split("|")[0].split("#")[0])  # [[Page]] without quotes is a list in a list


def _about(fields: Mapping[str, object], by_name: Mapping[str, str], told: Told) -> dict[str, object]:
    """Return what filters can ask for: all tags, aliases and links, then front matter, then the fields in the text."""
    given = {
        name: fields.get(by_name.get(name, ""), told.fields.get(name)) for name in ("tags", "tag", "aliases", "alias")
    }
    lists = {
        "tags": bounded([*(tag.lstrip("#").strip("/") for tag in _texts(given["tags"], given["tag"])), *told.tags]),
        "aliases": bounded(_texts(given["aliases"], given["alias"])),
        "links": bounded(told.links),
    }
    taken = {by_name.get(name, name) for name in given}
    rest = {name: _shown(value) for name, value in {**told.fields, **fields}.items() if name not in taken}
    return {**{name: items for name, items in lists.items() if items}, **rest}


def _texts(*values: object) -> list[str]:
    """Return lists of texts, or texts with commas between them, as one list."""
    found: list[str] = []
    for value in values:
        items = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else [value]
        found += [shown_text(str(item)).strip() for item in items if item is not None]
    return found


def _shown(value: object) -> object:
    """Return a value of front matter with wikilinks as they are shown."""
    if isinstance(value, list):
        inner = value[0] if len(value) == 1 else None
        if isinstance(inner, list) and inner and all(isinstance(part, str) for part in inner):
            return ", ".join(inner).rpartition("|")[2]
        return [_shown(item) if isinstance(item, str) else item for item in value]
    return shown_text(value) if isinstance(value, str) else value
