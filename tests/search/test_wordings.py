"""Several wordings of one question, and documents that are recent or no longer count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from knowledge_core.errors import InvalidInput
from knowledge_core.types import Document
from knowledge_core.verbs.search import Hit, SearchRequest
from search.library import Library

NOTES = [
    Document("boiler", "The boiler loses pressure when the valve is stuck."),
    Document("heating", "The heating stays cold in the attic."),
    Document("both", "A stuck valve leaves the heating cold and the boiler without pressure."),
    Document("bread", "Bread needs yeast."), Document("tyre", "The tyre holds five bar."),
]  # fmt: skip


def ask(library: Library, query: str, **options: object) -> tuple[Hit, ...]:
    return library.ask(replace(SearchRequest(query=query), **options)).hits


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "semantic"])
def test_wordings_are_one_list_in_which_each_hit_says_which_found_it(library: Library, mode: str) -> None:
    library.put(NOTES)
    hits = ask(library, "boiler pressure valve", queries=("heating cold attic",), mode=mode)
    assert {hit.document for hit in hits[:3]} == {"boiler", "heating", "both"}
    assert len({hit.document for hit in hits}) == len(hits)
    assert all(hit.found_by for hit in hits)
    if mode == "lexical":
        assert {hit.document: hit.found_by for hit in hits} == {"boiler": (1,), "heating": (2,), "both": (1, 2)}


def test_a_single_wording_says_nothing_of_wordings_and_a_repeated_one_counts_once(library: Library) -> None:
    library.put(NOTES)
    alone = ask(library, "boiler pressure")
    assert all(hit.found_by == () for hit in alone)
    assert ask(library, "boiler pressure", queries=("boiler pressure",)) == alone


def test_a_wording_that_fits_nothing_takes_nothing_away(library: Library) -> None:
    library.put(NOTES)
    alone = [hit.document for hit in ask(library, "heating cold attic", mode="lexical")]
    assert [hit.document for hit in ask(library, "heating cold attic", queries=("zygote",), mode="lexical")] == alone


def test_pages_over_several_wordings_go_on_where_the_last_one_ended(library: Library) -> None:
    library.put([Document(f"d{n:03}", f"valve {n} of the boiler number{n}") for n in range(40)])
    request = SearchRequest(query="valve boiler", queries=("number7", "boiler number3"), limit=40)
    whole = [hit.document for hit in library.ask(request).hits]
    read: list[str] = []
    cursor = None
    while len(read) < 40:
        page = library.ask(replace(request, limit=7, cursor=cursor))
        read += [hit.document for hit in page.hits]
        cursor = page.cursor
    assert read == whole
    assert set(whole[:2]) == {"d007", "d003"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries": ("a",) * 8}, "9 queries"), ({"queries": (" ",)}, "queries is empty"),
        ({"recency": 0.0}, "recency is 0"), ({"recency": -3.0}, "recency is -3"),
    ],
)  # fmt: skip
def test_wrong_wordings_and_half_lives_are_refused(library: Library, options: dict[str, object], message: str) -> None:
    library.put(NOTES)
    with pytest.raises(InvalidInput, match=message):
        ask(library, "boiler", **options)


def day(ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=ago)).date().isoformat()


def test_recent_documents_come_first_among_near_ties_alone_where_that_is_asked_for(library: Library) -> None:
    library.put([
        Document("a-old", "The valve of the boiler was changed.", metadata={"date": day(900)}),
        Document("b-new", "The valve of the boiler was changed again.", metadata={"date": day(2)}),
        Document("c-newest", "A boiler is planned, and so is much else in the house and in the yard.", metadata={"date": day(0)}),
    ])  # fmt: skip
    assert [hit.document for hit in ask(library, "boiler valve changed", mode="lexical")] == [
        "a-old",
        "b-new",
        "c-newest",
    ]
    recent = ask(library, "boiler valve changed", mode="lexical", recency=30.0)
    assert [hit.document for hit in recent] == ["b-new", "a-old", "c-newest"]


@pytest.mark.parametrize("status", ["archived", "Superseded", "deprecated"])
def test_a_document_that_says_it_no_longer_counts_fades_among_near_ties_and_the_hit_says_so(
    library: Library, status: str
) -> None:
    library.put([
        Document("a-former", "The valve of the boiler is brass.", metadata={"status": status}),
        Document("b-present", "The valve of the boiler is steel now.", metadata={"status": "final"}),
        Document("c-other", "A boiler."),
    ])  # fmt: skip
    hits = ask(library, "valve of the boiler is", mode="lexical")
    assert [hit.document for hit in hits][:2] == ["b-present", "a-former"]
    assert [hit.status for hit in hits] == [None, status, None]
    assert ask(library, "brass", mode="lexical")[0].document == "a-former"
