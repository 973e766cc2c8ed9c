"""A document is called what its author called it: not after its first section, and not after its file's suffix."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingestion_material import Write, pdf_bytes

from knowledge_core.ingestion.readers import inline_document, read_file
from knowledge_core.ingestion.reading.notes.titles import rst_title


def title(path: Path) -> str:
    return read_file(path, document_id=f"notes/{path.name}", limit=1_000_000).title


@pytest.mark.parametrize(
    "text",
    [
        "# The *real* [one](a.html)\n\n## Section\n",
        "The *real* one\n===\n\ntext",
        "---\ntags: x\n---\n\n# The real one #\n",
        "\n<!-- a comment\n# in lines -->\n# The real one {#anchor}\n",
        "[![build](https://x/b.svg)](https://x) ![logo](a.png)\n<img src='x'>\n\n# The real `one`\n",
        "<p align=center>\n  <h1>The <b>real</b> one</h1>\n</p>\n\ntext",
        "#daily #log\nmood:: fine\n\n# The real one\n",
        "import A from './a'\n\n# The real one\n",
        "# ![](logo.png)\n\n# The real one\n",
        "---\ntitle: The real one\n---\n# Another\n",
        '---\nTitle: "The real one"\n---\n',
        "---\ntitle: '[[Home|The real one]]'\n---\nwords",
        "---\ntitle: {{title}}\n---\n# The real one\n",
        "+++\ntitle = 'The real one'\n+++\nwords",
        '{"title": "The real one"}\n\nwords',
        "Title: The real one\nDate: 2024-05-12\n\nwords",
        "title:: The real one\n- a block",
        "title: The real one\n\nwords",
        "% The real one\n% Ann\n\n# Another",
        "**English** | [Español](README.es.md)\n- - -\n\n# The real one\n",
        "[:octicons-file-code-24:][_caret]{: .source-link }\n\n# The real one\n",
        "(label)=\n# The real one\n",
        '<p align="center">\n<img src="a.svg">\n</p>\n<div align="center">\n<em>A shining\nline</em>\n</div>\n\n# The real one\n',
        '<div align="center">\n\n<h1>The real one</h1>\n<p>more</p></div>\n\n# Another\n',
    ],
)
def test_a_note_is_called_as_its_front_matter_says_else_after_the_heading_it_begins_with(
    write: Write, text: str
) -> None:
    assert title(write("note.md", text)) == "The real one"
    assert inline_document("note", text).title == "The real one"


@pytest.mark.parametrize(
    "text",
    [
        "## Grateful for\n\n- rain\n",
        "Some words first.\n\n# Grateful for\n",
        "```\n# a comment\n```\n\n# Grateful for\n",
        "- a list\n\n# Grateful for\n",
        "> # Grateful for\n",
        "#\n\nno words in the heading\n\n# Grateful for\n",
        "---\ntitle:\n---\nwords",
        "# <% tp.file.title %>\n\n## Grateful for\n",
        "Grateful for\n---\n\nwords",
    ],
)
def test_a_note_is_never_called_after_a_section(write: Write, text: str) -> None:
    assert title(write("2024-05-12.md", text)) == "2024-05-12"
    assert inline_document("note", text).title == ""


@pytest.mark.parametrize(
    ("written", "shown"),
    [("1984", "1984"), ("2024-05-12", "2024-05-12"), ("true", "true"), ("1.10", "1.10"), ("007", "007"), ("NO", "NO"),
     ("C: a language", "C: a language"), ("[one, two]", "one"), ("'#1: \"x\"'", '#1: "x"'), (">\n  two\n  lines", "two lines")],
)  # fmt: skip
def test_a_title_is_the_text_that_was_written(write: Write, written: str, shown: str) -> None:
    assert title(write("note.md", f"---\ntitle: {written}\n---\nwords")) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Meeting notes.md", "Meeting notes"), ("page.HTML", "page"), ("letter.txt", "letter"), ("manual.rst", "manual"),
        ("plan.excalidraw.md", "plan"), ("v1.2.md", "v1.2"), ("v1.2", "v1.2"), ("README", "README"), (".md", ".md"),
        ("tool.py", "tool.py"), ("settings.yaml", "settings.yaml"), ("rows.csv", "rows.csv"), ("data.json", "data.json"),
    ],
)  # fmt: skip
def test_a_name_as_title_keeps_a_suffix_only_where_it_tells_something(write: Write, name: str, shown: str) -> None:
    assert title(write(name, '{"a": 1}' if name.endswith("json") else "some words\n")) == shown


def test_a_pdf_without_a_title_is_called_like_its_file_without_the_suffix(write: Write) -> None:
    assert title(write("paper.pdf", pdf_bytes([["text"]]))) == "paper"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Title\n=====\n\nSection\n-------\n", "Title"),
        ("=====\nTitle\n=====\n", "Title"),
        (
            ".. _label:\n\n.. comment\n   goes on\n\n:orphan:\n\nThe :mod:`json` *x*\n==================\n",
            "The json *x*",
        ),
        (".. title: Post of Nikola\n.. slug: post\n\nwords", "Post of Nikola"),
        (".. module:: a\n   :synopsis: b\n\n***\nTwo `words <target>`_\n***\n", "Two words"),
        ("words first\n\nTitle\n=====\n", ""),
        ("Title\nnot below\n=====\n", ""),
        ("====\n\n====", ""),
        ("", ""),
    ],
)
def test_a_restructured_text_is_called_after_the_title_it_begins_with(text: str, expected: str) -> None:
    assert rst_title(text) == expected
