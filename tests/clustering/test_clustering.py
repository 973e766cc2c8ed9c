"""Groups depend on the content alone, and say what they left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hash_embedder import HashEmbedder
from knowledge_core.errors import Cancelled, InvalidInput
from knowledge_core.grouping.kmeans import kmeans
from knowledge_core.grouping.neighbours import nearest
from knowledge_core.verbs.cluster import ClusterRequest, cluster, cluster_texts
from storage.shelf import document, new_collection, put

TOPICS = {
    "solar": "solar panel sunlight electricity power roof",
    "bread": "bread dough oven flour bake loaf",
    "ship": "ship harbour sail anchor sea captain",
}


def notes(seed: int = 0, each: int = 12) -> list:
    draw = np.random.default_rng(5)
    made = []
    for topic, words in TOPICS.items():
        for number in range(each):
            chosen = draw.permutation(words.split())[:5]
            made.append(document(f"{topic}{number}", " ".join(chosen) + f" note{number}", title=topic))
    order = np.random.default_rng(seed).permutation(len(made))
    return [made[i] for i in order]


def filled(folder: Path, seed: int = 0):
    shelf = new_collection(folder)
    put(shelf, *notes(seed))  # one write: chunks and keys are numbered in the order of the documents all the same
    return shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    made = filled(tmp_path_factory.mktemp("clustering"))
    yield made
    made.close()


def groups(clustering) -> list[tuple[str, list[str]]]:
    return [(each.id, sorted(member.document for member in each.members)) for each in clustering.clusters]


def test_topics_are_found_without_being_told_how_many(shelf):
    with shelf.view() as view:
        found = cluster(view)
    assert len(found.clusters) == 3
    for each in found.clusters:
        assert len({member.title for member in each.members}) == 1
        assert each.size == each.documents == 12
        assert 0.3 < each.cohesion <= 1
        topic = each.members[0].title
        assert set(each.keywords) & set(TOPICS[topic].split())
        assert len(each.representatives) == 3


def test_the_order_of_insertion_changes_nothing(tmp_path):
    found = []
    for seed in (1, 2):
        shelf = filled(tmp_path / str(seed), seed)
        with shelf.view() as view:
            found.append(
                [
                    groups(cluster(view)),
                    groups(cluster(view, ClusterRequest(k=4))),
                    groups(cluster(view, ClusterRequest("duplicates"))),
                ]
            )
        shelf.close()
    assert found[0] == found[1]


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from knowledge_core.grouping.communities import communities
from knowledge_core.grouping.kmeans import kmeans
from knowledge_core.quantising import quantise, scale
draw = np.random.default_rng(3)
centres = draw.standard_normal((9, 384))
vectors = centres[draw.integers(9, size=1500)] + 1.5 * draw.standard_normal((1500, 384))
vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
rows = quantise(vectors)
print(json.dumps([communities(rows, scale(384)).tolist(), kmeans(rows, 9).tolist()]))
"""


def test_process_and_number_of_threads_change_nothing():
    printed = []
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        run = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])]
        printed.append(subprocess.run(run, capture_output=True, text=True, check=True, env=environment).stdout)
    assert printed[0] == printed[1]
    assert len(set(json.loads(printed[0])[0])) == 9


def test_exactly_k_groups_are_made_and_none_is_empty(shelf):
    with shelf.view() as view:
        assert [each.size for each in cluster(view, ClusterRequest(k=3)).clusters] == [12, 12, 12]
        assert len(cluster(view, ClusterRequest(k=36, limit=100)).clusters) == 36
        assert len(cluster(view, ClusterRequest(k=1)).clusters) == 1


def test_near_duplicates_are_grouped_and_others_left_alone(tmp_path):
    shelf = new_collection(tmp_path)
    long = "the quick brown fox jumps over the lazy dog near the river bank at noon"
    put(shelf, document("a", long), document("b", long + " today"), document("c", "something else entirely"))
    put(shelf, document("x", "an exact copy"), document("y", "an exact copy"))
    with shelf.view() as view:
        found = cluster(view, ClusterRequest("duplicates", similarity=0.9))
    assert sorted(members for _, members in groups(found)) == [["a", "b"], ["x", "y"]]
    assert found.outliers == 1
    shelf.close()


def test_a_filter_and_chosen_chunks_limit_what_is_grouped(shelf):
    with shelf.view() as view:
        assert cluster(view, filter={"title": "bread"}).considered == 12
        assert cluster(view, chunks=[1, 2, 3, 4]).considered == 4
        with pytest.raises(InvalidInput, match="nothing to group"):
            cluster(view, filter={"title": "nowhere"})


def test_texts_of_a_call_are_grouped_with_copies_counted():
    texts = ["solar panel power", "solar power panel", "bread dough oven", "bread oven dough", "bread oven dough"]
    found = cluster_texts(texts, HashEmbedder(), ClusterRequest(k=2))
    assert [(each.size, sorted(member.document for member in each.members)) for each in found.clusters] == [
        (3, ["#2", "#3", "#4"]),
        (2, ["#0", "#1"]),
    ]


def test_a_group_is_not_named_by_words_that_say_nothing_of_its_subject():
    texts = [f"between here and there during solar {each}, until they use der" for each in ("panels", "roofs", "power")]
    (found,) = cluster_texts(texts, HashEmbedder(), ClusterRequest(k=1)).clusters
    assert found.keywords == ("solar",)


@pytest.mark.parametrize("texts", [["one"], ["one", "two"], ["same"] * 30])
def test_few_or_equal_texts_give_a_defined_answer(texts):
    found = cluster_texts(texts, HashEmbedder())
    assert found.considered == len(texts)
    assert sum(each.size for each in found.clusters) + found.outliers == len(texts)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": 0}, "at least 1"),
        ({"k": 99}, "only 2 distinct"),
        ({"similarity": 0.0, "mode": "duplicates"}, "above 0"),
        ({"similarity": 1.5, "mode": "duplicates"}, "at most 1"),
        ({"similarity": 0.9}, "mode duplicates"),
        ({"k": 2, "mode": "duplicates"}, "mode topics"),
        ({"limit": 0}, "from 1 to 100"),
    ],
)
def test_a_wrong_argument_is_named(arguments, words):
    with pytest.raises(InvalidInput, match=words):
        cluster_texts(["a b", "c d"], HashEmbedder(), ClusterRequest(**arguments))


def test_the_work_stops_when_progress_says_so():
    def stop(progress):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        cluster_texts(["a b", "c d"], HashEmbedder(), progress=stop)


def test_neighbours_are_exact_and_ties_fall_by_place():
    rows = np.array([[3, 0], [3, 0], [3, 0], [0, 3]], np.int8)
    places, values = nearest(rows, 2)
    assert places.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]
    assert values.tolist() == [[9, 9], [9, 9], [9, 9], [0, 0]]


def test_equal_rows_can_still_be_cut_into_k():
    assert sorted(np.bincount(kmeans(np.ones((5, 4), np.int8), 3)).tolist(), reverse=True)[-1] >= 1


def test_a_group_is_not_named_by_what_its_links_lead_to():
    texts = [f"solar [{n}](#cite_note-x-{n}) see https://example.org/wiki/walrus?page={n}" for n in range(3)]
    (found,) = cluster_texts(texts, HashEmbedder(), ClusterRequest(k=1)).clusters
    assert set(found.keywords) == {"solar", "see"}


def test_a_group_is_not_named_by_the_template_of_its_notes(tmp_path):
    shelf, template = new_collection(tmp_path), "## Gratitude of day {}\nBlessings and reflections:\n{}"
    draw = np.random.default_rng(1)
    daily = [
        document(f"daily/{topic}{number}", template.format(number, " ".join(draw.permutation(words.split()))))
        for topic, words in TOPICS.items()
        for number in range(6)
    ]
    other = [document(f"other/{number}", f"granite quarry stone mason slab number{number}") for number in range(12)]
    put(shelf, *daily, *other)
    with shelf.view() as view:
        named = " ".join(word for each in cluster(view).clusters for word in each.keywords)
    shelf.close()
    assert not {"gratitude", "blessings", "reflections"} & {*named.split()}
    assert {*" ".join(TOPICS.values()).split()} & {*named.split()}
