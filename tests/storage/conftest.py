from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge_core.storage.collection import Collection
from storage.shelf import new_collection


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Collection]:
    made = new_collection(tmp_path)
    yield made
    made.close()
