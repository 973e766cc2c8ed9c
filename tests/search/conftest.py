"""Collections to search in, and judged folders to score with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knowledge_core.types import Document
from search.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path)
    yield made
    made.close()


NOTES = [
    Document("solar", "A solar panel turns light into electricity.\n\nIt needs no fuel.", "Solar", "", {"year": 2020}),
    Document("wind", "A wind turbine turns moving air into electricity.", "Wind", metadata={"year": 2022}),
    Document("bread", "Knead the dough, let it rise, bake the loaf in a hot oven.", "Bread", metadata={"year": 2021}),
    Document("kernel", "The kernel schedules processes and talks to the hardware.", "Kernels", metadata={"year": 2022}),
]  # fmt: skip


@pytest.fixture
def notes(library: Library) -> Library:
    """A library whose collection `notes` holds four short notes, in five chunks."""
    library.put(NOTES)
    return library


@pytest.fixture
def beir(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder in BEIR's layout."""

    def write(corpus: list[dict[str, Any]], queries: list[dict[str, Any]], qrels: list[tuple[str, str, int]]) -> Path:
        folder = tmp_path / "judged"
        (folder / "qrels").mkdir(parents=True)
        (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
        (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
        rows = "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in qrels)
        (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
        return folder

    return write
