"""Where a chunk ends: with what belongs to it, never with a heading or a lead-in that has room in the next one."""

from __future__ import annotations

import pytest
from ingestion_material import checked_chunks, count_characters, count_words

from knowledge_core.types import Chunk, Document, Span


def chunks(text: str, size: int = 40, media_type: str = "text/markdown") -> list[Chunk]:
    return checked_chunks(Document("d", text, media_type=media_type), count_words, size)


def words(count: int, word: str = "wording") -> str:
    return " ".join([word] * count)


CODE = "```\n" + "\n".join([words(4, "codeline")] * 5) + "\n```"
LIST = "\n".join(f"- {words(6, 'item')}" for _ in range(5))


@pytest.mark.parametrize("introduced", [CODE, LIST, f"> {words(22)}", f"Term\n: {words(20)}", words(25)])
@pytest.mark.parametrize("before", [20, 28, 34])
def test_a_lead_in_stays_with_what_it_introduces(introduced: str, before: int) -> None:
    found = chunks(f"{words(before)}.\n\nThis is how:\n\n{introduced}\n\n{words(30)}.\n")
    assert not any(one.text.endswith(":") for one in found)


def test_the_last_sentence_of_a_long_paragraph_is_a_lead_in_of_its_own() -> None:
    found = chunks(f"{words(12)}. {words(150, 'o')} so. These are the steps:\n\n{CODE}\n", 200)
    assert not any(
        one.text.endswith(":") for one in chunks(f"{words(90)}. {words(80)}. The steps are:\n\n{CODE}\n", 180)
    )
    assert len(found) == 1


def test_a_lead_in_that_has_no_room_before_what_it_introduces_ends_a_chunk_rather_than_tearing_it() -> None:
    fence = "```\n" + "\n".join([words(4, "codelin")] * 9) + "\n```"
    found = chunks(f"{words(20)}.\n\nThis is how it is done:\n\n{fence}\n", 40)
    assert any(fence in one.text for one in found)


@pytest.mark.parametrize("length", range(20, 60, 3))
def test_no_chunk_ends_in_a_heading(length: int) -> None:
    text = f"# One\n\n{words(length)}.\n\n## Empty\n\n### Deep\n\n{CODE}\n\n## Next\n\n{words(length + 9)}. End.\n\n"
    text += f"# Last\n\n{words(9)}"
    found = chunks(text)
    assert not any(one.text.split("\n")[-1].startswith("#") for one in found)
    under = chunks(text.replace("## Next", "Next\n----"))
    assert not any(one.text.endswith("----") for one in under)


def test_a_heading_without_text_joins_what_follows_whatever_its_level() -> None:
    found = chunks(f"# Top\n\n{words(30)}.\n\n## Empty\n\n# Other\n\n{words(30)}.\n")
    assert [(one.heading, one.text.split("\n")[0]) for one in found] == [(("Top",), "# Top"), (("Other",), "## Empty")]


@pytest.mark.parametrize("rule", ["---", "* * *", "=====", "…", "```\n```", "| | |", "- - -"])
def test_no_chunk_is_only_punctuation(rule: str) -> None:
    for text in (
        f"{words(40)}\n\n{rule}\n\n{words(40)}",
        f"{rule}\n\n# A\n\n{words(40)}",
        f"# A\n\n{words(40)}\n\n{rule}",
    ):
        assert all("wording" in one.text for one in chunks(text))


def test_a_document_of_nothing_but_punctuation_is_still_a_chunk() -> None:
    assert [one.text for one in chunks("-----\n\n*****\n")] == ["-----\n\n*****"]


def test_a_page_of_nothing_but_punctuation_is_dropped() -> None:
    text = "words\n\n* * *\n\nmore"
    pages = (Span(0, 5), Span(7, 12), Span(14, 18))
    found = checked_chunks(Document("d", text, pages=pages), count_words, 40)
    assert [(one.page, one.text) for one in found] == [(1, "words"), (3, "more")]


@pytest.mark.parametrize(
    "sentence",
    [
        f"See Prof. Smith, Nr. 5, pp. 3 and Vol. 2 of it, {words(5)}.",
        f"Am 12. März {words(8)}.",
        f"It was 3.5 or 1.000 times {words(7)}.",
        f"In 1999,[3] {words(8)}.[14][note 2]",
        f"{words(8)} (as he said).",
        f"{words(8)} e.g. this one.",
    ],
)
def test_a_sentence_ends_where_it_ends(sentence: str) -> None:
    found = chunks(" ".join([sentence[0].upper() + sentence[1:]] * 9), 35, "text/plain")
    assert len(found) > 2
    assert {one.text[-12:] for one in found} == {sentence[-12:]}


@pytest.mark.parametrize("short", range(3, 12))
def test_a_sentence_is_not_torn_while_it_fits(short: int) -> None:
    text = f"Tiny {words(short)} one. Begin {words(25)} end."
    assert [one.text[-4:] for one in chunks(text, 30, "text/plain")] == ["one.", "end."]


def test_sentences_without_spaces_between_them_are_not_torn() -> None:
    found = checked_chunks(Document("d", ("字" * 17 + "。") * 9), count_characters, 40)
    assert {one.text[-1] for one in found} == {"。"}


def test_numbered_lines_of_a_plain_text_are_cut_between_numbers() -> None:
    text = "\n".join(f"{n}. Hugman, Barry J. (2005). {words(4)}. Retrieved\n{n + 1900}. London." for n in range(1, 120))
    found = chunks(text, 40, "text/plain")
    assert all(
        one.text.split("\n")[0].split(".")[0].isdecimal() and ". Hugman" in one.text.split("\n")[0] for one in found
    )


@pytest.mark.parametrize("length", range(5, 15))
def test_no_line_that_ends_in_a_colon_is_cut_off_within_a_paragraph(length: int) -> None:
    text = "\n".join(f"{words(length)}\nThe following:\n• {words(3)}\n• {words(3)}" for _ in range(9))
    assert not any(one.text.endswith(":") for one in chunks(text, 25, "text/plain"))
