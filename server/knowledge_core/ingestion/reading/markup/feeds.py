"""RSS 0.9x, 1.0 and 2.0 and Atom: every entry a section with its date, author, link and text."""

from __future__ import annotations

import html
import re

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.html_text import write
from knowledge_core.ingestion.reading.literal import deeper, literal
from knowledge_core.ingestion.reading.mail.headers import date_of
from knowledge_core.ingestion.reading.markup.trees import local, tree_of, words
from knowledge_core.ingestion.reading.markup.xml_text import read_xml
from knowledge_core.ingestion.reading.parsed import Parsed, facts

_MARKUP = re.compile(r"<[a-zA-Z/!][^<>]*>|&(?:#\d+|#x[0-9a-fA-F]+|\w+);")
_TAG = re.compile(r"<[^<>]*>")
_ISO = re.compile(r"\d{4}-\d\d(-\d\d.{0,30})?")
_ROOTS = frozenset({"rss", "RDF", "feed", "channel"})
_TEXTS = ("encoded", "content", "description", "summary", "subtitle", "tagline", "info", "body", "div")
_NEW_WORDS = 0.2  # of a summary that the whole text does not have; with fewer it is its beginning


def read_feed(text: str, name: str) -> Parsed:
    """Return a feed as Markdown under the feed's title; what is no feed is read as XML."""
    root = tree_of(text, name)
    if root is None or local(root) not in _ROOTS:
        return read_xml(text, name)
    channel = next((each for each in root if local(each) == "channel"), root)
    about = facts(
        author=_author(channel),
        date=_date(channel),
        description=_plain(_child(channel, "description", "subtitle", "tagline")),
        url=_link(channel),
    )
    entries = list(root.iter("{*}item", "{*}entry"))
    for entry in reversed(entries):  # where an end tag is lost, entries lie in each other
        if (parent := entry.getparent()) is not None:
            parent.remove(entry)
    blocks = [_text(channel), *map(_entry, entries)]
    body = clean_text("\n\n".join(block for block in blocks if block))
    return Parsed(body, _plain(_child(channel, "title")), from_file(about, {"format": "feed"}))


def _entry(entry: etree._Element) -> str:
    title = _plain(_child(entry, "title")) or "(no title)"
    tags = [_plain(each) or each.get("term", "") for each in entry if local(each) in ("category", "subject")]
    line = "; ".join(filter(None, [_date(entry), _author(entry), _link(entry)]))
    named = "Tags: " + ", ".join(dict.fromkeys(filter(None, tags))) if any(tags) else ""
    return "\n\n".join(filter(None, [f"## {title}", line, _text(entry), named]))


def _child(element: etree._Element, *names: str) -> etree._Element | None:
    """Return the first child of one of these names, in their order; its own vocabulary before others' (`media:title`)."""
    own = element.tag.rpartition("}")[0]
    for name in names:
        found = [each for each in element if local(each) == name]
        if found:
            return next((each for each in found if each.tag.rpartition("}")[0] == own), found[0])
    return None


def _plain(element: etree._Element | None) -> str:
    """Return an element's text on one line, without markup that may be written in it."""
    text = "" if element is None else words(element)
    return " ".join(html.unescape(_TAG.sub(" ", html.unescape(text)) if _MARKUP.search(text) else text).split())


def _author(element: etree._Element) -> str:
    found = _child(element, "author", "creator", "managingEditor", "publisher")
    name = None if found is None else _child(found, "name")
    return _plain(found if name is None else name)


def _date(element: etree._Element) -> str:
    found = _child(element, "pubDate", "published", "issued", "date", "created", "updated", "modified", "lastBuildDate")
    text = _plain(found)
    return text if _ISO.fullmatch(text) else date_of(text) or text[:100]


def _link(element: etree._Element) -> str:
    links = [each for each in element if local(each) == "link"]
    for each in links:
        if each.get("rel", "alternate") == "alternate" and (address := (each.get("href") or words(each)).strip()):
            return address
    guid = _child(element, "guid", "id")
    address = _plain(guid)
    return address if address.startswith("http") else ""


def _text(element: etree._Element) -> str:
    """Return the text of an entry: the whole one, and a summary where it says something else."""
    found = [text for name in _TEXTS if (child := _child(element, name)) is not None and (text := _written(child))]
    chosen: list[str] = []
    said: set[str] = set()
    for text in found:
        its = re.findall(r"\w+", text.lower())
        if not chosen or sum(word not in said for word in its) > _NEW_WORDS * len(its):
            chosen.insert(0, text)  # a summary stands before the whole text
        said |= set(its)
    return "\n\n".join(chosen)


def _written(element: etree._Element) -> str:
    """Return what is in a content element, which holds markup, markup as text, or text."""
    if len(element) and any(local(each) for each in element):
        for each in element.iter(etree.Element):
            each.tag = local(each)
        return deeper(write(element), 2)
    text = element.text or ""
    if not _MARKUP.search(text):
        return literal("\n".join(line.strip() for line in text.strip().split("\n")))
    parser = lxml_html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        page = lxml_html.document_fromstring(text.encode("utf-8"), parser=parser)
    except etree.ParserError:  # nothing but white space or comments
        return ""
    return deeper(write(page), 2)
