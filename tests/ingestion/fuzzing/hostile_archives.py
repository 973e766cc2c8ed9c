"""Archives that lie: about how many they are, how large, where their parts lie, and what they are packed with.

Each is a function of the parts of an honest archive, the last of which is the one with the text.
"""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence

Parts = Sequence[tuple[str, bytes]]
_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")


def packed(parts: Parts, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", how) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in parts:
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return file.getvalue()


def _centrals(data: bytes) -> list[int]:
    """Return where the entries of the list begin."""
    start = _END.unpack_from(data, data.rindex(b"PK\5\6"))[6]
    found = []
    while data[start : start + 4] == b"PK\1\2":
        found.append(start)
        start += 46 + sum(struct.unpack_from("<3H", data, start + 28))
    return found


def _changed(data: bytes, entry: int, at: int, form: str, value: int) -> bytes:
    """Return the archive with one field of one entry of the list exchanged. at: in the entry."""
    changed = bytearray(data)
    struct.pack_into(form, changed, _centrals(data)[entry] + at, value)
    return bytes(changed)


def million_entries(parts: Parts, count: int = 1_000_000) -> bytes:
    honest = packed(parts)
    first = _centrals(honest)[0]
    names = b"".join(
        _CENTRAL.pack(b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0) + b"%07x" % number
        for number in range(count)
    )
    end = honest.rindex(b"PK\5\6")
    listed = names + honest[first:end]
    return honest[:first] + listed + _END.pack(b"PK\5\6", 0, 0, 65535, 65535, len(listed), first, 0)


def great_ratio(parts: Parts) -> bytes:
    return packed([*parts[:-1], (parts[-1][0], parts[-1][1][:100] + b" " * 25_000_000)])


def many_great_parts(parts: Parts) -> bytes:
    """Each part below what is judged, all together far above."""
    return packed([*((f"part{number}.xml", b" " * 19_000_000) for number in range(3)), *parts])


def one_data_many_names(parts: Parts) -> bytes:
    honest = packed([("bomb", b"\0" * 19_000_000), *parts])
    first, end = _centrals(honest)[0], honest.rindex(b"PK\5\6")
    one = honest[first : first + 50]
    listed = one * 1000 + honest[first + 50 : end]
    return honest[:first] + listed + _END.pack(b"PK\5\6", 0, 0, 1000, 1000, len(listed), first, 0)


def parts_within_parts(parts: Parts) -> bytes:
    """The packed data of the text reach over the parts that follow it."""
    honest = packed([parts[-1], *parts[:-1], ("end", b"x" * 1000)])
    return _changed(honest, 0, 20, "<L", len(honest) // 2)


def encrypted(parts: Parts) -> bytes:
    return _changed(packed(parts), -1, 8, "<H", 1)


def other_packing(parts: Parts) -> bytes:
    return packed(parts, zipfile.ZIP_BZIP2)


def lzma_packing(parts: Parts) -> bytes:
    return packed(parts, zipfile.ZIP_LZMA)


def unknown_packing(parts: Parts) -> bytes:
    return _changed(packed(parts), -1, 10, "<H", 99)


def says_smaller(parts: Parts) -> bytes:
    return _changed(packed(parts), -1, 24, "<L", 10)


def says_larger(parts: Parts) -> bytes:
    return _changed(packed(parts), -1, 24, "<L", 2**32 - 2)


def says_zip64(parts: Parts) -> bytes:
    """Sizes that are to be found in a field which is not there."""
    return _changed(packed(parts), -1, 24, "<L", 2**32 - 1)


def lies_elsewhere(parts: Parts) -> bytes:
    return _changed(packed(parts), -1, 42, "<L", 2**31)


def wrong_checksum(parts: Parts) -> bytes:
    return _changed(packed(parts), -1, 16, "<L", 17)


def directory_lies(parts: Parts) -> bytes:
    honest = bytearray(packed(parts))
    struct.pack_into("<L", honest, honest.rindex(b"PK\5\6") + 12, 2**32 - 2)
    return bytes(honest)


def second_end(parts: Parts) -> bytes:
    """A comment that looks like the end of another archive."""
    honest = packed(parts)
    fake = _END.pack(b"PK\5\6", 0, 0, 1, 1, 46, 0, 0)
    return honest[:-2] + struct.pack("<H", len(fake)) + fake


def cut(parts: Parts) -> bytes:
    honest = packed(parts)
    return honest[: len(honest) * 2 // 3]


def names_that_lead_away(parts: Parts) -> bytes:
    return packed([("../../../etc/passwd", b"x"), ("/etc/passwd", b"x"), ("C:\\x", b"x"), ("\0", b"x"), *parts])


def names_twice(parts: Parts) -> bytes:
    return packed([*parts, *parts])


def links(parts: Parts) -> bytes:
    """The part with the text is a symbolic link, as archives of Unix hold them."""
    return _changed(packed([*parts[:-1], (parts[-1][0], b"/etc/passwd")]), -1, 38, "<L", 0o120777 << 16)


def archive_within(parts: Parts) -> bytes:
    return packed([*parts[:-1], (parts[-1][0], packed([*parts, ("bomb", b"\0" * 25_000_000)]))])


def no_parts(parts: Parts) -> bytes:
    return b"PK\5\6" + b"\0" * 18


_TEN = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 9))
_LAUGHS = f'<!DOCTYPE r [<!ENTITY a0 "lololololo">{_TEN}]>'
XML = {
    "laughs": f"{_LAUGHS}<r>&a8;</r>",
    "laughs in an attribute": f'{_LAUGHS}<r a="&a8;">x</r>',
    "quadratic": f'<!DOCTYPE r [<!ENTITY a "{"x" * 50_000}">]><r>{"&a;" * 20_000}</r>',
    "quadratic in an attribute": f'<!DOCTYPE r [<!ENTITY a "{"x" * 50_000}">]><r a="{"&a;" * 20_000}">x</r>',
    "file": '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
    "file by a parameter": '<!DOCTYPE r [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><r>x</r>',
    "network": '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><r>&x;</r>',
    "cycle": '<!DOCTYPE r [<!ENTITY a "&b;"><!ENTITY b "&a;">]><r a="&a;">&a;</r>',
    "deep": "<a>" * 300_000,
    "deep and closed": "<a>" * 300_000 + "x" + "</a>" * 300_000,
    "many attributes": "<a " + " ".join(f'a{i}="x"' for i in range(100_000)) + "/>",
    "huge attribute": f'<a a="{"x" * 5_000_000}"/>',
    "namespaces": "<r " + " ".join(f'xmlns:n{i}="u{i}"' for i in range(20_000)) + ">" + "<n1:b/>" * 10_000 + "</r>",
    "utf-7": '<?xml version="1.0" encoding="utf-7"?><r>+ADw-</r>',
    "unknown encoding": '<?xml version="1.0" encoding="x-none"?><r>x</r>',
    "nothing": "",
    "cut": "<r><a>words",
}

ARCHIVES: dict[str, Callable[[Parts], bytes]] = {
    made.__name__: made
    for made in (
        million_entries, great_ratio, many_great_parts, one_data_many_names, parts_within_parts, encrypted, other_packing,
        lzma_packing, unknown_packing, says_smaller, says_larger, says_zip64, lies_elsewhere, wrong_checksum,
        directory_lies, second_end, cut, names_that_lead_away, names_twice, links, archive_within, no_parts,
    )
}  # fmt: skip
ARCHIVES |= {
    f"XML: {name}": lambda parts, text=text: packed([*parts[:-1], (parts[-1][0], text.encode())])
    for name, text in XML.items()
}
HONEST = frozenset(
    {"many_great_parts", "one_data_many_names", "names_that_lead_away", "names_twice", "says_larger", "says_zip64"}
)
"""Those whose text can be read all the same."""
