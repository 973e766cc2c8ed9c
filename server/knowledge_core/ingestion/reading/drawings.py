"""Boards and drawings to a `Parsed`: the words on them, without the data that draws them.

Labels come in the order of the file, which is mostly the order in which they were drawn, each as a paragraph; frames and
groups, which have a name and hold other things, are not headings, since what they hold need not follow them. What an
arrow says stands between what it joins. Knows JSON Canvas, Excalidraw, draw.io and tldraw by their content.
"""

from __future__ import annotations

import html
import json
import re
import zlib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.cutting.payloads import without_payloads
from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.archive import parsed_xml
from knowledge_core.ingestion.reading.notes.links import Told, bounded, shown_line
from knowledge_core.ingestion.reading.parsed import Parsed, facts
from knowledge_core.ingestion.unreadable import Unreadable

_LARGEST_PAGE = 50_000_000  # bytes of one page of draw.io when unpacked; the largest seen has 2 MB
_DEEPEST = 64  # of the text of a shape of tldraw
_BREAKS = word_set("br p div li tr h1 h2 h3 h4 h5 h6 ul ol table hr blockquote pre")
_AMONG_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|&#?\w{2,10};")
_TAG = re.compile(r"<[^<>]*>")
_EMPTY_LINES = re.compile(r"\n\s*\n+")
# What would be structure of the whole text: headings lose their marks, since what follows a label does not lie under it.
_STRUCTURE = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|(?:`{3,}|~{3,}).*|(?:-{3,}|={3,}|\*{3,}|_{3,})[ \t]*$)", re.MULTILINE)
_UNNAMED_PAGE = re.compile(r"(?:Page|Seite|P[aá]gina|Pagina|Страница|第)[- ]?\d+(?:\s?[页頁])?\Z")
_UNKNOWN = "is no board or drawing of a kind that is read (Canvas, Excalidraw, draw.io, tldraw)."

_Page = tuple[str, Iterable[str]]  # the page's name, "" for none; its labels


def read_drawing(text: str, name: str) -> Parsed:
    """Return what is written on a board or a drawing.

    Raises:
        Unreadable: it is none of the kinds that are known, or damaged, or nothing is written on it.
    """
    pages = _of_json(text, name) if text.lstrip().startswith(("{", "[")) else _of_drawio(text, name)
    told = Told()
    parts: list[str] = []
    for heading, labels in pages:
        lines = [line for label in labels if (line := _label(label, told))]
        parts += [f"# {' '.join(heading.split())}"] if heading.strip() and lines else []
        parts += lines
    if not parts:
        raise Unreadable("empty", f"{name} is a drawing without words.")
    found = facts(tags=bounded(told.tags), links=bounded(told.links))
    return Parsed(clean_text("\n\n".join(parts)), "", from_file(found, {"format": "canvas"}))


def _label(label: str, told: Told) -> str:
    plain = _STRUCTURE.sub("", without_payloads(clean_text(label)))
    lines = [shown_line(line.rstrip(), told) for line in plain.split("\n")]
    return _EMPTY_LINES.sub("\n", "\n".join(lines).strip())


def _of_json(text: str, name: str) -> list[_Page]:
    try:
        board = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable("damaged", f"{name} is no sound JSON. Save it anew.") from error
    if isinstance(board, dict):
        if isinstance(board.get("records"), list) or isinstance(board.get("store"), dict):
            return [("", _of_tldraw(board))]
        if isinstance(board.get("elements"), list):
            return [("", _of_excalidraw(board["elements"]))]
        if not board or isinstance(board.get("nodes"), list):  # Obsidian writes {} for an empty one
            return [("", _of_canvas(board))]
    raise Unreadable("unsupported", f"{name} {_UNKNOWN}")


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arrow(start: str, label: str, end: str) -> str:
    """Return an arrow in words, between the first lines of what it joins.

    >>> _arrow("Mill", "grinds", "Flour")
    'Mill → grinds → Flour'
    """
    ends = [text.strip().split("\n")[0][:80] for text in (start, end)]
    return " → ".join(part for part in (ends[0], label.strip(), ends[1]) if part)


def _of_canvas(board: Mapping[str, object]) -> Iterator[str]:
    """Yield the labels of a JSON Canvas (jsoncanvas.org, 1.0): its nodes' texts, files, addresses, groups, and edges."""
    named: dict[object, str] = {}
    for node in _objects(board.get("nodes")):
        kind = node.get("type")
        if kind == "file":
            shown = f"[[{_text(node.get('file'))}{_text(node.get('subpath'))}]]"
        else:
            shown = _text(node.get({"link": "url", "group": "label"}.get(_text(kind), "text")))
        named[str(node.get("id"))] = shown
        yield shown
    for edge in _objects(board.get("edges")):
        if label := _text(edge.get("label")).strip():
            yield _arrow(named.get(str(edge.get("fromNode")), ""), label, named.get(str(edge.get("toNode")), ""))


def _of_excalidraw(elements: object) -> Iterator[str]:
    """Yield the texts of an Excalidraw drawing, and the names of its frames. What was deleted is kept in the file."""
    for element in _objects(elements):
        if element.get("isDeleted"):
            continue
        if element.get("type") == "text":
            yield _text(element.get("originalText")) or _text(element.get("text"))
        elif element.get("type") in ("frame", "magicframe"):
            yield _text(element.get("name"))
        if "://" in (link := _text(element.get("link"))) or link.startswith("[["):
            yield link


def _of_tldraw(board: Mapping[str, object]) -> Iterator[str]:
    """Yield the texts of a tldraw file: plain (`text`), or rich (`richText`, a tree of ProseMirror), and names of frames."""
    store = board.get("store")
    records = list(store.values()) if isinstance(store, dict) else board.get("records")
    for record in _objects(records):
        properties = record.get("props")
        if record.get("typeName") != "shape" or not isinstance(properties, dict):
            continue
        yield _text(properties.get("text")) or _rich_text(properties.get("richText"))
        yield _text(properties.get("name"))
        yield _text(properties.get("url"))


def _rich_text(tree: object) -> str:
    parts: list[str] = []
    waiting: list[tuple[object, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, dict) or depth > _DEEPEST:
            continue
        if node.get("type") in ("paragraph", "heading", "listItem", "hardBreak"):
            parts.append("\n")
        parts.append(_text(node.get("text")))
        waiting += [(child, depth + 1) for child in reversed(list(_objects(node.get("content"))))]
    return "".join(parts).strip()


def _of_drawio(text: str, name: str) -> list[_Page]:
    """Return the pages of a draw.io file. A page is XML within the file's XML, or that deflated and in base64."""
    root = parsed_xml(text.encode("utf-8"), name)
    if root is None:
        raise Unreadable("damaged", f"{name} is no sound XML. Save it anew.")
    if root.tag == "mxGraphModel":
        return [("", _cells(root))]
    if root.tag != "mxfile":
        raise Unreadable("unsupported", f"{name} {_UNKNOWN}")
    pages = list(root.iter("diagram"))
    if len(pages) == 1 and _UNNAMED_PAGE.match(pages[0].get("name") or ""):
        return [("", _of_page(pages[0], name))]
    return [(page.get("name") or "", _of_page(page, name)) for page in pages]


def _of_page(page: etree._Element, name: str) -> Iterator[str]:
    if len(page):
        yield from _cells(page)
    elif packed := (page.text or "").strip():
        try:
            stream = zlib.decompressobj(-zlib.MAX_WBITS)
            data = stream.decompress(b64decode(packed), _LARGEST_PAGE)
            if stream.unconsumed_tail:
                raise Unreadable("too large", f"{name} has a page of more than {_LARGEST_PAGE} bytes.")
            model = parsed_xml(unquote(data.decode("utf-8")).encode("utf-8"), name)
            yield from _cells(model) if model is not None else ()
        except (zlib.error, ValueError) as error:
            raise Unreadable("damaged", f"{name} has a page that cannot be unpacked. Save it anew.") from error


def _cells(model: etree._Element) -> Iterator[str]:
    """Yield the labels of cells; those of arrows last, between what they join. A label is HTML, or plain text."""
    labels: dict[str, str] = {}
    arrows: list[tuple[str, str, str]] = []
    for element in model.iter("mxCell", "object", "UserObject"):
        if element.tag == "mxCell" and (parent := element.getparent()) is not None and parent.tag != "root":
            continue  # its label is the object's
        cell = element if element.tag == "mxCell" else element.find("mxCell")
        label = _plain(element.get("value") or element.get("label") or "", element)
        labels[element.get("id") or ""] = label
        if cell is not None and cell.get("edge") == "1" and cell.get("source"):
            arrows.append((cell.get("source") or "", label, cell.get("target") or ""))
        else:
            yield label
            yield element.get("tooltip") or ""
            yield link if "://" in (link := element.get("link") or "") else ""
    for start, label, end in arrows:
        if label.strip():
            yield _arrow(labels.get(start, ""), label, labels.get(end, ""))


def _plain(label: str, element: etree._Element) -> str:
    """Return the text of a label that may be HTML; `%name%` in it is a property of its object."""
    if element.get("placeholders") == "1":
        label = re.sub(r"%(\w{1,60})%", lambda found: element.get(found[1]) or found[0], label)
    if not _AMONG_MARKUP.search(label):
        return label
    parts: list[str] = []
    for event, node in etree.iterwalk(
        lxml_html.fragment_fromstring(label, create_parent="div"), events=("start", "end")
    ):
        if not isinstance(node.tag, str) or node.tag in ("style", "script"):
            parts.append((node.tail or "") if event == "end" else "")
            continue
        breaks = "\n" if node.tag in _BREAKS else ""
        parts += [breaks, node.text or ""] if event == "start" else [breaks, node.tail or ""]
    # What is nested deeper than the parser goes it drops.
    text = "".join(parts) if any(part.strip() for part in parts) else html.unescape(_TAG.sub(" ", label))
    return "\n".join(line for each in text.split("\n") if (line := " ".join(each.split())))
