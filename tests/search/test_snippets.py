"""What a hit shows of its chunk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge_core.language.wording import spans, spans_among
from knowledge_core.retrieval.snippets import ELLIPSIS, LENGTH, Match, flat, snippet
from knowledge_core.types import Document
from knowledge_core.verbs.search import SearchRequest
from search.library import Library

FILLER = "Nothing of interest stands in this sentence at all. " * 12


def shown(library: Library, text: str, query: str) -> str:
    library.put([Document("d", text)])
    return library.ask(SearchRequest(query=query)).hits[0].snippet


def test_a_short_chunk_is_shown_whole_on_one_line(library: Library) -> None:
    assert shown(library, "One  line.\nAnother\tline.", "line") == "One line. Another line."


def test_a_long_chunk_is_shown_around_the_match_from_a_sentence_to_a_sentence(library: Library) -> None:
    text = shown(library, FILLER + "The zebra crossed the river. " + FILLER, "zebra river")
    assert "The zebra crossed the river." in text
    assert len(text) <= LENGTH + 2 * len(ELLIPSIS)
    assert text.startswith(ELLIPSIS + "Nothing of")
    assert text.endswith("." + ELLIPSIS)


def test_the_densest_place_is_shown_not_the_first(library: Library) -> None:
    text = "The zebra sleeps. " + FILLER + "A zebra may cross a wide river at night. " + FILLER
    assert "wide river" in shown(library, text, "zebra cross river")


def test_a_telling_word_counts_more_than_words_that_stand_everywhere(library: Library) -> None:
    text = "It is in the end what it is in the way of the same. " * 8 + FILLER + "Photosynthesis needs light. " + FILLER
    assert "Photosynthesis" in shown(library, text, "what is the photosynthesis")


def test_other_forms_of_a_word_match(library: Library) -> None:
    assert "The turbines" in shown(library, FILLER + "The turbines stood still. " + FILLER, "turbine")


def test_without_a_match_the_beginning_is_shown(library: Library) -> None:
    text = shown(library, "Begin here. " + FILLER, "zygote")
    assert text.startswith("Begin here.")
    assert text.endswith(ELLIPSIS)


def test_a_script_without_spaces_is_cut_at_a_sentence(library: Library) -> None:
    filler = "ここには何も書かれていません。" * 30
    text = shown(library, filler + "縞馬が川を渡った。" + filler, "縞馬")
    assert "縞馬が川を渡った。" in text
    assert text.endswith("。" + ELLIPSIS)
    assert len(text) <= LENGTH + 2


@given(
    text=st.text(st.sampled_from("ab .。!\n\u0301語"), max_size=900),
    starts=st.lists(st.integers(0, 900), max_size=8),
    length=st.integers(20, 300),
)
def test_a_snippet_is_a_piece_of_the_text_no_longer_than_asked(text: str, starts: list[int], length: int) -> None:
    text = flat(text).text
    matches = [Match(start, min(start + 3, len(text)), "w") for start in starts if start < len(text)]
    made = snippet(text, matches, length=length).text
    piece = made.removeprefix(ELLIPSIS).removesuffix(ELLIPSIS)
    assert piece in text
    assert len(piece) <= length
    if matches:
        assert any(text[match.start : match.end].strip() in piece for match in matches)


@given(
    text=st.text(st.sampled_from("aAbB_1 .é\u0301\u00ad東ガ"), max_size=60),
    wanted=st.sets(st.integers(0, 30), max_size=4),
)
def test_looking_for_a_few_words_finds_where_reading_all_of_them_does(text: str, wanted: set[int]) -> None:
    every = spans(text)
    tokens = {every[i][0] for i in wanted if i < len(every)} | {"absent"}
    assert sorted(set(spans_among(text, tokens))) == sorted({span for span in every if span[0] in tokens})
