"""A ZIP archive that a stranger made, within bounds: entries, sizes, ratio. Nothing of it is written to the disk.

The readers of office files and books take all their parts from here, and parse XML with `parsed_xml`: without entities,
without a network, and bounded. An archive inside an archive is a part like any other: it is never opened.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING

from knowledge_core.ingestion.unreadable import Unreadable

if TYPE_CHECKING:
    from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

MOST_ENTRIES = 20_000  # the largest of 1,000 public office files and books has 3,000
MOST_DIRECTORY = 8_000_000  # bytes of the list of entries: 400 for each
MOST_BYTES = 400_000_000  # of all parts that are read, unpacked: eight times the largest file that is read
MOST_PART = 200_000_000  # bytes of one part
MOST_RATIO = 200  # bytes that a packed byte may become; a sheet of equal rows has 100
UNJUDGED = 20_000_000  # bytes of a part, up to which its ratio does not matter
_ENCRYPTED = 0x1
_HEADER = 30  # bytes before the name of an entry, after which its data begin
_ENTRY = b"PK\x01\x02"  # what begins an entry of the list
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError, UnicodeError,
    OverflowError,
)  # fmt: skip


class _TooMany(Exception):
    pass


class _Bounded(io.BytesIO):
    """The bytes of an archive for `zipfile`, which reads the list of entries at once and makes an object of each."""

    opening = True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.opening and size is not None and size > MOST_DIRECTORY:
            raise _TooMany
        data = super().read(size)
        if self.opening and data.count(_ENTRY) > MOST_ENTRIES:
            raise _TooMany
        return data


class Archive:
    """The parts of an archive by their names. Of two parts of one name the last one counts.

    names: of all parts, as the archive spells them, in its order. They are names and nothing else: none becomes a path.

    Raises:
        Unreadable: "damaged" where it is no sound archive, "encrypted", or "too large" where it unpacks to too much.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._name, self._read = name, 0
        file = _Bounded(data)
        try:
            self._file = zipfile.ZipFile(file)
            self.names = self._file.namelist()
        except _TooMany:
            raise Unreadable("too large", f"{name} has too many parts; at most {MOST_ENTRIES} are read.") from None
        except _BROKEN as error:
            raise Unreadable(
                "damaged", f"{name} is not a sound archive. Open it elsewhere and save it anew."
            ) from error
        file.opening = False
        if len(self.names) > MOST_ENTRIES:
            raise Unreadable("too large", f"{name} has {len(self.names)} parts; at most {MOST_ENTRIES} are read.")
        self._starts = sorted({info.header_offset for info in self._file.infolist()} | {len(data)})

    def __contains__(self, part: str) -> bool:
        return part in self._file.NameToInfo

    def read(self, part: str) -> bytes:
        """Return the bytes of a part; b"" where there is none of this name."""
        info = self._file.NameToInfo.get(part)
        if info is None:
            return b""
        if info.flag_bits & _ENCRYPTED:
            raise Unreadable("encrypted", f"{self._name} needs a password. Save a copy without one.")
        packed = self._packed(info)
        left = min(MOST_PART, MOST_BYTES - self._read)
        room = min(left, max(UNJUDGED, MOST_RATIO * packed))
        try:
            with self._file.open(info) as opened:
                data = opened.read(room + 1)  # what an entry claims to be is not believed
        except _BROKEN as error:
            raise self._damaged(part) from error
        if len(data) > room:
            most = f"more than {MOST_RATIO} times its size" if room < left else f"more than {left} bytes"
            raise Unreadable("too large", f"{self._name} has a part that unpacks to {most}. Save it without that.")
        self._read += len(data)
        return data

    def _packed(self, info: zipfile.ZipInfo) -> int:
        """Return the packed bytes of an entry. Its data may not reach into another entry: bombs share them."""
        following = self._starts[min(bisect_right(self._starts, info.header_offset), len(self._starts) - 1)]
        room = following - info.header_offset - _HEADER
        # Office programs and books know these two ways of packing; others unpack without bounds.
        if info.compress_size > room or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._damaged(info.filename)
        return info.compress_size

    def _damaged(self, part: str) -> Unreadable:
        return Unreadable("damaged", f"{self._name} has a damaged part ({part[:80]!r}). Save it anew.")

    def xml(self, part: str) -> etree._Element | None:
        """Return the tree of a part; None where there is none, or nothing in it."""
        data = self.read(part)
        return parsed_xml(data, self._name, part) if data.strip() else None


def parsed_xml(data: bytes, name: str, part: str = "") -> etree._Element | None:
    """Return the tree of an XML text; damaged ends are dropped; None where nothing of it is XML.

    Entities of the document's own stay unresolved, nothing is fetched. libxml2 itself bounds what entities in attributes
    become, and the depth (2,048); what is deeper is cut off.
    """
    from lxml import etree  # here: the owner looks into archives, and parses no XML

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, recover=True, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        where = f"{name} has a damaged part ({part[:80]!r})" if part else f"{name} is damaged"
        raise Unreadable("damaged", f"{where}. Save it anew.") from error
