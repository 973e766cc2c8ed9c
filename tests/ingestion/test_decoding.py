"""Bytes become text as declared, else as UTF-8, else by a good guess."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_core.ingestion.decoding import decode, decode_as
from knowledge_core.ingestion.readers import read_file

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


@pytest.mark.parametrize("text", ["ein Würfel für dich", "naïve", RUSSIAN, JAPANESE])
def test_a_stray_byte_or_a_cut_last_character_leaves_utf_8_what_it_is(text: str) -> None:
    assert decode((text + "ß").encode()[:-1]) == text + "\ufffd"
    assert decode((text + "日").encode()[:-1]) == text + "\ufffd"
    if sum(character > "\x7f" for character in text) > 1:
        assert decode(b"a \xe9 " + text.encode()) == "a \ufffd " + text


def test_utf_16_without_a_mark_may_be_cut_in_a_character() -> None:
    assert decode(GERMAN.encode("utf-16-le") + b"x") == GERMAN


@pytest.mark.parametrize(
    "codec", ["unicode_escape", "raw_unicode_escape", "utf-7", "hex", "rot13", "uu", "mbcs", "oem", "punycode", "idna", "zlib",
              "bz2", "base64", "undefined", "utf-16", "utf-32", "cp037", "hz", "quopri"]
)  # fmt: skip
def test_only_encodings_of_files_are_believed_even_in_a_declaration(codec: str) -> None:
    for declared in (
        f'<?xml version="1.0" encoding="{codec}"?>',
        f"# -*- coding: {codec} -*-",
        f'<meta charset="{codec}">',
    ):
        text = declared + "\n\\u0041 +AGE- 61 a=3D ~{<:Ky~}"
        assert decode(text.encode()) == text
        assert decode((text + RUSSIAN).encode()) == text + RUSSIAN


@pytest.mark.parametrize(
    "text",
    [
        'df = pd.read_csv("sales.csv", encoding="koi8-r")\nprint("{}")',
        "set encoding: koi8-r for {}",
        "1\n2\n# coding: koi8-r\n{}",
        "charset=koi8-r: {}",
        'Content: <?xml version="1.0" encoding="koi8-r"?> {}',
    ],
)
def test_a_text_that_speaks_of_an_encoding_declares_none(text: str) -> None:
    text = text.format(GERMAN)
    assert decode(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    "text",
    [
        "\n<?xml version=\"1.0\" encoding='koi8-r' ?><a>{}</a>",
        '<p>x<meta http-equiv="Content-Type" content="text/html; charset=KOI8-R">{}',
        "#!/usr/bin/python\n# -*- coding: koi8-r -*-\n# {}",
        "#!/usr/bin/python\n# coding=koi8-r\n# {}",
        "/* -*- mode: c; coding: koi8-r -*- */\n// {}",
        "{}\n# vim: set ts=4 fileencoding=koi8-r :\n",
        '@charset "koi8-r";\n/* {} */',
    ],
)
def test_a_declaration_is_believed_wherever_a_format_has_it(text: str) -> None:
    text = text.format("Да")  # too little to guess from
    assert decode(text.encode("koi8_r")) == text


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("iso-8859-1", "cp1252", "It’s"), ("gb2312", "gb18030", CHINESE), ("ks_c_5601-1987", "cp949", KOREAN),
        ("x-sjis", "cp932", JAPANESE), ("us-ascii", "utf-8", GERMAN), ("utf-8", "cp1252", GERMAN),
        ("unknown-8bit", "cp1252", GERMAN), ("", "utf-8", RUSSIAN), ("iso-2022-jp", "iso2022_jp", JAPANESE),
        ("windows-1251", "utf-8", RUSSIAN), ("utf-8", "utf-8-sig", GERMAN), ("utf-16", "utf-16", GERMAN),
    ],
)  # fmt: skip
def test_an_encoding_said_elsewhere_is_believed_unless_the_bytes_contradict_it(
    label: str, codec: str, text: str
) -> None:
    assert decode_as(text.encode(codec), label) == text


@pytest.mark.parametrize("name", ["note.txt", "note.md", "note"])
def test_a_note_that_speaks_of_the_first_bytes_of_a_pdf_is_a_note(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("# How files begin\n\nA PDF begins with %PDF-1.7 and a mark.\n")
    document = read_file(path, document_id=name, limit=10_000)
    assert document.text == path.read_text()
    assert document.metadata["format"] != "pdf"


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"PK\x03\x04\x14\0\0\0", bytes(range(256)) * 4])
def test_bytes_that_are_no_text_are_none(data: bytes) -> None:
    assert decode(data) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_not_and_never_an_exception(data: bytes) -> None:
    assert decode(data) == decode(data)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_utf_8_comes_back_as_it_was(text: str) -> None:
    assert decode(text.encode()) == text.removeprefix("\ufeff")
