"""What the lexical index promises, against a BM25 written out here."""

from __future__ import annotations

import math
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from knowledge_core.errors import Cancelled, StorageError
from knowledge_core.language.lexical_query import WORDS_SHARE, LexicalQuery, weighed
from knowledge_core.language.wording import words
from knowledge_core.storage.lexical_index import Hits, LexicalIndex, LexicalSnapshot

LETTERS = str.maketrans("0123456789", "bcdfghjklm")  # a word of letters and digits would be an identifier with parts
VOCABULARY = [f"w{i}".translate(LETTERS) for i in range(300)]


def texts(count: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    weights = [1 / (i + 1) for i in range(len(VOCABULARY))]
    return [" ".join(draw.choices(VOCABULARY, weights, k=draw.randint(5, 60))) for _ in range(count)]


def bm25(documents: list[str], query: str) -> tuple[dict[int, float], float]:
    """Robertson's formula as Lucene has it (k1 1.2, b 0.75), and what no document can exceed.

    Lucene rounds lengths and this does not: compare loosely.
    """
    bags = [Counter(words(text)) for text in documents]
    mean = sum(bag.total() for bag in bags) / len(bags)
    scores: dict[int, float] = {}
    most = 0.0
    for word in set(words(query)):
        having = sum(word in bag for bag in bags)
        idf = math.log(1 + (len(bags) - having + 0.5) / (having + 0.5))
        most += 2.2 * idf
        for number, bag in enumerate(bags, 1):
            if bag[word]:
                norm = 1.2 * (0.25 + 0.75 * bag.total() / mean)
                scores[number] = scores.get(number, 0) + idf * bag[word] * 2.2 / (bag[word] + norm)
    return scores, most


def numbers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@pytest.fixture
def index(tmp_path: Path) -> LexicalIndex:
    return LexicalIndex.load(tmp_path / "lexical", tag="one")


def load(tmp_path: Path) -> LexicalIndex:
    return LexicalIndex.load(tmp_path / "lexical", tag="one")


def ask(snapshot: LexicalSnapshot, query: str, limit: int = 10, allowed: np.ndarray | None = None) -> Hits:
    return snapshot.search(weighed(query, [snapshot]), limit, allowed)


def found(index: LexicalIndex, query: str, limit: int = 10, allowed: np.ndarray | None = None) -> list[int]:
    return [number for number, _ in ask(index.snapshot(), query, limit, allowed)]


def test_scores_by_words_are_bm25_as_a_share_of_the_most_that_a_query_can_give(index: LexicalIndex) -> None:
    documents = texts(500)
    index.apply(1, enumerate(documents, 1), [])
    for query in ("wd whb", "wk wfbb wfgb", "wb", "wm absent"):
        expected, most = bm25(documents, query)
        snapshot = index.snapshot()
        hits = dict(snapshot.search(LexicalQuery(weighed(query, [snapshot]).words), 500))
        assert hits.keys() == expected.keys()
        for number, score in hits.items():
            assert score == pytest.approx(WORDS_SHARE * expected[number] / most, rel=0.06)


def test_best_comes_first_and_words_are_joined_by_or(index: LexicalIndex) -> None:
    index.apply(1, [(1, "a cat"), (2, "a cat and a dog"), (3, "a house"), (4, "the dogs of the house")], [])
    assert found(index, "cat dog")[0] == 2
    assert set(found(index, "cat dog")) == {1, 2, 4}


@pytest.mark.parametrize(
    "query", ['"unclosed', "title:cat", "AND OR NOT", "cat^2~", "[1 TO 2]", "(((", "\\", "*", "a:b:c", "\x00", "\ud800"]
)
def test_nothing_in_a_query_can_fail(index: LexicalIndex, query: str) -> None:
    index.apply(1, [(1, "cat")], [])
    assert found(index, f"cat {query}") == [1]
    found(index, query)


def test_a_query_without_words_finds_nothing(index: LexicalIndex) -> None:
    index.apply(1, [(1, "cat"), (2, "")], [])
    assert found(index, "") == found(index, "?! ...") == found(index, "cat", 0) == []


def test_words_of_every_script_are_found(index: LexicalIndex) -> None:
    known = {
        1: "東京都に住む",
        2: "Straßenbahn in Köln",
        3: "مدينة القاهرة",
        4: "สวัสดีครับ",
        5: "서울은 크다",
        6: "हिन्दी",
    }
    index.apply(1, known.items(), [])
    for number, query in ((1, "東京"), (2, "KÖLN"), (3, "القاهرة"), (4, "สวัสดี"), (5, "서울"), (6, "हिन्दी")):
        assert found(index, query) == [number]


def test_a_huge_limit_and_a_huge_query_are_fine(index: LexicalIndex) -> None:
    index.apply(1, enumerate(texts(50), 1), [])
    huge = " ".join(f"w{i}".translate(LETTERS) for i in range(20_000))
    assert len(found(index, "wb", 10**9)) == len(found(index, huge, 2**40)) - (
        len(found(index, " ".join(VOCABULARY), 50)) - len(found(index, "wb", 50))
    )


def test_equal_scores_come_in_the_order_of_numbers_also_at_the_cut(index: LexicalIndex) -> None:
    order = list(range(1, 200))
    random.Random(3).shuffle(order)
    for at in range(0, 199, 40):  # several segments
        index.apply(at + 1, ((number, "one two three") for number in order[at : at + 40]), [])
    index.apply(300, [(500, "one"), (600, "four")], [])
    assert found(index, "one", 1) == [500]
    for limit in (1, 5, 20, 99):
        assert found(index, "two one", limit) == list(range(1, limit + 1))
        assert found(index, "two", limit, numbers(*range(2, 200, 2))) == list(range(2, 200, 2))[:limit]
        assert found(index, "two", limit, numbers(4, 50, 199)) == [4, 50, 199][:limit]


def test_a_filter_is_exact_and_before_the_cut(index: LexicalIndex) -> None:
    index.apply(1, enumerate(texts(2_000), 1), [])
    draw = np.random.default_rng(5)
    shares = (2_000, 1_000, 120, 80, 4)
    queries = ("wb wc wd", "wh wcdb", "wdlb", "wc wdhb wdmm")
    for share, query in ((share, query) for share in shares for query in queries):
        allowed = np.sort(draw.choice(np.arange(1, 2_001), share, replace=False)).astype(np.int64)
        everything = ask(index.snapshot(), query, 2_000)
        expected = [(n, s) for n, s in everything if n in set(allowed.tolist())]
        hits = ask(index.snapshot(), query, 30, allowed)
        assert [number for number, _ in hits] == [number for number, _ in expected[:30]]
        assert [score for _, score in hits] == pytest.approx([score for _, score in expected[:30]], rel=1e-5)


def test_a_filter_that_allows_only_bad_hits_gives_them(index: LexicalIndex) -> None:
    good = [(number, "cat cat cat") for number in range(1, 901)]
    bad = [(number, "cat and much else that is not of the kind we ask for") for number in range(901, 1_001)]
    index.apply(1, good + bad, [])
    assert found(index, "cat", 100, np.arange(901, 1_001)) == list(range(901, 1_001))


def test_a_filter_of_nothing_or_of_unknown_numbers_finds_nothing(index: LexicalIndex) -> None:
    index.apply(1, [(1, "cat")], [])
    assert found(index, "cat", 10, numbers()) == found(index, "cat", 10, numbers(7, 8)) == []


def test_removed_numbers_are_gone_and_may_come_back(index: LexicalIndex) -> None:
    index.apply(1, [(1, "cat"), (2, "cat"), (3, "dog")], [])
    index.apply(2, [(4, "cat")], [1, 3, 77])
    assert (found(index, "cat"), found(index, "dog"), index.snapshot().numbers()) == ([2, 4], [], {2, 4})
    index.apply(3, [(1, "dog")], [2])
    assert (found(index, "cat"), found(index, "dog"), index.snapshot().count()) == ([4], [1], 2)


def test_applying_a_change_again_changes_nothing(index: LexicalIndex) -> None:
    for _ in range(3):
        index.apply(1, [(1, "cat"), (2, "dog"), (3, "bird")], [])
    for _ in range(2):
        index.apply(2, [(2, "mouse"), (4, "cat")], [3, 2])
    assert index.snapshot().numbers() == {1, 2, 4}
    assert (found(index, "cat"), found(index, "mouse"), found(index, "dog")) == ([1, 4], [2], [])
    index.apply(9, [], [])
    assert (index.generation, index.snapshot().count()) == (9, 3)


def test_a_snapshot_stays_while_the_index_changes(index: LexicalIndex) -> None:
    index.apply(1, enumerate(texts(300), 1), [])
    snapshot, stop, wrong = index.snapshot(), threading.Event(), []
    expected = ask(snapshot, "wc whb", 40)

    def read() -> None:
        while not stop.is_set():
            latest = index.snapshot()
            if ask(snapshot, "wc whb", 40) != expected or latest.count() != 299 + latest.generation:
                wrong.append(latest.generation)

    reader = threading.Thread(target=read)
    reader.start()
    for generation in range(2, 14):
        index.apply(generation, [(1_000 + generation, "wc whb"), (2_000 + generation, "whb")], [generation])
    stop.set()
    reader.join()
    assert not wrong
    index.clear()
    assert (snapshot.generation, ask(snapshot, "wc whb", 40), snapshot.count()) == (1, expected, 300)
    assert (index.generation, index.snapshot().count()) == (0, 0)


def test_what_was_applied_is_loaded(index: LexicalIndex, tmp_path: Path) -> None:
    for generation in range(1, 13):  # enough commits for Tantivy to merge segments
        index.apply(generation, [(generation, f"cat number{generation}")], [generation - 5])
    hits = ask(index.snapshot(), "cat number9", 10)
    index.close()
    again = load(tmp_path)
    assert (again.generation, again.discarded) == (12, None)
    assert ask(again.snapshot(), "cat number9", 10) == hits
    again.apply(13, [(13, "cat")], [9])
    assert again.snapshot().numbers() == {8, 10, 11, 12, 13}


def test_a_lock_file_that_tantivy_makes_meanwhile_does_not_hinder_clearing(
    index: LexicalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.rmdir

    def rmdir(*path: object, **more: object) -> None:
        (tmp_path / "lexical" / ".tantivy-meta.lock").touch()
        original(*path, **more)

    index.apply(1, [(1, "cat")], [])
    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", rmdir)
        index.clear()
    index.apply(1, [(2, "cat")], [])
    assert found(index, "cat") == [2]


def test_an_index_that_could_not_be_cleared_says_so_until_it_is(
    index: LexicalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.apply(1, [(1, "cat")], [])

    def refuses(*_: object) -> None:
        raise ValueError("the disk refuses")

    with monkeypatch.context() as patched:
        patched.setattr("tantivy.Index", refuses)
        with pytest.raises(StorageError):
            index.clear()
    assert index.generation == 0
    index.clear()
    index.apply(1, [(2, "cat")], [])
    assert found(index, "cat") == [2]


def test_a_missing_folder_is_an_empty_index_without_a_reason(index: LexicalIndex, tmp_path: Path) -> None:
    assert (index.generation, index.discarded, index.snapshot().count()) == (0, None, 0)
    again = load(tmp_path)
    assert (again.generation, again.discarded) == (0, None)
    assert found(again, "cat") == []


def derived(folder: Path) -> list[Path]:
    swept = (".lock", ".managed.json")  # what Tantivy sweeps up by; no harm to it can change an answer
    return sorted(path for path in folder.iterdir() if not path.name.endswith(swept))


def make(folder: Path) -> None:
    index = LexicalIndex.load(folder, tag="one")
    index.apply(1, enumerate(texts(40), 1), [])
    index.apply(2, [(99, "cat")], [7])
    index.close()


FILES = 9  # at least: two segments of several files each, Tantivy's list of them, our state


@pytest.mark.parametrize("harm", ["flip", "truncate", "delete"])
def test_harm_to_any_file_discards_the_folder(tmp_path: Path, harm: str) -> None:
    make(tmp_path / "good")
    names = [path.name for path in derived(tmp_path / "good")]
    assert len(names) >= FILES
    for name in names:
        shutil.copytree(tmp_path / "good", tmp_path / "lexical")
        path = tmp_path / "lexical" / name
        content = bytearray(path.read_bytes())
        if harm == "flip":
            content[len(content) // 2] ^= 1
        path.write_bytes(content[:-1] if harm == "truncate" else content)
        if harm == "delete":
            path.unlink()
        again = load(tmp_path)
        assert again.generation == 0, name
        assert again.discarded, name
        assert again.discarded.startswith("lexical: ")
        again.close()
        assert (load(tmp_path).generation, load(tmp_path).discarded) == (0, None)  # the empty one took its place
        shutil.rmtree(tmp_path / "lexical")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", None])
def test_harm_to_the_list_of_what_to_sweep_up_changes_no_answer(tmp_path: Path, content: bytes | None) -> None:
    make(tmp_path / "lexical")
    path = tmp_path / "lexical" / ".managed.json"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    again = load(tmp_path)
    assert again.discarded or (again.generation, found(again, "cat")) == (2, [99])
    again.apply(3, [(99, "cat"), (100, "dog")], [1])
    again.close()
    assert (load(tmp_path).generation, load(tmp_path).discarded, found(load(tmp_path), "cat dog")) == (
        3,
        None,
        [99, 100],
    )


def test_a_folder_of_another_record_or_of_somebody_else_is_discarded(tmp_path: Path) -> None:
    make(tmp_path / "lexical")
    again = LexicalIndex.load(tmp_path / "lexical", tag="two")
    assert (again.generation, again.snapshot().count()) == (0, 0)
    assert "another record" in (again.discarded or "")
    shutil.rmtree(tmp_path / "lexical")
    (tmp_path / "lexical").mkdir()
    (tmp_path / "lexical" / "notes.txt").write_text("mine")
    assert "state.json" in (load(tmp_path).discarded or "")


def test_a_crash_between_commit_and_state_loses_nothing_and_repeats_the_change(tmp_path: Path) -> None:
    make(tmp_path / "lexical")
    state = (tmp_path / "lexical" / "state.json").read_bytes()
    index = load(tmp_path)
    index.apply(3, [(100, "dog")], [99])
    index.close()
    (tmp_path / "lexical" / "state.json").write_bytes(state)  # as if killed before it was written
    again = load(tmp_path)
    assert (again.generation, again.discarded) == (2, None)
    again.apply(3, [(100, "dog")], [99])
    assert (found(again, "dog"), found(again, "cat"), again.snapshot().count()) == ([100], [], 40)


KILLED = """
import sys
from pathlib import Path
from knowledge_core.storage.lexical_index import LexicalIndex
index = LexicalIndex.load(Path(sys.argv[1]), tag="one")
for generation in range(index.generation + 1, 10_000):
    index.apply(generation, [(generation, f"cat number{generation}")], [generation - 20])
    print(generation, flush=True)
"""


def test_a_killed_writer_leaves_what_it_said_it_had(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for enough in (3, 9):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "lexical")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(enough)][-1]
            writer.kill()
            said = max([said, *map(int, writer.stdout.read().split())])
        index = load(tmp_path)
        assert index.discarded is None
        assert index.generation in (said, said + 1)
        there = index.snapshot().numbers()
        assert there - {index.generation + 1} >= set(range(max(1, said - 18), said + 1))
        index.close()


def test_an_interrupted_change_leaves_nothing_of_itself(index: LexicalIndex) -> None:
    def half() -> Iterator[tuple[int, str]]:
        yield 2, "dog"
        raise Cancelled("stopped")

    index.apply(1, [(1, "cat")], [])
    with pytest.raises(Cancelled):
        index.apply(2, half(), [1])
    assert (index.generation, index.snapshot().numbers()) == (1, {1})
    index.apply(2, [(3, "bird")], [])
    assert index.snapshot().numbers() == {1, 3}


def test_a_refusing_disk_is_an_error_and_the_change_can_be_applied_again(index: LexicalIndex, tmp_path: Path) -> None:
    index.apply(1, [(1, "cat")], [])
    entries = list(enumerate((f"cat {' '.join(f'x{i}y{j}' for j in range(40))}" for i in range(600)), 2))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # as a full disk: writes beyond that fail
    try:
        with pytest.raises(StorageError, match="lexical"):
            index.apply(2, entries, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(derived(tmp_path / "lexical")) < FILES  # nothing half-written takes up the space
    assert (index.generation, found(index, "cat"), load(tmp_path).discarded) == (1, [1], None)
    index.apply(2, entries, [])
    assert index.snapshot().count() == 601
    assert (load(tmp_path).generation, load(tmp_path).discarded) == (2, None)
