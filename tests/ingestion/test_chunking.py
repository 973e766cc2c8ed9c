"""A document becomes chunks along its structure; the rules for all chunks are in `checked_chunks`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import pytest
from ingestion_material import checked_chunks, count_characters, count_words

from knowledge_core.types import Chunk, Document


def chunks(text: str, media_type: str = "text/markdown", size: int = 40, title: str = "") -> list[Chunk]:
    return checked_chunks(Document("d", text, title=title, media_type=media_type), count_words, size)


def code(text: str, language: str, size: int = 40) -> list[Chunk]:
    return chunks(textwrap.dedent(text).lstrip("\n"), f"text/x-{language}", size)


def words(count: int, word: str = "wo") -> str:
    return " ".join([word] * count)


def headings(found: Sequence[Chunk]) -> list[tuple[str, ...]]:
    return [one.heading for one in found]


def test_each_markdown_section_is_a_chunk_under_its_heading_path() -> None:
    text = f"# Top\n{words(9)}\n\n## First *one*\n{words(9)}\n\n### Deep\n{words(9)}\n\nSecond\n------\n{words(9)}\n"
    assert headings(chunks(text)) == [("Top",), ("Top", "First one"), ("Top", "First one", "Deep"), ("Top", "Second")]


def test_a_hash_in_a_fence_a_comment_or_front_matter_is_no_heading() -> None:
    text = f"---\ntitle: x\n# no\n---\n\n# Yes\n\n```sh\n# no\n```\n<!--\n# no\n-->\n{words(9)}\n~~~\n## no\n"
    assert headings(chunks(text, size=200)) == [()] or set(headings(chunks(text))) <= {(), ("Yes",)}
    assert all("no" not in one.heading for one in chunks(text, size=8))


def test_a_fence_is_kept_together_where_it_fits() -> None:
    fence = "```\n" + "\n\n".join(["a b c"] * 8) + "\n```"
    found = chunks(f"{words(20)}\n\n{words(20)}\n\n{fence}\n\n{words(30)}", size=30)
    assert any(fence in one.text for one in found)


def test_tiny_sections_join_the_next_of_the_same_parent_under_what_they_share() -> None:
    text = f"# Top\n\n## A\na\n\n## B\nb\n\n## C\n{words(20)}\n\n## D\n{words(20)}\n\n# Other\n{words(20)}\n"
    found = chunks(text, size=72)
    assert [(one.heading, one.text.split()[-1]) for one in found] == [
        (("Top",), "b"),
        (("Top", "C"), "wo"),
        (("Top", "D"), "wo"),
        (("Other",), "wo"),
    ]


def test_a_tiny_last_section_joins_what_is_before_it() -> None:
    assert headings(chunks(f"# Top\n{words(20)}\n\n## End\nend\n\n# Other\n{words(20)}", size=40)) == [
        ("Top",),
        ("Other",),
    ]


def test_long_paragraphs_are_cut_at_sentence_ends_into_even_parts() -> None:
    sentence = f"Begin {words(7)} end. "
    found = chunks(sentence * 10, size=40)
    assert [one.text.count("end.") for one in found] in ([4, 3, 3], [3, 4, 3], [3, 3, 4])
    assert all(one.text.endswith("end.") for one in found)


@pytest.mark.parametrize("end", ["。", "！", "？", "؟ ", "। ", "! ", "… ", ".” "])
def test_sentences_of_every_script_have_an_end(end: str) -> None:
    text = ("字" * 18 + end) * 6
    document = Document("d", text, media_type="text/plain")
    assert all(one.text.endswith(end.strip()) for one in checked_chunks(document, count_characters, 50))


def test_initials_numbers_and_abbreviations_end_no_sentence() -> None:
    text = f"{words(7)} J. Smith met Dr. Jones, e.g. here, cf. there. Then {words(17)}"
    assert chunks(text, "text/plain", size=24)[0].text.endswith("there.")


def test_a_text_without_any_border_is_cut_anywhere_but_not_inside_a_letter() -> None:
    document = Document("d", "e\u0301" * 100, media_type="text/plain")
    assert all(one.text[0] == "e" for one in checked_chunks(document, count_characters, 9))


def test_a_long_word_that_the_model_takes_for_one_token_is_cut_all_the_same() -> None:
    found = chunks("x" * 100_000, "text/plain", size=400)
    assert max(len(one.text) for one in found) <= 400 * 8


def test_the_title_takes_room_but_at_most_a_quarter() -> None:
    text = f"# {words(6, 'heading')}\n\n{words(300)}"
    longest = [
        max(count_words([one.text])[0] for one in chunks(text, title=title)) for title in ("", words(99, "title"))
    ]
    assert longest[0] <= 40 - 6
    assert 15 < longest[1] <= 30


def test_lines_are_the_units_of_tables_and_records() -> None:
    text = "".join(f"{number},some cell,{words(3)}\n" for number in range(50))
    for one in chunks(text, "text/csv", size=40):
        assert all(line.count(",") == 2 for line in one.text.split("\n"))


def test_restructured_text_has_headings_by_underlines_in_order_of_appearance() -> None:
    body = f"\n\n{words(9)}\n\n"
    text = f"====\nBook\n===={body}Part\n----{body}Piece\n~~~~~{body}Next\n----{body}"
    expected = [("Book",), ("Book", "Part"), ("Book", "Part", "Piece"), ("Book", "Next")]
    assert headings(chunks(text, "text/x-rst")) == expected


PYTHON = '''
"""Say what this is."""
import os

# Turns things.
@decorated
class Engine:
    """Hold it."""

    size = 1

    def small(self): return 1

    # Above the method.
    @property
    def search(self, query):
        """Look for it, with a text long enough to need a chunk of its own, really."""
        return [one for one in self.all if one]

    class Inner:
        def deep(self):
            return "words and more words, so that this is not tiny at all"

def after(): return "a function that has enough words to be on its own here"
'''


def test_code_is_cut_into_definitions_with_what_stands_above_them() -> None:
    found = code(PYTHON, "python", size=26)
    by_heading = {one.heading: one.text for one in reversed(found)}
    assert by_heading["class Engine", "def search"].startswith("# Above the method.\n    @property\n    def search")
    assert by_heading["class Engine",].startswith("# Turns things.\n@decorated\nclass Engine:")
    assert ("class Engine", "class Inner") in by_heading
    assert by_heading["def after",].startswith("def after()")


def test_a_class_that_fits_is_one_chunk() -> None:
    found = [one for one in code(PYTHON, "python", size=100) if "class Engine" in one.text]
    assert len(found) == 1
    assert "class Inner" in found[0].text


def test_byte_offsets_of_the_parser_become_character_offsets() -> None:
    source = f'# ключ\nключ = "{words(12, "значение")}"\n\ndef функция():\n    return "{words(12, "ответ")}"\n'
    assert [(one.heading, one.text.split()[0]) for one in code(source, "python", 22)] == [
        ((), "#"),
        (("def функция",), "def"),
    ]


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("javascript", "export class A { m() { W } }\nconst f = () => { W };", {("class A", "method m"), ("const f",)}),
        ("typescript", "interface I { a: W }\nnamespace N { export function f() { W } }",
         {("interface I",), ("namespace N", "function f")}),
        ("tsx", "export default function App() { return <p>W</p>; }", {("function App",)}),
        ("go", "type E struct { W }\n// Run.\nfunc (e *E) Run() { W }", {("type E",), ("func (e *E) Run",)}),
        ("rust", "/// D\n#[a]\nstruct P { W }\nimpl T for P { fn f() { W } }", {("struct P",), ("impl T for P", "fn f")}),
        ("java", "class X { @O String s() { W } enum E { W } }", {("class X", "method s"), ("class X", "enum E")}),
        ("c", "#ifdef A\nstatic int *f(int x) { W }\n#endif\nstruct s { W };", {("function f",), ("struct s",)}),
        ("cpp", "namespace n { template <class T> class F { int g() { W } }; }\nint F::h() { W }",
         {("namespace n", "class F", "function g"), ("function F::h",)}),
        ("ruby", "module M\n class C\n  def self.x\n   W\n  end\n end\nend", {("module M", "class C", "def x")}),
        ("csharp", "namespace A.B { class C { int P { get { W } } void M() { W } } }",
         {("namespace A.B", "class C", "method M")}),
        ("php", "<?php\nclass C { function m() { W } }\nfunction f() { W }", {("class C", "method m"), ("function f",)}),
        ("bash", "#!/bin/sh\n# does\nf() { W\n}\n", {("function f",)}),
        ("kotlin", "fun f() { W }", {()}),
    ],
)  # fmt: skip
def test_definitions_are_found_in_every_language(language: str, source: str, expected: set[tuple[str, ...]]) -> None:
    filled = source.replace("W", f"/* {words(14)} */" if language not in ("bash", "ruby", "tsx") else words(14))
    assert expected <= set(headings(code(filled, language, size=14)))


def test_broken_code_is_still_covered() -> None:
    code("class A:\n  def (:\n ]]] def x(\n" + words(100), "python", size=20)


def test_nothing_gives_no_chunks() -> None:
    for text in ("", " \n\t\n ", "\u2003\u3000"):
        assert chunks(text) == []


def test_tokens_are_counted_in_few_calls() -> None:
    calls: list[int] = []

    def count(texts: Sequence[str]) -> list[int]:
        calls.append(len(texts))
        return count_words(texts)

    checked = checked_chunks(Document("d", f"# Heading\n\n{words(90)}. " * 200, media_type="text/markdown"), count, 60)
    rules = 2 * (len(checked) + len([one for one in checked if len(one.text) > 1]))  # what `checked_chunks` itself asks
    assert len(checked) > 200
    assert len(calls) - rules < 30


def test_a_count_that_does_not_add_up_still_gives_chunks_that_fit() -> None:
    def count(texts: Sequence[str]) -> list[int]:
        return [len(text.split()) ** 2 // 4 + 1 for text in texts]

    checked_chunks(Document("d", f"{words(5)}. " * 100 + "\n\n" + f"{words(3)}\n\n" * 50, title="A title"), count, 50)
