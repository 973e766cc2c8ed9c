"""The words of a drawing, and nothing of how it is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingestion_material import Write

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Document

SPACE = 'xmlns="http://www.w3.org/2000/svg"'


def read(path: Path) -> Document:
    return read_file(path, document_id=path.name, limit=10_000_000)


def test_title_description_and_labels_are_read_in_their_order(write: Write) -> None:
    drawing = f"""<?xml version="1.0" encoding="ISO-8859-1"?>
    <svg {SPACE} xmlns:dc="http://purl.org/dc/elements/1.1/"><title>Plan of the house</title><desc>Two floors</desc>
    <metadata><dc:creator>Ann</dc:creator><dc:date>2026-01-31</dc:date><dc:format>image/svg+xml</dc:format></metadata>
    <style>.never {{ fill: red }}</style><script>never()</script><path d="M0 0 L 10 10"/>
    <g><title>Kitchen</title><text x="1" y="1">Grüße <tspan font-weight="bold">an</tspan> alle</text></g>
    <text><tspan x="1" y="2">first line</tspan><tspan x="1" dy="1.2em">second line</tspan></text>
    <text y="5"><tspan x="1">W</tspan><tspan x="2">a</tspan><tspan x="3">y</tspan></text>
    <text>twice</text><text>twice</text>
    <foreignObject><div xmlns="http://www.w3.org/1999/xhtml">Hyper<br/>text</div></foreignObject></svg>"""
    document = read(write("plan.svg", drawing))
    assert document.text == (
        "# Plan of the house\n\n- Two floors\n- Kitchen\n- Grüße an alle\n- first line second line\n- Way\n- twice\n- Hyper text"
    )
    assert document.title == "Plan of the house"
    assert document.metadata == {"format": "svg", "author": "Ann", "date": "2026-01-31"}


def test_a_drawing_without_words_is_empty_and_what_is_no_drawing_is_damaged(write: Write) -> None:
    for name, content, reason in (
        ("a.svg", f'<svg {SPACE}><path d="M0 0"/></svg>', "empty"),
        ("b.svg", "words", "damaged"),
    ):
        with pytest.raises(Unreadable) as caught:
            read(write(name, content))
        assert caught.value.reason == reason


def test_entities_are_not_resolved_and_names_of_other_spaces_count(write: Write) -> None:
    drawing = (
        '<!DOCTYPE svg [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
        "<s:svg xmlns:s='http://www.w3.org/2000/svg'><s:text>before &b;&c; after</s:text></s:svg>"
    )
    assert read(write("a.svg", drawing)).text == "- before after"
