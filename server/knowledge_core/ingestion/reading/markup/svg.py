"""SVG to Markdown: its title, descriptions and labels, in the order of the file, and nothing of how it is drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.archive import parsed_xml
from knowledge_core.ingestion.reading.parsed import Parsed, facts
from knowledge_core.ingestion.unreadable import Unreadable

_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,200}\?>\s*")
MOST_LABELS = 100_000
_LONGEST_LABEL = 10_000  # characters
_NEVER = frozenset({"script", "style", "metadata"})
_ABOUT = frozenset({"title", "desc"})
_LINE_ENDS = frozenset(
    {"div", "p", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6"}
)  # of HTML inside of a drawing
_OWN = {"creator": "author", "date": "date", "description": "description", "language": "language"}


def read_svg(text: str, name: str) -> Parsed:
    """Return the title as heading, below it a list of what stands in the drawing: one item for each text.

    A line of a text that is placed on its own (tspan) is a line of the same item. Comes with what the drawing says about
    itself as Dublin Core.

    Raises:
        Unreadable: "damaged" where nothing of it is XML.
    """
    body = _DECLARATION.sub("", text, count=1)  # it names the encoding of the file, and this is a text
    root = parsed_xml(body.encode("utf-8"), name) if body.strip() else None
    if root is None:
        raise Unreadable("damaged", f"{name} is no SVG. Open it elsewhere and save it anew.")
    title, labels = _labels(root)
    lines = [f"# {title}"] if title else []
    if labels:
        lines.append("\n".join(f"- {label}" for label in labels))
    return Parsed(clean_text("\n\n".join(lines)), title, from_file(_dublin_core(root), {"format": "svg"}))


def _labels(root: Any) -> tuple[str, list[str]]:
    """Return the drawing's own title, and its other texts; one that follows itself stands once."""
    title = ""
    labels: list[str] = []
    skipped: Any = None  # the element whose inside was taken, or is none of our business
    for event, element in _walk(root):
        kind = _kind(element)
        if skipped is not None:
            skipped = None if event == "end" and element is skipped else skipped
            continue
        if event == "end" or kind not in _NEVER | _ABOUT | {"text", "foreignObject", "flowRoot"}:
            continue
        skipped = element
        if kind in _NEVER:
            continue
        label = _words(element)
        if kind == "title" and element.getparent() is root:
            title = title or label
        elif label and labels[-1:] != [label]:
            labels.append(label)
        if len(labels) == MOST_LABELS:
            break
    return title, labels


def _walk(root: Any) -> Iterator[tuple[str, Any]]:
    yield from etree.iterwalk(root, events=("start", "end"))


def _words(element: Any) -> str:
    """Return the text inside of an element on one line; pieces that are placed on their own are parted by a space."""
    parts: list[str] = []
    length = 0
    line = ""  # where the latest tspan stands
    for event, inner in _walk(element):
        kind = _kind(inner)
        piece = ""
        if event == "start":
            apart = kind in _LINE_ENDS or (kind == "tspan" and _begins_line(inner, line))
            line = inner.get("y", line)
            parts += [" "] if apart else []
            piece = inner.text or "" if kind and kind not in _NEVER else ""  # an entity has no kind
        elif inner is not element:
            parts += [" "] if kind in _LINE_ENDS else []
            piece = inner.tail or ""
        parts.append(piece)
        length += len(piece)
        if length > _LONGEST_LABEL:
            break
    return " ".join("".join(parts).split())


def _begins_line(tspan: Any, line: str) -> bool:
    """Say whether a piece of a text stands apart. Some programs place each letter, those of a word in one line."""
    if "x" in tspan.attrib and ("dy" in tspan.attrib or len(tspan.text or "") > 1):
        return True
    return bool(tspan.get("y", line) != line)


def _dublin_core(root: Any) -> dict[str, object]:
    found: dict[str, object] = {}
    for metadata in root.iterfind("{*}metadata"):
        for element in metadata.iter("{http://purl.org/dc/elements/1.1/}*"):
            name = _OWN.get(_kind(element), "")
            text = " ".join("".join(element.itertext()).split())[:500]
            if name and text:
                found.setdefault(name, text)
    return dict(facts(**found))


def _kind(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
