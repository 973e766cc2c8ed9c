"""A ZIP archive that a stranger made, within bounds: entries, sizes, ratio. Nothing of it is written to the disk.

The readers of office files and books take all their parts from here, and parse XML with `parsed_xml`: without entities,
without a network, and bounded.
"""

from __future__ import annotations

import io
import zipfile
import zlib

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.unreadable import Unreadable

MOST_ENTRIES = 20_000  # the largest of 1,000 public office files and books has 3,000
MOST_BYTES = 400_000_000  # of all parts that are read, unpacked: eight times the largest file that is read
MOST_PART = 200_000_000  # bytes of one part
_ENCRYPTED = 0x1


class Archive:
    """The parts of an archive by their names.

    names: of all parts, as the archive spells them, in its order.

    Raises:
        Unreadable: "damaged" where it is no sound archive, "encrypted", or "too large" where it unpacks to too much.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._name, self._read = name, 0
        try:
            self._file = zipfile.ZipFile(io.BytesIO(data))
            self.names = self._file.namelist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError, UnicodeError) as error:
            raise Unreadable(
                "damaged", f"{name} is not a sound archive. Open it elsewhere and save it anew."
            ) from error
        if len(self.names) > MOST_ENTRIES:
            raise Unreadable("too large", f"{name} has {len(self.names)} parts; at most {MOST_ENTRIES} are read.")

    def __contains__(self, part: str) -> bool:
        return part in self._file.NameToInfo

    def read(self, part: str) -> bytes:
        """Return the bytes of a part; b"" where there is none of this name."""
        info = self._file.NameToInfo.get(part)
        if info is None:
            return b""
        if info.flag_bits & _ENCRYPTED:
            raise Unreadable("encrypted", f"{self._name} needs a password. Save a copy without one.")
        room = min(MOST_PART, MOST_BYTES - self._read)
        try:
            with self._file.open(info) as opened:
                data = opened.read(room + 1)  # what an entry claims to be is not believed
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            OSError,
            ValueError,
        ) as error:
            raise Unreadable("damaged", f"{self._name} has a damaged part ({part[:80]!r}). Save it anew.") from error
        if len(data) > room:
            raise Unreadable(
                "too large", f"{self._name} unpacks to more than {MOST_BYTES} bytes. Save it without them."
            )
        self._read += len(data)
        return data

    def xml(self, part: str) -> etree._Element | None:
        """Return the tree of a part; None where there is none, or nothing in it."""
        data = self.read(part)
        return parsed_xml(data, self._name, part) if data.strip() else None


def parsed_xml(data: bytes, name: str, part: str = "") -> etree._Element | None:
    """Return the tree of an XML text; damaged ends are dropped; None where nothing of it is XML.

    Entities of the document's own stay unresolved, nothing is fetched.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, recover=True, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        where = f"{name} has a damaged part ({part[:80]!r})" if part else f"{name} is damaged"
        raise Unreadable("damaged", f"{where}. Save it anew.") from error
