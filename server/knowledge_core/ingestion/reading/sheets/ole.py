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
