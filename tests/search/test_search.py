"""Search over real collections: what is found, in which order, and what is said about it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.errors import InvalidFilter, InvalidInput
from knowledge_core.retrieval.fair_semaphore import FairSemaphore
from knowledge_core.storage.collection import Change, JobRecord, NewDocument, PlanRow
from knowledge_core.types import Document, Lines
from knowledge_core.verbs import search as search_verb
from knowledge_core.verbs.search import SearchRequest
from search.library import Library, paragraphs


def found(library: Library, query: str, **options: object) -> list[str]:
    return [hit.document for hit in library.ask(replace(SearchRequest(query=query), **options)).hits]


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_every_mode_puts_the_document_that_the_query_quotes_first(notes: Library, mode: str) -> None:
    assert found(notes, "kernel schedules processes", mode=mode)[0] == "kernel"


def test_a_hit_says_where_it_lies(notes: Library) -> None:
    hit = notes.ask(SearchRequest(query="needs no fuel", mode="lexical")).hits[0]
    assert (hit.collection, hit.document, hit.chunk, hit.lines) == ("notes", "solar", 1, Lines(3, 3))
    assert hit.title == "Solar"
    assert hit.snippet == "It needs no fuel."
    assert hit.parts is None


def test_the_answer_counts_every_chunk_as_considered_and_is_exact(notes: Library) -> None:
    response = notes.ask(SearchRequest(query="electricity", limit=1))
    assert (response.total, response.exact, len(response.hits)) == (5, True, 1)
    assert (response.coverage.documents, response.coverage.known) == (4, 4)
    assert response.cursor is not None
    assert response.truncated is False
    assert response.notices == ()


def test_lexical_mode_finds_only_what_shares_a_word_and_needs_no_model(notes: Library) -> None:
    embedder = notes.embedders["notes"]
    assert isinstance(embedder, HashEmbedder)
    embedded = len(embedder.embedded)
    assert found(notes, "turbine", mode="lexical") == ["wind"]
    assert len(embedder.embedded) == embedded


def test_lexical_mode_says_when_no_word_occurs(notes: Library) -> None:
    response = notes.ask(SearchRequest(query="zygote", mode="lexical"))
    assert response.hits == ()
    assert "No word of the query" in response.notices[0]


def test_words_that_any_question_is_made_of_find_nothing_beside_a_word_that_tells(notes: Library) -> None:
    assert found(notes, "what is the turbine and how does it work", mode="lexical") == ["wind"]


def test_a_query_of_such_words_alone_still_finds_them(notes: Library) -> None:
    assert set(found(notes, "it and the", mode="lexical")) == {"solar", "bread", "kernel"}


def test_a_hybrid_score_is_the_sum_of_its_parts(notes: Library) -> None:
    hits = notes.ask(SearchRequest(query="wind turbine air", explain=True)).hits
    assert hits[0].document == "wind"
    assert 0.3 < hits[0].score < 1.0  # best on both sides, and yet not all that there could be
    for hit in hits:
        assert hit.parts is not None
        assert hit.score == pytest.approx(hit.parts["dense_part"] + hit.parts["lexical_part"])
    assert {"dense", "lexical"} <= set(hits[0].parts or {})


def test_a_semantic_score_is_the_cosine(notes: Library) -> None:
    hit = notes.ask(
        SearchRequest(query="Wind\nA wind turbine turns moving air into electricity.", mode="semantic")
    ).hits[0]
    assert (hit.document, hit.score) == ("wind", pytest.approx(1.0, abs=1e-3))


def test_a_filter_holds_before_the_cut(notes: Library) -> None:
    response = notes.ask(SearchRequest(query="electricity", filter={"year": 2022}))
    assert {hit.document for hit in response.hits} == {"wind", "kernel"}
    assert response.total == 2


def test_a_filter_that_allows_nothing_says_so(notes: Library) -> None:
    response = notes.ask(SearchRequest(query="electricity", filter={"year": 1900}))
    assert (response.hits, response.total, response.cursor) == ((), 0, None)
    assert response.notices == ("The filter allows nothing in collection 'notes'; widen it.",)


def test_a_filter_on_an_unknown_field_is_an_error_that_names_the_fields(notes: Library) -> None:
    with pytest.raises(InvalidFilter, match="year"):
        notes.ask(SearchRequest(query="electricity", filter={"yaer": 2022}))


def test_a_collection_without_the_filters_field_is_left_out_and_named(notes: Library) -> None:
    notes.put([Document("plain", "Electricity without a year.")], "others")
    response = notes.ask(SearchRequest(query="electricity", filter={"year": 2022}))
    assert {hit.collection for hit in response.hits} == {"notes"}
    assert any("'others' was left out" in notice for notice in response.notices)


def test_an_empty_collection_says_so(library: Library) -> None:
    library.make("empty")
    response = library.ask(SearchRequest(query="anything"))
    assert (response.hits, response.total) == ((), 0)
    assert response.notices == ("Collection 'empty' is empty; index something into it.",)


def test_collections_under_one_contract_answer_as_one(notes: Library) -> None:
    notes.put([Document("dam", "A dam turns falling water into electricity.")], "others")
    response = notes.ask(SearchRequest(query="turns falling water into electricity"))
    assert (response.hits[0].collection, response.hits[0].document) == ("others", "dam")
    assert {hit.collection for hit in response.hits} == {"notes", "others"}
    assert response.total == 6
    assert response.coverage.documents == 5


def test_the_answer_in_a_small_collection_is_not_buried_by_chance_matches_in_a_large_one(library: Library) -> None:
    library.put([Document(f"d{i}", f"number {i} is about topic {i % 7} and reactor") for i in range(60)], "large")
    library.put([Document("plan", "The reactor valve closes at noon."), Document("tea", "Tea at noon.")], "small")
    hits = library.ask(SearchRequest(query="reactor valve", mode="lexical")).hits
    assert hits[0].document == "plan"


def test_collections_split_and_whole_give_the_same_semantic_order(library: Library) -> None:
    texts = [Document(f"d{i}", f"word{i} word{i + 1} shared") for i in range(12)]
    library.put(texts, "whole")
    library.put(texts[:5], "left")
    library.put(texts[5:], "right")
    request = SearchRequest(query="word3 word7 shared", mode="semantic", limit=12)
    whole = library.ask(request, ["whole"]).hits
    split = library.ask(request, ["left", "right"]).hits
    assert [(hit.document, hit.score) for hit in split] == [(hit.document, hit.score) for hit in whole]


def test_collections_of_different_models_are_merged_with_a_notice(notes: Library) -> None:
    notes.make("others", HashEmbedder(dimensions=64, model="other"))
    notes.put([Document("dam", "A dam turns falling water into electricity.")], "others")
    response = notes.ask(SearchRequest(query="falling water electricity"))
    assert {hit.collection for hit in response.hits} == {"notes", "others"}
    assert any("different models" in notice for notice in response.notices)


def test_ties_fall_by_document_then_position(library: Library) -> None:
    library.put([Document(name, f"{name} sun") for name in ("c", "a", "b")])
    hits = library.ask(SearchRequest(query="sun", mode="lexical")).hits
    assert [hit.document for hit in hits] == ["a", "b", "c"]
    assert len({hit.score for hit in hits}) == 1


def test_equal_chunks_are_one_hit_that_names_the_others(library: Library) -> None:
    library.put([Document(name, "The same licence text.") for name in ("b", "c", "a")])
    response = library.ask(SearchRequest(query="licence"))
    assert [(hit.document, hit.also) for hit in response.hits] == [("a", ("b", "c"))]
    assert response.total == 3


def test_a_filter_hides_the_copies_that_it_does_not_allow(library: Library) -> None:
    library.put([Document(name, "The same licence text.") for name in ("b", "c", "a")])
    response = library.ask(SearchRequest(query="licence", filter={"id": {"$in": ["b", "c"]}}))
    assert [(hit.document, hit.also) for hit in response.hits] == [("b", ("c",))]


def test_many_copies_are_counted_in_a_notice(library: Library) -> None:
    library.put([Document(f"d{i:02}", "The same licence text.") for i in range(30)])
    response = library.ask(SearchRequest(query="licence"))
    assert [len(hit.also) for hit in response.hits] == [10]
    assert "30 documents" in response.notices[0]


def test_neighbouring_chunks_that_both_match_are_one_hit_over_their_lines(library: Library) -> None:
    text = "sun moon stars\n\nsun moon comet\n\nbread and butter\n\nsun moon planet"
    library.put([Document("sky", text), Document("other", "something else entirely")])
    hits = library.ask(SearchRequest(query="sun moon", mode="lexical")).hits
    assert [(hit.document, hit.chunk, hit.lines) for hit in hits] == [("sky", 0, Lines(1, 3)), ("sky", 3, Lines(7, 7))]


def test_documents_waiting_to_be_embedded_are_counted_and_told(notes: Library) -> None:
    job = JobRecord("job-1", "index", "running", 0.0, 0.0)
    notes.collections["notes"].start_job(job, [PlanRow("later", "add", path="/nowhere/later.md")])
    response = notes.ask(SearchRequest(query="electricity"))
    assert (response.coverage.documents, response.coverage.known) == (4, 5)
    assert response.notices == ("1 of 5 documents in 'notes' are not embedded yet.",)


def test_files_that_changed_or_went_since_indexing_are_stale(library: Library, tmp_path: Path) -> None:
    new = []
    for name in ("same", "changed", "gone"):
        path = tmp_path / f"{name}.md"
        path.write_text(f"sunlight on {name}")
        document = Document(name, path.read_text())
        size, when = path.stat().st_size, path.stat().st_mtime_ns
        new.append(NewDocument(document, paragraphs(document), name, path=str(path), size=size, mtime_ns=when))
    library.put(new)
    os.utime(tmp_path / "changed.md", ns=(1, 1))
    (tmp_path / "gone.md").unlink()
    response = library.ask(SearchRequest(query="sunlight"))
    assert len(response.hits) == 3
    assert sorted(response.stale) == ["changed", "gone"]


def test_a_question_that_nothing_answers_is_told_so(library: Library) -> None:
    wide = HashEmbedder(dimensions=4096)  # few words share a bucket: unrelated texts are orthogonal
    library.make("notes", wide)
    library.put([Document("bread", "Knead the dough and bake a loaf."), Document("soup", "Boil leeks in stock.")])
    unrelated = library.ask(SearchRequest(query="How does photosynthesis work?"))
    assert any("Nothing here seems relevant" in notice for notice in unrelated.notices)
    for query in ("How to bake a loaf?", "leeks zzz"):
        assert library.ask(SearchRequest(query=query)).notices == ()


def test_a_token_budget_cuts_the_page_and_leaves_a_cursor(library: Library) -> None:
    library.put([Document(f"d{i}", f"sun {i} " + "lorem ipsum " * 30) for i in range(10)])
    whole = library.ask(SearchRequest(query="sun", limit=10))
    assert whole.truncated is False
    cut = library.ask(SearchRequest(query="sun", limit=10, max_tokens=500))
    assert 1 <= len(cut.hits) < 10
    assert cut.truncated is True
    assert cut.cursor is not None
    assert cut.hits == whole.hits[: len(cut.hits)]


def test_one_hit_comes_even_if_the_budget_is_too_small_for_it(library: Library) -> None:
    library.put([Document("d", "sun " + "語" * 400), Document("e", "sun")])
    response = library.ask(SearchRequest(query="sun 語語", max_tokens=100, mode="lexical"))
    assert len(response.hits) == 1
    assert response.truncated is True


def test_a_document_that_was_removed_is_not_found(notes: Library) -> None:
    notes.collections["notes"].write(Change(remove=["wind"]))
    assert "wind" not in found(notes, "wind turbine")


@pytest.mark.parametrize("query", ["((", "AND OR NOT", '"open', "a:b^2", "*", "\\", "日本", "😀", "\x00", "\ud800"])
def test_no_query_can_fail(notes: Library, query: str) -> None:
    for mode in ("hybrid", "semantic", "lexical"):
        notes.ask(SearchRequest(query=query, mode=mode))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (SearchRequest(), "query"),
        (SearchRequest(query="x", limit=0), "limit is 0"),
        (SearchRequest(query="x", limit=101), "1 to 100"),
        (SearchRequest(query="x", mode="fuzzy"), "hybrid, semantic, lexical"),  # type: ignore[arg-type]
        (SearchRequest(query="x", max_tokens=99), "100 to 20000"),
        (SearchRequest(query="x", max_tokens=20_001), "max_tokens is 20001"),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_right(notes: Library, request_: SearchRequest, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        notes.ask(request_)


def test_a_search_beyond_what_runs_at_once_waits_for_its_turn(notes: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = FairSemaphore(1)
    monkeypatch.setattr(search_verb, "SEARCHES", turns)
    with ThreadPoolExecutor(1) as beside:
        with turns.one():
            waiting = beside.submit(found, notes, "turbine", mode="lexical")
            while not turns._waiting:
                assert not waiting.done()
        assert waiting.result() == ["wind"]
