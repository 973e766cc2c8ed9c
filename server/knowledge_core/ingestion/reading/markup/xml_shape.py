"""An XML tree with the names of HTML instead of its own, so that the one writer of HTML makes it Markdown.

Every element becomes a heading, a paragraph, a list item, code, a row, a cell, or a part of a line. In data, an element
with a short value becomes the list item "name: value", and a small record one item. The tree is changed in place; parents
are looked at before their children, without recursion.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from itertools import islice

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.reading.markup.trees import local, words

_HEADINGS = word_set("title head article-title bridgehead heading mainbooktitle")
_CAPTIONED = word_set(
    "figure informalfigure table table-wrap fig example equation note tip warning caution important sidebar list "
    "itemizedlist orderedlist variablelist procedure qandaset blockquote caption boxed-text bibl titleStmt monogr analytic "
    "series biblioentry citation mixed-citation element-citation fig-group stanza lg cit epigraph"
)
_LISTS = word_set("itemizedlist orderedlist simplelist variablelist calloutlist ul ol dl list steps steps-unordered substeps "
                  "procedure sl def-list glosslist choices map bookmap")  # fmt: skip
_ITEMS = word_set("listitem item li step substep varlistentry member callout list-item dlentry sli def-item choice "
                  "qandaentry topicref chapter-ref")  # fmt: skip
_TERMS = word_set("term dt label def-term glossterm")
_CODE = word_set("programlisting screen synopsis codeblock msgblock pre preformat eg literallayout funcsynopsisinfo")
_ROWS, _CELLS = word_set("row tr strow sthead"), word_set("entry td th stentry cell")
_PARAGRAPHS = word_set(
    "para simpara p ab sp speaker stage blockquote quote attribution abstract disp-quote disp-formula caption subtitle "
    "shortdesc note tip warning caution important remark verse-group cmd info result stepresult v"
)
_INLINE = word_set("quote term glossterm label note caption code foreign phrase")  # where they stand in a line of text
_LINES = word_set("l lb br verse-line")
_NOTES = word_set("footnote fn")
_SELF = word_set(
    "info bookinfo articleinfo chapterinfo sectioninfo prolog bookmeta topicmeta teiHeader front journal-meta article-meta "
    "refentryinfo refmeta description"
)
_GONE = word_set("script style binary graphic imagedata journal-id article-id issn object-id indexterm tex-math anchor")
_NOTES_DEEPEST = 100  # elements around a footnote in which its paragraph is looked for
_BLOCKS = word_set("p li tr h1 h2 h3 h4 h5 h6")
_SHORT = 200  # characters of a value that stands beside its name
_RECORD = 300  # characters of a record in one line
_RECORD_FIELDS = 12
_WORDY = word_set("name key label title text alt value description summary caption content term author subject comment "
                  "message displayname display-name k v")  # fmt: skip
_WORD = re.compile(r"[^\W\d_]{3,}")
_CODED = re.compile(r"\d|^[a-z]+_[a-z_]+$")  # in a single word: it is an identifier
_ADDRESS = re.compile(r"\s*(?:\w+://|urn:|#|\.{0,2}/)")
_MARKUP = re.compile(r"<(?:p|br|div|span|a|b|i|ul|li|h\d|table|strong|em|img)\b[^<>]*>", re.I)
_TAG = re.compile(r"<[^<>]*>")
_HTML = word_set("p ul ol li br pre tr td th table h1 h2 h3 h4 h5 h6 blockquote")


def as_page(root: etree._Element, *, prose: bool) -> etree._Element:
    """Return the tree as one of HTML.

    prose: it is a document; an element with a value is a paragraph there, save where the document tells about itself.
    """
    shape = _Shape(root, prose)
    for element in list(root.iter(etree.Element)):
        if element is root or element.getparent() is not None:  # else it is part of a record's line by now
            shape.take(element)
    return root


class _Shape:
    """The tree while it is being renamed.

    _kinds: of the elements seen: what they became.
    _levels: of the elements seen: how many headings lie above what is in them.
    """

    def __init__(self, root: etree._Element, prose: bool) -> None:
        self._root, self._prose = root, prose
        self._kinds: dict[etree._Element, str] = {}
        self._names: dict[etree._Element, str] = {}  # as they were
        self._levels: dict[etree._Element, int] = {}
        self._labels: dict[etree._Element, str] = {}
        self._data: set[etree._Element] = set()  # elements in which values stand beside names
        self._mixed: set[etree._Element] = set()  # elements beside whose children words stand
        self._notes = 0
        self._last_notes: dict[etree._Element, etree._Element] = {}  # block to the last footnote moved behind it

    def take(self, element: etree._Element) -> None:
        parent = element.getparent()
        above = self._kinds.get(parent, "gone" if parent is not None else "div")
        name = self._names[element] = local(element)
        if _mixed(element):  # once, before anything in it is changed: an element may have a million children
            self._mixed.add(element)
        titled = any(local(child) in _HEADINGS for child in element) and name not in _CAPTIONED
        self._levels[element] = self._levels.get(parent, 0) + titled
        if parent in self._data or not self._prose or name in _SELF:
            self._data.add(element)
        gone = above == "gone" or name in _GONE or (name == "key" and self._labelled(element))
        kind = "gone" if gone else self._kind(element, name, parent, above)
        self._kinds[element] = kind
        if kind != "html":
            self._rename(element, kind)

    def _kind(self, element: etree._Element, name: str, parent: etree._Element | None, above: str) -> str:
        if above in ("pre", "html", "item"):
            return "html" if above == "html" else "span"
        in_line = above in ("p", "span", "td") or above.startswith("h") or parent in self._mixed
        if name in _NOTES and self._prose and parent is not None:
            return self._footnote(element)
        if name in _LINES:
            return "br"
        if element in self._data and not (name in _HTML and (in_line or above in ("ul", "li", "table", "tr"))):
            return "span" if in_line and above != "li" else self._data_kind(element, name)
        return self._prose_kind(element, name, parent, in_line)

    def _prose_kind(self, element: etree._Element, name: str, parent: etree._Element | None, in_line: bool) -> str:
        if name in _HEADINGS and not in_line and parent is not None:
            return "p" if self._names[parent] in _CAPTIONED else f"h{min(6, max(1, self._levels[element]))}"
        if re.fullmatch("h[1-6]", name):
            return name
        if name in _LISTS and (name not in ("list", "map") or len(element)):
            return "ul"
        if name in _ITEMS or (name == "label" and not in_line):
            return "li" if parent is None or self._names[parent] != "varlistentry" else "div"
        if name in _TERMS and not in_line:
            element.tail = ": " + (element.tail or "").lstrip()
            return "span"
        marked = name == "ab" and "code" in element.get("type", "")
        if name in _CODE or marked or (name == "code" and "\n" in "".join(element.itertext()).strip()):
            return "pre"
        if name in ("tgroup", "simpletable", "thead", "tbody", "tfoot") or (
            name == "table" and not _has_group(element)
        ):
            return "table" if name in ("tgroup", "simpletable") else name
        if name in _ROWS:
            return "tr"
        if name in _CELLS:
            above = None if parent is None else parent.getparent()
            return "th" if above is not None and "thead" in self._names.get(above, "") else "td"
        if name in _PARAGRAPHS and not (in_line and name in _INLINE):
            return "p" if not in_line or name not in ("info", "v") else "span"
        if in_line:
            return "span"
        return "p" if not len(element) or element in self._mixed else "div"

    def _data_kind(self, element: etree._Element, name: str) -> str:
        label = self._labels.get(element, name)
        if not len(element):
            return self._value(element, label)
        if element in self._mixed:
            return "p"
        title = next((child for child in element if local(child) in _HEADINGS), None)
        if line := self._record(element, label) if element is not self._root else "":
            for child in list(element):
                element.remove(child)
            element.text = line
            return "item"
        if title is not None and not len(title) and element is not self._root:
            title.tag = "h2"  # taken as itself, once it is reached
        elif element is not self._root and (told := _told(element, label)):
            element.text = told
            return "group"
        return "div"

    def _value(self, element: etree._Element, label: str) -> str:
        """Return what an element without children becomes: a line of its name and value, a paragraph, nothing."""
        text = element.text or ""
        if _MARKUP.search(text) and _put_in(element, text):
            return "html"
        value = " ".join(text.split()) or {"true": "true", "false": "false"}.get(local(element), "")
        key = element.get("name") or element.get("key") or ""
        named = key if key and value and key != value else label
        told = _attributes(element, everything=not value, without=("name", "key") if key and value else ())
        if local(element) == "h2" or len(value) > _SHORT:
            return "h2" if local(element) == "h2" else "p"
        if not value and not told:
            return "gone"
        element.text = f"{named}: " + "; ".join(filter(None, [value, *told]))
        return "item"

    def _record(self, element: etree._Element, label: str) -> str:
        """Return a small record as one line; "" where an element is none."""
        if len(element) > _RECORD_FIELDS or any(len(child) or local(child) == "key" for child in element):
            return ""
        fields = _attributes(element, everything=False)
        alone = not fields and len(element) == 1  # the inner name is that of a wrapper
        for child in element:
            value = " ".join((child.text or "").split())
            told = _attributes(child, everything=not value)
            if value or told:
                named = "" if alone else f"{child.get('name') or child.get('key') or local(child)}: "
                fields.append(named + "; ".join(filter(None, [value, *told])))
        line = f"{label}: " + "; ".join(fields)
        return line if fields and len(line) <= _RECORD and not _MARKUP.search(line) else ""

    def _labelled(self, key: etree._Element) -> bool:
        """Take a key of a property list as the name of the value after it."""
        value = key.getnext()
        if value is None or len(key) or self._names.get(key.getparent()) != "dict":
            return False
        self._labels[value] = words(key)
        for each in value if local(value) == "array" else ():
            self._labels[each] = words(key)
        return True

    def _footnote(self, note: etree._Element) -> str:
        """Move a footnote behind the paragraph, list item or table that it stands in; its mark stays."""
        self._notes += 1
        block = note
        for above in islice(note.iterancestors(), _NOTES_DEEPEST):
            if above is self._root:
                break
            if self._kinds.get(above) in _BLOCKS or self._names.get(above) in ("table", "tgroup"):
                block = above
        mark = f"[{self._notes}]"
        if block is not note:
            _leave(note, mark)
            self._last_notes.get(block, block).addnext(note)
            self._last_notes[block] = note
        first = next((each for each in note.iter(etree.Element) if (each.text or "").strip()), note)
        first.text = f"{mark} {(first.text or '').lstrip()}"
        return "div" if len(note) else "p"

    def _rename(self, element: etree._Element, kind: str) -> None:
        tail = element.tail
        spaced = tail is None and element.getnext() is not None and kind in ("span", "gone")
        element.attrib.clear()
        if kind == "gone":
            element.tag = "script"
        elif kind == "group":
            element.tag = "div"
            first = etree.Element("p")
            first.text, element.text = element.text, None
            element.insert(0, first)
            self._kinds[first] = "html"
        else:
            element.tag = {"item": "li"}.get(kind, kind)
        if spaced and element.getparent() not in self._mixed:
            element.tail = " "


def _has_group(element: etree._Element) -> bool:
    """Say whether a table holds its rows in a group, beside its title, as in DocBook."""
    return any(local(child) == "tgroup" for child in element)


def _mixed(element: etree._Element) -> bool:
    """Say whether words stand beside an element's children."""
    if not len(element):
        return False
    return bool((element.text or "").strip()) or any((child.tail or "").strip() for child in element)


def _told(element: etree._Element, label: str) -> str:
    """Return the line that stands above the values in an element: its name; "" where no values stand in it."""
    told = _attributes(element, everything=False)
    if told:
        return f"{label}: " + "; ".join(told)
    return f"{label}:" if any(not len(child) and words(child) for child in element) else ""


def _attributes(element: etree._Element, *, everything: bool, without: Iterable[str] = ()) -> list[str]:
    """Return the attributes that hold words. everything: the element has no other text, so single words count too."""
    result: list[str] = []
    if not element.attrib:
        return result
    for name, value in element.attrib.items():
        plain = name.rpartition("}")[2]
        if (
            plain in without
            or "XMLSchema-instance" in name
            or _ADDRESS.match(value)
            or plain in ("style", "d", "class")
        ):
            continue
        text = " ".join(html.unescape(_TAG.sub(" ", value)).split())
        single = plain.lower() in _WORDY and not _CODED.search(text)
        if _WORD.search(text) and (everything or single or " " in text):
            result.append(f"{plain}: {text}")
    return result


def _put_in(element: etree._Element, text: str) -> bool:
    """Put the HTML that an element holds as text into the tree. Its elements keep their names."""
    parser = lxml_html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        page = lxml_html.document_fromstring(text.encode("utf-8"), parser=parser)
    except etree.ParserError:
        return False
    element.text, element.tag = None, "div"
    element.attrib.clear()
    body = page.find("body")
    element.append(page if body is None else body)
    return True


def _leave(element: etree._Element, text: str) -> None:
    """Put a text in an element's place, so that it can be moved."""
    parent, before = element.getparent(), element.getprevious()
    text += element.tail or ""
    element.tail = None
    if before is not None:
        before.tail = (before.tail or "") + text
    elif parent is not None:
        parent.text = (parent.text or "") + text
