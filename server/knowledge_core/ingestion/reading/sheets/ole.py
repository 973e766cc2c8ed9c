"""The container of an XLS ([MS-CFB]), looked at before calamine opens it: whether it is encrypted, and whether it ends.

Its sectors form chains. Calamine follows one as long as it goes, so a chain that comes back to itself would fill the memory
and end the process.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

_LAST_SECTOR = 0xFFFFFFFA  # larger numbers are marks: the end of a chain, a free sector
_IN_HEADER = 109  # places of sectors of the FAT, that the header holds
_BEGIN = re.compile(rb"\x09\x08(?:\x10\0\0\x06|\x08\0\0\x05)\x05\0")  # [MS-XLS] 2.4.21, BOF of a workbook; also of 1995
_BEGIN_SHEET = 0x809
_CELLS = frozenset({0x6, 0xBD, 0xD6, 0xFD, 0x203, 0x204, 0x205, 0x27E})  # [MS-XLS] 2.3: records of cells with a value
_DIMENSIONS = 0x200
_MOST_ROWS, _LAST_COLUMN = 65_536, 255
_SMALL_SECTOR = 64  # bytes
_SMALL_STREAM = 4096  # bytes; of smaller ones the sectors are small
_FILEPASS, _FILEPASS_WITHIN = b"\x2f\0", 8  # [MS-XLS] 2.4.117; records


def locked(data: bytes) -> bool:
    """Say whether an XLS is encrypted: a FILEPASS record follows soon after the one that begins the workbook.

    Calamine knows that, too, but only says so of files that it opens by a path.
    """
    begin = _BEGIN.search(data)
    at = begin.start() if begin else len(data)
    for _ in range(_FILEPASS_WITHIN):
        kind, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "little")
        if kind == _FILEPASS:
            return True
        at += 4 + length
    return False


def has_end(data: bytes) -> bool:
    """Say whether all chains of sectors end, those of the small sectors too."""
    if len(data) < 512:
        return False
    size = 1 << min(16, *struct.unpack_from("<H", data, 30))
    sectors = _fat_sectors(data, size)
    if sectors is None:
        return False
    table = [number for sector in sectors for number in _numbers(data, sector, size)]
    (small,) = struct.unpack_from("<I", data, 60)
    chain = _chain(table, small)
    if chain is None or not _ends(table):
        return False
    return _ends([number for sector in chain for number in _numbers(data, sector, size)])


def in_bounds(data: bytes) -> bool:
    """Say whether each cell of an XLS lies where a cell can, and each sheet's last one below its first.

    Calamine makes a matrix of all between them without a look at how many that are.
    """
    first = last = -1
    at, stream = 0, _workbook(data)
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        if kind in _CELLS and length >= 4:
            row, column = struct.unpack_from("<HH", stream, at + 4)
            if column > _LAST_COLUMN:
                return False
            first, last = (row if first < 0 else first), row
        elif kind == _DIMENSIONS and not _sane_dimensions(stream[at + 4 : at + 4 + length]):
            return False
        elif kind == _BEGIN_SHEET:
            if last < first:
                return False
            first = last = -1
        at += 4 + length
    return last >= first


def _sane_dimensions(content: bytes) -> bool:
    """Say whether a DIMENSIONS record (2.4.90) ends below and right of its begin, within a sheet."""
    if len(content) not in (10, 14):
        return False
    top, bottom, first, last = struct.unpack_from("<IIHH" if len(content) == 14 else "<HHHH", content)
    return bool(top <= bottom <= _MOST_ROWS and first <= last <= _LAST_COLUMN + 1)


def _workbook(data: bytes) -> bytes:
    """Return the stream of a workbook; b"" where there is none."""
    size = 1 << min(16, *struct.unpack_from("<H", data, 30))
    table = [number for sector in _fat_sectors(data, size) or () for number in _numbers(data, sector, size)]
    directory, small = struct.unpack_from("<I8xI", data, 48)
    entries = _joined(data, _chain(table, directory), size, 1)
    for at in range(0, len(entries) - 127, 128):
        name = entries[at : at + 64].decode("utf-16-le", "replace").split("\0")[0]
        start, length = struct.unpack_from("<II", entries, at + 116)
        if name in ("Workbook", "Book") and length >= _SMALL_STREAM:
            return _joined(data, _chain(table, start), size, 1)
        if name in ("Workbook", "Book"):
            (root,) = struct.unpack_from("<I", entries, 116)  # the first entry is the stream of all small sectors
            links = _joined(data, _chain(table, small), size, 1)
            numbers = struct.unpack(f"<{len(links) // 4}I", links[: len(links) // 4 * 4])
            return _joined(_joined(data, _chain(table, root), size, 1), _chain(numbers, start), _SMALL_SECTOR, 0)
    return b""


def _joined(data: bytes, chain: Sequence[int] | None, size: int, header: int) -> bytes:
    """Return the bytes of a chain of sectors; `header` sectors lie before the first one."""
    return b"".join(data[(sector + header) * size : (sector + header + 1) * size] for sector in chain or ())


def _fat_sectors(data: bytes, size: int) -> list[int] | None:
    """Return the sectors of the table of chains; None where the list of them comes back to itself."""
    sectors = list(struct.unpack_from(f"<{_IN_HEADER}I", data, 76))
    (more,) = struct.unpack_from("<I", data, 68)
    seen: set[int] = set()
    while more < _LAST_SECTOR and (numbers := _numbers(data, more, size)):
        if more in seen:
            return None
        seen.add(more)
        sectors += numbers[:-1]
        more = numbers[-1]
    kept = [sector for sector in sectors if sector < _LAST_SECTOR]
    return kept if len(kept) <= len(data) // size + 1 else None


def _numbers(data: bytes, sector: int, size: int) -> Sequence[int]:
    start = (sector + 1) * size
    piece = data[start : start + size]
    return struct.unpack(f"<{len(piece) // 4}I", piece[: len(piece) // 4 * 4])


def _chain(table: Sequence[int], sector: int) -> list[int] | None:
    """Return the sectors of one chain; None where it comes back to itself."""
    chain: list[int] = []
    while sector < len(table) and len(chain) <= len(table):
        chain.append(sector)
        sector = table[sector]
    return chain if len(chain) <= len(table) else None


def _ends(table: Sequence[int]) -> bool:
    """Say whether no chain in the table comes back to itself. table: the next sector of each."""
    walk_of = [0] * len(table)  # the walk on which each sector was met first; 0 for none yet
    for start in range(len(table)):
        at = start
        while at < len(table) and not walk_of[at]:
            walk_of[at] = start + 1
            at = table[at]
        if at < len(table) and walk_of[at] == start + 1:
            return False
    return True
