"""The shapes of a slide with their places: groups taken apart, placeholders with what layout and master give them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.package import MC, A, P, integer, skipped_variant

TITLES = frozenset({"title", "ctrTitle"})
FURNITURE = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})  # placeholders of dates, footers and numbers of slides
_SHAPES = frozenset(P + name for name in ("sp", "pic", "graphicFrame", "cxnSp"))
_BRANCHES = frozenset({f"{MC}Choice", f"{MC}Fallback"})
_Place = tuple[float, float, float, float]  # left, top, width, height, in EMU
_Frame = tuple[float, float, float, float]  # how a group places what is in it: scale and shift of x, of y
_WHOLE: _Frame = (1.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Shape:
    """A shape that is no group.

    kind: of its placeholder: "title", "body", "subTitle", "sldNum"; "" for a shape that is none.
    above: the placeholders of layout and master that it takes after, nearest first.
    place: None where nothing says it.
    """

    element: etree._Element
    kind: str
    above: tuple[etree._Element, ...]
    place: _Place | None


class Layout:
    """The placeholders of a layout or a master, by their numbers and by their kinds."""

    def __init__(self, tree: etree._Element) -> None:
        self.styles = tree.find(f"{P}txStyles")
        self.by_number: dict[str, etree._Element] = {}
        self.by_kind: dict[str, etree._Element] = {}
        for element in tree.iter(f"{P}sp", f"{P}pic", f"{P}graphicFrame"):
            holder = _placeholder(element)
            if holder is not None:
                self.by_number.setdefault(holder.get("idx", ""), element)
                self.by_kind.setdefault(_likeness(holder.get("type", "body")), element)


def shapes_of(tree: etree._Element, layouts: Sequence[Layout]) -> list[Shape]:
    """Return the shapes of a slide in the order of the file, which is that of drawing.

    layouts: its layout and its master.
    """
    return [_shape(element, frame, layouts) for element, frame in _leaves(tree)]


def _leaves(tree: etree._Element) -> Iterator[tuple[etree._Element, _Frame]]:
    root = tree.find(f".//{P}spTree")
    waiting = [] if root is None else [(root, _WHOLE)]
    while waiting:
        element, frame = waiting.pop()
        if element.tag in _SHAPES:
            yield element, frame
        elif element.tag in _BRANCHES and skipped_variant(element):
            continue
        elif element.tag == f"{P}grpSp":
            inner = _inside(element, frame)
            waiting += [(each, inner) for each in reversed(element)]
        elif element is root or element.tag in _BRANCHES or element.tag == f"{MC}AlternateContent":
            waiting += [(each, frame) for each in reversed(element)]


def _inside(group: etree._Element, frame: _Frame) -> _Frame:
    """Return how a group places what is in it, on the slide."""
    at = group.find(f"{P}grpSpPr/{A}xfrm")
    outer = None if at is None else _place_of(at, "off", "ext")
    inner = None if at is None else _place_of(at, "chOff", "chExt")
    if outer is None or inner is None:
        return frame
    wide = outer[2] / inner[2] if inner[2] else 1.0
    high = outer[3] / inner[3] if inner[3] else 1.0
    return (frame[0] * wide, frame[0] * (outer[0] - inner[0] * wide) + frame[1],
            frame[2] * high, frame[2] * (outer[1] - inner[1] * high) + frame[3])  # fmt: skip


def _place_of(at: etree._Element, corner: str, size: str) -> _Place | None:
    off, ext = at.find(A + corner), at.find(A + size)
    if off is None or ext is None:
        return None
    x, y, width, height = (
        float(integer(each.get(name))) for each, name in ((off, "x"), (off, "y"), (ext, "cx"), (ext, "cy"))
    )
    return x, y, width, height


def _shape(element: etree._Element, frame: _Frame, layouts: Sequence[Layout]) -> Shape:
    holder = _placeholder(element)
    kind = "" if holder is None else holder.get("type", "body")
    above = () if holder is None else tuple(_above(holder, kind, layouts))
    place = None
    for each in (element, *above):
        at = next((found for path in (f"{P}spPr/{A}xfrm", f"{P}xfrm") if (found := each.find(path)) is not None), None)
        place = None if at is None else _place_of(at, "off", "ext")
        if place:
            break
    if place:
        x, y, width, height = place
        place = (frame[0] * x + frame[1], frame[2] * y + frame[3], frame[0] * width, frame[2] * height)
    return Shape(element, kind, above, place)


def _placeholder(element: etree._Element) -> etree._Element | None:
    found: etree._Element | None = next(
        (each for first in element[:1] for each in first.iterfind(f"{P}nvPr/{P}ph")), None
    )
    return found


def _above(holder: etree._Element, kind: str, layouts: Sequence[Layout]) -> Iterator[etree._Element]:
    """Yield the placeholder of the layout with the same number, or of the same kind, and that of the master."""
    number = holder.get("idx")
    for position, layout in enumerate(layouts):
        found = layout.by_number.get(number) if number and position == 0 else None
        if found is None:
            found = layout.by_kind.get(_likeness(kind))
        if found is not None:
            other = _placeholder(found)
            kind = kind if other is None else other.get("type", kind)
            yield found


def _likeness(kind: str) -> str:
    """Return the kind of placeholder that a master has for this one."""
    return "title" if kind in TITLES else "body" if kind in ("obj", "subTitle") else kind
