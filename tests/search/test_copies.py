"""Copies of a text are one hit, and hits can be spread over documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from knowledge_core.contract import text_digest
from knowledge_core.errors import InvalidInput
from knowledge_core.storage.collection import NewDocument
from knowledge_core.types import Document
from knowledge_core.verbs.search import Hit, SearchRequest
from search.library import Library, paragraphs

TEXT = "The committee moved the picnic to the second Saturday of June because of the final."
OTHERS = [
    Document("plans", "In June the picnic tickets must be printed."),
    Document("tent", "The tent costs 80 euros."),
]


def ask(library: Library, query: str, **options: object) -> tuple[Hit, ...]:
    return library.ask(replace(SearchRequest(query=query), **options)).hits


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_copies_under_other_titles_are_one_hit_that_names_the_others(library: Library, mode: str) -> None:
    library.put([Document(f"protocol ({n}).txt", TEXT, f"protocol ({n})") for n in range(1, 6)])
    library.put(OTHERS)
    hits = ask(library, "picnic in june", mode=mode)
    (hit,) = [hit for hit in hits if hit.document.startswith("protocol")]
    assert sorted([hit.document, *hit.also]) == [f"protocol ({n}).txt" for n in range(1, 6)]


def test_white_space_makes_no_other_text(library: Library) -> None:
    library.put([Document("a", TEXT, "A"), Document("b", TEXT.replace(" ", "\n  "), "B"), *OTHERS])
    assert [hit.document for hit in ask(library, "picnic final")][:2] == ["a", "plans"]


def test_copies_in_several_collections_are_one_hit(library: Library) -> None:
    library.put([Document("note", TEXT, "Note"), *OTHERS], "one")
    library.put([Document("note", TEXT, "Note"), Document("copy", TEXT, "Copy of it")], "two")
    (hit,) = [hit for hit in ask(library, "picnic final") if hit.document in ("note", "copy")]
    others = {"one: note", "two: note", "two: copy"} - {f"{hit.collection}: {hit.document}"}
    assert {id if ": " in id else f"{hit.collection}: {id}" for id in hit.also} == others
    assert any(id.startswith("one: ") for id in hit.also) is (hit.collection == "two")


def test_pages_of_any_size_show_the_same_sequence_without_copies(library: Library) -> None:
    library.put([Document(f"d{n:02}", f"The picnic of year {n // 3} is in June.", f"Title {n}") for n in range(30)])
    whole = [hit.document for hit in ask(library, "picnic in june", limit=30)]
    read: list[str] = []
    cursor = None
    while len(read) < len(whole):
        page = library.ask(SearchRequest(query="picnic in june", limit=3, cursor=cursor))
        read += [hit.document for hit in page.hits]
        cursor = page.cursor
    assert read == whole
    assert len(whole) == 10
    assert cursor is None


def test_a_copy_whose_file_is_there_stands_for_those_whose_files_are_gone(library: Library, tmp_path: Path) -> None:
    there = tmp_path / "there.md"
    there.write_text(TEXT)
    about = there.stat()
    for id, path, title in (("gone.md", tmp_path / "gone.md", "Picnic June"), ("there.md", there, "Other")):
        document = Document(id, TEXT, title)
        library.put([
            NewDocument(document, paragraphs(document), text_digest(TEXT), None, str(path), about.st_size, about.st_mtime_ns + 7)
        ])  # fmt: skip
    hit = ask(library, "picnic june")[0]
    assert (hit.document, hit.also) == ("there.md", ("gone.md",))
    assert hit.title == "Other"


def test_hits_are_spread_over_documents_where_that_is_asked_for(library: Library) -> None:
    library.put([
        Document("long", "\n\n".join(f"Picnic in June {n}.\n\nNothing else {n}." for n in range(6))),
        Document("short", "A picnic is planned."), Document("other", "June is warm, the picnic too."),
    ])  # fmt: skip
    crowded = [hit.document for hit in ask(library, "picnic june", limit=4)]
    assert crowded.count("long") > 2
    for most in (1, 2):
        documents = [hit.document for hit in ask(library, "picnic june", limit=4, per_document=most)]
        assert max(map(documents.count, documents)) == most
        assert {"long", "short", "other"} <= set(documents)


def test_a_wrong_number_of_hits_per_document_is_refused(library: Library) -> None:
    library.put(OTHERS)
    with pytest.raises(InvalidInput, match="per_document is 0"):
        ask(library, "picnic", per_document=0)
