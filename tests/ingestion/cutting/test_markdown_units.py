"""What belongs together in Markdown stays together, and what is no text for people is in no chunk."""

from __future__ import annotations

import pytest
from ingestion_material import checked_chunks, count_words

from knowledge_core.ingestion.cutting.chunking import left_out
from knowledge_core.types import Chunk, Document


def chunks(text: str, size: int = 40) -> list[Chunk]:
    return checked_chunks(Document("d", text, media_type="text/markdown"), count_words, size)


def words(count: int, word: str = "wording") -> str:
    return " ".join([word] * count)


def whole(unit: str, size: int = 40) -> bool:
    """Say whether a unit, between paragraphs that leave no room for all of it, is in one chunk."""
    long = words(size * 3 // 4, "paragraph")
    found = chunks(f"# Top\n\n{long}.\n\n{words(3)}\n\n{unit}\n\n{long}.\n", size)
    return any(unit.strip() in one.text for one in found)


def dropped(text: str) -> list[str]:
    document = Document("d", text, media_type="text/markdown")
    return [text[span.start : span.end].strip() for span in left_out(document)]


ROW = "| name | born 1900 | {} |\n"
TABLE = "| *Name* | Year | `Note` |\n|---|:-:|--:|\n" + "".join(ROW.format(words(3)) for _ in range(12))
BARE = "Name | Year\n--- | ---\n" + "".join(f"name{n} | {words(4)}\n" for n in range(12))


def test_every_part_of_a_table_has_its_header_as_the_last_heading_and_the_first_part_has_it_in_its_text() -> None:
    first, *others = chunks(f"# Top\n\n{TABLE}\nAfter.\n")
    assert first.heading == ("Top",)
    assert "| *Name* | Year |" in first.text
    tables = [one for one in others if "born" in one.text]
    assert len(tables) > 1
    assert {one.heading for one in tables} == {("Top", "Name | Year | Note")}
    assert all(line.startswith("| name") and line.endswith("|") for one in tables for line in one.text.split("\n")
               if "After" not in line and line)  # fmt: skip


def test_a_table_without_outer_bars_is_known_by_its_second_line() -> None:
    found = chunks(f"Before.\n{BARE}")
    assert len(found) > 1
    assert {one.heading for one in found[1:]} == {("Name | Year",)}
    assert all(line.startswith("name") for one in found[1:] for line in one.text.split("\n"))


def test_lines_with_bars_are_no_table_without_that_line() -> None:
    assert {one.heading for one in chunks("a | b\n" + f"c | {words(5)}\n" * 20)} == {()}


def test_a_row_is_torn_only_if_it_alone_exceeds_a_chunk() -> None:
    rows = [f"| {words(24, f'r{n}')} |" for n in range(6)]
    found = chunks("| h |\n|---|\n" + "\n".join(rows), size=40)
    assert all(any(row in one.text for one in found) for row in rows)


def test_a_lead_in_goes_with_the_first_rows_of_its_table() -> None:
    found = chunks(f"{words(30)}.\n\nThe years are:\n\n{TABLE}")
    assert any(one.text.startswith("The years are:\n\n| *Name*") for one in found)
    assert {one.heading for one in found if "*Name*" not in one.text and "born" in one.text} == {
        ("Name | Year | Note",)
    }


def test_a_table_that_would_fit_is_cut_between_rows_rather_than_parted_from_its_lead_in() -> None:
    rows = f"| {words(1)} | {words(1)} {'x' * 30} |\n" * 5
    found = chunks(f"{words(30)}.\n\nThe years in question are as follows:\n\n| Name | Year |\n|---|---|\n{rows}")
    assert not any(one.text.endswith(":") for one in found)
    assert found[-1].heading == ("Name | Year",)


def test_an_html_table_is_cut_between_rows_and_its_head_goes_along() -> None:
    rows = "".join(f"<tr>\n<td>{words(6)}</td>\n<td>end{n}</td>\n</tr>\n" for n in range(8))
    found = chunks(f"Before.\n\n<table>\n<tr><th>Name</th><th> <b>Year</b></th></tr>\n{rows}</table>\n\nAfter.")
    parts = [one for one in found if "<tr>" in one.text and "<th>" not in one.text]
    assert len(parts) > 1
    assert {one.heading for one in parts} == {("Name | Year",)}
    assert all(one.text.startswith("<tr>") for one in parts)


@pytest.mark.parametrize(
    "unit",
    [
        f"- first\n\n  {words(6)}\n\n  more of it\n",
        f"1. first\n   - nested\n   - {words(8)}\n",
        "- item\n\n  ```sh\n  # no heading\n\n  run\n  ```\n",
        f"!!! note \"Title\"\n\n    {words(8)}\n\n    more\n",
        f"??? tip\n    {words(8)}\n",
        f"=== \"Tab\"\n\n    {words(8)}\n\n    ```\n    code\n    ```\n",
        f"> [!NOTE]\n> {words(6)}\n> - item\n",
        f"> {words(6)}\n> | a | b |\n",
        f":::note\n\n{words(6)}\n\n{words(3)}\n\n:::\n",
        f"<details>\n<summary>More</summary>\n\n{words(6)}\n\n{words(3)}\n\n</details>\n",
        f"<table>\n\n<tr><td>{words(4)}</td></tr>\n\n</table>\n",
        f"Term\n: {words(6)}\n: other meaning\n\n    more of it\n",
        f"Term\n\n:   {words(6)}\n",
        f"    code\n\n    {words(6)}\n",
    ],
)  # fmt: skip
def test_a_unit_is_not_torn_at_its_empty_lines(unit: str) -> None:
    assert whole(unit)


def test_items_are_cut_between_items_and_inner_items_before_anything_else() -> None:
    inner = [f"  - inner{n} {words(7)}\n    and {words(5)}" for n in range(6)]
    found = chunks("- outer\n" + "\n".join(inner) + "\n- last", size=40)
    assert all(any(item.strip() in one.text for one in found) for item in inner)


def test_headings_in_a_container_stay_headings() -> None:
    text = (
        f"{words(9)}\n\n<details>\n\n## Inside\n\n{words(9)}\n\n</details>\n\n::: x\n\n## Second\n\n{words(9)}\n\n:::\n"
    )
    assert {one.heading for one in chunks(text, 24)} >= {("Inside",), ("Second",)}


def test_a_container_that_is_never_closed_takes_nothing_in() -> None:
    text = f"{words(9)}\n\n<details>\n\n:::note\n\n## A\n\n{words(9)}\n\n<table>\n\n## B\n\n{words(9)}\n"
    assert [one.heading for one in chunks(text, 24)][-2:] == [("A",), ("B",)]


@pytest.mark.parametrize("first", ["---", "===", "-- "])
def test_a_fence_that_begins_with_dashes_is_no_heading(first: str) -> None:
    found = chunks(f"```yaml\n{first}\ntitle: x\n---\n# no\n```\n\nwords\n")
    assert {one.heading for one in found} == {()}


def test_settings_between_dashes_within_a_text_are_no_heading() -> None:
    found = chunks(f"# One\n\n{words(9)}\n\n---\nlayout: center\nclass: x\n---\n\n# Two\n\n{words(9)}\n", 24)
    assert {one.heading for one in found} == {("One",), ("Two",)}


def test_a_heading_in_html_on_one_line_is_a_heading() -> None:
    assert chunks('<h1 align="center"><b>Name</b></h1>\n\nwords')[0].heading == ("Name",)
    assert chunks('<h1 align="center"><img src=x></h1>\n\nwords')[0].heading == ()


def test_imports_exports_and_comments_of_mdx_are_left_out() -> None:
    text = (
        "import Tabs from '@theme/Tabs';\nimport {A, B} from \"x\"\n\nexport const a = [\n  1,\n]\n\n# Title\n\n"
        "{/* a comment\n\n# no */}\n\nwords of the text\n"
    )
    found = chunks(text)
    assert [one.text for one in found if one.heading] == ["words of the text"]
    assert found[-1].heading == ("Title",)
    assert dropped(text) == [
        "import Tabs from '@theme/Tabs';\nimport {A, B} from \"x\"", "export const a = [\n  1,\n]", "# Title",
        "{/* a comment\n\n# no */}",
    ]  # fmt: skip


def test_sentences_that_begin_like_modules_are_text() -> None:
    text = "import duties from China rose.\n\nexport default settings are kept.\n\nimport 'that' said he\n\n{/* open\n\nend"
    assert dropped(text) == []
    assert len(chunks(text)) == 1


def test_scripts_are_left_out() -> None:
    text = "words\n\nmore\n\n<script>\nlet a\n\nlet b\n</script>\n\n```python\nx = 1\n```\n"
    assert dropped(text) == ["<script>\nlet a\n\nlet b\n</script>"]
    assert [one.text for one in chunks(text)] == ["words\n\nmore", "```python\nx = 1\n```"]


def test_a_note_of_front_matter_alone_is_found_by_it() -> None:
    assert [one.text for one in chunks("---\ntitle: x\ntags: [a]\n---\n")] == ["---\ntitle: x\ntags: [a]\n---"]
