"""What belongs together in reStructuredText stays together."""

from __future__ import annotations

import pytest
from ingestion_material import checked_chunks, count_words

from knowledge_core.ingestion.cutting.chunking import left_out
from knowledge_core.types import Chunk, Document


def chunks(text: str, size: int = 40) -> list[Chunk]:
    return checked_chunks(Document("d", text, media_type="text/x-rst"), count_words, size)


def words(count: int, word: str = "wording") -> str:
    return " ".join([word] * count)


@pytest.mark.parametrize(
    "unit",
    [
        f".. note:: {words(4)}\n\n   {words(6)}\n\n   more\n",
        f".. code-block:: python\n   :linenos:\n\n   a = 1\n\n   b = '{words(6)}'\n",
        f"term\n    {words(6)}\n\n    more of it\n",
        f":field: {words(5)}\n    more of it\n\n    {words(3)}\n",
        f"- item\n\n  {words(6)}\n\n  - nested\n",
        f"#. item {words(6)}\n   goes on\n",
        f"-a, --all  {words(6)}\n           goes on\n",
        f".. [1] {words(5)}\n   goes on\n\n   {words(3)}\n",
        f">>> x = 1\n>>> {words(8)}\n",
    ],
)
def test_a_unit_is_not_torn_at_its_empty_lines(unit: str) -> None:
    found = chunks(f"Top\n===\n\n{words(30, 'paragraph')}.\n\n{words(3)}\n\n{unit}\n{words(30, 'paragraph')}.\n")
    assert any(unit.strip() in one.text for one in found)


def test_titles_have_lines_below_and_maybe_above_and_a_label_belongs_to_the_next() -> None:
    text = f"####\nBook\n####\n\n{words(30)}.\n\n.. _part:\n\nPart\n----\n\n{words(30)}.\n\nPart two\n--------\n\n{words(30)}.\n"
    found = chunks(text)
    assert [one.heading for one in found] == [("Book",), ("Book", "Part"), ("Book", "Part two")]
    assert found[1].text.startswith(".. _part:\n\nPart\n----")


@pytest.mark.parametrize("length", range(20, 60, 4))
def test_no_chunk_ends_in_a_title_or_a_lead_in(length: int) -> None:
    code = "    codeline\n" * 9
    text = f"A\n=\n\n{words(length)}.\n\nB\n-\n\nC\n~\n\n{words(length)}. So::\n\n{code}\nD\n-\n\n{words(20)}\n"
    for one in chunks(text.replace("\nA\n=\n", "\nAAA\n===\n").replace("\nB\n-\n", "\nBBB\n---\n"))[:-1]:
        assert not one.text.endswith(("---", "===", "~~~", ":"))


GRID = "+------+-------+\n| Name | Year  |\n|      | born  |\n+======+=======+\n" + (
    f"| {words(3)} | x |\n| {words(3)} | y |\n+------+-------+\n" * 8
)
SIMPLE = (
    "=====  ===========\nName   Year born\n=====  ===========\n" + f"x      {words(4)}\n" * 12 + "=====  ===========\n"
)
LIST = ".. list-table:: Caption\n   :header-rows: 1\n\n   * - Name\n     - Year born\n" + (
    f"   * - {words(4)}\n     - {words(4)}\n" * 8
)
CSV = '.. csv-table:: Caption\n   :header: "Name", "Year born"\n\n' + f'   "x", {words(5)}\n' * 10


@pytest.mark.parametrize("table", [GRID, SIMPLE, LIST, CSV])
def test_every_part_of_a_table_has_its_header(table: str) -> None:
    found = chunks(f"Top\n===\n\n{words(20)}.\n\n{table}\n{words(20)}.\n")
    parts = [one for one in found if one.heading != ("Top",)]
    assert len(parts) >= 2
    assert {one.heading for one in parts} == {("Top", "Name | Year born")}


def test_rows_of_several_lines_are_not_torn() -> None:
    for table, begins in ((GRID, "+"), (LIST, "* -")):
        parts = [one for one in chunks(table) if one.heading]
        assert parts
        assert all(one.text.startswith(begins) for one in parts)


def test_a_table_without_a_header_gives_none() -> None:
    plain = "=====  =====\n" + f"x      {words(4)}\n" * 20 + "=====  =====\n\n"
    grid = "+---+---+\n" + f"| a | {words(4)} |\n+---+---+\n" * 20
    assert {one.heading for text in (plain, grid) for one in chunks(text)} == {()}


def test_contents_and_comments_are_left_out() -> None:
    text = f"Top\n===\n\n.. contents::\n   :depth: 2\n\n{words(9)}\n\n.. a comment\n   goes on\n\n..\n\n   a quote\n"
    document = Document("d", text, media_type="text/x-rst")
    dropped = [text[span.start : span.end].strip() for span in left_out(document)]
    assert dropped == ["Top\n===", ".. contents::\n   :depth: 2", ".. a comment\n   goes on", ".."]
    assert chunks(text)[0].heading == ("Top",)


def test_the_body_of_a_long_directive_is_read_as_text() -> None:
    body = f"    {words(60)}.\n\n    It is used so::\n\n        a = 1\n\n        b = 2\n\n    - {words(30)}\n    - {words(30)}\n"
    found = chunks(f".. class:: Engine(name)\n   :module: x\n\n{body * 3}\n{words(30)}.\n")
    assert found[0].text.startswith(".. class:: Engine(name)\n   :module: x\n\n    wording")
    assert not any(one.text.endswith("::") for one in found)
    assert all(one.text.startswith("- wording") for one in found if "- wording" in one.text and "used" not in one.text)
