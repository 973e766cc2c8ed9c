"""Word, PowerPoint and Outlook files of the formats before Office 2007, as others made them and as nobody should."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from ingestion_material import checked_chunks, count_words
from read_by_name import read, reason

from knowledge_core.ingestion.readers import Unreadable, supported

FILES = Path(__file__).parent / "legacy_files"


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A container with its streams at the top, each in sectors of its own."""
    sectors: list[bytes] = []
    chains: list[int] = []
    entries = [("Root Entry", 5, 0xFFFFFFFE, 0)]
    for name, data in streams.items():
        parts = [data[at : at + 512].ljust(512, b"\0") for at in range(0, len(data), 512)]
        entries.append((name, 2, len(sectors) if parts else 0xFFFFFFFE, len(data)))
        chains += [*range(len(sectors) + 1, len(sectors) + len(parts)), 0xFFFFFFFE] if parts else []
        sectors += parts
    directory = b""
    for number, (name, kind, start, size) in enumerate(entries):
        raw = name.encode("utf-16-le")
        right = number + 1 if 0 < number < len(entries) - 1 else 0xFFFFFFFF
        child = 1 if kind == 5 and len(entries) > 1 else 0xFFFFFFFF
        directory += struct.pack("<64sHBBIII36xIQ", raw, len(raw) + 2, kind, 1, 0xFFFFFFFF, right, child, start, size)
    first = len(sectors)
    parts = [directory[at : at + 512].ljust(512, b"\0") for at in range(0, len(directory), 512)]
    chains += [*range(first + 1, first + len(parts)), 0xFFFFFFFE]
    sectors += parts
    table = len(sectors)
    chains.append(0xFFFFFFFD)
    assert len(chains) <= 128
    sectors.append(struct.pack(f"<{len(chains)}I", *chains).ljust(512, b"\xff"))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6xI", 0x3E, 3, 0xFFFE, 9, 6, 0)
    head += struct.pack("<IIIIIIII", 1, first, 0, 0, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0) + struct.pack("<I", table)
    return head.ljust(512, b"\xff") + b"".join(sectors)


def word(text: str, *, flags: int = 0x0200, version: int = 0xC1) -> bytes:
    """A Word document of one piece."""
    raw = text.encode("utf-16-le")
    stream = bytearray(struct.pack("<6H", 0xA5EC, version, 0, 0x409, 0, flags).ljust(0x400, b"\0"))
    struct.pack_into("<I", stream, 0x4C, len(raw) // 2)
    pieces = struct.pack("<II", 0, len(raw) // 2) + struct.pack("<HIH", 0, 0x400, 0)
    clx = b"\x02" + struct.pack("<I", len(pieces)) + pieces
    struct.pack_into("<II", stream, 0x1A2, 0, len(clx))
    return compound({"WordDocument": bytes(stream) + raw, "1Table": clx})


def test_a_word_document_has_its_lists_tables_footnotes_and_boxes(tmp_path: Path) -> None:
    document = read(tmp_path, "a.doc", (FILES / "various.doc").read_bytes())
    assert "Footnote appears here[1]\n\n[1] This is a footnote.\n\n" in document.text
    assert "Here is a list:\n\n- Bullet 1\n- Bullet 2\n- Bullet 3\n\nHere" in document.text
    row = (
        "| Row 1 Col 1 | Row 1 Col 2 | Row 1 Col 3 |\n| --- | --- | --- |\n| Row 2 Col 1 | Row 2 Col 2 | Row 2 Col 3 |"
    )
    assert row in document.text
    assert "ゾルゲと尾崎、淡々と最期" in document.text
    assert "𐌲𐌿𐍄𐌹𐍃𐌺" in document.text
    assert "This is a hyperlink" in document.text
    assert "HYPERLINK" not in document.text
    assert document.text.endswith("Here is a text box")
    assert document.metadata["author"] == "Michael McCandless"
    assert document.metadata["date"] == "2011-09-02"
    assert document.metadata["format"] == "doc"


def test_slides_are_pages_with_titles_and_notes(tmp_path: Path) -> None:
    document = read(tmp_path, "a.ppt", (FILES / "basic.ppt").read_bytes())
    assert document.text.startswith(
        "# This is a test title\n\nThis is a test subtitle\nThis is on page 1\n\nNotes:\n\nThese are"
    )
    assert [document.text[page.start : page.end].split("\n")[0] for page in document.pages] == [
        "# This is a test title", "# This is the title on page 2",
    ]  # fmt: skip
    assert document.metadata["pages"] == 2
    chunks = checked_chunks(document, count_words, 100)
    assert [chunk.page for chunk in chunks] in ([1, 2], [1])


def test_a_message_of_outlook_is_read_like_e_mail(tmp_path: Path) -> None:
    document = read(tmp_path, "a.msg", (FILES / "simple.msg").read_bytes())
    assert (document.title, document.metadata["format"]) == ("test message", "msg")
    assert document.text.startswith("From: Travis Ferguson <travis@overwrittenstack.com>\nTo: ")
    assert document.text.endswith("\n\nThis is a test message.")
    assert document.metadata["date"] == "2007-07-06T01:27:17-04:00"


def test_the_content_decides_whatever_the_file_is_called(tmp_path: Path) -> None:
    assert read(tmp_path, "message", (FILES / "simple.msg").read_bytes()).metadata["format"] == "msg"
    assert read(tmp_path, "a.msg", (FILES / "basic.ppt").read_bytes()).metadata["format"] == "ppt"
    assert read(tmp_path, "b.doc", "<html><body><p>A page of words</p></body></html>").metadata["format"] == "html"
    assert read(tmp_path, "c.doc", "plain words").text == "plain words"
    assert all(supported(Path(name)) for name in ("a.doc", "a.dot", "a.ppt", "a.pps", "a.msg"))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("One\rTwo\x0bthree\r", "One\n\nTwo\nthree"),
        ('See \x13 HYPERLINK "https://x" \x01\x14the \x13PAGE\x142\x15 page\x15.\r', "See the 2 page."),
        ("\x13 EQ \\* jc2 \\o\\ad(\\s\\up 10(とう),東京)\x15 is far\r", "東京 is far"),
        ("a\x07b\x07\x07c\x07d\x07\x07after\r", "| a | b |\n| --- | --- |\n| c | d |\n\nafter"),
        ("# no heading\rword\x1ejoined sof\x1ft\r", "    # no heading\n\nword-joined soft"),
        ("A \x15field\x14 that \x13 is cut\x15\x15 goes on\r", "A field that  goes on"),
    ],
)
def test_paragraphs_fields_and_cells_are_told_apart(tmp_path: Path, raw: str, text: str) -> None:
    assert read(tmp_path, "a.doc", word(raw)).text == text


def test_documents_that_need_a_password_or_another_program_say_so(tmp_path: Path) -> None:
    assert reason(tmp_path, "a.doc", word("x\r", flags=0x0300)) == "encrypted"
    assert reason(tmp_path, "a.doc", word("x\r", version=0x2D)) == "unsupported"
    user = struct.pack("<HHIIIIHHBBHI", 0, 0xFF6, 20, 20, 0xF3D1C4DF, 0, 0, 0, 0, 0, 0, 0)
    assert reason(tmp_path, "a.ppt", compound({"PowerPoint Document": bytes(64), "Current User": user})) == "encrypted"
    assert reason(tmp_path, "a.docx", compound({"EncryptedPackage": b"x", "EncryptionInfo": b"x"})) == "encrypted"
    assert reason(tmp_path, "a.doc", word("\r")) == "empty"


def test_damaged_containers_are_said_to_be_damaged(tmp_path: Path) -> None:
    whole = (FILES / "various.doc").read_bytes()
    assert reason(tmp_path, "a.doc", whole[:400]) == "damaged"
    assert reason(tmp_path, "a.msg", compound({"__properties_version1.0": b""})[:600]) == "damaged"
    circle = bytearray(compound({"WordDocument": bytes(5000), "1Table": b""}))
    table = struct.unpack_from("<I", circle, 76)[0]
    struct.pack_into("<I", circle, 512 + table * 512 + 4, 1)  # a sector that follows itself
    assert reason(tmp_path, "a.doc", bytes(circle)) in ("damaged", "unsupported")


@pytest.mark.parametrize("name", ["various.doc", "basic.ppt", "simple.msg"])
def test_no_change_of_a_file_does_more_than_make_it_unreadable(tmp_path: Path, name: str) -> None:
    whole = (FILES / name).read_bytes()
    chance = random.Random(name)
    start = time.perf_counter()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 4, 40))):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
        with suppress(Unreadable):
            read(tmp_path, name, bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
    assert time.perf_counter() - start < 20


def test_a_format_that_is_not_read_says_how_to_save_the_file(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="Export it from Pages as Word or PDF"):
        read(tmp_path, "a.pages", b"x")
