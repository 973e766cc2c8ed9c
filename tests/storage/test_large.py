"""A collection that is large enough for a graph finds what comparing all finds, whatever happens to it."""

from __future__ import annotations

import resource
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Change, Collection
from knowledge_core.storage.vectors import graph, graph_building
from storage.large import (
    CONTRACT,
    FEW,
    drawn,
    fill,
    graph_file,
    graph_files,
    large,
    low_thresholds,
    named,
    nearest,
    one,
    placed,
    recall,
    settled,
    truly,
    while_searching,
)  # fmt: skip
from storage.shelf import damaged

QUERIES = drawn(60, seed=99)


@pytest.fixture(autouse=True)
def thresholds(monkeypatch):
    low_thresholds(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A closed collection of 3,000 documents with its graph, and its vectors; copied by those who harm it."""
    with pytest.MonkeyPatch.context() as patched:
        low_thresholds(patched)
        vectors = drawn(3_000, seed=1)
        collection = large(tmp_path_factory.mktemp("made"), vectors)
        collection.close()
    return collection.folder, vectors


@pytest.fixture
def copied(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "shelf")
    return tmp_path / "shelf", made[1]


@pytest.fixture
def opened(copied):
    collection = Collection.open(copied[0])
    yield collection, copied[1]
    collection.close()


def test_a_large_collection_is_searched_by_a_graph_and_says_so(opened):
    collection, vectors = opened
    assert len(graph_files(collection)) == 2
    assert nearest(collection, QUERIES[0])[1] is False
    assert recall(collection, named(vectors), QUERIES) >= 0.99


def test_a_small_collection_compares_all_and_says_so(tmp_path):
    vectors = drawn(FEW, seed=1)
    collection = large(tmp_path, vectors)
    assert graph_files(collection) == []
    found, exact = nearest(collection, QUERIES[0])
    assert exact is True
    assert set(found) == truly(named(vectors), QUERIES[0])
    collection.close()


@pytest.mark.parametrize(
    ("filter", "exact"),
    [
        ({"half": 1}, False),
        ({"$not": {"tenth": 3}}, False),
        ({"tenth": 3}, True),  # 300: few enough to compare all
        ({"id": "d17"}, True),
    ],
)
def test_a_filter_finds_what_it_allows_at_every_selectivity(opened, filter, exact):
    collection, vectors = opened
    with collection.view() as view:
        allowed = set(view.document_ids(filter))
    inside = {id: vector for id, vector in named(vectors).items() if id in allowed}
    for query in QUERIES[:20]:
        found, was_exact = nearest(collection, query, filter=filter)
        assert set(found) <= allowed
        assert len(found) == min(10, len(allowed))
        assert was_exact is exact
    if len(allowed) >= 10:
        assert recall(collection, inside, QUERIES, filter) >= 0.99


def test_what_a_filter_allows_far_from_the_query_is_found_by_comparing_all(tmp_path):
    vectors = drawn(2_000, seed=3)
    collection = create_collection(tmp_path / "shelf", "shelf", CONTRACT)
    query = QUERIES[0]
    order = np.argsort(-(vectors @ query))
    far = set(order[1_000:].tolist())  # half of all, and none of it near
    documents = [one(f"d{number}", far=number in far) for number in range(2_000)]
    collection.write(placed(documents, vectors))
    settled(collection)
    found, _ = nearest(collection, query, filter={"far": True})
    assert found[:10] == [f"d{number}" for number in order[1_000:1_010]]
    collection.close()


def test_what_came_and_went_since_the_graph_was_built_counts_at_once(opened, monkeypatch):
    collection, vectors = opened
    monkeypatch.setattr(graph_building, "LEAST_GROWN", 10**9)  # the graph stays behind
    alive, before = named(vectors), graph_files(collection)
    new = drawn(100, seed=5)
    fill(collection, new, first=3_000)
    alive |= named(new, 3_000)
    gone = [f"d{number}" for number in range(0, 3_000, 4)]
    collection.write(Change(remove=gone))
    alive = {id: vector for id, vector in alive.items() if id not in set(gone)}
    assert graph_files(collection) == before
    assert recall(collection, alive, QUERIES) >= 0.99
    for number in (3_000, 3_099):
        assert nearest(collection, alive[f"d{number}"])[0][0] == f"d{number}"
    assert not {id for query in QUERIES for id in nearest(collection, query)[0]} & set(gone)


@pytest.mark.slow
def test_growing_adds_each_row_to_the_graph_once(tmp_path):
    vectors = drawn(4_000, seed=6)
    collection = create_collection(tmp_path / "shelf", "shelf", CONTRACT)
    for begin in range(0, 4_000, 100):
        fill(collection, vectors[begin : begin + 100], first=begin)
        settled(collection)
    work = collection.graph_work()
    with collection.view() as view:
        entries = view._vectors.graph.facts.entries
    assert work.added == entries > 3_500
    assert 8 <= work.builds <= 25
    assert len(graph_files(collection)) == 2
    assert recall(collection, named(vectors), QUERIES) >= 0.99
    collection.close()


def test_a_graph_of_which_a_third_is_gone_is_built_from_nothing(opened):
    collection, vectors = opened
    collection.write(Change(remove=[f"d{number}" for number in range(1_100)]))
    settled(collection)
    with collection.view() as view:
        assert view._vectors.graph.facts.entries == 1_900
    alive = {f"d{number}": vectors[number] for number in range(1_100, 3_000)}
    assert recall(collection, alive, QUERIES) >= 0.99


def test_equal_vectors_are_all_found_and_do_not_harm_the_others(tmp_path):
    vectors = drawn(1_500, seed=8)
    vectors[::2] = vectors[0]  # half of all
    collection = large(tmp_path, vectors[:1_200])
    fill(collection, vectors[1_200:], first=1_200)
    settled(collection)
    distinct = {f"d{number}": vectors[number] for number in range(1, 1_500, 2)}
    for query in QUERIES[:20]:
        found, exact = nearest(collection, query, limit=800)
        assert not exact
        assert len(truly(distinct, query) & set(found)) >= 9
    assert set(nearest(collection, vectors[0], limit=750)[0]) == {f"d{number}" for number in range(0, 1_500, 2)}
    collection.write(Change(remove=["d0"]))
    assert set(nearest(collection, vectors[0], limit=749)[0]) == {f"d{number}" for number in range(2, 1_500, 2)}
    fill(collection, vectors[:301:2], first=2_000)  # equal to a key that is gone, and known by others only
    settled(collection)
    with collection.view() as view:
        assert view._vectors.since_graph == 0
    assert len(nearest(collection, vectors[0], limit=900)[0]) == 900
    assert damaged(collection) == []
    collection.close()


def test_a_collection_of_one_text_needs_no_graph(tmp_path):
    collection = create_collection(tmp_path / "shelf", "shelf", CONTRACT)
    documents = [one(f"d{number}") for number in range(FEW + 100)]
    same = [type(new)(type(new.document)(new.document.id, "same"), one("same").chunks, new.digest) for new in documents]
    collection.write(placed([same[0]], drawn(1, seed=1)))
    for begin in range(1, len(same), 100):
        collection.write(Change(add=same[begin : begin + 100]))
    settled(collection)
    assert graph_files(collection) == []
    assert len(nearest(collection, QUERIES[0])[0]) == FEW + 100
    collection.close()


def test_a_collection_that_was_emptied_and_filled_again_finds_what_is_there_now(opened):
    collection, _ = opened
    with collection.view() as view:
        ids = view.document_ids()
    collection.write(Change(remove=ids))
    assert nearest(collection, QUERIES[0]) == ([], True)
    others = drawn(2_000, seed=11)
    for begin in range(0, 2_000, 500):
        fill(collection, others[begin : begin + 500], first=10_000 + begin)
    settled(collection)
    assert recall(collection, named(others, 10_000), QUERIES) >= 0.99
    assert damaged(collection) == []


HARMS = (
    "missing",
    "truncated",
    "flipped",
    "head missing",
    "head flipped",
    "of another collection",
    "all missing",
    "of another layout",
)


@pytest.mark.parametrize("harm", HARMS)
def test_a_graph_that_does_not_check_out_is_built_anew(copied, tmp_path, harm, caplog, monkeypatch):
    folder, vectors = copied
    file, head = graph_file(folder), folder / "graph.head"
    content = bytearray(file.read_bytes())
    if harm == "missing":
        file.unlink()
    elif harm == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif harm == "flipped":
        content[len(content) // 2] ^= 4
        file.write_bytes(content)
    elif harm == "head missing":
        head.unlink()
    elif harm == "head flipped":
        changed = bytearray(head.read_bytes())
        changed[30] ^= 1
        head.write_bytes(changed)
    elif harm == "all missing":
        file.unlink()
        head.unlink()
    elif harm == "of another layout":
        monkeypatch.setattr(graph, "LAYOUT", graph.LAYOUT + 1)
    else:
        other = large(tmp_path / "other", drawn(1_000, seed=20))
        other.close()
        file.unlink()
        for path in other.folder.glob("graph*"):
            shutil.copy(path, folder)
    collection = Collection.open(folder)
    assert len(nearest(collection, QUERIES[0])[0]) == 10
    settled(collection)
    assert nearest(collection, QUERIES[0])[1] is False
    assert recall(collection, named(vectors), QUERIES) >= 0.99
    assert damaged(collection) == []
    assert len(graph_files(collection)) == 2
    assert (harm == "all missing") is not any("graph" in record.getMessage() for record in caplog.records)
    collection.close()


def test_a_graph_that_is_ahead_of_the_record_is_discarded(copied, tmp_path):
    folder, vectors = copied
    record = (folder / "documents.db").read_bytes()
    collection = Collection.open(folder)
    fill(collection, drawn(1_000, seed=21), first=3_000)
    settled(collection)
    collection.close()
    for path in folder.glob("documents.db*"):
        path.unlink()
    (folder / "documents.db").write_bytes(record)  # a copy was put back; its next keys will stand for other texts
    (folder / "vectors.head").unlink()
    collection = Collection.open(folder)
    others = drawn(1_000, seed=22)
    fill(collection, others, first=3_000)
    settled(collection)
    assert recall(collection, named(np.concatenate([vectors, others])), QUERIES) >= 0.99
    assert ["is behind" in what for what in damaged(collection)] == [True]
    collection.close()


def test_a_graph_that_is_older_than_the_rows_is_used(copied):
    folder, vectors = copied
    kept = {path.name: path.read_bytes() for path in folder.glob("graph*")}
    collection = Collection.open(folder)
    new = drawn(600, seed=23)
    fill(collection, new, first=3_000)
    settled(collection)
    collection.write(Change(remove=["d5"]))
    collection.close()
    for path in folder.glob("graph*"):
        path.unlink()
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    collection = Collection.open(folder)
    alive = named(np.concatenate([vectors, new]))
    del alive["d5"]
    assert recall(collection, alive, QUERIES) >= 0.99
    settled(collection)
    assert recall(collection, alive, QUERIES) >= 0.99
    assert damaged(collection) == []
    collection.close()


def test_a_refusing_disk_leaves_the_old_graph_and_is_tried_again(opened, caplog, monkeypatch):
    collection, vectors = opened
    files, size = graph_files(collection), graph_file(collection.folder).stat().st_size
    with monkeypatch.context() as patched:
        patched.setattr(graph_building, "LEAST_GROWN", 10**9)
        new = drawn(1_000, seed=24)
        fill(collection, new, first=3_000)
    everything = named(np.concatenate([vectors, new]))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # as a full disk: writes beyond that fail
    try:
        collection._derived.builder.look()
        settled(collection)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert graph_files(collection) == files
    assert any("a graph was not built" in record.getMessage() for record in caplog.records)
    assert recall(collection, everything, QUERIES) >= 0.99
    collection._derived.builder._not_before = 0.0  # as if a minute had passed
    collection.write(placed([one("d4000")], drawn(1, seed=25)))
    settled(collection)
    assert graph_files(collection) != files
    assert len(graph_files(collection)) == 2
    assert damaged(collection) == []


@pytest.mark.slow
def test_searches_go_on_while_a_collection_grows_and_its_graphs_are_exchanged(tmp_path):
    vectors = drawn(4_000, seed=30)
    collection = large(tmp_path, vectors[:500])

    def grow() -> None:
        for begin in range(500, 4_000, 250):
            fill(collection, vectors[begin : begin + 250], first=begin)
            settled(collection)

    assert while_searching(collection, QUERIES, grow) == []
    assert collection.graph_work().builds > 5
    assert recall(collection, named(vectors), QUERIES) >= 0.99
    collection.close()


def test_many_threads_search_one_graph_and_get_what_one_alone_gets(opened):
    collection, _ = opened
    expected = [nearest(collection, query) for query in QUERIES]
    wrong = []

    def read() -> None:
        for query, answer in zip(QUERIES, expected, strict=True):
            if nearest(collection, query) != answer:
                wrong.append(answer)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_the_doctor_verifies_the_graph(opened):
    collection, _ = opened
    assert any("the graph holds" in finding.what for finding in collection.check())
    path = graph_file(collection.folder)
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.rename(path.with_suffix(".mapped"))  # what is mapped stays as it was
    path.write_bytes(content)
    assert any("differs from its checksum" in what for what in damaged(collection))
    assert any(finding.level == "repaired" for finding in collection.check(repair=True))
    settled(collection)
    assert damaged(collection) == []


def test_the_doctor_verifies_the_rows_that_searches_do_not_read(opened):
    collection, _ = opened
    (path,) = collection.folder.glob("vectors-*")
    with path.open("r+b") as file:  # what is mapped changes, too
        file.seek(64 * 100)
        file.write(bytes(64))
    assert any("2 vectors differ from the record's" in what for what in damaged(collection))
    assert any(finding.level == "repaired" for finding in collection.check(repair=True))
    settled(collection)
    assert damaged(collection) == []


def test_a_graph_is_tuned_by_what_was_asked(opened):
    collection, vectors = opened
    for query in (*QUERIES, *vectors[:20]):
        nearest(collection, query)
    with collection.view() as view:
        asked = view._vectors.asked.rows()
    assert len(asked) == len(QUERIES)  # a stored vector is no question


@pytest.mark.parametrize("step", ["add", "truth", "found"])
def test_closing_does_not_wait_for_a_whole_graph(tmp_path, monkeypatch, step):
    collection = create_collection(tmp_path / "shelf", "shelf", CONTRACT)
    begun, calls, original = threading.Event(), [], getattr(graph_building.Draft, step)
    monkeypatch.setattr(graph_building, "ADDED_AT_ONCE", 10)

    def held_up(self, *arguments):
        calls.append(step)
        begun.set()
        collection._derived.builder._stopped.wait(10)
        return original(self, *arguments)

    monkeypatch.setattr(graph_building.Draft, step, held_up)
    fill(collection, drawn(1_000, seed=31), at_once=1_000)
    assert begun.wait(10)
    collection.close()
    assert len(calls) == 1
    assert graph_files(collection) == []


def test_a_graph_that_is_built_while_a_collection_moves_is_given_up_before_the_next_one_begins(tmp_path, monkeypatch):
    collection = create_collection(tmp_path / "shelf", "shelf", CONTRACT)
    begun, go_on, together = threading.Event(), threading.Event(), threading.Event()
    original = graph_building.Draft.add

    def held_up(*arguments):
        if begun.is_set() and not go_on.is_set():
            together.set()
        begun.set()
        assert go_on.wait(30)
        original(*arguments)

    monkeypatch.setattr(graph_building.Draft, "add", held_up)
    vectors = drawn(500, seed=32)
    fill(collection, vectors[::-1])
    assert begun.wait(30)
    move(collection, replace(CONTRACT, model="other"), vectors)
    together.wait(0.3)  # in vain, as there is one building thread
    go_on.set()
    settled(collection)
    assert not together.is_set()
    assert collection.graph_work().builds == 1
    assert len(graph_files(collection)) == 2
    assert recall(collection, named(vectors), QUERIES) >= 0.99
    assert damaged(collection) == []
    collection.close()


def move(collection, contract, vectors) -> None:
    """Put a collection of documents d0, d1, ... under another contract, with these vectors."""
    collection.reembedding.begin(contract)
    waiting = collection.reembedding.waiting(10**9)
    made = [(each, one(each.document.id).chunks) for each in waiting]
    change = placed([one(f"d{number}") for number in range(len(vectors))], vectors)
    collection.reembedding.write(contract, made, change.vectors)
    collection.switch_contract()
