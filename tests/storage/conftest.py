from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from storage.shelf import new_collection

from knowledge_core.storage.collection import Collection


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Collection]:
    made = new_collection(tmp_path)
    yield made
    made.close()
