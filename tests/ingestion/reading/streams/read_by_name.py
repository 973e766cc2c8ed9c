"""Read a file of a given name and content through the door of reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Document

LIMIT = 100_000_000


def read(folder: Path, name: str, content: str | bytes) -> Document:
    """Write the file, and return its document."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(path, document_id=f"files/{name}", limit=LIMIT)


def reason(folder: Path, name: str, content: str | bytes) -> str:
    """Write a file that cannot be read, and return why not; the message names the file by its id."""
    with pytest.raises(Unreadable) as caught:
        read(folder, name, content)
    assert f"files/{name}" in str(caught.value)
    assert str(folder) not in str(caught.value)
    return caught.value.reason
