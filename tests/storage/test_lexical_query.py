"""What a query asks of the lexical index: bounded scores, and rare words by their letters."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from knowledge_core.language.lexical_query import QUERY_SPELT, WORDS_SHARE, weighed
from knowledge_core.storage.collection import Collection
from knowledge_core.storage.lexical_index import Hits, LexicalIndex, LexicalSnapshot
from knowledge_core.storage.lexical_index import index as index_module
from knowledge_core.storage.lexical_index.index import LAYOUT
from storage.shelf import damaged, document, found_by_words, new_collection, put


@pytest.fixture
def index(tmp_path: Path) -> LexicalIndex:
    return LexicalIndex.load(tmp_path / "lexical", tag="one")


def ask(snapshot: LexicalSnapshot, query: str, limit: int = 10) -> Hits:
    return snapshot.search(weighed(query, [snapshot]), limit)


def found(index: LexicalIndex, query: str) -> list[int]:
    return [number for number, _ in ask(index.snapshot(), query)]


def test_no_score_exceeds_the_bound_whatever_the_texts_and_the_query(index: LexicalIndex) -> None:
    draw = random.Random(11)
    documents = [
        " ".join(draw.choices(["sun", "suns", "sunny", "moon", "mon", "東京都", "x"], k=40)) for _ in range(60)
    ]
    documents += ["sun " * 500, "sun", "mooon moon", "Sonnensystem"]
    index.apply(1, enumerate(documents, 1), [])
    index.apply(2, [(number, "gone") for number in range(1, 20)], range(20, 30))  # statistics still count what went
    for query in (
        "sun",
        "sun sun sun moon",
        "suns sunnny mooon",
        "sun suns sunny",
        "東京 x",
        "nowhere sun",
        "x " * 900,
    ):
        weights = weighed(query, [index.snapshot()])
        bound = math.fsum(weights.words.values()) + math.fsum(
            weight for spelling in weights.spellings for weight in spelling.trigrams.values()
        )
        assert bound <= 1.0 + 1e-9
        scores = [score for _, score in index.snapshot().search(weights, 100)]
        assert scores
        assert max(scores) <= bound


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The kernel schedules processes", "kenrel"),
        ("A wind turbine in the sea", "turbien"),
        ("Die Häuser am See", "Hauses am Sees Häusern"),
        ("Der Flughafen liegt weit draußen", "Flughafens"),
        ("Kommt zur Bundestagswahl", "Bundestagswahlen"),
        ("المكتبة في المدينة", "بالمكتبات"),
        ("كتب المعلمون الرسالة", "والمعلمين"),
    ],
)
def test_a_misspelt_word_and_another_form_of_a_word_are_found_by_their_letters(
    index: LexicalIndex, text: str, query: str
) -> None:
    others = [
        f"{other} number {number}" for number, other in enumerate(["Brot und Butter", "خبز وزبدة", "some text"], 2)
    ]
    index.apply(1, [(1, text), *enumerate(others, 2)], [])
    assert found(index, query)[:1] == [1]


def test_a_word_as_it_is_comes_before_one_that_is_only_like_it(index: LexicalIndex) -> None:
    index.apply(1, [(1, "the carburettor"), (2, "the carburetor"), (3, "the carbon")], [])
    assert found(index, "carburetor") == [2, 1]


def test_few_letters_in_common_are_no_match(index: LexicalIndex) -> None:
    index.apply(1, [(1, "a wind turns"), (2, "gothic white"), (3, "a car")], [])
    assert found(index, "turbine") == found(index, "cat") == []


def test_a_word_that_many_hold_is_not_looked_for_by_its_letters(index: LexicalIndex) -> None:
    index.apply(1, [(number, "the kernel") for number in range(1, 40)] + [(40, "the kernels' kernelspace")], [])
    assert weighed("kernel", [index.snapshot()]).spellings == ()
    assert len(weighed("kernle kernel", [index.snapshot()]).spellings) == 1


def test_two_indexes_asked_together_weigh_a_word_by_its_rarity_in_both(tmp_path: Path) -> None:
    one, two = (LexicalIndex.load(tmp_path / name, tag="one") for name in ("one", "two"))
    one.apply(1, [(number, f"sun number{number}") for number in range(1, 101)], [])
    two.apply(1, [(1, "sun"), (2, "moon")], [])
    both = weighed("sun moon", [one.snapshot(), two.snapshot()])
    assert both.words["moon"] > 5 * both.words["sun"]
    assert math.fsum(both.words.values()) == pytest.approx(WORDS_SHARE)
    scores = dict(two.snapshot().search(both, 10))
    assert scores[2] > 5 * scores[1]


def test_a_text_of_words_that_nobody_knows_is_looked_for_by_some_of_them(index: LexicalIndex) -> None:
    index.apply(1, [(1, " ".join(f"unheard{number}of" for number in range(500)))], [])
    spellings = weighed(" ".join(f"unherad{number}of" for number in range(500)), [index.snapshot()]).spellings
    assert len(spellings) == QUERY_SPELT


def test_a_lexical_index_of_a_former_layout_is_rebuilt_when_the_collection_is_opened(tmp_path):
    shelf = new_collection(tmp_path)
    put(shelf, document("a", "the turbine"), document("b", "the harbour"))
    shelf.close()
    state = tmp_path / "shelf" / "lexical" / "state.json"
    content = json.loads(state.read_text())
    content["tag"] = "1.1 " + content["tag"].partition(" ")[2]
    state.write_text(json.dumps(content))
    again = Collection.open(tmp_path / "shelf")
    assert found_by_words(again, "turbnie") == ["a"]
    assert damaged(again) == []
    again.close()


def test_what_an_earlier_version_worded_is_searchable_at_once_and_read_again_in_portions(tmp_path, monkeypatch):
    shelf = new_collection(tmp_path)
    with monkeypatch.context() as former:  # its words knew no compounds, and nothing without its accents
        former.setattr(index_module, "terms", lambda text: (" ".join(text.lower().replace(".", " ").split()), ""))
        put(shelf, document("a", "release 1.0.21"), document("b", "release 21.0.1"), document("c", "the résumé"))
    shelf.close()
    state = tmp_path / "shelf" / "lexical" / "state.json"
    content = json.loads(state.read_text())
    content["tag"] = "2.2 " + content["tag"].partition(" ")[2]
    del content["checksum"]
    state.write_text(json.dumps(content))
    again = Collection.open(tmp_path / "shelf")
    assert set(found_by_words(again, "release 1.0.21")) == {"a", "b"}
    assert found_by_words(again, "resume") == []
    portions, after = 0, 0
    while after is not None:
        after, portions = again.reword(after, 2), portions + 1
    assert portions == 4  # the first fills in what is new in the record
    assert found_by_words(again, "release 1.0.21")[0] == "a"
    assert found_by_words(again, "21.0.1")[0] == "b"
    assert found_by_words(again, "resume") == ["c"]
    assert again.reword(0, 2) is None
    assert damaged(again) == []
    again.close()
    assert json.loads(state.read_text())["tag"].split(" ")[0] == LAYOUT
