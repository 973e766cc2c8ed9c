"""How texts become words, in several languages and under abuse."""

from __future__ import annotations

import threading
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_core.language.wording import LONGEST, spans, spellings, terms, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Running dogs, RUNNING!", ["run", "dog", "run"]),
        ("don't stop", ["don", "t", "stop"]),
        ("set max_length to 2_048", ["set", "max_length", "max", "length", "to", "2_048", "048"]),
        ("getUserName", ["getusernam", "get", "user", "name"]),
        ("HTTPServer2 siRNAs", ["httpserver2", "http", "server", "sirna", "si", "rnas"]),
        ("__init__ _ __ x", ["init", "x"]),
        ("COVID-19, 3.14", ["covid-19", "covid", "19", "3.14", "3", "14"]),
        ("Straße STRASSE", ["strass", "strass"]),
        ("Größe über Café", ["grösse", "gross", "über", "uber", "café", "cafe"]),
        ("İstanbul", ["istanbul"]),
        ("東京都に行く", ["東京", "京都", "都に", "に行", "行く"]),
        ("猫 is a cat", ["猫", "is", "a", "cat"]),
        ("서울은", ["서울", "울은"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("ＡＢＣ ｶﾞｷ ﬁnd", ["abc", "ガキ", "find"]),
        ("in\u00adfor\u00admation", ["inform"]),
        ("مُحَمَّد محمد", ["محمد", "محمد"]),
        ("½ liter", ["1", "2", "liter"]),
        ("東京2024年 v2", ["東京", "2024", "年", "v2"]),
        ("", []),
        ("... !? \u0301 🙂", ["🙂"]),
    ],
)
def test_words_of(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["café Ångström", "がぎぐ", "한국어", "Việt Nam", "ไทยทำ"])
def test_composed_and_decomposed_texts_have_the_same_words(text: str) -> None:
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text)) != []


def test_a_word_is_found_whatever_its_case() -> None:
    assert words("README Readme readme") == ["readm"] * 3


def test_spans_say_where_in_the_text_a_word_stands() -> None:
    text = "Ein ﬁx für getUserName: 東京都。"
    assert [(token, text[start:end]) for token, start, end in spans(text)] == [
        ("ein", "Ein"),
        ("fix", "ﬁx"),
        ("für", "für"),
        ("fur", "für"),
        ("getusernam", "getUserName"),
        ("get", "getUserName"),
        ("user", "getUserName"),
        ("name", "getUserName"),
        ("東京", "東京"),
        ("京都", "京都"),
    ]


def test_spans_are_right_where_normalising_changes_the_length() -> None:
    text = "ｶﾞｷﾞ か\u3099く"
    assert [(token, text[start:end]) for token, start, end in spans(text)] == [("ガギ", "ｶﾞｷﾞ"), ("がく", "か\u3099く")]


@settings(deadline=None, max_examples=150)
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_has_clean_tokens_and_the_same_ones_with_spans(text: str) -> None:
    found = spans(text)
    assert [token for token, _, _ in found] == words(text)
    for token, start, end in found:
        assert 0 <= start < end <= len(text)
        assert 0 < len(token) <= LONGEST
        assert not any(character.isspace() for character in token)
    assert [start for _, start, _ in found] == sorted(start for _, start, _ in found)


def test_long_tokens_are_cut() -> None:
    assert words("a" * 100_000 + " end") == ["a" * LONGEST, "end"]
    assert max(map(len, words("ﷺ" * 100_000))) <= LONGEST


@pytest.mark.parametrize(
    "unit", ["a", "aB", "_", "_a", "東", "ｶﾞ", "e\u0301", "\u0301", "か\u3099", "a\u00ad", "\u0e33", "é東"]
)
def test_time_is_linear(unit: str) -> None:
    def seconds(count: int) -> float:
        text = unit * count
        begun = time.perf_counter()
        words(text)
        return time.perf_counter() - begun

    short = max(min(seconds(4_000) for _ in range(3)), 0.0002)
    assert min(seconds(32_000) for _ in range(3)) < 40 * short  # 8 times the text; were it quadratic, 64 times the time


def test_threads_do_not_disturb_each_other() -> None:
    texts = [f"running{i} dogs{i} nationally organised universities {i}" for i in range(400)]
    expected, results = [words(text) for text in texts], []
    threads = [threading.Thread(target=lambda: results.append([words(text) for text in texts])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


@given(st.text(max_size=200))
def test_one_pass_over_a_text_gives_its_words_and_the_trigrams_of_its_spellings(text):
    letters = [trigram for _, trigrams in spellings(text) for trigram in trigrams]
    assert terms(text) == (" ".join(words(text)), " ".join(letters))
