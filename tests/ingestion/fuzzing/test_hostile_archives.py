"""An archive that lies is refused at once, whatever it claims, and gives nothing of this machine away."""

from __future__ import annotations

import time

import pytest
from hostile_archives import ARCHIVES, HONEST, Parts, million_entries, packed
from ingestion_material import Write

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.ingestion.reading import archive
from knowledge_core.ingestion.reading.archive import Archive, parsed_xml

TYPES = b"<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>"
PARTS: Parts = [("[Content_Types].xml", TYPES), ("word/document.xml", b"<r>Words of it.</r>" * 10)]
AT_ONCE = 5.0  # seconds on a busy machine; each takes a fraction of one
REASONS = {
    "million_entries": "too large", "great_ratio": "too large", "parts_within_parts": "damaged",
    "encrypted": "encrypted", "other_packing": "damaged", "lzma_packing": "damaged", "unknown_packing": "damaged",
    "says_smaller": "damaged", "lies_elsewhere": "damaged",
    "wrong_checksum": "damaged", "directory_lies": "damaged", "second_end": "damaged", "cut": "damaged",
}  # fmt: skip


def outcome(data: bytes) -> tuple[str, str]:
    """Return the reason of the refusal and "", or "" and the text."""
    try:
        tree = Archive(data, "x.docx").xml("word/document.xml")
    except Unreadable as error:
        return error.reason, ""
    return "", "" if tree is None else " ".join(tree.itertext(with_tail=False)) + str(tree.get("a"))


LARGE = {"million_entries", "many_great_parts"}  # take a second to make


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in ARCHIVES]
)
def test_every_hostile_archive_is_refused_or_read_within_bounds(name):
    data = ARCHIVES[name](PARTS)
    began = time.process_time()
    reason, text = outcome(data)
    assert time.process_time() - began < AT_ONCE
    assert reason == REASONS.get(name, "")
    assert "root:" not in text
    assert len(text) < 10_000_000
    assert ("Words of it." in text) >= (name in HONEST)


def test_all_parts_together_may_unpack_to_so_much_and_no_more(monkeypatch):
    monkeypatch.setattr(archive, "MOST_BYTES", 50_000_000)
    opened = Archive(ARCHIVES["one_data_many_names"](PARTS), "x.docx")
    opened.read("bomb")
    opened.read("bomb")
    with pytest.raises(Unreadable) as caught:
        opened.read("bomb")
    assert caught.value.reason == "too large"


def test_an_honest_archive_of_many_equal_rows_is_read(monkeypatch):
    monkeypatch.setattr(archive, "UNJUDGED", 1_000_000)
    rows = b"".join(b'<row r="%d"><c r="A%d" s="1"><v>0</v></c></row>' % (row, row) for row in range(60_000))
    assert len(Archive(packed([("sheet.xml", rows)]), "x").read("sheet.xml")) == len(rows)


def test_what_an_archive_is_is_seen_without_reading_a_list_without_end(write: Write):
    path = write("x.docx", million_entries(PARTS, 160_000))
    began = time.process_time()
    with pytest.raises(Unreadable):
        read_file(path, document_id="x.docx", limit=10**9)
    assert time.process_time() - began < AT_ONCE


def test_a_tree_that_is_deeper_than_a_document_can_be_is_cut_off():
    tree = parsed_xml(b"<a>" * 1_000_000 + b"x" + b"</a>" * 1_000_000, "x")
    assert 100 < sum(1 for _ in tree.iter()) < 10_000
