"""Small files that say what a larger one holds: facts and arrays of integers under a checksum, there whole or not at all.

A file that cannot be read as it was written raises `UnusableFileError`; what is derived from the record is then rebuilt.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from knowledge_core.errors import StorageError
from knowledge_core.files import out_of_descriptors, replace_file, storage_refusal
from knowledge_core.storage.values import Keys

MAGIC = b"KCSEAL\x01\n"  # what such a file begins with; the number is the version of the layout
HEADER = struct.Struct("<8sII")  # magic, CRC-32 of all after it, bytes of JSON
READ_AT_ONCE = 4 * 2**20  # bytes of a large file that are in memory while it is checksummed


class UnusableFileError(Exception):
    """A derived file that does not check out; the text says why in a few words."""


def write_header(path: Path, facts: Mapping[str, Any], arrays: Sequence[Keys]) -> None:
    """Make `path` hold these facts and arrays, or leave it as it was.

    facts: what JSON can hold, without "lengths".
    arrays: each (n,) int64.

    Raises:
        StorageFull, StorageError: the disk refused.
    """
    text = json.dumps({**facts, "lengths": [len(each) for each in arrays]}).encode()
    body = text + b"".join(np.ascontiguousarray(each, "<i8").tobytes() for each in arrays)
    length = struct.pack("<I", len(text))
    replace_file(path, [MAGIC, struct.pack("<I", zlib.crc32(length + body)), length, body])


def read_header(path: Path) -> tuple[dict[str, Any], list[Keys]]:
    """Return what `write_header` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        UnusableFileError: it is damaged, or was not written by `write_header`.
        StorageError: too many files are open; this one may be sound.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(error, path) from error
    if len(content) < HEADER.size or content[: len(MAGIC)] != MAGIC:
        raise UnusableFileError("not a file of this program, or of another version")
    _, checksum, size = HEADER.unpack_from(content)
    if zlib.crc32(content[HEADER.size - 4 :]) != checksum:
        raise UnusableFileError("damaged (its checksum differs)")
    facts = json.loads(content[HEADER.size : HEADER.size + size])
    arrays, at = [], HEADER.size + size
    for length in facts.pop("lengths"):
        arrays.append(np.frombuffer(content, "<i8", length, at).astype(np.int64))
        at += 8 * length
    return facts, arrays


def checksum_of(path: Path, size: int) -> int:
    """Return the CRC-32 of a file's first `size` bytes.

    Raises:
        UnusableFileError: the file is shorter, or cannot be read.
        StorageError: too many files are open; this one may be sound.
    """
    buffer, checksum, left = memoryview(bytearray(min(READ_AT_ONCE, max(size, 1)))), 0, size
    try:
        with path.open("rb", buffering=0) as file:
            while left > 0:
                read = file.readinto(buffer[: min(left, len(buffer))])
                if not read:
                    raise UnusableFileError("truncated")
                checksum = zlib.crc32(buffer[:read], checksum)
                left -= read
    except OSError as error:
        raise _unusable(error, path) from error
    return checksum


def _unusable(error: OSError, path: Path) -> UnusableFileError | StorageError:
    if out_of_descriptors(error):
        return storage_refusal(error, path.name)
    return UnusableFileError(error.strerror or "cannot be read")


def tag_digest(tag: str) -> str:
    """Return the SHA-256 (hex) that a file keeps of the record and contract that it was made for."""
    return hashlib.sha256(tag.encode()).hexdigest()
