"""The container of Microsoft's older formats (MS-CFB): streams by their paths, within the bounds of the bytes given.

Chains of sectors that run in circles or out of the file end there; no name is trusted to be unique, no size to be true.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator

from knowledge_core.ingestion.unreadable import Unreadable

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_END = 0xFFFFFFFA  # this and all numbers above are no sectors
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_MOST_ENTRIES = 100_000
_DEEPEST = 100  # storages within storages; messages in messages in messages have about 10


class Compound:
    """The streams of a container.

    names: paths of all streams, in the order of their directory, as "storage/stream".

    Raises:
        Unreadable: "damaged" where it is no sound container.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name = data, name
        if len(data) < 512 or not data.startswith(MAGIC):
            raise self._damaged()
        shift, mini_shift = struct.unpack_from("<HH", data, 30)
        if shift not in (9, 12) or not 2 <= mini_shift <= shift:
            raise self._damaged()
        self._size, self._mini_size = 1 << shift, 1 << mini_shift
        count, directory, self._cutoff, mini, _, more, _ = struct.unpack_from("<II4xIIIII", data, 44)
        self._fat = _numbers(b"".join(self._sector(number) for number in self._fat_sectors(more, count)))
        self._mini_fat = _numbers(self._chained(mini, len(data)))
        self._entries: dict[str, tuple[int, int]] = {}  # path to first sector and size
        self._small = b""
        self._read_directory(self._chained(directory, _MOST_ENTRIES * 128))
        self.names = list(self._entries)

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def read(self, path: str) -> bytes:
        """Return a stream; b"" where there is none of this path."""
        start, size = self._entries.get(path, (_END, 0))
        if size >= self._cutoff:
            return self._chained(start, size)
        return b"".join(self._mini_sectors(start, size))[:size]

    def _damaged(self) -> Unreadable:
        return Unreadable("damaged", f"{self._name} is not a sound file of Microsoft Office. Open it and save it anew.")

    def _sector(self, number: int) -> bytes:
        start = (number + 1) * self._size
        return self._data[start : start + self._size]

    def _fat_sectors(self, more: int, count: int) -> Iterator[int]:
        """Yield the sectors of the table of chains: 109 are named in the head, the others in sectors of their own."""
        left = min(count, len(self._data) // self._size + 1)
        numbers = _numbers(self._data[76:512])
        seen: set[int] = set()
        while left > 0:
            for number in numbers[:left]:
                if number < _END:
                    yield number
            left -= len(numbers)
            if more >= _END or more in seen:
                return
            seen.add(more)
            numbers = _numbers(self._sector(more))
            more = numbers.pop() if numbers else _END

    def _chained(self, start: int, size: int) -> bytes:
        """Return at most so many bytes of the chain of sectors that begins there."""
        parts: list[bytes] = []
        number = start
        for _ in range(min(len(self._fat), -(-size // self._size))):
            if number >= len(self._fat):
                break
            parts.append(self._sector(number))
            number = self._fat[number]
        return b"".join(parts)[:size]

    def _mini_sectors(self, start: int, size: int) -> Iterator[bytes]:
        number = start
        for _ in range(min(len(self._mini_fat), -(-size // self._mini_size))):
            if number >= len(self._mini_fat):
                return
            yield self._small[number * self._mini_size : (number + 1) * self._mini_size]
            number = self._mini_fat[number]

    def _read_directory(self, directory: bytes) -> None:
        if len(directory) < 128:
            raise self._damaged()
        seen = {0}
        child = self._entry(directory, 0)[4]
        _, _, _, _, _, start, size = self._entry(directory, 0)
        self._small = self._chained(start, min(size, len(self._data)))
        open_entries = [(child, "", 0)]
        found: list[tuple[int, str, int, int]] = []
        while open_entries:
            number, above, depth = open_entries.pop()
            if number in seen or (number + 1) * 128 > len(directory) or depth > _DEEPEST:
                continue
            seen.add(number)
            name, kind, left, right, child, start, size = self._entry(directory, number)
            open_entries += [(left, above, depth), (right, above, depth)]
            if kind == _STORAGE:
                open_entries.append((child, f"{above}{name}/", depth + 1))
            elif kind == _STREAM:
                found.append((number, above + name, start, min(size, len(self._data))))
        for _, path, start, size in sorted(found):
            self._entries.setdefault(path, (start, size))

    def _entry(self, directory: bytes, number: int) -> tuple[str, int, int, int, int, int, int]:
        raw, length, kind, left, right, child, start, size = struct.unpack_from(
            "<64sHBxIII36xIQ", directory, number * 128
        )
        name = raw[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
        return name, kind, left, right, child, start, size if self._size > 512 else size & 0xFFFFFFFF


def _numbers(data: bytes) -> array[int]:
    numbers = array("I", data[: len(data) // 4 * 4])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
