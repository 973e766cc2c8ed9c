"""A decoded XML text to its tree, and what readers of XML ask of it. No entity is resolved by the parser, nothing fetched.

The type declaration is taken out before the parser sees it: entities in attributes are expanded by it whatever it is told.
Entities that stand for plain text are put in here, within a bound; those of HTML as well, because many files use them
without declaring them.
"""

from __future__ import annotations

import html.entities
import re

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.archive import parsed_xml

_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,500}\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE[^\[>]{0,2000}")
_END_OF_SUBSET = re.compile(r"\]\s{0,100}>")
_PROLOG = 100_000  # characters in which the type declaration begins
_ENTITY = re.compile(r"<!ENTITY\s{1,100}([\w.-]{1,100})\s{1,100}(?:\"([^\"]{0,500})\"|'([^']{0,500})')\s{0,100}>")
_MOST_ENTITIES = 2_000
_MOST_PUT_IN = 1_000_000  # characters that entities stand for
_REFERENCE = re.compile(
    r"<!\[CDATA\[(?:.*?\]\]>|.*\Z)|<!--(?:.*?-->|.*\Z)|&(#\d{1,9};|#[xX][0-9a-fA-F]{1,8};|[\w.-]{1,100};)?", re.S
)
_XMLS = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_TAG = re.compile(r"<[^<>]*>")
_UNSEEN = re.compile(r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)", re.S)
SEVERAL = "roots"
_SOUND = 0.95  # of the text; with less, more than the first of several roots may be there
_MOST_WORDS = 10_000  # characters of what stands on one line
_LOST = 0.3  # of the text; a parser that kept less has given up at some damage


def tree_of(text: str, name: str) -> etree._Element | None:
    """Return the root of an XML text; None where it is none, or where damage would cost most of it.

    A text of several roots, as logs are, is put below one that is called `SEVERAL`.

    name: of the file, for messages.
    """
    body, entities = _without_doctype(without_declaration(_NO_XML.sub(" ", text)))
    resolved = _resolved(body, entities)
    root = parsed_xml(resolved.encode("utf-8", "replace"), name)
    whole = len("".join(_TAG.sub("", _UNSEEN.sub("", body)).split()))
    if _kept(root) < _SOUND * whole:
        several = parsed_xml(f"<{SEVERAL}>{resolved}</{SEVERAL}>".encode("utf-8", "replace"), name)
        if several is not None and len(several) and _kept(several) > _kept(root):
            root = several
    return root if _kept(root) >= _LOST * whole else None


def _kept(root: etree._Element | None) -> int:
    """Return how many characters of text and of attributes are in a tree."""
    if root is None:
        return 0
    text = sum(len("".join(part.split())) for part in root.itertext())
    return text + sum(len(value) for element in root.iter(etree.Element) for value in element.attrib.values())


def without_declaration(text: str) -> str:
    """Return an XML text without the declaration of its version and encoding."""
    declared = _DECLARATION.match(text)
    return text[declared.end() :] if declared else text


def without_tags(text: str) -> str:
    """Return the text of markup that no parser takes apart, line by line."""
    lines = (line.strip() for line in _TAG.sub("\n", _UNSEEN.sub("", text)).split("\n"))
    return html.unescape("\n".join(line for line in lines if line))


def local(element: etree._Element) -> str:
    """Return an element's name without its namespace; "" for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def words(element: etree._Element) -> str:
    """Return the text in an element on one line, of a very long one its beginning: where an end tag is lost, a title may
    hold the rest of the file.
    """
    parts: list[str] = []
    room = _MOST_WORDS
    for part in element.itertext():
        parts.append(part[:room])
        room -= len(part)
        if room <= 0:
            break
    return " ".join("".join(parts).split())


def _without_doctype(text: str) -> tuple[str, dict[str, str]]:
    found = _DOCTYPE.search(text, 0, _PROLOG)
    if not found:
        return text, {}
    if text[found.end() : found.end() + 1] != "[":
        end = text.find(">", found.end()) + 1
        return (text[: found.start()] + text[end:], {}) if end else (text, {})
    closed = _END_OF_SUBSET.search(text, found.end())
    end = closed.end() if closed else len(text)
    entities: dict[str, str] = {}
    for entity in _ENTITY.finditer(text, found.end(), end):
        if len(entities) < _MOST_ENTITIES:
            value = entity[2] if entity[2] is not None else entity[3]
            entities.setdefault(entity[1] + ";", html.unescape(_TAG.sub("", value)))
    return text[: found.start()] + text[end:], entities


def _resolved(text: str, entities: dict[str, str]) -> str:
    room = _MOST_PUT_IN

    def put_in(found: re.Match[str]) -> str:
        nonlocal room
        whole, reference = found[0], found[1]
        if whole != "&" and (not reference or reference.startswith("#") or reference in _XMLS):
            return whole
        if not reference:
            return "&amp;"
        value = entities.get(reference) or html.entities.html5.get(reference)
        room -= len(value or "")
        if value is None or room < 0:
            return f"&amp;{reference}"
        return html.escape(value, quote=True)

    return _REFERENCE.sub(put_in, text)
