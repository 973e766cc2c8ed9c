"""Cutting takes time in proportion to a text, whatever its markup pretends to be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from knowledge_core.ingestion.cutting.chunking import chunk
from knowledge_core.types import Document, Heading, Span
from linear import grows_linearly

MARKDOWN = [
    "| a ", "|", "a | b\n", "a | b\n--|--\n", "--|--\n", "- ", "- a\n", "- a\n\n", "-\n", "  - a\n\n", "1. a\n",
    "```\n", "- ```\n", "<!--", "<!--\n", "{/*\n", "{/* */}\n\n", "<details>\n", "<details></details>",
    "</details>\n", "<table>", "<table>\n\n", "<th>", "<tr><th>x</th></tr>\n", ":::\n", "::: a\n", ":::a\n:::\n",
    "!!! a\n    b\n", "!!! a\n", '=== "a"\n', "???", "> a\n", ">", "a\n: b\n", ": b\n", "a\n\n: b\n\n",
    "import 'a'\n", "import a from from from ", "export const a\n", "---\na: b\n", "a: b\n", "# a\n", "#", "# a\n\n",
    "a\n---\n", "a:\n\n", "a: ", ":", "：", "a:\n- b\n\n", "[1]", "a.[1]", "a.[1][2] ", "a.[", "\n1", "12. a\n",
    "data:a/b;base64,", "data:image/png;base64," + "A" * 300 + " ", "<script>\n", "<h1>a</h1>\n", "<h1>", "    a\n",
    "    a\n\n", "***\n", "* ", "- - ", "_ ", "* * *\n\n", "a. März ", "---\n\n",
]  # fmt: skip
RST = [
    ".. ", "..\n", ".. a::\n", ".. a::\n\n   b\n\n", ".. _a:\n\n", ".. |a| b::\n", ".. [", "a\n==\n", "==\n", "===\n",
    "= = =\n", "=== ===\n", "=== ===\na b\n", "=== ===\n\n", "+-+\n", "+-+-+\n| a |\n", "+=+\n", "+-", ":a: b\n",
    ":a", ":", "-a ", "-a  b\n", "--a=b  c\n", "a\n b\n", "a\n\n b\n\n", "a::\n\n b\n\n",
    ".. list-table::\n   :header-rows: 1\n\n   * - a\n", "   * - a\n", ".. csv-table::\n", ">>> a\n", "| a\n",
    ".. a::\n\n" + "   b c\n" * 200, "#. a\n", " ", "\n", "\\:", ":\\",
]  # fmt: skip


def count(texts: Sequence[str]) -> list[int]:
    return [max(1, len(text) // 4) for text in texts]


def cut(text: str, kind: str) -> None:
    chunk(Document("d", text, media_type=kind), count)


def grown(unit: str, size: int) -> str:
    return unit * max(size // len(unit), 1)


@pytest.mark.parametrize(("units", "kind"), [(MARKDOWN, "text/markdown"), (RST, "text/x-rst")], ids=["Markdown", "RST"])
def test_units_of_markup_again_and_again(units: list[str], kind: str) -> None:
    for unit in units:
        grows_linearly(lambda size, unit=unit: cut(grown(unit, size), kind), 200)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text/markdown", "text/x-rst", "text/plain"])
def test_long_texts_of_one_unit_of_markup(kind: str) -> None:
    for unit in [*MARKDOWN, *RST]:
        grows_linearly(lambda size, unit=unit: cut(grown(unit, size), kind), 4_000)
        grows_linearly(lambda size, unit=unit: cut(f"x\n   {grown(unit, size)}\nx", kind), 4_000)


def test_what_nests_deep_is_cut() -> None:
    for text in (
        "<details>" * 2_000 + "</details>" * 2_000,
        "".join(" " * n + "- a\n" for n in range(300)),
        "".join(" " * n + ".. a::\n\n" for n in range(300)),
        "> " * 9_000,
        "::: a\n" * 2_000 + ":::\n" * 2_000,
        "".join("#" * (n % 6 + 1) + " a\n\n" for n in range(2_000)),
    ):
        for kind in ("text/markdown", "text/x-rst"):
            cut(text, kind)


def test_many_pages_and_headings_are_cut_in_time_that_grows_with_them() -> None:
    def pages(size: int) -> None:
        spans = tuple(Span(at, at + at % 3) for at in range(0, size, 3))
        headings = tuple(Heading(at, at % 5, "x") for at in range(0, size, 7))
        chunk(Document("d", "a b" * (size // 3), pages=spans, headings=headings), count)

    grows_linearly(pages, 600)
