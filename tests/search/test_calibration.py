"""How far hybrid search leans on the model: measured by the collection's own texts, kept, renewed, never in the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import Busy, Cancelled, CollectionNotFound
from knowledge_core.jobs import Job
from knowledge_core.language.wording import spaceless
from knowledge_core.recorded_jobs.calibrating import CALIBRATE
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.retrieval.fusion import earned, earned_among_few
from knowledge_core.retrieval.snippet_questions import AMONG, expected_reciprocal_rank, snippet_question
from knowledge_core.storage.collection import Calibration, Change, Collection
from knowledge_core.types import Document, Progress, Task, Vectors, no_progress
from knowledge_core.verbs.calibrate import FEWEST, VERSION, calibrate, measurement_due
from knowledge_core.verbs.search import SearchRequest, SearchResponse
from search.library import Library

NOUNS = ["kernel", "harbour", "glacier", "violin", "turbine", "orchard", "castle", "comet", "ledger", "saddle"]


def articles(count: int, first: int = 0) -> list[Document]:
    """Return texts of 60 words that share their vocabulary, each with a few words of its own."""
    found = []
    for number in range(first, first + count):
        draw = random.Random(number)
        words = [f"{draw.choice(NOUNS)}{draw.randrange(40)}" for _ in range(60)]
        found.append(Document(f"d{number:04}", " ".join(words), f"Article {number}"))
    return found


class BlindEmbedder(HashEmbedder):
    """A model that cannot read: every text lands anywhere, the same text in the same place."""

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        titles = titles if titles is not None else [""] * len(texts)
        whole = [self.contract.format(text, task, title) for text, title in zip(texts, titles, strict=True)]
        self.embedded += whole
        rows = [np.random.default_rng(list(text.encode())).standard_normal(self.contract.dimensions) for text in whole]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def calibration_of(collection: Collection) -> Calibration | None:
    with collection.view() as view:
        return view.calibration


def is_due(collection: Collection) -> bool:
    with collection.view() as view:
        return measurement_due(view)


def measured(library: Library, name: str = "notes") -> Calibration:
    return calibrate(library.collections[name], library.embedders[name], no_progress)


# -- what is measured --------------------------------------------------------------------------------------------------


def test_a_model_that_reads_finds_the_texts_again_and_one_that_does_not_finds_none(library: Library) -> None:
    library.make("read", HashEmbedder(dimensions=512))
    library.make("blind", BlindEmbedder(dimensions=512))
    for name in ("read", "blind"):
        library.put(articles(200), name)
    assert measured(library, "read").found > 0.9
    assert measured(library, "blind").found < 0.2
    assert (earned(measured(library, "read").found), earned(measured(library, "blind").found)) == (0.05, 0.0)


def test_where_the_model_cannot_read_hybrid_search_leans_on_the_words(library: Library) -> None:
    library.make("notes", BlindEmbedder(dimensions=64))
    library.put(articles(200))
    measured(library)
    for document in articles(200)[::20]:
        query = " ".join(document.text.split()[5:9])
        by_words = [hit.document for hit in library.ask(SearchRequest(query=query, mode="lexical")).hits]
        hybrid = library.ask(SearchRequest(query=query, explain=True)).hits
        assert [hit.document for hit in hybrid][: len(by_words)] == by_words
        assert hybrid[0].document == document.id
        assert all(hit.parts is not None and hit.parts["dense_part"] == 0.0 for hit in hybrid)


def test_where_the_model_reads_it_is_heard_and_the_parts_sum_to_a_score_of_at_most_1(library: Library) -> None:
    library.make("notes", HashEmbedder(dimensions=512))
    library.put(articles(200))
    measured(library)
    whole = articles(200)[7]
    for query in (whole.text, f"{whole.title}\n{whole.text}", "harbour3 violin5", "nothing known"):
        for hit in library.ask(SearchRequest(query=query, explain=True, limit=50)).hits:
            assert hit.parts is not None
            assert hit.score == pytest.approx(hit.parts["dense_part"] + hit.parts["lexical_part"])
            assert 0.0 <= hit.score <= 1.0
    best = library.ask(SearchRequest(query=f"{whole.title}\n{whole.text}", explain=True)).hits[0]
    assert best.document == whole.id
    assert best.parts is not None
    assert best.parts["dense_part"] > 0.05


def test_the_same_texts_measure_the_same_in_whatever_order_they_came(library: Library) -> None:
    documents = articles(120)
    for name, some in (("one", documents), ("two", documents[::-1]), ("three", documents)):
        library.make(name)
        for begin in range(0, 120, 40 if name == "three" else 120):
            library.put(some[begin : begin + 40] if name == "three" else some, name)
    assert measured(library, "one") == measured(library, "two") == measured(library, "three")


def test_what_is_measured_does_not_depend_on_how_large_the_collection_is(library: Library) -> None:
    found = []
    for count in (60, 240, 960):
        library.make(str(count), HashEmbedder(dimensions=24))  # so few that much is mistaken for something else
        library.put(articles(count), str(count))
        found.append(measured(library, str(count)).found)
    assert 0.3 < min(found) < max(found) < 0.98
    assert max(found) - min(found) < 0.08


@pytest.mark.parametrize(("better", "others"), [(0, 60), (3, 60), (59, 60), (200, 900), (5, 20), (0, 0)])
def test_the_rank_among_fifty_is_the_mean_over_draws(better: int, others: int) -> None:
    draw = np.random.default_rng(3)
    is_better = np.arange(others) < better
    ranks = [1 + is_better[draw.permutation(others)[: AMONG - 1]].sum() for _ in range(4_000)]
    assert expected_reciprocal_rank(better, others) == pytest.approx(np.mean(1 / np.array(ranks)), abs=0.01)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "東京都は日本の首都であり、世界最大級の都市の一つである。人口は約一千四百万人で、政治と経済の中心となっている。"
            * 3,
            24,
        ),
        ("กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทยเป็นศูนย์กลางการปกครอง" * 2, 24),
        ("東京都は日本の首都であり世界最大級の都市の一つである", 6),
        ("서울특별시는 대한민국의 수도이자 최대 도시이다 " * 20, 12),
        ("one two three four five six seven " * 20, 12),
        ("one two three four five six seven " * 5, 7),
        ("one two three four five six seven", 3),
        ("one two three four", 2),
        ("東京", 1),
        ("one", 1),
        ("", 0),
    ],
)
def test_a_snippet_is_twelve_words_or_24_letters_and_less_of_a_short_text(text: str, expected: int) -> None:
    for digest in ("00", "1f", "ab" * 32):
        found = snippet_question(text, digest)
        assert found in " ".join(text.split())
        assert len(found if spaceless(text) else found.split()) == expected


# -- when it is measured -----------------------------------------------------------------------------------------------


def test_it_survives_closing_and_an_unreadable_one_is_measured_anew(library: Library, tmp_path: Path) -> None:
    library.put(articles(60))
    known = measured(library)
    library.collections["notes"].close()
    again = Collection.open(tmp_path / "notes")
    library.collections["notes"] = again
    assert (calibration_of(again), is_due(again)) == (known, False)
    again.set_calibration(Calibration(known.found, known.chunks, VERSION - 1), again.contract)
    assert is_due(again)
    assert Calibration.from_json("{}") is Calibration.from_json("nonsense") is None


def test_it_is_due_from_some_chunks_on_and_again_after_growing_by_half(library: Library) -> None:
    library.put(articles(FEWEST - 1))
    assert not is_due(library.collections["notes"])
    library.put(articles(57, FEWEST - 1))
    assert is_due(library.collections["notes"])
    assert measured(library).chunks == FEWEST + 56
    library.put(articles(29, 100))
    assert not is_due(library.collections["notes"])
    library.put(articles(1, 200))
    assert is_due(library.collections["notes"])


def test_what_few_texts_said_is_measured_anew_once_there_are_many(library: Library) -> None:
    library.put(articles(AMONG - 1))
    measured(library)
    assert not is_due(library.collections["notes"])
    library.put(articles(1, 100))
    assert is_due(library.collections["notes"])


def test_texts_that_no_snippet_can_be_taken_of_earn_nothing_and_fail_nothing(library: Library) -> None:
    library.put([Document(f"d{number}", "\x1f" * number) for number in range(1, 6)])
    known = measured(library)
    assert (known.found, known.farther, earned_among_few(known.farther)) == (0.0, 0.0, 0.0)
    assert not is_due(library.collections["notes"])


def test_among_few_texts_too_a_model_that_reads_is_told_from_one_that_does_not(library: Library) -> None:
    """And a record of the first version, which lacks what few texts are judged by, is read."""
    library.make("read", HashEmbedder(dimensions=512))
    library.make("blind", BlindEmbedder(dimensions=512))
    for name in ("read", "blind"):
        library.put(articles(12), name)
    read, blind = measured(library, "read").farther, measured(library, "blind").farther
    assert (earned_among_few(read), earned_among_few(blind)) == (0.1, 0.0)
    assert Calibration.from_json('{"found": 0.9, "chunks": 80, "version": 1}') == Calibration(0.9, 80, 1)


def test_a_search_of_before_keeps_its_order_and_a_cursor_says_that_the_collection_changed(library: Library) -> None:
    library.put(articles(60))
    first = library.ask(SearchRequest(query="kernel3 harbour5", limit=5))
    measured(library)
    second = library.ask(SearchRequest(query="kernel3 harbour5", limit=5, cursor=first.cursor))
    assert any("changed since the first page" in notice for notice in second.notices)


def test_a_cancelled_measurement_leaves_nothing(library: Library) -> None:
    library.put(articles(60))
    reports: list[Progress] = []

    def cancel(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        calibrate(library.collections["notes"], library.embedders["notes"], cancel)
    assert calibration_of(library.collections["notes"]) is None
    assert is_due(library.collections["notes"])


def test_what_was_deleted_while_the_model_worked_is_no_error_of_the_measurement(library: Library) -> None:
    library.put(articles(60))
    collection = library.collections["notes"]
    calibrate(collection, library.embedders["notes"], lambda _: collection.write(Change(remove=["d0003"])) and None)
    assert calibration_of(collection) is not None
    with pytest.raises(CollectionNotFound):
        calibrate(collection, library.embedders["notes"], lambda _: collection.close())


# -- several collections -----------------------------------------------------------------------------------------------


def pages(library: Library, request: SearchRequest, size: int) -> list[tuple[str, str, float]]:
    found: list[tuple[str, str, float]] = []
    cursor: str | None = None
    while True:
        response: SearchResponse = library.ask(
            SearchRequest(query=request.query, mode=request.mode, limit=size, cursor=cursor)
        )
        found += [(hit.collection, hit.document, hit.score) for hit in response.hits]
        cursor = response.cursor
        if cursor is None:
            return found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Two measured collections, and a small one that is not."""
    library = Library(Path(tmp_path_factory.mktemp("two")))
    for name, some in (("large", articles(260)), ("small", articles(80, 300)), ("tiny", articles(9, 400))):
        library.make(name, HashEmbedder(dimensions=256))
        library.put(some, name)
        if name != "tiny":
            measured(library, name)
    return library


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "semantic"])
@pytest.mark.parametrize("query", ["kernel3 harbour5 ledger7", "kernle3", "the comets 12"])
def test_pages_of_any_size_show_the_same_and_scores_never_rise(two: Library, query: str, mode: str) -> None:
    request = SearchRequest(query=query, mode=mode)  # type: ignore[arg-type]
    whole = pages(two, request, 100)
    assert pages(two, request, 7) == whole
    assert len({hit[:2] for hit in whole}) == len(whole)
    if mode != "lexical":
        assert len(whole) == 349
    assert all(later <= earlier + 1e-9 for (_, _, earlier), (_, _, later) in pairwise(whole))


def test_a_collection_split_in_two_answers_as_the_whole_does(library: Library) -> None:
    documents = articles(400)
    for name, some in (("whole", documents), ("left", documents[::2]), ("right", documents[1::2])):
        library.make(name, HashEmbedder(dimensions=256))
        library.put(some, name)
        measured(library, name)
    for document in documents[::40]:
        request = SearchRequest(query=" ".join(document.text.split()[3:9]))
        whole = library.ask(request, ["whole"]).hits
        split = library.ask(request, ["left", "right"]).hits
        assert split[0].document == whole[0].document
        assert [hit.score for hit in split] == pytest.approx([hit.score for hit in whole], abs=0.002)


# -- the job -----------------------------------------------------------------------------------------------------------


class GatedEmbedder(HashEmbedder):
    """Lets documents through at once, and questions of a measurement when a test says so."""

    def __init__(self) -> None:
        super().__init__(dimensions=256)
        self.asked, self.gate = threading.Event(), threading.Event()

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        if task is Task.QUERY and len(texts) > 1:
            self.asked.set()
            assert self.gate.wait(30)
        return super().embed(texts, task, titles)


def engine_at(home: Path, embedder: HashEmbedder) -> Engine:
    return Engine(home, Config(), make_embedder=lambda model, dimensions: embedder)


def indexed(engine: Engine, documents: Sequence[Document]) -> Job:
    job = accept_index(engine, IndexRequest("default"), documents, [])
    assert job.wait(30)
    assert job.state == "done", job.error
    return job


def measuring(engine: Engine) -> Job | None:
    return next((job for job in engine.jobs.all() if job.kind == CALIBRATE), None)


def test_indexing_is_acknowledged_before_the_collection_is_measured_and_searches_go_on(home: Path) -> None:
    gated = GatedEmbedder()
    with engine_at(home, gated) as engine:
        indexed(engine, articles(80))
        assert gated.asked.wait(30)
        job = measuring(engine)
        assert job is not None
        assert job.state == "running"
        assert calibration_of(engine.collection("default")) is None
        indexed(engine, articles(20, 80))  # neither does a write wait, nor is it measured twice at once
        assert len([each for each in engine.jobs.all() if each.kind == CALIBRATE]) == 1
        gated.gate.set()
        assert job.wait(30)
        assert job.state == "done", job.error
        assert calibration_of(engine.collection("default")) is not None


def test_a_small_collection_is_measured_before_its_indexing_is_acknowledged(home: Path) -> None:
    with engine_at(home, HashEmbedder(dimensions=256)) as engine:
        indexed(engine, articles(20))
        assert measuring(engine) is None
        known = calibration_of(engine.collection("default"))
        assert known is not None
        assert known.chunks == 20


def test_a_small_collection_whose_model_is_busy_is_indexed_all_the_same_and_measured_next_time(home: Path) -> None:
    class BusyOnce(HashEmbedder):
        refused = 0

        def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
            if task is Task.QUERY and not self.refused:
                self.refused += 1
                raise Busy("The model is busy.")
            return super().embed(texts, task, titles)

    with engine_at(home, BusyOnce(dimensions=256)) as engine:
        indexed(engine, articles(20))
        assert calibration_of(engine.collection("default")) is None
        indexed(engine, articles(20))
        assert calibration_of(engine.collection("default")) is not None


def test_a_collection_of_before_is_measured_after_its_next_indexing_even_if_nothing_changed(home: Path) -> None:
    gated = GatedEmbedder()
    with engine_at(home, gated) as engine:
        indexed(engine, articles(80))
        assert gated.asked.wait(30)
        job = measuring(engine)
        assert job is not None
        job.cancel()
        gated.gate.set()
        assert job.wait(30)
        assert job.state == "cancelled"
        assert calibration_of(engine.collection("default")) is None
    with engine_at(home, HashEmbedder(dimensions=256)) as engine:
        indexed(engine, articles(80))
        job = measuring(engine)
        assert job is not None
        assert job.wait(30)
        assert calibration_of(engine.collection("default")) is not None


def test_a_model_that_is_busy_fails_the_measurement_and_nothing_else(home: Path) -> None:
    class BusyEmbedder(HashEmbedder):
        def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
            if task is Task.QUERY:
                raise Busy("The model is busy.")
            return super().embed(texts, task, titles)

    with engine_at(home, BusyEmbedder()) as engine:
        indexed(engine, articles(80))
        job = measuring(engine)
        assert job is not None
        assert job.wait(30)
        assert (job.state, job.error) == ("failed", "The model is busy.")
        assert is_due(engine.collection("default"))


KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from search.test_calibration import GatedEmbedder, articles, engine_at, indexed
gated = GatedEmbedder()
engine = engine_at(Path(sys.argv[1]), gated)
indexed(engine, articles(80))
gated.asked.wait(30)
print("measuring", flush=True)
time.sleep(60)
"""


def test_a_process_killed_while_it_measures_harms_nothing(home: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(home), *sys.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "measuring\n"
        process.send_signal(signal.SIGKILL)
    with engine_at(home, HashEmbedder(dimensions=256)) as engine:
        collection = engine.collection("default")
        assert {finding.level for finding in collection.check()} == {"ok"}
        assert calibration_of(collection) is None
        indexed(engine, articles(5))
        job = measuring(engine)
        assert job is not None
        assert job.wait(30)
        assert calibration_of(collection) is not None
