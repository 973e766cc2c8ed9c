"""A workbook's bytes as calamine can take them: unpacked within bounds, its cells near enough together."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from knowledge_core.ingestion.reading.archive import Archive
from knowledge_core.ingestion.reading.sheets import ole, package
from knowledge_core.ingestion.reading.sheets.spread import MOST_AREA, gathered, shortened, xlsb_area
from knowledge_core.ingestion.unreadable import Unreadable

_NOT_READ = (".png", ".jpg", ".jpeg", ".gif", ".emf", ".wmf", ".tif", ".tiff", ".bmp", ".wdp")
"""Ends of the names of parts that calamine does not unpack."""


@dataclass
class Packed:
    """What calamine is given, and what was found before.

    archive: None for an XLS.
    parts: the part of each sheet, by the sheet's name.
    percent: columns, by row, of the cells that show hundredths, by sheet; counted from 0.
    annotations: the comments of an ODS by sheet.
    moved: sheets whose cells lie nearer together than in the file.
    cut: sheets of which something is left out.
    lost: sheets of which nothing can be read.
    looked_at: the parts of all sheets were; one that has none is not to be read.
    """

    data: bytes
    archive: Archive | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    percent: dict[str, dict[int, set[int]]] = field(default_factory=dict)
    annotations: Mapping[str, list[str]] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    looked_at: bool = False


def packed(data: bytes, name: str) -> Packed:
    """Return a workbook ready to be read.

    Raises:
        Unreadable: "encrypted", "damaged" or "too large".
    """
    if not data.startswith(b"PK"):
        if ole.locked(data):
            raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.")
        if not ole.has_end(data) or not ole.in_bounds(data):
            raise Unreadable("damaged", f"{name} is not a sound workbook. Open it elsewhere and save it anew.")
        return Packed(data)
    archive = Archive(data, name)
    if "content.xml" in archive:
        return _open_document(data, archive, name)
    found = Packed(data, archive, package.sheet_parts(archive), looked_at=True)
    styles = package.percent_styles(archive)
    changed: dict[str, bytes] = {}
    for sheet, part in found.parts.items():
        content = archive.read(part)
        if part.endswith(".bin"):
            found.lost |= {sheet} if xlsb_area(content) > MOST_AREA else set()
            continue
        near, complete = gathered(content)
        found.percent[sheet] = package.percent_cells(near, styles)
        if near is not content:
            changed[part] = near
            found.moved.add(sheet)
        if not complete:
            (found.cut if near else found.lost).add(sheet)
    for part in archive.names:  # calamine knows no bounds
        if part not in found.parts.values() and not part.lower().endswith(_NOT_READ):
            archive.read(part)
    if changed:
        found.data = _with(changed, Archive(data, name))
    return found


def _open_document(data: bytes, archive: Archive, name: str) -> Packed:
    if b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.")
    content = archive.read("content.xml")
    near, complete = shortened(content, name)
    found = Packed(data, archive, annotations=package.ods_comments(archive))
    if near is not content:
        found.data = _with({"content.xml": near}, Archive(data, name))
    found.cut |= set() if complete else {""}
    return found


def _with(changed: Mapping[str, bytes], archive: Archive) -> bytes:
    """Return an archive of the same parts with some of them changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
        for part in dict.fromkeys(archive.names):
            if not part.endswith("/") and not part.lower().endswith(_NOT_READ):
                made.writestr(part, changed[part] if part in changed else archive.read(part))
    return file.getvalue()
