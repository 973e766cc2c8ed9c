"""The rules of chunking hold for any text, any title, any size and any way to count."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingestion_material import checked_chunks, count_characters, count_words

from knowledge_core.ingestion.readers import clean_text
from knowledge_core.types import Document, Span

KINDS = ["text/markdown", "text/plain", "text/x-rst", "text/csv", "text/x-python", "text/x-javascript", "text/x-cpp"]
MARKDOWN = [
    "# One\n", "## Two *b*\n", "###### six ######\n", "Under\n===\n", "line\n---\n", "```py\n", "```\n", "~~~\n", "- item\n",
    "  1. nested\n", "| a | b |\n", "|---|---|\n", "> quote\n", "<!-- ", "-->\n", "\n", "\n\n", "    code\n", "A sentence. ",
    "!!! note\n", ":::note\n", ":::\n", "<details>\n", "</details>\n", "<table>", "</table>\n", "<tr><th>x</th></tr>\n",
    "a | b\n", "--|--\n", "import 'x'\n", "{/* ", "*/}\n", "Term\n", ": meaning\n", "So:\n", "```dataview\n",
    "<script>\n", "</script>\n", "Noch ein Satz! ", "一句话。", "e.g. no end ", "[link](x)",
    "---\n", "a: b\n", "word ", "\t", "\u2028", "é",
]  # fmt: skip
RST = [
    "Title\n=====\n", "Sub\n---\n", "===\nOver\n===\n", ".. note::\n", ".. contents::\n", ".. a comment\n", ".. _label:\n",
    "..\n", "   indented\n", "      deeper\n", "term\n  meaning\n", ":field: x\n", "- item\n", "#. item\n", "so::\n",
    "\n", "words ", "Sentence. ", "+---+---+\n", "| a | b |\n", "+===+===+\n", "=== ===\n", "a   b\n",
    ".. list-table::\n   :header-rows: 1\n\n",
    "   * - a\n     - b\n", ".. csv-table::\n   :header: a, b\n\n", ".. code::\n\n", ">>> x\n", "| line\n", "-a  option\n",
]  # fmt: skip
PYTHON = [
    "import os\n", "\n", "\n\n", "# comment\n", "@deco\n", "def f(a):\n", "    return 1\n", "class A(B):\n", "    def m(self):\n",
    "        pass\n", '    """doc é 語"""\n',
    "x = 1; ", "async def g(): ...\n", "    class In:\n", "if x:\n", "(", ")", '"', "λ = 2\n",
]  # fmt: skip
COUNTS = [count_words, count_characters, lambda texts: [len(text.encode()) // 3 + 1 for text in texts]]

sizes = st.sampled_from([1, 2, 7, 25, 100, 400])
counts = st.sampled_from(COUNTS)
titles = st.sampled_from(["", "A title", "long " * 60])
relaxed = settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
thorough = settings(relaxed, max_examples=3000)
texts = st.text(max_size=400)
places_of_pages = st.lists(st.integers(0, 300), max_size=9)
texts_of_pages = st.lists(st.text(max_size=80), min_size=1, max_size=12)


@relaxed
@given(texts, st.sampled_from(KINDS), titles, counts, sizes)
def test_on_any_text(text: str, kind: str, title: str, count: object, size: int) -> None:
    checked_chunks(Document("d", clean_text(text), title=title, media_type=kind), count, size)  # type: ignore[arg-type]


@relaxed
@given(st.lists(st.sampled_from(MARKDOWN), max_size=120), titles, counts, sizes)
def test_on_markdown(parts: list[str], title: str, count: object, size: int) -> None:
    document = Document("d", "".join(parts), title=title, media_type="text/markdown")
    checked_chunks(document, count, size)  # type: ignore[arg-type]


@relaxed
@given(st.lists(st.sampled_from(RST), max_size=120), titles, counts, sizes)
def test_on_restructured_text(parts: list[str], title: str, count: object, size: int) -> None:
    document = Document("d", "".join(parts), title=title, media_type="text/x-rst")
    checked_chunks(document, count, size)  # type: ignore[arg-type]


@relaxed
@given(st.lists(st.sampled_from(MARKDOWN), min_size=1, max_size=80), places_of_pages, counts, sizes)
def test_on_markdown_with_pages(parts: list[str], places: list[int], count: object, size: int) -> None:
    text = "".join(parts)
    bounds = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    spans = tuple(Span(start, end) for start, end in itertools.pairwise(bounds))
    checked_chunks(Document("d", text, media_type="text/markdown", pages=spans), count, size)  # type: ignore[arg-type]


@relaxed
@given(st.lists(st.sampled_from(PYTHON), max_size=120), titles, counts, sizes)
def test_on_python(parts: list[str], title: str, count: object, size: int) -> None:
    document = Document("d", "".join(parts), title=title, media_type="text/x-python")
    checked_chunks(document, count, size)  # type: ignore[arg-type]


@relaxed
@given(texts_of_pages, counts, sizes)
def test_on_pages(pages: list[str], count: object, size: int) -> None:
    text, spans = "", []
    for page in map(clean_text, pages):
        spans.append(Span(len(text), len(text) + len(page)))
        text += page + "\n\n"
    checked_chunks(Document("d", text, pages=tuple(spans)), count, size)  # type: ignore[arg-type]


@pytest.mark.slow
@thorough
@given(st.lists(st.sampled_from(MARKDOWN + PYTHON + RST), max_size=200), st.sampled_from(KINDS), titles, counts, sizes)
def test_on_much_more(parts: list[str], kind: str, title: str, count: object, size: int) -> None:
    document = Document("d", "".join(parts), title=title, media_type=kind)
    checked_chunks(document, count, size)  # type: ignore[arg-type]


@pytest.mark.slow
@thorough
@given(texts, st.sampled_from(KINDS), titles, counts, sizes)
def test_on_many_more_texts(text: str, kind: str, title: str, count: object, size: int) -> None:
    test_on_any_text.hypothesis.inner_test(text, kind, title, count, size)


@pytest.mark.slow
@thorough
@given(st.lists(st.sampled_from(MARKDOWN), min_size=1, max_size=80), places_of_pages, counts, sizes)
def test_on_much_more_markdown_with_pages(parts: list[str], places: list[int], count: object, size: int) -> None:
    test_on_markdown_with_pages.hypothesis.inner_test(parts, places, count, size)


@pytest.mark.slow
@thorough
@given(texts_of_pages, counts, sizes)
def test_on_many_more_pages(pages: list[str], count: object, size: int) -> None:
    test_on_pages.hypothesis.inner_test(pages, count, size)
