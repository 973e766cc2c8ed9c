"""Why a passage was found, and why a document was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowledge_core.types import Document
from knowledge_core.verbs.search import SearchRequest, SearchResponse
from search.library import Library

NOTES = [
    Document("gate", "The keeper opens the gate at half tide.", metadata={"year": 2020}),
    Document("table", "A table of tides.", metadata={"year": 2024}),
    Document("copy", "A table of tides.", "Copy", metadata={"year": 2024}),
    Document("geese", "The geese came back.", metadata={"year": 2024}),
]  # fmt: skip


def ask(library: Library, query: str, **options: object) -> SearchResponse:
    return library.ask(replace(SearchRequest(query=query), **options))


def test_the_terms_that_counted_sum_to_the_score_by_words(library: Library) -> None:
    library.put(NOTES)
    for hit in ask(library, 'who opens the keepr at "half tide"', mode="lexical", explain=True).hits:
        assert hit.parts is not None
        terms = {name: added for name, added in hit.parts.items() if name != "lexical"}
        assert sum(terms.values()) == pytest.approx(hit.parts["lexical"], abs=1e-4)
        if hit.document == "gate":
            assert {"half", "tide", '"half tide"', "letters of keepr"} <= set(terms)


@pytest.mark.parametrize(
    ("id", "options", "told"),
    [
        ("gate", {}, "'gate' is hit 1"),
        ("geese", {"limit": 1}, "behind the 1 that are shown"),
        ("geese", {"mode": "lexical"}, "'geese' is not among the first hits. None of the query's words is in it."),
        ("gate", {"filter": {"year": 2024, "title": {"$ne": "x"}}}, "'gate' is left out by the filter: year: 2024."),
        ("copy", {"mode": "lexical"}, "'copy' has the same text as 'table', hit 2, into which it is folded"),
    ],
)
def test_where_a_document_stands_and_what_kept_it_out_is_told(
    library: Library, id: str, options: dict[str, object], told: str
) -> None:
    library.put(NOTES)
    assert told in ask(library, "gate at half tide", why_not=id, **options).why_not


def test_of_a_document_that_no_collection_has_nothing_is_told(library: Library) -> None:
    library.put(NOTES)
    assert ask(library, "gate", why_not="unknown").why_not == ""
