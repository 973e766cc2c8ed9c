"""Text that people typed stays text, in whatever format it came: no heading by accident, and nothing lost to search."""

from __future__ import annotations

import html
import time
from collections.abc import Callable

import pytest
from ingestion_material import Write, checked_chunks, count_words

from knowledge_core.ingestion.readers import read_file
from knowledge_core.ingestion.reading.literal import literal
from knowledge_core.types import Document

Read = Callable[[Write, list[str]], Document]
HEAD = "From: Ann <a@example.org>\nSubject: Real\nContent-Type: text/plain; charset=utf-8\n\n"
TYPED = {
    "a heading": ["# 3 pieces", "sealed"],
    "an underline": ["sealed", "---"],
    "front matter": ["---", "sealed: yes", "---", "after"],
    "a head of fields": ["Title: sealed", "", "after"],
    "an import of MDX": ['import sealed from "kiln"', "", "after"],
    "a script": ["<script>", "sealed", "</script>", "after"],
    "a comment": ["<!-- sealed", "", "after"],
    "a comment of JSX": ["{/* sealed */}", "", "after"],
    "a fence that nothing closes": ["```", "sealed", "", "# 1"],
    "a fence of a query": ["```dataview", "sealed"],
}


def of_page(write: Write, lines: list[str]) -> Document:
    body = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return read_file(write("a.html", f"<html><body>{body}</body></html>"), document_id="a.html", limit=10_000)


def of_mail(write: Write, lines: list[str]) -> Document:
    return read_file(write("a.eml", HEAD + "\n".join(lines) + "\n"), document_id="a.eml", limit=10_000)


@pytest.mark.parametrize("read", [of_page, of_mail])
@pytest.mark.parametrize("lines", TYPED.values(), ids=TYPED.keys())
def test_typed_text_is_no_structure_and_found(write: Write, read: Read, lines: list[str]) -> None:
    document = read(write, lines)
    chunks = checked_chunks(document, count_words, 30)
    assert "sealed" in " ".join(chunk.text for chunk in chunks)
    assert {name for chunk in chunks for name in chunk.heading} <= {"Real"}
    kept = "".join(document.text.split())
    assert all("".join(line.split()) in kept for line in lines)
    assert "\u200b" not in document.text


def test_a_fence_that_is_closed_stays_one() -> None:
    text = "~~~ python\n# x\n```\n~~~\nafter"
    assert literal(text) == text


@pytest.mark.parametrize("unit", ["```\n", "````` x\n~~~ y\n", "<!--\n", "`" * 50 + "\n"])
def test_many_marks_take_no_time(unit: str) -> None:
    started = time.perf_counter()
    literal(unit * (300_000 // len(unit)))
    assert time.perf_counter() - started < 3
