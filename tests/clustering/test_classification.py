"""A text gets the label that is nearest, or honestly none."""

from __future__ import annotations

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.errors import InvalidInput
from knowledge_core.verbs.classify import Label, classify_documents, classify_texts
from storage.shelf import document, new_collection, put

LABELS = [Label("energy", "solar power electricity"), Label("baking", "bread dough oven")]


def labels_of(made) -> list[str | None]:
    return [each.label for each in made]


def test_texts_are_labelled_by_name_and_description():
    made = classify_texts(["solar electricity", "oven bread"], LABELS, HashEmbedder(dimensions=256))
    assert labels_of(made) == ["energy", "baking"]
    assert all(0.5 < each.score <= 1 for each in made)


def test_what_fits_nowhere_gets_no_label():
    made = classify_texts(["quarterly tax return"], LABELS, HashEmbedder(dimensions=4096))
    assert labels_of(made) == [None]


def test_examples_say_what_a_label_means():
    labels = [Label("left", examples=("alpha beta", "alpha gamma")), Label("right", examples=("delta epsilon",))]
    made = classify_texts(["alpha", "delta"], labels, HashEmbedder(dimensions=256))
    assert labels_of(made) == ["left", "right"]


def test_several_labels_may_fit():
    made = classify_texts(["solar bread"], LABELS, HashEmbedder(dimensions=256), multiple=True)
    assert {name for name, _ in made[0].labels} == {"energy", "baking"}


def test_stored_documents_are_labelled_in_the_order_of_their_ids(tmp_path):
    shelf = new_collection(tmp_path)
    put(shelf, document("b", "bread dough oven"), document("a", "solar power", "electricity", metadata={"n": 1}))
    with shelf.view() as view:
        made = classify_documents(view, LABELS, HashEmbedder())
        assert [(each.item, each.label) for each in made] == [("a", "energy"), ("b", "baking")]
        assert len(classify_documents(view, LABELS, HashEmbedder(), filter={"n": 1})) == 1
    shelf.close()


@pytest.mark.parametrize(
    ("texts", "labels", "words"),
    [
        ([], LABELS, "texts holds 0"),
        (["x", " "], LABELS, "place 1 is empty"),
        (["x"], [], "labels holds 0"),
        (["x"], [Label(" ")], "no name"),
        (["x"], [Label("a"), Label("a")], "given twice"),
        (["x"], [Label("a", examples=("",))], "empty example"),
    ],
)
def test_a_wrong_argument_is_named(texts, labels, words):
    with pytest.raises(InvalidInput, match=words):
        classify_texts(texts, labels, HashEmbedder())
