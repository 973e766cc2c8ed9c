"""The contract of a vector index, against a brute force in float64."""

from __future__ import annotations

import hashlib
import resource
import threading
from pathlib import Path

import numpy as np
import pytest

from knowledge_core.errors import StorageError
from knowledge_core.quantising import quantise, scale
from knowledge_core.storage.vectors import row_file
from knowledge_core.storage.vectors import snapshot as vector_snapshot
from knowledge_core.storage.vectors.checksummed_header import checksum_of
from knowledge_core.storage.vectors.graph import Draft, GraphFacts
from knowledge_core.storage.vectors.vector_index import VectorIndex
from knowledge_core.types import Vectors

DIM = 96


def clustered(count: int, dimensions: int = DIM, *, seed: int = 1, clusters: int = 40) -> Vectors:
    """Unit vectors as models give them: in groups, and most of the variance in few dimensions."""
    draw = np.random.default_rng(seed)
    weight = np.exp(-np.arange(dimensions) / (dimensions / 6))
    centres = np.random.default_rng(0).normal(size=(clusters, dimensions))
    vectors = (centres[draw.integers(0, clusters, count)] + 0.5 * draw.normal(size=(count, dimensions))) * weight
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute(keys: np.ndarray, vectors: Vectors, query: np.ndarray, limit: int) -> list[int]:
    cosines = vectors.astype(np.float64) @ query.astype(np.float64)
    return [int(keys[i]) for i in np.lexsort((keys, -cosines))[:limit]]


def numbers(*keys: int) -> np.ndarray:
    return np.array(keys, dtype=np.int64)


NOTHING = (numbers(), np.empty((0, DIM), np.float32))


@pytest.fixture
def index(tmp_path: Path) -> VectorIndex:
    return VectorIndex.load(tmp_path, dimensions=DIM, tag="one")


def found(index: VectorIndex, query: np.ndarray, limit: int, allowed: np.ndarray | None = None) -> list[int]:
    return [key for key, _ in index.snapshot().nearest(query[np.newaxis], limit, allowed)[0].found]


def all_found(index: VectorIndex, queries: Vectors, limit: int) -> list[list[tuple[int, float]]]:
    return [each.found for each in index.snapshot().nearest(queries, limit)]


@pytest.mark.parametrize("dimensions", [384, 768, 256, 300, 32])
def test_the_ten_nearest_are_among_thirty_candidates(tmp_path: Path, dimensions: int) -> None:
    vectors, queries = clustered(2_000, dimensions), clustered(50, dimensions, seed=2)
    keys = np.arange(1, 2_001)
    index = VectorIndex.load(tmp_path, dimensions=dimensions, tag="one")
    index.apply(1, keys, vectors, [])
    recall = []
    for query, hits in zip(queries, all_found(index, queries, 30), strict=True):
        candidates = numbers(*(key for key, _ in hits))
        rescored = brute(candidates, vectors[candidates - 1], query, 10)
        recall.append(len({*brute(keys, vectors, query, 10)} & {*rescored}) / 10)
    assert np.mean(recall) >= 0.999


def test_a_score_is_nearly_the_cosine_and_higher_is_better(index: VectorIndex) -> None:
    vectors = clustered(500)
    index.apply(1, np.arange(1, 501), vectors, [])
    hits = all_found(index, vectors[:1], 500)[0]
    assert hits[0][0] == 1
    assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)
    for key, score in hits:
        assert score == pytest.approx(float(vectors[key - 1] @ vectors[0]), abs=0.03)


def test_quantised_bits_are_the_same_everywhere() -> None:
    # Vectors without random numbers, so that nothing but `quantise` is in the digest.
    for dimensions, digest in ((384, "cc1f3997879f4fbb"), (768, "f28262a37afca356")):
        grid = (np.arange(20 * dimensions, dtype=np.int64) * 2_654_435_761 % 1_009 - 504).reshape(20, dimensions)
        vectors = (grid / np.sqrt((grid**2).sum(axis=1, keepdims=True))).astype(np.float32)
        assert hashlib.sha256(quantise(vectors).tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("dimensions", [1, 2, 3, 7, 128, 384])
def test_turning_keeps_inner_products(dimensions: int) -> None:
    vectors = clustered(50, dimensions)
    rows = quantise(vectors).astype(np.float64)
    if dimensions >= 128:  # below, one component may hold more than five deviations, and is cut
        assert np.abs(rows @ rows.T / scale(dimensions) ** 2 - vectors @ vectors.T).max() < 0.02
    assert rows.shape == (50, dimensions)


def test_a_vector_is_quantised_alike_alone_and_among_others() -> None:
    vectors = clustered(600, 384)
    rows = quantise(vectors)
    assert all(np.array_equal(quantise(vectors[i : i + 1])[0], rows[i]) for i in (0, 255, 256, 599))


def test_equal_rows_come_in_the_order_of_their_keys_also_at_the_cut(index: VectorIndex) -> None:
    one = clustered(1)
    index.apply(1, numbers(9, 3, 7, 5, 1, 8), np.repeat(one, 6, axis=0), [])
    index.apply(2, np.arange(100, 400), np.repeat(one, 300, axis=0), [])
    assert found(index, one[0], 4) == [1, 3, 5, 7]
    assert found(index, one[0], 8) == [1, 3, 5, 7, 8, 9, 100, 101]
    assert found(index, one[0], 3, numbers(8, 150, 151, 399)) == [8, 150, 151]


def test_a_limit_beyond_what_is_there_gives_what_is_there(index: VectorIndex) -> None:
    vectors = clustered(3)
    index.apply(1, numbers(1, 2, 3), vectors, [])
    assert sorted(found(index, vectors[0], 50)) == [1, 2, 3]
    assert found(index, vectors[0], 0) == []


def test_an_empty_index_an_empty_filter_and_no_query_find_nothing(index: VectorIndex) -> None:
    vectors = clustered(2)
    assert all_found(index, vectors, 5) == [[], []]
    index.apply(1, numbers(1, 2), vectors, [])
    assert found(index, vectors[0], 5, numbers()) == []
    assert found(index, vectors[0], 5, numbers(77)) == []
    assert all_found(index, vectors[:0], 5) == []


def test_a_filter_is_exact_and_before_the_cut(index: VectorIndex) -> None:
    vectors, queries = clustered(1_000), clustered(20, seed=3)
    keys = np.arange(1, 1_001)
    index.apply(1, keys, vectors, [])
    allowed = keys[::9]
    whole = all_found(index, queries, 1_000)
    for query, everything in zip(queries, whole, strict=True):
        expected = [key for key, _ in everything if key in set(allowed.tolist())][:10]
        assert found(index, query, 10, np.append(allowed, 5_000)) == expected


@pytest.mark.parametrize("step", [1, 3], ids=["keys without gaps", "keys with gaps"])
def test_keys_of_a_filter_that_are_not_there_are_passed_over(index: VectorIndex, step: int) -> None:
    vectors, keys = clustered(200), np.arange(100, 100 + 200 * step, step)
    index.apply(1, keys, vectors, [105 + step])
    allowed = np.arange(1, 2_000, 2)
    alive = np.isin(keys, allowed) & (keys != 105 + step)
    for query in clustered(20, seed=2):
        assert set(found(index, query, 500, allowed)) == set(keys[alive].tolist())


def test_many_queries_give_what_each_gives_alone(index: VectorIndex) -> None:
    vectors, queries = clustered(400), clustered(150, seed=5)
    index.apply(1, np.arange(1, 401), vectors, [])
    together = index.snapshot().nearest(queries, 7)
    assert together == [index.snapshot().nearest(query[np.newaxis], 7)[0] for query in queries]


def test_removed_keys_are_gone_and_may_come_back(index: VectorIndex) -> None:
    vectors = clustered(10)
    index.apply(1, np.arange(1, 11), vectors, [])
    index.apply(2, *NOTHING, [3, 4, 99])
    assert index.snapshot().keys.tolist() == [1, 2, 5, 6, 7, 8, 9, 10]
    assert found(index, vectors[2], 1) != [3]
    index.apply(3, numbers(3), vectors[2:3], [])
    assert index.snapshot().keys.tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert found(index, vectors[2], 1) == [3]


def test_applying_a_change_again_changes_nothing(index: VectorIndex) -> None:
    vectors = clustered(12)
    index.apply(1, np.arange(1, 11), vectors[:10], [])
    for _ in range(2):
        index.apply(2, numbers(12, 11), vectors[[11, 10]], [5, 2])
        assert index.snapshot().keys.tolist() == [1, 3, 4, 6, 7, 8, 9, 10, 11, 12]
        assert np.array_equal(index.snapshot().rows([11, 1, 12]), quantise(vectors[[10, 0, 11]]))
    index.apply(3, numbers(4), vectors[3:4], [4])
    assert np.array_equal(index.snapshot().rows([4]), quantise(vectors[3:4]))
    assert index.generation == 3


def test_rows_of_a_key_that_is_not_there_are_an_error(index: VectorIndex) -> None:
    index.apply(1, numbers(2, 4), clustered(2), [])
    for key in (1, 3, 5):
        with pytest.raises(KeyError):
            index.snapshot().rows([2, key])
    assert index.snapshot().rows([]).shape == (0, DIM)


def test_vectors_of_another_length_are_refused(index: VectorIndex) -> None:
    with pytest.raises(ValueError, match="1 keys"):
        index.apply(1, numbers(1), clustered(1, DIM + 1), [])


def test_growing_by_one_gives_what_adding_at_once_gives(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(700)
    for i in range(700):
        index.apply(i + 1, numbers(i + 1), vectors[i : i + 1], [])
    assert index.snapshot().keys.tolist() == list(range(1, 701))
    assert np.array_equal(index.snapshot().rows(np.arange(1, 701)), quantise(vectors))


def test_a_snapshot_stays_while_the_index_changes(index: VectorIndex) -> None:
    vectors = clustered(2_000)
    index.apply(1, np.arange(1, 501), vectors[:500], [])
    snapshot, stop, wrong = index.snapshot(), threading.Event(), []
    expected = snapshot.nearest(vectors[:5], 20)

    def read() -> None:
        while not stop.is_set():
            latest = index.snapshot()
            if snapshot.nearest(vectors[:5], 20) != expected or len(latest.rows(latest.keys)) != latest.size:
                wrong.append(latest.generation)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(500, 900):
        index.apply(i, numbers(i + 1), vectors[i : i + 1], [i - 499] if i % 3 else [])
    index.clear()
    stop.set()
    reader.join()
    assert not wrong
    assert snapshot.generation == 1
    assert snapshot.nearest(vectors[:5], 20) == expected
    assert index.snapshot().generation == 0


def published(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded_and_can_go_on(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(40)
    index.apply(6, np.arange(1, 31), vectors[:30], [])
    index.save()
    index.apply(7, numbers(31), vectors[30:31], [8])
    index.save()
    index.save()
    assert published(tmp_path) == ["vectors-1.int8", "vectors.head"]
    again = VectorIndex.load(tmp_path, dimensions=DIM, tag="one")
    assert (again.generation, again.discarded) == (7, None)
    assert all_found(again, vectors, 40) == all_found(index, vectors, 40)
    again.apply(8, np.arange(32, 41), vectors[31:], [])
    again.apply(9, *NOTHING, [1])
    assert again.snapshot().keys.tolist() == [*range(2, 8), *range(9, 41)]


def test_an_empty_index_can_be_saved(index: VectorIndex, tmp_path: Path) -> None:
    index.apply(4, *NOTHING, [1])
    index.save()
    again = VectorIndex.load(tmp_path, dimensions=DIM, tag="one")
    assert (again.generation, again.discarded, len(again.snapshot().keys)) == (4, None, 0)


def test_a_missing_file_is_an_empty_index_without_a_reason(tmp_path: Path) -> None:
    again = VectorIndex.load(tmp_path / "nowhere", dimensions=DIM, tag="one")
    assert (again.generation, again.discarded) == (0, None)


@pytest.mark.parametrize("name", ["vectors-1.int8", "vectors.head"])
@pytest.mark.parametrize("place", [0, 9, 13, 17, 25, 40, 70, 200, -1])
def test_a_flipped_bit_discards_the_rows(index: VectorIndex, tmp_path: Path, place: int, name: str) -> None:
    index.apply(3, np.arange(1, 21), clustered(20), [])
    index.save()
    content = bytearray((tmp_path / name).read_bytes())
    content[place] ^= 1
    (tmp_path / name).write_bytes(content)
    again = VectorIndex.load(tmp_path, dimensions=DIM, tag="one")
    assert again.generation == 0
    assert again.discarded is not None
    assert again.discarded.startswith(f"{name}: ")
    assert "\n" not in again.discarded


@pytest.mark.parametrize("name", ["vectors-1.int8", "vectors.head"])
@pytest.mark.parametrize("kept", [0, 5, 15, 72, -1])
def test_a_truncated_file_is_discarded_and_replaced(index: VectorIndex, tmp_path: Path, kept: int, name: str) -> None:
    index.apply(3, np.arange(1, 21), clustered(20), [])
    index.save()
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    again = VectorIndex.load(tmp_path, dimensions=DIM, tag="one")
    assert (again.generation, len(again.snapshot().keys)) == (0, 0)
    assert again.discarded
    again.apply(3, np.arange(1, 21), clustered(20), [])
    again.save()
    assert VectorIndex.load(tmp_path, dimensions=DIM, tag="one").generation == 3
    assert published(tmp_path) == ["vectors-2.int8", "vectors.head"]


@pytest.mark.parametrize("name", ["vectors-1.int8", "vectors.head"])
def test_rows_without_their_head_or_a_head_without_its_rows_are_discarded(
    index: VectorIndex, tmp_path: Path, name: str
) -> None:
    index.apply(3, np.arange(1, 21), clustered(20), [])
    index.save()
    (tmp_path / name).unlink()
    again = VectorIndex.load(tmp_path, dimensions=DIM, tag="one")
    assert again.generation == 0
    assert again.discarded
    assert name in again.discarded


def test_rows_of_another_record_or_contract_are_discarded(index: VectorIndex, tmp_path: Path) -> None:
    index.apply(3, np.arange(1, 21), clustered(20), [])
    index.save()
    assert "another record" in (VectorIndex.load(tmp_path, dimensions=DIM, tag="two").discarded or "")
    assert "another record" in (VectorIndex.load(tmp_path, dimensions=64, tag="one").discarded or "")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(row_file, "LAYOUT", row_file.LAYOUT + 1)
        assert "another version" in (VectorIndex.load(tmp_path, dimensions=DIM, tag="one").discarded or "")
    (tmp_path / "vectors.head").write_bytes(b"something else, and long enough to have a header of its own" * 9)
    assert "not a file of this program" in (VectorIndex.load(tmp_path, dimensions=DIM, tag="one").discarded or "")


def test_what_a_crash_left_behind_the_published_rows_counts_for_nothing(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(60)
    index.apply(3, np.arange(1, 21), vectors[:20], [])
    index.save()
    with (tmp_path / "vectors-1.int8").open("ab") as file:
        file.write(b"half a row, and a crash before the head was replaced" * 50)
    again = VectorIndex.load(tmp_path, dimensions=DIM, tag="one")
    assert (again.generation, again.discarded) == (3, None)
    before = again.snapshot()
    again.apply(4, np.arange(21, 61), vectors[20:], [])
    again.save()
    for snapshot, count in ((before, 20), (VectorIndex.load(tmp_path, dimensions=DIM, tag="one").snapshot(), 60)):
        assert np.array_equal(snapshot.rows(np.arange(1, count + 1)), quantise(vectors[:count]))


def test_saving_again_writes_only_what_came_since(index: VectorIndex, tmp_path: Path) -> None:
    for begin in range(0, 400, 100):
        index.apply(begin + 1, np.arange(begin + 1, begin + 101), clustered(100, seed=begin), [])
        index.save()
        assert published(tmp_path) == ["vectors-1.int8", "vectors.head"]
        assert (tmp_path / "vectors-1.int8").stat().st_size == (begin + 100) * DIM
    assert (tmp_path / "vectors.head").stat().st_size < 1_000


def test_rows_are_written_anew_when_most_of_them_are_dead(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(100)
    index.apply(1, np.arange(1, 101), vectors, [])
    index.save()
    held = index.snapshot()
    index.apply(2, *NOTHING, list(range(1, 71)))
    index.save()
    assert published(tmp_path) == ["vectors-2.int8", "vectors.head"]
    assert (tmp_path / "vectors-2.int8").stat().st_size == 30 * DIM
    assert held.size == 100
    assert np.array_equal(held.rows(np.arange(1, 101)), quantise(vectors))
    for snapshot in (index.snapshot(), VectorIndex.load(tmp_path, dimensions=DIM, tag="one").snapshot()):
        assert snapshot.keys.tolist() == list(range(71, 101))
        assert np.array_equal(snapshot.rows(snapshot.keys), quantise(vectors[70:]))


def test_clear_forgets_the_files_too(index: VectorIndex, tmp_path: Path) -> None:
    index.apply(3, numbers(1), clustered(1), [])
    index.save()
    index.clear()
    assert published(tmp_path) == []
    assert (index.generation, len(index.snapshot().keys)) == (0, 0)
    index.apply(3, numbers(1), clustered(1), [])
    index.save()
    assert published(tmp_path) == ["vectors-1.int8", "vectors.head"]


def test_a_refusing_disk_leaves_what_was_published(index: VectorIndex, tmp_path: Path) -> None:
    index.apply(3, numbers(1), clustered(1), [])
    index.save()
    index.apply(4, np.arange(2, 401), clustered(399), [])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # as a full disk: writes beyond that fail
    try:
        with pytest.raises(StorageError, match=r"vectors-1\.int8"):
            index.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert VectorIndex.load(tmp_path, dimensions=DIM, tag="one").generation == 3
    assert index.snapshot().size == 400
    index.save()
    again = VectorIndex.load(tmp_path, dimensions=DIM, tag="one")
    assert (again.generation, again.snapshot().size) == (4, 400)


def take_graph(index: VectorIndex, *, at_once: int = 300, copies: tuple[tuple[int, int], ...] = ()) -> None:
    """Let the index be searched by a graph of what it holds, which took that in step by step, each from the last file."""
    snapshot, graph = index.snapshot(), index.snapshot().graph
    left_out = [copy for _, copy in copies]
    draft = Draft(DIM, graph)
    for keys, rows in snapshot.blocks(at_once):
        new = ~np.isin(keys, [*draft.keys, *left_out])
        draft.add(keys[new], rows[new])
    publish(index, draft, draft.keys, copies)


def publish(index: VectorIndex, draft: Draft, held: np.ndarray, copies: tuple[tuple[int, int], ...] = ()) -> None:
    path = index.graphs.beside()
    draft.write(path)
    facts = GraphFacts(index.generation, int(index.snapshot().all_keys[-1]), len(draft), expansion=128)
    pairs = np.array(copies, np.int64).reshape(-1, 2)
    index.take(index.graphs.publish(path, checksum_of(path, path.stat().st_size), facts, held, pairs))


def again(tmp_path: Path) -> VectorIndex:
    return VectorIndex.load(tmp_path, dimensions=DIM, tag="one")


def spoil(tmp_path: Path) -> None:
    """Let the row file hold nothing but zeros, also for those who mapped it: what still reads it gives itself away."""
    (path,) = tmp_path.glob("vectors-*.int8")
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))


def is_in_graph(index: VectorIndex, keys: np.ndarray) -> bool:
    """Say whether these neighbouring rows are given as they lie in the graph's file."""
    graph = index.snapshot().graph
    return (
        graph is not None and graph.matrix is not None and np.shares_memory(index.snapshot().rows(keys), graph.matrix)
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_snapshot, "EXACT_UP_TO", 100)


def test_what_the_graph_holds_is_read_from_its_file_alone(index: VectorIndex, tmp_path: Path, few: None) -> None:
    vectors, queries = clustered(1_000), clustered(20, seed=4)
    keys = np.arange(1, 1_001)
    index.apply(1, keys, vectors, [])
    index.save()
    filters = (None, keys[::11], keys[::3])
    expected = [index.snapshot().nearest(queries, 10, allowed) for allowed in filters]
    take_graph(index)
    spoil(tmp_path)
    snapshot = index.snapshot()
    for allowed, answers in zip(filters, expected, strict=True):
        found = snapshot.nearest(queries, 10, allowed)
        hits = sum(len(set(one.found) & set(other.found)) for one, other in zip(found, answers, strict=True))
        assert hits >= 0.99 * sum(len(each.found) for each in answers)
    assert snapshot.nearest(queries, 10, keys[::11]) == expected[1]  # few enough to compare all
    assert np.array_equal(snapshot.rows(keys), quantise(vectors))
    assert not snapshot.without_slots().rows(keys).any()
    assert is_in_graph(index, keys[200:900])


def test_rows_stay_what_they_are_while_keys_go_and_come_and_graphs_follow(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(3_000)
    alive: set[int] = set()
    draw = np.random.default_rng(3)
    for step in range(10):
        new = np.arange(step * 300 + 1, step * 300 + 301)[draw.random(300) < 0.9]
        gone = [key for key in sorted(alive) if draw.random() < 0.2]
        index.apply(step + 1, new, vectors[new - 1], gone)
        alive = alive - set(gone) | set(new.tolist())
        if step % 3 == 0:
            take_graph(index)
        if step % 2:
            index.save()  # half of them dead at times: rows are written anew
        for each in (index, again(tmp_path)) if step % 2 else (index,):
            keys = each.snapshot().keys
            assert keys.tolist() == sorted(alive)
            mixed = draw.permutation(keys)
            assert np.array_equal(each.snapshot().rows(mixed), quantise(vectors[mixed - 1]))
            by_block = [rows for _, rows in each.snapshot().blocks(128)]
            assert np.array_equal(np.concatenate(by_block), quantise(vectors[keys - 1]))


def test_rows_written_anew_are_found_in_the_graph_by_their_new_places(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(400)
    index.apply(1, np.arange(1, 401), vectors, [])
    index.save()
    take_graph(index)
    held = index.snapshot()
    index.apply(2, *NOTHING, [2, *range(1, 400, 2)])
    index.save()
    assert published(tmp_path)[-2:] == ["vectors-2.int8", "vectors.head"]
    reopened = again(tmp_path)
    spoil(tmp_path)
    for snapshot in (index.snapshot(), reopened.snapshot()):
        assert np.array_equal(snapshot.rows(snapshot.keys), quantise(vectors[snapshot.keys - 1]))
        assert snapshot.nearest(vectors[9:10], 1)[0].found[0][0] == 10
    assert np.array_equal(held.rows(np.arange(1, 401)), quantise(vectors))


def test_equal_rows_of_which_the_graph_holds_one_are_all_read_there(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(300)
    vectors[[49, 199, 299]] = vectors[9]
    index.apply(1, np.arange(1, 301), vectors, [])
    index.save()
    take_graph(index, copies=((10, 50), (10, 200), (10, 300)))
    index.apply(2, *NOTHING, [10])  # what stands for the others is gone
    reopened = again(tmp_path)
    spoil(tmp_path)
    for each in (index, reopened):
        keys = np.setdiff1d(np.arange(1, 301), [10])
        assert np.array_equal(each.snapshot().rows(keys), quantise(vectors[keys - 1]))
    assert found(index, vectors[9], 3) == [50, 200, 300]


def test_a_key_that_was_gone_when_the_graph_was_built_is_read_from_the_rows(index: VectorIndex) -> None:
    vectors = clustered(200)
    index.apply(1, np.arange(1, 201), vectors, [])
    index.save()
    index.apply(2, *NOTHING, [7, 8])
    take_graph(index)
    index.apply(3, numbers(7), vectors[6:7], [])
    keys = numbers(7, 6, 200)
    assert np.array_equal(index.snapshot().rows(keys), quantise(vectors[keys - 1]))


def test_a_graph_that_outlives_its_rows_serves_them_as_they_come_back(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(600)
    index.apply(1, np.arange(1, 601), vectors, [])
    take_graph(index)
    index.clear(keep_graph=True)
    for begin in range(0, 600, 200):  # as they are read again from the record
        index.apply(begin + 1, np.arange(begin + 1, begin + 201), vectors[begin : begin + 200], [])
        keys = index.snapshot().keys
        assert np.array_equal(index.snapshot().rows(keys), quantise(vectors[: begin + 200]))
        index.save()
    spoil(tmp_path)
    assert np.array_equal(index.snapshot().rows(np.arange(1, 601)), quantise(vectors))


def test_a_snapshot_reads_on_from_a_graph_that_was_replaced(index: VectorIndex, tmp_path: Path) -> None:
    vectors = clustered(700)
    index.apply(1, np.arange(1, 501), vectors[:500], [])
    index.save()
    take_graph(index)
    held = index.snapshot()
    index.apply(2, np.arange(501, 701), vectors[500:], [])
    take_graph(index)
    assert [name for name in published(tmp_path) if name.endswith("usearch")] == ["graph-2.usearch"]
    index.save()
    spoil(tmp_path)
    assert np.array_equal(held.rows(np.arange(1, 501)), quantise(vectors[:500]))
    assert np.array_equal(index.snapshot().rows(np.arange(1, 701)), quantise(vectors))


def test_a_graph_whose_file_orders_rows_otherwise_is_searched_and_its_rows_read_elsewhere(
    index: VectorIndex, tmp_path: Path, few: None
) -> None:
    vectors, queries = clustered(1_000), clustered(20, seed=4)
    keys = np.arange(1, 1_001)
    index.apply(1, keys, vectors, [])
    index.save()
    expected = index.snapshot().nearest(queries, 10, keys[::11])
    draft = Draft(DIM, None)
    draft.add(keys[::-1].copy(), quantise(vectors)[::-1].copy())
    publish(index, draft, keys)
    for each in (index, again(tmp_path)):
        snapshot = each.snapshot()
        assert snapshot.graph is not None
        assert snapshot.graph.matrix is None
        assert snapshot.nearest(vectors[4:5], 1)[0].exact is False
        assert snapshot.nearest(vectors[4:5], 1)[0].found[0][0] == 5
        assert snapshot.nearest(queries, 10, keys[::11]) == expected
        assert np.array_equal(snapshot.rows(keys), quantise(vectors))
