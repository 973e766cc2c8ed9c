"""What the tests of ingestion share."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingestion_material import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the test's own folder, and return its path."""

    def made(relative: str, content: str | bytes = "words") -> Path:
        path = tmp_path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return path

    return made
