"""Readers and chunks on a folder of real, messy files, where one is given: KNOWLEDGE_CORE_TEST_DATA names it.

The folder has `files/` with subfolders html, pdf, pdf_encrypted, encodings and others.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from ingestion_material import checked_chunks, count_words

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.ingestion.walking.walker import Selecting, walk

DATA = os.environ.get("KNOWLEDGE_CORE_TEST_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files")
LIMIT = 50_000_000


@pytest.fixture(scope="module")
def files() -> Path:
    return Path(DATA or "") / "files"


def test_every_file_becomes_sound_chunks_or_says_why_not(files: Path) -> None:
    reasons: Counter[str] = Counter()
    for found in walk(files, [files], Selecting(LIMIT)).files:
        try:
            document = read_file(found.path, document_id=found.relative, limit=LIMIT)
        except Unreadable as error:
            reasons[error.reason] += 1
        else:
            assert document.title
            assert checked_chunks(document, count_words, 100)
    assert set(reasons) <= {"empty", "encrypted"}


def test_files_that_need_a_password_say_so_and_the_copy_protected_one_opens(files: Path) -> None:
    for path in sorted((files / "pdf_encrypted").iterdir()):
        if path.name == "copy-protected.pdf":
            assert "LayoutParser" in read_file(path, document_id=path.name, limit=LIMIT).text
        else:
            with pytest.raises(Unreadable) as caught:
                read_file(path, document_id=path.name, limit=LIMIT)
            assert caught.value.reason == "encrypted"


def test_the_main_content_of_articles_is_found(files: Path) -> None:
    for name in ("ars-1", "heise", "mozilla-1", "rtl-1"):
        path = files / "html" / f"readability_{name}.html"
        expected = Counter(
            _words(re.sub("<[^>]*>", " ", (path.parent / f"{path.name}.expected.html").read_text("utf-8")))
        )
        found = Counter(_words(read_file(path, document_id=name, limit=LIMIT).text))
        shared = (expected & found).total()
        assert shared / expected.total() > 0.9
        assert shared / found.total() > 0.8


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
