"""The text of one page of a book: XHTML, the HTML of old books, or a drawing with text in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.entities import html5

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.decoding import clean_text, decode
from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.reading.archive import parsed_xml
from knowledge_core.ingestion.reading.books.package import Entry
from knowledge_core.ingestion.reading.html_text import write
from knowledge_core.ingestion.unreadable import Unreadable

_HEAD = re.compile(r"\s*(<\?xml[^>]{0,200}\?>)?\s*(<!DOCTYPE[^>\[]{0,500}(\[[^\]]{0,5000}\]\s*)?>)?", re.I)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_KEPT = frozenset({"amp", "lt", "gt", "quot", "apos"})
_BARE = re.compile(r"&(?!#?\w{1,40};)")
# Tags that HTML never closes and XML must: a page that has them unclosed is HTML, whatever it is called.
_UNCLOSED = re.compile(r"<(?:br|hr|img|meta|link|input|col)(?:\s[^<>]*)?(?<!/)>(?!\s*</)", re.I)
_TAG = re.compile(r"<[^<>]*>")
_CLOSED = re.compile(r"<(title|script|style|a|div|span|p|i|b|em|td|th|li|h[1-6])((?:\s[^<>]*)?)/>", re.I)
_LOST_AT_MOST = 0.1  # of the characters; if the XML parser loses more, the HTML parser reads the page
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = word_set("p div section article blockquote ul ol dl table figure header aside main center pre hr")
_TYPE = "{http://www.idpf.org/2007/ops}type"
_SHORT = 300  # characters; a longer page that is called a cover holds a text
_LINKS = 0.6  # of a page's characters; with more in links, it is a table of contents
_LINKED = frozenset({"a", "li", "nav"})
_MOST_ENTRIES = 1000  # of the table of contents for one page
_TRIED = 20  # elements in which a title is looked for


def page_text(data: bytes, repeats: str, entries: Sequence[Entry], *, first: bool) -> str:
    """Return a page as Markdown; "" where it only repeats what stands elsewhere.

    repeats: "toc" or "cover", where the book calls it so, else "".
    entries: what the table of contents has for it: the headings of a page that has none.
    first: of the book; if nothing but a picture is on it, it is the cover.
    """
    root = tree_of(data)
    if root is None:
        return ""
    repeats = repeats or ("cover" if "cover" in root.get(_TYPE, "").split() else "")
    if repeats and _only_repeats(root, repeats):
        return ""
    if first and not _words(root):
        return ""
    _prepare(root)
    if entries and not any(_words(each) for each in root.iter(*_HEADINGS)):
        _add_headings(root, entries[:_MOST_ENTRIES])
    return str(write(root))


def tree_of(data: bytes) -> etree._Element | None:
    """Return the body of a page, without namespaces; None where nothing is in it.

    Parsed as XML, because an HTML parser takes `<title/>` for the start of a title that never ends; as HTML where it is
    no XML.
    """
    text = clean_text(decode(data) or "")
    found = _HEAD.match(text)
    text = _ENTITY.sub(_character, _BARE.sub("&amp;", text[found.end() if found else 0 :]))
    if not text.strip():
        return None
    try:
        root = None if _UNCLOSED.search(text) else parsed_xml(text.encode("utf-8"), "")
    except Unreadable:
        root = None
    if root is None or _lost(root, text) > _LOST_AT_MOST:
        parser = lxml_html.HTMLParser(encoding="utf-8", huge_tree=True)
        try:
            root = lxml_html.document_fromstring(_CLOSED.sub(r"<\1\2></\1>", text).encode("utf-8"), parser=parser)
        except etree.ParserError:  # nothing but white space or comments
            return None
    for element in root.iter(etree.Element):
        name = element.tag.rpartition("}")[2].lower()
        if name != element.tag:  # a damaged one may be no name that lxml lets anybody set
            element.tag = name
    etree.strip_tags(root, etree.Entity)
    etree.strip_elements(root, "script", "style", with_tail=False)
    body = root.find("body")
    if body is None:
        body = etree.Element("body")
        body.append(root)
    return body


def _lost(root: etree._Element, text: str) -> float:
    """Return the share of a page's characters that the XML parser did not keep."""
    whole = len(_TAG.sub("", text).strip())
    return 1 - sum(map(len, root.itertext())) / whole if whole else 0.0


def _character(entity: re.Match[str]) -> str:
    """Return the character of a named entity of HTML, which XML does not know; of any other, its name as text."""
    return entity[0] if entity[1] in _KEPT else html5.get(f"{entity[1]};", f"&amp;{entity[1]};")


def _only_repeats(root: etree._Element, repeats: str) -> bool:
    """Say whether a page that is called so is a cover without a text, or a table of links."""
    whole = len(_words(root))
    if repeats == "cover":
        return whole < _SHORT
    beside = 0  # characters that stand in no link and in no item of a list of links
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        if event == "start" and element.tag in _LINKED:
            walk.skip_subtree()
        elif event == "start":
            beside += len((element.text or "").strip())
        elif element is not root:
            beside += len((element.tail or "").strip())
    return beside <= (1 - _LINKS) * whole


def _prepare(root: etree._Element) -> None:
    """Turn into text what the writer of web pages passes over: text in drawings, hidden notes.

    A description is written once on a page: that of an ornament is repeated. Marks of notes stand in brackets, apart
    from the words before them, and notes that pop up are shown.
    """
    described: set[str] = set()
    for element in list(root.iter("img", "svg", "object", "a", "aside", "section", "div", "li", "p", "span")):
        kind = f"{element.get(_TYPE, '')} {element.get('role', '')}"
        if element.tag == "img":
            said = " ".join((element.get("alt") or "").split())
            if said in described:
                element.attrib.pop("alt", None)
            described.add(said)
        elif element.tag == "svg":
            _draw(element)
        elif element.tag == "object":
            element.tag = "div"  # what stands in it is shown where the object cannot be
        elif "pagebreak" in kind:
            _become(element, "span", "")  # the number of a printed page
        elif element.tag == "a" and "noteref" in kind:
            _become(element, "a", f"[{_words(element).strip('[]()')}]")
        elif "note" in kind and "hidden" in element.attrib:
            del element.attrib["hidden"]


def _become(element: etree._Element, tag: str, text: str) -> None:
    for child in list(element):
        element.remove(child)
    element.attrib.clear()
    element.tag, element.text = tag, text


def _draw(svg: etree._Element) -> None:
    """Replace a drawing by its title, its description and its lines of text."""
    lines = [words for each in svg.iter("title", "desc", "text") if (words := _words(each))]
    inner = list(svg.iter("foreignobject"))
    for child in list(svg):
        svg.remove(child)
    svg.attrib.clear()
    svg.tag, svg.text = "div", None
    for line in dict.fromkeys(lines):
        etree.SubElement(svg, "p").text = line
    svg.extend(inner)


def _add_headings(root: etree._Element, entries: Sequence[Entry]) -> None:
    """Write the titles that the table of contents has for a page without headings where it says they stand."""
    places = {each.get("id") or each.get("name"): each for each in root.iter(etree.Element)}
    for entry in entries:
        place = places.get(entry.fragment) if entry.fragment else None
        heading = etree.Element(f"h{min(6, entry.depth)}")
        heading.text = entry.title
        while place is not None and place is not root and place.tag not in _BLOCKS:
            place = place.getparent()
        if place is None or place is root:
            place = next(root.iterchildren(etree.Element), None)
        if place is None:
            heading.tail, root.text = root.text, None
            root.insert(0, heading)
        elif entry.title and not _became_heading(place, heading):
            place.addprevious(heading)


def _became_heading(place: etree._Element, heading: etree._Element) -> bool:
    """Make a heading of the paragraph that is one but for its tag: the first words at the place are the title."""
    wanted = _folded(heading.text or "")
    for tried, element in enumerate(place.iter("p", "div")):
        said = _folded(_beginning(element, 2 * len(wanted) + 100))
        if said == wanted and element.find("p") is None and element.find("div") is None:
            element.tag = heading.tag
            return True
        if tried >= _TRIED or (said and not said.startswith(wanted)):
            break
    return False


def _beginning(element: etree._Element, enough: int) -> str:
    parts: list[str] = []
    for part in element.itertext(etree.Element):
        parts.append(part)
        enough -= len(part)
        if enough < 0:
            break
    return "".join(parts)


def _words(element: etree._Element) -> str:
    return " ".join("".join(element.itertext(etree.Element)).split())


def _folded(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()
