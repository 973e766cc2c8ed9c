"""Front matter is metadata with the values that people wrote, whatever YAML of an older day makes of them."""

from __future__ import annotations

import time

import pytest
from ingestion_material import Write

from knowledge_core.ingestion.front_matter import front_matter
from knowledge_core.ingestion.readers import read_file


def fields(block: str) -> dict[str, object]:
    return front_matter(f"---\n{block}\n---\nwords")[0]


@pytest.mark.parametrize(
    "text",
    [
        "01234",
        "NO",
        "yes",
        "on",
        "12:30",
        "190:20:30",
        "1_000",
        "2024-05-12",
        "2024-05-12T10:00:00Z",
        "2001-12-14 21:59:43.10 -5",
        "1.2.3",
        "0b101",
        "=",
        "<<",
        ".inf",
        "1e999",
        "e5",
        "+",
        "2026-13-45",
    ],
)
def test_what_is_no_value_of_yaml_1_2_stays_the_text_that_was_written(text: str) -> None:
    assert fields(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("-7", -7), ("+7", 7), ("0", 0), ("0o14", 12), ("0xFF", 255), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0),
     ("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None), ("'7'", "7"), ('"true"', "true"),
     ("[1, 01, a]", [1, "01", "a"]), ("{b: [1]}", {"b": [1]}), ("|\n  7", "7\n")],
)  # fmt: skip
def test_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert fields(f"a: {text}") == {"a": value}
    assert type(fields(f"a: {text}")["a"]) is type(value)


def test_names_tags_and_aliases_are_texts_as_they_were_written() -> None:
    assert fields("yes: 1\n2024: 2\ntags: [2024, 007]\nalias: 1984") == {
        "yes": 1,
        "2024": 2,
        "tags": ["2024", "007"],
        "alias": "1984",
    }


def test_where_the_yaml_fails_the_lines_that_read_key_and_value_still_count() -> None:
    block = (
        "title: Ropes: a guide\nauthor: @ann\n# comment\ntags:\n  - a\n- 'b'\nlist: [x, \"y\"]\n"
        "up: [[Home]], [[Work]]\nyear: 2024\nnote: one\n  two"
    )
    assert fields(block) == {
        "title": "Ropes: a guide", "author": "@ann", "tags": ["a", "b"], "list": ["x", "y"], "up": "[[Home]], [[Work]]",
        "year": 2024, "note": "one two",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("a: [unclosed", {"a": "[unclosed"}),
        ("a: !!python/object/apply:os.getcwd []", {"a": "!!python/object/apply:os.getcwd []"}),
        ("a: &a [x, x]\nb: [*a, *a]", {"a": "&a [x, x]", "b": ["*a", "*a"]}),
        ("title: {{title}}\ndate: {{date}}", {"title": "{{title}}", "date": "{{date}}"}),
        ("? [a]\n: b\nc: d", {}),
    ],
)
def test_what_is_not_followed_in_yaml_is_read_as_lines_of_text(block: str, expected: dict[str, object]) -> None:
    assert fields(block) == expected


def test_what_nests_too_deep_or_is_too_long_takes_no_time() -> None:
    began = time.process_time()
    for block in (
        "a: " + "[" * 30_000,
        "a: " + "9" * 60_000,
        "- " * 30_000,
        "a:\n" + "- x\n" * 15_000 + "b: [",
        "a: " + "{b: " * 9_000,
    ):
        assert len(str(fields(block))) < 70_000
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        "---\njust words\n---\n",
        "---\n- a\n- b\n---\n",
        "---\nno end: x\n",
        "---\n**Note**: we moved: see\nthe other page\n---\n",
        "+++\nwords\n+++\n",
        "{% include x %}\n\nwords",
        '{"a": 1}\n',
        "Re: your letter\n\nwords",
        "Titled: a line\n\nwords",
    ],
)
def test_a_text_between_rules_or_that_begins_with_a_brace_is_no_front_matter(text: str) -> None:
    assert front_matter(text) == ({}, 0)


@pytest.mark.parametrize("text", ["---\n---\nwords", "---\n# nothing\n\n---\nwords"])
def test_an_empty_block_is_front_matter_that_says_nothing(text: str) -> None:
    assert front_matter(text) == ({}, text.index("words"))


@pytest.mark.parametrize(
    "head",
    [
        "---\ntitle: T\ndate: 2024-05-12\ntags: [a]\n...\n",
        "+++\ntitle = 'T'\ndate = 2024-05-12\ntags = ['a']\n+++\n",
        "+++\ntitle = 'T'\ndate = 2024-05-12\ntags = ['a']\nbroken = = \n+++\n",
        ';;;\n"title": "T", "date": "2024-05-12", "tags": ["a"]\n;;;\n',
        '{\n"title": "T", "date": "2024-05-12",\n"tags": ["a"]}\n\n',
    ],
)
def test_toml_and_json_are_front_matter_too(write: Write, head: str) -> None:
    document = read_file(write("a.md", f"{head}words"), document_id="a.md", limit=10**6)
    assert front_matter(document.text)[1] == len(head)
    assert document.title == "T"
    assert document.metadata["date"] == "2024-05-12"
    assert document.metadata["tags"] == ["a"]


def test_front_matter_stays_in_the_text_so_that_lines_are_the_files(write: Write) -> None:
    text = "---\nup: '[[Home]]'\n---\nSee [[Home]]."
    document = read_file(write("a.md", text), document_id="a.md", limit=10**6)
    assert document.text == "---\nup: '[[Home]]'\n---\nSee Home."
    assert document.metadata == {"format": "markdown", "links": ["Home"], "up": "Home"}
