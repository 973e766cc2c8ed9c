"""The words of charts and of SmartArt: titles, series, categories with their values; the nodes of a diagram as a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import MOST_COLUMNS, Block, Kind
from knowledge_core.ingestion.reading.office.ooxml.drawing_text import paragraphs_text
from knowledge_core.ingestion.reading.office.ooxml.package import CX, DGM, C, Package, R, integer
from knowledge_core.ingestion.reading.parsed import table

GRAPHICS = (f"{C}chart", f"{CX}chart", f"{DGM}relIds")  # the elements that stand for one, in a drawing
_MOST_POINTS = 500  # rows of a chart's table; further points are measurements, not words


def graphic(package: Package, part: str, element: etree._Element) -> list[Block]:
    """Return the words of a chart or diagram. element: one of `GRAPHICS`, in the tree of `part`."""
    drawn = element.tag == f"{DGM}relIds"
    relation = package.relations(part).get(element.get(f"{R}dm" if drawn else f"{R}id", ""))
    tree = package.xml(relation.target) if relation else None
    if tree is None:
        return []
    if drawn:
        return list(_diagram(tree))
    return list(_chart(tree) if tree.tag.startswith(C) else _newer_chart(tree))


def _chart(tree: etree._Element) -> Iterator[Block]:
    title = next(tree.iterfind(f"{C}chart/{C}title"), None)
    yield Block(f"Chart: {_title(title)}".strip())
    axes = [_title(each) for each in tree.iter(f"{C}title") if each is not title]
    if said := ", ".join(filter(None, axes)):
        yield Block(f"Axes: {said}")
    series = list(islice(tree.iter(f"{C}ser"), MOST_COLUMNS))
    names = [_name(each) for each in series]
    rows: dict[int, list[str]] = {}
    for column, each in enumerate(series, start=1):
        labels = _points(each, "cat", "xVal")
        values = _points(each, "val", "yVal")
        for index in sorted({*labels, *values})[:_MOST_POINTS]:
            if len(rows) >= _MOST_POINTS and index not in rows:
                continue
            row = rows.setdefault(index, [""] * (len(series) + 1))
            row[0] = row[0] or labels.get(index, "")
            row[column] = values.get(index, "")
    if any(names) or rows:
        yield Block(table([["", *names], *(rows[index] for index in sorted(rows))]), Kind.MARKDOWN)


def _title(element: etree._Element | None) -> str:
    if element is None:
        return ""
    return paragraphs_text(element) or " ".join(each.text or "" for each in element.iter(f"{C}v")).strip()


def _name(series: etree._Element) -> str:
    name = series.find(f"{C}tx")
    return "" if name is None else " ".join(each.text or "" for each in name.iter(f"{C}v")).strip()


def _points(series: etree._Element, *names: str) -> Mapping[int, str]:
    """Return the cached values of a series by their place. Of labels on several levels: the innermost."""
    for name in names:
        found = series.find(f"{C}{name}")
        if found is None:
            continue
        level = next(found.iter(f"{C}lvl"), found)
        points = {}
        for point in level.iter(f"{C}pt"):
            points[integer(point.get("idx"))] = _value(point.findtext(f"{C}v") or "")
        return points
    return {}


def _value(text: str) -> str:
    """Return a number without the noise of its binary form: 0.30000000000000004 is 0.3."""
    text = text.strip()
    if len(text) < 16:
        return text
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def _newer_chart(tree: etree._Element) -> Iterator[Block]:
    """Yield the words of a chart of Office 2016: a funnel, a treemap, a waterfall."""
    title = next(tree.iter(f"{CX}title"), None)
    yield Block(f"Chart: {'' if title is None else paragraphs_text(title)}".strip())
    labels = dict.fromkeys(
        (each.text or "").strip() for each in tree.iter(f"{CX}pt") if each.getparent().tag == f"{CX}lvl"
    )
    names = [one for each in tree.iter(f"{CX}series") if (one := _series_name(each))]
    if words := ", ".join(filter(None, [*names, *list(labels)[:_MOST_POINTS]])):
        yield Block(words)


def _series_name(series: etree._Element) -> str:
    return next(((each.text or "").strip() for each in series.iter(f"{CX}v")), "")


def _diagram(tree: etree._Element) -> Iterator[Block]:
    """Yield the nodes of a SmartArt as a list, as deep as they hang below each other."""
    texts, roots = {}, []
    for point in tree.iter(f"{DGM}pt"):
        kind = point.get("type", "node")
        text = point.find(f"{DGM}t")
        if kind in ("node", "asst", "doc"):
            texts[point.get("modelId", "")] = "" if text is None else paragraphs_text(text)
        if kind == "doc":
            roots.append(point.get("modelId", ""))
    below: dict[str, list[tuple[int, str]]] = {}
    for link in tree.iter(f"{DGM}cxn"):
        if link.get("type", "parOf") == "parOf":
            below.setdefault(link.get("srcId", ""), []).append((integer(link.get("srcOrd")), link.get("destId", "")))
    seen: set[str] = set()
    waiting = [(-1, each) for each in reversed([*roots, *(each for each in texts if each not in roots)])]
    while waiting:
        level, node = waiting.pop()
        if node in seen or node not in texts:
            continue
        seen.add(node)
        if texts[node]:
            yield Block(texts[node], Kind.ITEM, max(level, 0))
        waiting += [(level + 1, each) for _, each in sorted(below.get(node, []), reverse=True)]
