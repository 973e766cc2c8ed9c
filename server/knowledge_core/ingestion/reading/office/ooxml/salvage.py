"""What can still be read of a ZIP archive whose directory or end is lost: a download that broke off, a damaged disk."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

_LOCAL = b"PK\3\4"
_HEADER = struct.Struct("<4sHHHHHIIIHH")  # APPNOTE.TXT 4.3.7
_DEFLATED, _STORED = 8, 0
_ENCRYPTED = 0x1
_MOST_PARTS = 5_000
_MOST_BYTES = 200_000_000  # unpacked, of all parts


def salvaged(data: bytes) -> bytes:
    """Return a sound archive of the parts that are there, the last of them perhaps in part; b"" where there is none.

    The headers before the parts are followed, not the directory at the end.
    """
    made = io.BytesIO()
    names: set[str] = set()
    room, at = _MOST_BYTES, 0
    with zipfile.ZipFile(made, "w") as archive:
        for _ in range(_MOST_PARTS):
            at = data.find(_LOCAL, at)
            if at < 0 or room <= 0:
                break
            name, content, at = _entry(data, at, room)
            room -= len(content)
            if content and name not in names:
                names.add(name)
                archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue() if names else b""


def _entry(data: bytes, at: int, room: int) -> tuple[str, bytes, int]:
    """Return the name and content of the part whose header begins here, and where to look for the next."""
    after = at + _HEADER.size
    if after > len(data):
        return "", b"", after
    _, _, flags, method, _, _, _, packed, _, name_length, extra_length = _HEADER.unpack_from(data, at)
    begin = after + name_length + extra_length
    name = data[after : after + name_length].decode("utf-8", "replace")
    if flags & _ENCRYPTED or not name or "\0" in name or name.endswith("/"):
        return "", b"", after
    if method == _STORED:
        return name, data[begin : begin + min(packed, room)], begin + packed
    if method != _DEFLATED:
        return "", b"", after
    content, left = _inflated(memoryview(data)[begin:], room)
    return name, content, max(len(data) - left, after)


def _inflated(packed: memoryview, room: int) -> tuple[bytes, int]:
    """Return what unpacks of a stream, and how many bytes lie behind it."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    size, step = 0, 1 << 16
    for start in range(0, len(packed), step):
        try:
            parts.append(stream.decompress(packed[start : start + step], room - size + 1))
        except zlib.error:
            return b"".join(parts), len(packed) - start
        size += len(parts[-1])
        if stream.eof or size > room:
            return b"".join(parts)[:room], len(packed) - min(start + step, len(packed)) + len(stream.unused_data)
    return b"".join(parts), 0
