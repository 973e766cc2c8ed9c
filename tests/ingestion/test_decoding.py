"""Bytes become text as declared, else as UTF-8, else by a good guess."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_core.ingestion.decoding import decode

GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren, im Geiste der Brüderlichkeit. Größe, Übung."
FRENCH = "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison."
SPANISH = "Todos los seres humanos nacen libres e iguales, dotados como están de razón y conciencia. Año, señor."
TURKISH = "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler."
CZECH = "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Příliš žluťoučký kůň."
RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах."
GREEK = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα."
JAPANESE = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다."
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "cp1252"), (FRENCH, "cp1252"), (SPANISH, "cp1252"), (TURKISH, "cp1254"), (CZECH, "cp1250"),
        (RUSSIAN, "cp1251"), (RUSSIAN, "koi8_r"), (GREEK, "cp1253"), (JAPANESE, "cp932"), (JAPANESE, "euc_jp"),
        (KOREAN, "cp949"), (CHINESE, "gb18030"), ("naïve café", "cp1252"), ("It’s a “test” – no more", "cp1252"),
    ],
)  # fmt: skip
def test_an_undeclared_encoding_is_found(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_is_read_with_and_without_a_mark(encoding: str) -> None:
    assert decode((GERMAN + RUSSIAN).encode(encoding)) == GERMAN + RUSSIAN
    assert decode(codecs.BOM_UTF16_BE + CHINESE.encode("utf-16-be")) == CHINESE


def test_a_declared_encoding_is_believed_unless_the_text_is_sound_utf_8() -> None:
    page = '<meta charset="{}"><p>' + RUSSIAN
    assert decode(page.format("koi8-r").encode("koi8_r")) == page.format("koi8-r")
    assert decode(page.format("iso-8859-1").encode()) == page.format("iso-8859-1")
    assert decode(b"# -*- coding: latin-1 -*-\n# caf\xe9") == "# -*- coding: latin-1 -*-\n# café"
    assert decode(b'<meta charset="no-such-thing">\xd0\x96') == '<meta charset="no-such-thing">Ж'
    japanese = '<meta charset="iso-2022-jp">' + JAPANESE
    assert decode(japanese.encode("iso2022_jp")) == japanese


def test_a_little_damage_does_not_make_utf_8_something_else() -> None:
    damaged = (RUSSIAN * 10).encode() + b"\xff" + RUSSIAN.encode()
    assert decode(damaged) == RUSSIAN * 10 + "\ufffd" + RUSSIAN


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"PK\x03\x04\x14\0\0\0", bytes(range(256)) * 4])
def test_bytes_that_are_no_text_are_none(data: bytes) -> None:
    assert decode(data) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_not_and_never_an_exception(data: bytes) -> None:
    assert decode(data) == decode(data)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_utf_8_comes_back_as_it_was(text: str) -> None:
    assert decode(text.encode()) == text.removeprefix("\ufeff")
