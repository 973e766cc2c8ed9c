"""What lies around the cells of a workbook, in the parts of its archive: names of parts, comments, texts in drawings, number
formats, and what the file says about itself. Everything is optional: what is missing or strange is passed over.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from knowledge_core.ingestion.reading.archive import Archive
from knowledge_core.ingestion.reading.parsed import facts
from knowledge_core.ingestion.reading.properties import day, person, sensible_title, tags_of
from knowledge_core.ingestion.reading.sheets.spread import column_number, xlsb_records

MOST_NOTES = 20_000  # comments and texts of drawings of one sheet
_BUNDLE = 156  # [MS-XLSB] 2.4.304, BrtBundleSh: a sheet with the id of its relationship and its name
_PERCENT_IDS = frozenset({9, 10})  # number formats 0% and 0.00%, ECMA-376 part 1, 18.8.30
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_THREADED = re.compile(r"\A\[[^\]\n]{1,80}\].*?\n[^\n:]{1,40}:\s*\n\s*", re.DOTALL)
_PLACE = re.compile(rb'\sr="([A-Z]{1,3})(\d{1,7})"')


def sheet_parts(archive: Archive) -> dict[str, str]:
    """Return the part of each sheet by the sheet's name."""
    main = next((part for kind, part in _related(archive, "").values() if kind == "officeDocument"), "xl/workbook.xml")
    related = _related(archive, main)
    named = _xlsb_sheets(archive.read(main)) if main.endswith(".bin") else _xlsx_sheets(archive, main)
    return {name: _as_spelt(archive, related[id][1]) for name, id in named if id in related}


def _xlsx_sheets(archive: Archive, main: str) -> Iterator[tuple[str, str]]:
    for element in _elements(archive, main, "sheet"):
        ids = [value for name, value in element.items() if _local(name) == "id"]
        yield element.get("name", ""), ids[0] if ids else ""


def _xlsb_sheets(data: bytes) -> Iterator[tuple[str, str]]:
    for kind, content in xlsb_records(data):
        if kind == _BUNDLE:
            texts, at = [], 8
            for _ in range(2):
                length = int.from_bytes(content[at : at + 4], "little")
                texts.append(content[at + 4 : at + 4 + 2 * length].decode("utf-16-le", "replace"))
                at += 4 + 2 * length
            yield texts[1], texts[0]


def _related(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """Return the parts that a part names, by the relationships' ids: each one's kind and name."""
    folder, name = posixpath.split(part)
    found: dict[str, tuple[str, str]] = {}
    for element in _elements(archive, posixpath.join(folder, "_rels", f"{name}.rels"), "Relationship"):
        if element.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, element.get("Target", ""))).lstrip("/")
            found[element.get("Id", "")] = element.get("Type", "").rpartition("/")[2], target
    return found


def percent_styles(archive: Archive) -> list[int]:
    """Return the numbers of the cell styles of an XLSX that show hundredths."""
    codes = {
        element.get("numFmtId", ""): element.get("formatCode", "")
        for element in _elements(archive, "xl/styles.xml", "numFmt")
    }
    ids = {id for id, code in codes.items() if "%" in _QUOTED.sub("", code)} | {str(id) for id in _PERCENT_IDS}
    styles: list[int] = []
    for table in _elements(archive, "xl/styles.xml", "cellXfs"):
        styles += [at for at, style in enumerate(table) if style.get("numFmtId") in ids]
    return styles


def percent_cells(xml: bytes, styles: Iterable[int]) -> dict[int, set[int]]:
    """Return the columns, by row, of the cells of an XLSX sheet that have one of these styles; both counted from 0."""
    numbers = b"|".join(b"%d" % style for style in styles)
    found: dict[int, set[int]] = {}
    if not numbers:
        return found
    for cell in re.finditer(rb'<(?:\w{1,20}:)?c(?:\s[^<>]{0,200}?)?\ss="(?:%s)"[^<>]{0,200}>' % numbers, xml):
        if place := _PLACE.search(cell[0]):
            found.setdefault(int(place[2]) - 1, set()).add(column_number(place[1]) - 1)
    return found


def notes(archive: Archive, part: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the comments of a sheet, each with the name of its cell, and the texts of its drawings."""
    related = list(_related(archive, part).values())
    threads = [found for kind, part in related if kind == "threadedComment" for found in _threads(archive, part)]
    threaded = {cell for cell, _ in threads}
    plain = [found for kind, part in related if kind == "comments" for found in _comments(archive, part)]
    comments = [(cell, text) for cell, text in plain if cell not in threaded] + threads
    drawn = [text for kind, part in related if kind == "drawing" for text in _drawn(archive, part)]
    return comments[:MOST_NOTES], drawn[:MOST_NOTES]


def _threads(archive: Archive, part: str) -> Iterator[tuple[str, str]]:
    for element in _elements(archive, part, "threadedComment"):
        if text := "".join(element.itertext()).strip():
            yield element.get("ref", ""), text


def _comments(archive: Archive, part: str) -> Iterator[tuple[str, str]]:
    for element in _elements(archive, part, "comment"):
        if text := _THREADED.sub("", _words(element, "t")):
            yield element.get("ref", ""), text


def _drawn(archive: Archive, part: str) -> Iterator[str]:
    for body in _elements(archive, part, "txBody"):
        for paragraph in body:
            if _local(paragraph.tag) == "p" and (text := _words(paragraph, "t")):
                yield text


def ods_comments(archive: Archive) -> dict[str, list[str]]:
    """Return the comments of an ODS by the names of its sheets."""
    found: dict[str, list[str]] = {}
    data = archive.read("content.xml")
    if b"<office:annotation" not in data:
        return found
    del data
    for table in _elements(archive, "content.xml", "table"):
        texts = [_words(note, "p", " ") for note in table.iter("{*}annotation")]
        name = next((value for key, value in table.items() if _local(key) == "name"), "")
        found[name] = [text for text in texts if text][:MOST_NOTES]
    return found


def properties(archive: Archive) -> tuple[str, Mapping[str, object]]:
    """Return the title of a workbook, and what else it says about itself."""
    part = "docProps/core.xml" if "docProps/core.xml" in archive else "meta.xml"
    own: dict[str, list[str]] = {}
    for element in _elements(archive, part, "*"):
        if len(element) == 0 and (text := " ".join((element.text or "").split())):
            own.setdefault(_local(element.tag), []).append(text)

    def first(*names: str) -> str:
        return next((own[name][0] for name in names if name in own), "")

    about = facts(
        author=person(first("initial-creator", "creator")), date=day(first("created", "creation-date")),
        modified=day(first("modified", "date")),
        tags=tags_of(*own.get("keywords", []), *own.get("keyword", [])),
        description=first("description", "subject"),
    )  # fmt: skip
    return sensible_title(first("title")), about


def _elements(archive: Archive, part: str, name: str) -> Iterator[Any]:
    root = archive.xml(_as_spelt(archive, part))
    if root is not None:
        yield from root.iter(f"{{*}}{name}")


def _as_spelt(archive: Archive, part: str) -> str:
    """Return the name of a part as the archive has it: some writers part folders by backslashes."""
    return part if part in archive else part.replace("/", "\\")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _words(element: Any, name: str, between: str = "") -> str:
    """Return the text of all elements of a name inside of one."""
    return between.join("".join(each.itertext()) for each in element.iter(f"{{*}}{name}")).strip()
