"""Paging: each hit once, in one order, whatever the size of the pages; and cursors that do not fit are refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge_core.errors import CursorExpired
from knowledge_core.types import Document
from knowledge_core.verbs.search import Hit, SearchRequest, SearchResponse
from search.library import Library

WORDS = ["sun", "moon", "star", "sea", "sand", "tree"]


def pages(library: Library, request: SearchRequest, sizes: list[int]) -> list[SearchResponse]:
    """Read to the end, the sizes of the pages taken in turn."""
    responses = [library.ask(replace(request, limit=sizes[0]))]
    while (cursor := responses[-1].cursor) is not None:
        limit = sizes[len(responses) % len(sizes)]
        responses.append(library.ask(replace(request, limit=limit, cursor=cursor)))
    return responses


def hits_of(responses: list[SearchResponse]) -> list[Hit]:
    return [hit for response in responses for hit in response.hits]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Two collections of 300 and 40 documents: several tiers, many ties, copies and neighbours."""
    library = Library(Path(tmp_path_factory.mktemp("large")))
    texts = [" ".join(WORDS[(i * step) % 6] for step in (1, 5, 7, 11)) + f" n{i % 90}" for i in range(340)]
    documents = [Document(f"d{i:03}", text + "\n\n" + texts[i // 2], "") for i, text in enumerate(texts)]
    library.put(documents[:300], "large")
    library.put(documents[300:], "small")
    return library


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from(["hybrid", "semantic", "lexical"]),
    query=st.lists(st.sampled_from([*WORDS, "n1", "n7", "absent"]), min_size=1, max_size=4).map(" ".join),
    sizes=st.lists(st.integers(5, 100), min_size=1, max_size=3),
    names=st.sampled_from([["large"], ["small"], ["large", "small"]]),
)
def test_pages_of_any_size_show_every_hit_once_and_in_the_same_order(
    large: Library, mode: str, query: str, sizes: list[int], names: list[str]
) -> None:
    request = SearchRequest(query=query, mode=mode)  # type: ignore[arg-type]

    def read(sizes: list[int]) -> list[tuple[str, str, int]]:
        responses = [large.ask(replace(request, limit=sizes[0]), names)]
        while (cursor := responses[-1].cursor) is not None:
            limit = sizes[len(responses) % len(sizes)]
            responses.append(large.ask(replace(request, limit=limit, cursor=cursor), names))
        return [(hit.collection, hit.document, hit.chunk) for hit in hits_of(responses)]

    whole = read([100])
    assert read(sizes) == whole
    assert len(set(whole)) == len(whole)


def test_reading_to_the_end_by_meaning_comes_past_every_document(large: Library) -> None:
    hits = hits_of(pages(large, SearchRequest(query="sun moon"), [100]))
    named = {id.rpartition(": ")[2] for hit in hits for id in (hit.document, *hit.also)}
    assert named == {f"d{i:03}" for i in range(340)}


def test_scores_never_rise_from_page_to_page(large: Library) -> None:
    scores = [hit.score for hit in hits_of(pages(large, SearchRequest(query="sun moon n7"), [30]))]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(scores))


def test_pages_cut_by_a_token_budget_lose_nothing(notes: Library) -> None:
    request = SearchRequest(query="electricity", limit=8)
    whole = notes.ask(request).hits
    cut = pages(notes, replace(request, max_tokens=100), [8])
    assert hits_of(cut) == list(whole)
    assert len(cut) > 1


def test_a_cursor_says_when_the_collection_changed_and_goes_on(notes: Library) -> None:
    first = notes.ask(SearchRequest(query="electricity", limit=2))
    notes.put([Document("dam", "A dam turns falling water into electricity.")])
    second = notes.ask(SearchRequest(query="electricity", limit=2, cursor=first.cursor))
    assert len(second.hits) == 2
    assert any("changed since the first page" in notice for notice in second.notices)
    third = notes.ask(SearchRequest(query="electricity", limit=2, cursor=second.cursor))
    assert any("changed since the first page" in notice for notice in third.notices)


def test_another_page_size_and_explain_may_go_on_with_the_same_cursor(notes: Library) -> None:
    first = notes.ask(SearchRequest(query="electricity", limit=1))
    rest = notes.ask(SearchRequest(query="electricity", limit=10, cursor=first.cursor, explain=True))
    assert len(rest.hits) == len(notes.ask(SearchRequest(query="electricity", limit=10)).hits) - 1


@pytest.mark.parametrize(
    "other",
    [
        {"query": "fuel"},
        {"mode": "lexical"},
        {"filter": {"year": 2020}},
    ],
)
def test_a_cursor_of_another_search_is_refused(notes: Library, other: dict[str, object]) -> None:
    request = SearchRequest(query="electricity", limit=1)
    cursor = notes.ask(request).cursor
    with pytest.raises(CursorExpired, match="another request"):
        notes.ask(replace(request, cursor=cursor, **other))


def test_a_cursor_for_other_collections_is_refused(notes: Library) -> None:
    notes.put([Document("dam", "A dam turns falling water into electricity.")], "others")
    cursor = notes.ask(SearchRequest(query="electricity", limit=1), ["notes"]).cursor
    with pytest.raises(CursorExpired):
        notes.ask(SearchRequest(query="electricity", limit=1, cursor=cursor), ["notes", "others"])


def forged(**changes: object) -> str:
    content = {"v": 2, "r": "0" * 16, "o": 0, "s": "0" * 16, **changes}
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "abc", "é", "!!!!", "a" * 200_000, "bnVsbA", "W10", "W1tb" * 20_000),
        *(forged(o=-1), forged(o=True), forged(o=10**9), forged(v=1), forged(s=[1]), forged(r=None)),
    ],
)
def test_a_cursor_that_is_none_is_refused_with_the_next_step(notes: Library, cursor: str) -> None:
    with pytest.raises(CursorExpired, match=r"cursor.*without"):
        notes.ask(SearchRequest(query="electricity", cursor=cursor))


def test_a_cursor_holds_no_text_of_the_query(notes: Library) -> None:
    cursor = notes.ask(SearchRequest(query="electricity", limit=1)).cursor
    assert cursor is not None
    assert b"electricity" not in base64.urlsafe_b64decode(cursor + "==")
