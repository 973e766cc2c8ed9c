"""No text, whatever it holds, takes a reader, the chunker or the tokenizer of words more than time in proportion to it.

The texts are those of `hostile.py`. By default each goes through the doors at a small size; the wide sweep is slow.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingestion_material import Write, pdf_bytes

from hostile import HOSTILE, OF_CODE
from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.cutting import pieces as cutting
from knowledge_core.ingestion.cutting.chunking import chunk
from knowledge_core.ingestion.decoding import decode
from knowledge_core.ingestion.readers import Unreadable, inline_document, read_file
from knowledge_core.ingestion.walking.walker import Selecting, found_file
from knowledge_core.language.wording import spaceless, spans, spans_among, spellings, trigrams, words
from knowledge_core.retrieval.snippets import Match, flat, snippet
from linear import FLOOR, grows_linearly

TEXT = [".md", ".rst", ".txt", ".json", ".xml", ".csv", ".log", ""]
CODE = [".py", ".js", ".ts", ".tsx", ".go", ".rs", ".java", ".c", ".cpp", ".rb", ".cs", ".php", ".sh", ".kt"]


def count(texts: Sequence[str]) -> list[int]:
    return [max(1, len(text) // 4) for text in texts]


def read_and_cut(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        document = read_file(path, document_id="x", limit=10**9)
    except Unreadable:
        return
    chunk(document, count)


def told(text: str) -> None:
    """Go through all that looks at the words of a chunk or of a query."""
    words(text), trigrams(text), spellings(text), spaceless(text)
    found = spans(text)
    wanted = {token for token, _, _ in found[:3]}
    line = flat(text).text
    snippet(line, [Match(start, end, word) for word, start, end in spans_among(line, wanted)])


# What took more than that before, or lies nearest to it: one of each kind of fault, at every run.
_ONCE = [
    (".xml", "comments"), (".xml", "comments at the start"), ("", "comments"), (".html", "code nested"),
    (".html", "headings nested"), (".txt", "only !"), (".md", "mixed marks"), (".py", "comments at the start"),
    (".c", "arrows"), (".cs", "comparisons"), (".md", "front matter minutes"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "kind"), _ONCE)
def test_a_file_is_read_and_cut_in_time_that_grows_with_it(suffix: str, kind: str, tmp_path: Path) -> None:
    grows_linearly(lambda size: read_and_cut(tmp_path / f"x{suffix}", HOSTILE[kind](size)), 1_000)


def too_slow(path: Path, kinds: Iterable[str], length: int, *, times: int = 8, floor: float = FLOOR) -> list[str]:
    failures = []
    for kind in kinds:
        try:
            grows_linearly(
                lambda size, kind=kind: read_and_cut(path, HOSTILE[kind](size)), length, times=times, floor=floor
            )
        except AssertionError as error:
            failures.append(f"{kind}: {error}")
    return failures


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [*TEXT, ".html"])
def test_files_of_every_kind_are_read_and_cut_in_time_that_grows_with_them(suffix: str, tmp_path: Path) -> None:
    assert not too_slow(tmp_path / f"x{suffix}", HOSTILE, 3_000 if suffix == ".html" else 8_000)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", CODE)
def test_code_of_every_language_is_read_and_cut_in_time_that_grows_with_it(suffix: str, tmp_path: Path) -> None:
    # A text that is given up early on, and a longer one that is given up later, differ by more than their lengths do.
    assert not too_slow(tmp_path / f"x{suffix}", OF_CODE, 6_000, times=4, floor=0.15)


@pytest.mark.slow
def test_words_are_told_in_time_that_grows_with_the_text() -> None:
    for grown in HOSTILE.values():
        grows_linearly(lambda size, grown=grown: told(grown(size)), 250)


@pytest.mark.slow
def test_words_of_long_texts_are_told_in_time_that_grows_with_them() -> None:
    for grown in HOSTILE.values():
        grows_linearly(lambda size, grown=grown: told(grown(size)), 8_000)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252", "cp932", "gb18030", "koi8_r"])
def test_bytes_are_decoded_in_time_that_grows_with_them(encoding: str) -> None:
    for grown in HOSTILE.values():
        grows_linearly(lambda size, grown=grown: decode(b"\xe9" + grown(size).encode(encoding, "ignore")), 40_000)


@pytest.mark.parametrize("encoding", ["punycode", "idna", "unicode_escape", "undefined", "hex", "rot13"])
def test_what_is_no_encoding_of_files_is_not_believed(encoding: str) -> None:
    text = f"# coding: {encoding}\n" + "a" * 2_000 + "-" + "zz" * 2_000 + "\\n"
    began = time.process_time()
    assert decode(text.encode()) == text
    assert time.process_time() - began < 1


_DEEP = {
    ".json": lambda depth: '{"a":[' * depth + "]}" * depth,
    ".yaml": lambda depth: "".join(" " * n + "a:\n" for n in range(depth // 10)),
    ".md": lambda depth: "---\na: " + "[" * depth + "]" * depth + "\n---\n" + "> " * depth + "- " * depth + "x",
    ".html": lambda depth: "<p>x" + "<div>" * depth + "words" + "</div>" * depth,
    ".xml": lambda depth: "<!-- x -->" + "<a>" * depth + "words" + "</a>" * depth,
    ".py": lambda depth: "x = " + "(" * depth + "1" + ")" * depth + "\n" + "".join(
        " " * n + f"class A{n}:\n" for n in range(depth // 10)
    ),
    ".js": lambda depth: "if (a) {" * depth + "}" * depth,
    ".c": lambda depth: "#if A\n" * depth + "int a;\n" + "#endif\n" * depth,
    ".cpp": lambda depth: "namespace a {" * depth + "}" * depth,
    ".rst": lambda depth: "".join(f"a{n}\n{mark * 4}\n\n" for n in range(depth // 50) for mark in "=-~^*+#"),
}  # fmt: skip


@pytest.mark.parametrize("depth", [10_000, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", _DEEP)
def test_what_nests_deep_is_read_or_is_a_failure_of_its_own(suffix: str, depth: int, tmp_path: Path) -> None:
    read_and_cut(tmp_path / f"x{suffix}", _DEEP[suffix](depth))


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind.startswith("front matter")])
def test_front_matter_that_cannot_be_used_leaves_a_document(kind: str, write: Write) -> None:
    path = write("x.md", HOSTILE[kind](20_000).encode() + b"\nwords")
    document = read_file(path, document_id="x", limit=10**6)
    assert document.text.endswith("words")
    assert chunk(document, count)


@pytest.mark.parametrize("depth", [1, 50, 900])
def test_metadata_that_nests_is_refused(depth: int) -> None:
    value: list[object] = ["x"]
    for _ in range(depth):
        value = [value]
    with pytest.raises(InvalidInput, match="mixes kinds"):
        inline_document("x", "text", metadata={"a": value})


@pytest.mark.parametrize("pages", [1_000_000, 2**31 - 1])
def test_a_pdf_that_claims_more_pages_than_it_has_gives_those_it_has(pages: int, write: Write) -> None:
    data = pdf_bytes([["first page"], ["second page"]]).replace(b"/Count 2", b"/Count %d" % pages)
    document = read_file(write("a.pdf", data), document_id="x", limit=10**6)
    assert "first page" in document.text
    assert "second page" in document.text
    assert len(document.pages) < 10


@pytest.mark.slow
def test_pages_full_of_spaces_are_read_in_time_that_grows_with_them(write: Write) -> None:
    grows_linearly(
        lambda size: read_file(
            write("a.pdf", pdf_bytes([["a" + " " * 90 + "b"] * (size // 92)])), document_id="x", limit=10**8
        ),
        20_000,
    )


def test_a_name_of_many_letters_costs_a_walk_nothing(write: Write) -> None:
    assert found_file(write("a" * 240 + ".md"), Selecting(1000)).files


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet='.!?…؟।。！)"』」 \naJbD1', max_size=25)
    | st.lists(st.sampled_from(["Dr", "Fig", ".", "..", "! ", "a"])).map("".join),
    st.integers(0, 25),
    st.integers(0, 25),
)
def test_sentences_end_where_trying_every_mark_finds_their_ends(text: str, first: int, latest: int) -> None:
    tried = [found.end() for found in cutting._SENTENCE_HERE.finditer(text, first, latest)]
    assert cutting._places(cutting._SENTENCE, text, first, latest) == tried


_COMMENT = "<!-- a licence -->\n"


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (f"<?xml version='1.0'?>\n{_COMMENT * 40}<html><p>words", "html"),
        (f"{_COMMENT * 40}<!DOCTYPE  html><p>words", "html"),
        (f"<!--{'x' * 2000}--><HTML lang=en><p>words", "html"),
        (f"<!--{'x' * 2001}--><html><p>words", "text"),
        (f"{_COMMENT}words<html>", "text"),
        (f"{_COMMENT * 40}<htmlx>words</htmlx>", "text"),
        ("<!-- words <html>", "text"),
        ("<?xml words <html>", "text"),
    ],
)
def test_a_text_of_unknown_kind_is_a_page_if_its_first_tag_says_so(text: str, format: str, write: Write) -> None:
    assert read_file(write("unknown", text), document_id="x", limit=10**6).metadata["format"] == format
