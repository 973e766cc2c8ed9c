"""Bytes that were written as letters are told from words, in every text."""

from __future__ import annotations

import base64
import random

import pytest
from ingestion_material import Write

from knowledge_core.ingestion.cutting.payloads import payloads, without_payloads
from knowledge_core.ingestion.readers import read_file

BYTES = random.Random(5).randbytes(3000)
BASE64 = base64.b64encode(BYTES).decode()
TEXT_IN_BASE64 = base64.b64encode(b"Meet at the old mill at noon and bring cheese. " * 40).decode()


def wrapped(width: int, text: str = BASE64) -> str:
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


@pytest.mark.parametrize(
    "payload",
    [
        BASE64,
        TEXT_IN_BASE64,
        base64.urlsafe_b64encode(BYTES).decode(),
        BYTES.hex(),
        BYTES.hex().upper(),
        f"data:image/png;base64,{BASE64[:200]}",
        f"data:application/font-woff;charset=utf-8;base64,{BASE64}",
        "data:image/svg+xml,%3Csvg%20xmlns%3D" + "%22a%22" * 40,
        f"data:image/gif;base64,{'A' * 400}==",
        wrapped(76),
        wrapped(64),
    ],
)
def test_a_payload_is_found_whole_and_nothing_else(payload: str) -> None:
    for before, after in (("", ""), ("words ", " words"), ("![a](", ")"), ('x = "', '";'), ("url('", "')")):
        if "\n" in payload and before:
            before, after = "words\n\n", "\n\nwords"
        text = before + payload + after
        assert [text[span.start : span.end] for span in payloads(text)] == [payload]


@pytest.mark.parametrize(
    "text",
    [
        "data:image/gif;base64,R0lGODlhAQABAAAAACw=",
        f"data:image/png;base64,{BASE64[:190]} and more",
        "-" * 500,
        "=" * 500,
        "_-" * 300,
        "A" * 500,
        "ACGT" * 200,
        "0123456789" * 60,
        "CorrelationMatrixSpecification2TestThatDoesSomething" * 8,
        "/usr/share/doc/python3-foo/Examples/Test2/some_file_name" * 8,
        "the-long-slug-of-an-article-about-42-things-and-more" * 8,
        "\n".join(random.Random(n).randbytes(32).hex() for n in range(40)),
        "-".join(f"{n:08x}" for n in range(0, 10**9, 10**7)),
        "https://example.org/" + "a1b2/" * 80,
        "字" * 2000,
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3,
        "".join(f"function a{n}(b,c){{return b+c}};" for n in range(50)),
        "METHIONYLTHREONYLTHREONYLGLUTAMINYLARGINYL" * 20,
        "\n".join(["ThisIsTheNameOfAClassThatIsRatherLong2AndMore"] * 12),
    ],
)
def test_long_words_paths_rules_and_numbers_are_no_payloads(text: str) -> None:
    assert payloads(text) == []
    assert without_payloads(text) == text


def test_marks_stand_for_payloads_and_no_line_moves() -> None:
    text = f"a\n![b](data:image/png;base64,{BASE64})\nc\n{wrapped(76)}\nd {BYTES.hex()} e"
    shown = without_payloads(text)
    assert shown.split() == ["a", "![b]([image])", "c", "[data]", "d", "[data]", "e"]
    assert shown.count("\n") == text.count("\n")


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.rst"])
def test_notes_lose_their_payloads(write: Write, name: str) -> None:
    document = read_file(write(name, f"words {BASE64} words"), document_id=name, limit=10**6)
    assert document.text == "words [data] words"


@pytest.mark.parametrize("name", ["a.py", "a.css", "a.yaml"])
def test_the_text_of_code_and_settings_stays_the_files(write: Write, name: str) -> None:
    text = f"x: '{BASE64}'"
    assert read_file(write(name, text), document_id=name, limit=10**6).text == text


@pytest.mark.parametrize(
    "unit", ["A1b" * 85 + " ", "data:image/", "data:a/b;c=d;", "aB1" * 20 + "\n", "> ", "aB1" * 20 + "==\n\n"]
)
def test_texts_that_almost_hold_payloads_take_no_time(unit: str) -> None:
    assert len(payloads(unit * (200_000 // len(unit)))) <= 1
