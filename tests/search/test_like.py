"""More like this, less like that."""

from __future__ import annotations

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.errors import DocumentNotFound, InvalidInput
from knowledge_core.storage.collection import NewDocument
from knowledge_core.types import Chunk, Document, Lines, Span
from knowledge_core.verbs.search import Examples, SearchRequest
from search.library import Library


def liked(library: Library, *ids: str, texts: tuple[str, ...] = (), unlike: Examples | None = None) -> list[str]:
    request = SearchRequest(like=Examples(ids, texts), unlike=unlike)
    return [hit.document for hit in library.ask(request).hits]


def test_what_is_like_a_document_is_near_it_and_never_the_document_itself(notes: Library) -> None:
    hits = liked(notes, "wind")
    assert hits[0] == "solar"
    assert "wind" not in hits


def test_a_text_is_compared_as_a_document(notes: Library) -> None:
    embedder = notes.embedders["notes"]
    assert isinstance(embedder, HashEmbedder)
    hits = liked(notes, texts=("bake a loaf in the oven",))
    assert hits[0] == "bread"
    assert embedder.embedded[-1] == "bake a loaf in the oven"


def test_ids_and_texts_combine(notes: Library) -> None:
    assert liked(notes, "solar", texts=("wind turbine moving air",))[0] == "wind"


def test_unlike_pushes_down_what_it_names(library: Library) -> None:
    library.put(
        [
            Document("base", "apple pear plum"),
            Document("sweet", "apple pear sugar"),
            Document("sour", "apple plum lemon"),
        ]
    )
    assert liked(library, "base")[0] in ("sweet", "sour")
    assert liked(library, "base", unlike=Examples(texts=("sugar pear",))) == ["sour", "sweet"]
    assert liked(library, "base", unlike=Examples(texts=("lemon plum",))) == ["sweet", "sour"]


def test_unlike_documents_are_no_hits_either(notes: Library) -> None:
    assert "bread" not in liked(notes, "solar", unlike=Examples(("bread",)))


def test_one_chunk_can_be_the_example(notes: Library) -> None:
    request = SearchRequest(like=Examples(("solar#1",)), limit=10)
    hits = [(hit.document, hit.chunk) for hit in notes.ask(request).hits]
    assert ("solar", 0) in hits
    assert ("solar", 1) not in hits


def test_an_id_that_looks_like_a_chunk_is_the_document_first(library: Library) -> None:
    library.put([Document("issue#1", "sun moon"), Document("issue", "first\n\nsecond sun"), Document("far", "sun")])
    assert "issue#1" not in liked(library, "issue#1")


def test_an_unknown_id_is_an_error_that_names_the_collections(notes: Library) -> None:
    for id in ("nowhere", "solar#9", "#", "solar#"):
        with pytest.raises(DocumentNotFound, match="'notes'"):
            liked(notes, id)


def test_an_example_of_one_collection_finds_what_is_like_it_in_another(notes: Library) -> None:
    notes.put([Document("mill", "A wind mill turns moving air into flour.")], "others")
    response = notes.ask(SearchRequest(like=Examples(("wind",))))
    assert (response.hits[0].collection, response.hits[0].document) == ("others", "mill")


def test_a_collection_of_another_model_that_holds_no_example_is_left_out_and_named(notes: Library) -> None:
    notes.make("others", HashEmbedder(dimensions=64, model="other"))
    notes.put([Document("mill", "A wind mill turns moving air into flour.")], "others")
    response = notes.ask(SearchRequest(like=Examples(("wind",))))
    assert {hit.collection for hit in response.hits} == {"notes"}
    assert any("'others'" in notice for notice in response.notices)


def test_pages_of_what_is_like_something_go_on(notes: Library) -> None:
    first = notes.ask(SearchRequest(like=Examples(("wind",)), limit=1))
    assert first.cursor is not None
    second = notes.ask(SearchRequest(like=Examples(("wind",)), limit=1, cursor=first.cursor))
    assert second.hits[0].document != first.hits[0].document


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (SearchRequest(query="x", like=Examples(("wind",))), "not both"),
        (SearchRequest(query="x", unlike=Examples(("wind",))), "like too"),
        (SearchRequest(like=Examples()), "0 examples"),
        (SearchRequest(like=Examples(("wind",)), unlike=Examples()), "unlike has 0"),
        (SearchRequest(like=Examples(texts=(" ",))), "like.texts is empty"),
        (SearchRequest(like=Examples(("wind",) * 101)), "101 examples"),
        (SearchRequest(like=Examples(("wind",)), mode="lexical"), "compares meanings"),
    ],
)
def test_wrong_examples_are_refused(notes: Library, request_: SearchRequest, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        notes.ask(request_)


def test_examples_that_cancel_each_other_are_refused(library: Library) -> None:
    library.make("notes", HashEmbedder(dimensions=4096))  # few words share a bucket: different words are orthogonal
    library.put([Document("a", "sun")])
    four = ("sun", "moon", "bread", "kernel")  # their mean is half of the vector of all four together
    with pytest.raises(InvalidInput, match="cancel"):
        liked(library, texts=four, unlike=Examples(texts=(" ".join(four),)))


SUBJECTS = {
    "bike": ("Fixed the rear derailleur and trued the wheel.", "New chain and brake pads on the old bicycle.",
             "Cycled 40 km, a puncture near the canal."),
    "bread": ("The sourdough rose well after a long cold proof.", "Baked two rye loaves; the crust was too dark.",
              "Fed the starter twice, flour from the mill."),
    "server": ("The database backup failed, disk full on the NAS.", "Migrated the mail server to a new container host.",
               "Renewed certificates, nginx reload went fine."),
    "garden": ("Planted tomatoes and pruned the apple tree.", "Slugs ate the lettuce again, put up copper tape.",
               "Harvested beans and watered the raised beds."),
}  # fmt: skip
TEMPLATE = """## Morning

Grateful for:
- coffee
- a quiet house

### What would make today great?

{}

## Evening

Three good things that happened today:
- slept well
- good food

### How could I have made today better?

Less screen time.

### Tomorrow

- [ ] plan the day
- [ ] read twenty pages
"""


def test_notes_of_one_template_are_alike_by_their_subjects_not_by_the_template(library: Library) -> None:
    library.make(embedder=make_embedder(resolve("all-MiniLM-L6-v2"), precision="float32", device="cpu"))
    lines = [(subject, line) for subject, lines in SUBJECTS.items() for line in lines]
    about = {f"daily/2024-05-{day:02}.md": each for day, each in enumerate(lines, start=1)}
    texts = {id: TEMPLATE.format(line) for id, (_, line) in about.items()}
    library.put(
        [
            NewDocument(Document(id, text), [Chunk(0, text, Span(0, len(text)), Lines(1, 1))], digest=id)
            for id, text in texts.items()
        ]
    )
    right = [about[liked(library, id)[0]][0] == subject for id, (subject, _) in about.items()]
    assert sum(right) >= 11  # with the template in the vectors, 7 of 12
