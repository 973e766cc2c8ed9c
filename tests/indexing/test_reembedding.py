"""A collection moves to another model: the old vectors answer until all are made, and nothing is lost on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from contextlib import contextmanager

import numpy as np
import pytest

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import Busy, InvalidInput, ModelUnavailable, StorageFull
from knowledge_core.recorded_jobs.calibrating import CALIBRATE
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.recorded_jobs.known import find_job, known_jobs
from knowledge_core.recorded_jobs.reembed_job import accept_reembed, cancel
from knowledge_core.recorded_jobs.resuming import resume_jobs
from knowledge_core.storage.collection import JobRecord
from knowledge_core.storage.derived import Derived
from knowledge_core.storage.lexical_index import LexicalIndex
from knowledge_core.storage.record.job_table import JobTable
from knowledge_core.types import Document, Task, no_progress
from knowledge_core.verbs.reembed import reembed
from knowledge_core.verbs.search import Searched, SearchRequest, search
from owner_processes import until

DOCUMENTS = [
    Document(f"d{number}", f"Note {number} speaks of marker{number}. " + f"tail{number} " * 200, f"Title {number}")
    for number in range(12)
]


class Gated(HashEmbedder):
    """Embeds documents only as far as a test lets it, and counts what it was given."""

    def __init__(self, *, dimensions: int, model: str) -> None:
        super().__init__(dimensions=dimensions, model=model)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.closes_after = 1 << 30  # texts

    def embed(self, texts, task, titles=None):
        if titles is not None:
            if len(self.embedded) >= self.closes_after:
                self.closes_after = 1 << 30
                self.gate.clear()
            if not self.gate.is_set():
                self.entered.set()
            assert self.gate.wait(30)
        return super().embed(texts, task, titles)


class Models(dict):
    """The models of a test, by name; the first is the configured one."""

    def __call__(self, name: str, dimensions: int | None) -> HashEmbedder:
        if name not in self and name != "auto":
            raise ModelUnavailable(f"no {name}")
        return self[name] if name in self else next(iter(self.values()))


@pytest.fixture
def models():
    return Models(
        {"small": Gated(dimensions=32, model="small"), "large": Gated(dimensions=64, model="large"),
         "third": Gated(dimensions=64, model="third")}
    )  # fmt: skip


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def opened(home, models) -> Engine:
    return Engine(home, Config.model_validate({"indexing": {"chunk_size": 40}}), make_embedder=models)


@pytest.fixture
def engine(home, models):
    with opened(home, models) as made:
        add(made, DOCUMENTS)
        yield made


def add(engine, documents) -> None:
    job = accept_index(engine, IndexRequest("notes"), documents, [])
    assert job.wait(30)
    assert job.state == "done", job.error
    until(lambda: all(each.kind != CALIBRATE for each in engine.jobs.running()))  # which follows an index call


def found(engine, query: str) -> str:
    with engine.collection("notes").view() as view:
        over = [Searched("notes", view, engine.embedder_of(engine.collection("notes"), view.contract))]
        return search(over, SearchRequest(query=query, limit=1)).hits[0].document


def stored(engine):
    """Return what a collection holds: every chunk of every document with its vector."""
    with engine.collection("notes").view() as view:
        return {
            (chunk.document, chunk.position): (chunk.span, chunk.text, view.vectors([chunk.key])[0])
            for id in view.document_ids()
            for chunk in view.chunks_of_document(id)
        }


def move(engine, model: str):
    job = accept_reembed(engine, "notes", model, None)
    assert job.wait(120)
    assert job.state == "done", job.error
    return job.outcome


def test_a_moved_collection_has_every_document_under_the_new_model(engine, models):
    before = stored(engine)
    done = move(engine, "large")
    assert (done.before, done.after, done.documents, done.chunks) == ("small", "large", 12, len(before))
    after = stored(engine)
    assert after.keys() == before.keys()
    assert all(after[place][:2] == before[place][:2] for place in before)
    expected = models["large"].embed([DOCUMENTS[3].text[: before["d3", 0][0].end]], Task.DOCUMENT, ["Title 3"])[0]
    np.testing.assert_allclose(after["d3", 0][2], expected, atol=1e-3)
    assert engine.collection("notes").contract.model == "large"
    assert found(engine, "marker7") == "d7"
    assert {finding.level for finding in engine.collection("notes").check()} == {"ok"}


def test_there_and_back_gives_the_same_again(engine):
    before = stored(engine)
    move(engine, "large")
    move(engine, "small")
    after = stored(engine)
    assert after.keys() == before.keys()
    assert all(float(after[place][2] @ before[place][2]) > 0.9999 for place in before)


def test_searches_answer_from_the_old_vectors_until_the_switch_and_writes_are_taken_along(engine, models):
    models["large"].gate.clear()
    job = accept_reembed(engine, "notes", "large", None)
    assert models["large"].entered.wait(30)
    assert found(engine, "marker5") == "d5"
    assert engine.collection("notes").contract.model == "small"
    add(engine, [Document("new", "Something new about zebras.", "Zebras"), Document("d1", "Now about penguins.")])
    engine.collection("notes").write(_removal("d2"))
    assert found(engine, "zebras") == "new"
    models["large"].gate.set()
    assert job.wait(30)
    assert job.state == "done", job.error
    assert found(engine, "zebras") == "new"
    assert found(engine, "penguins") == "d1"
    documents = {document for document, _ in stored(engine)}
    assert documents == {each.id for each in DOCUMENTS} - {"d2"} | {"new"}
    assert engine.collection("notes").contract.model == "large"


def test_a_document_that_is_written_while_a_window_is_kept_is_found(engine, models, monkeypatch):
    """What a write has not committed yet must not be published by another thread: then it would never be found."""
    collection, moving = engine.collection("notes"), threading.current_thread()
    uncommitted, published, seen = threading.Event(), threading.Event(), []
    settle, catch_up = JobTable.settle, Derived.catch_up

    def settled_late(table, change):
        uncommitted.set()
        assert published.wait(30)
        settle(table, change)

    def write():
        add(engine, [Document("new", "Something new about zebras.", "Zebras")])
        seen.append(found(engine, "zebras"))

    writer = threading.Thread(target=write)

    def caught_up_late(derived):
        if threading.current_thread() is moving and not writer.ident:
            writer.start()
            uncommitted.wait(0.5)  # in vain where the writer has to wait for its turn
            catch_up(derived)
            return published.set()
        return catch_up(derived)

    @contextmanager
    def alone():  # before the switch, after which everything is made from scratch
        writer.join(30)
        yield

    monkeypatch.setattr(JobTable, "settle", settled_late)
    monkeypatch.setattr(Derived, "catch_up", caught_up_late)
    reembed(collection, models["large"], chunk_size=40, alone=alone, progress=no_progress)
    assert seen == ["new"]
    assert {finding.level for finding in collection.check()} == {"ok"}


def test_a_search_all_the_while_never_fails_and_always_finds(engine, models):
    over, wrong, asked = threading.Event(), [], []

    def searching():
        while not over.is_set():
            try:
                asked.append(found(engine, "marker9"))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what the test is about
                wrong.append(error)

    client = threading.Thread(target=searching)
    client.start()
    try:
        for model in ("large", "small", "third", "small"):
            move(engine, model)
    finally:
        over.set()
        client.join()
    assert wrong == []
    assert set(asked) == {"d9"}


def test_a_job_that_was_cut_off_goes_on_in_the_next_process_and_embeds_nothing_twice(home, models, monkeypatch):
    monkeypatch.setattr("knowledge_core.verbs.reembed.WINDOW_CHARACTERS", 2000)
    with opened(home, models) as engine:
        add(engine, DOCUMENTS)
        large = models["large"]
        large.closes_after = 20
        job = accept_reembed(engine, "notes", "large", None)
        assert large.entered.wait(30)
        threading.Timer(0.2, large.gate.set).start()
    assert job.state == "interrupted"
    done_before = set(large.embedded)
    large.embedded.clear()
    with opened(home, models) as engine:
        assert engine.collection("notes").contract.model == "small"
        resume_jobs(engine)
        until(lambda: find_job(engine, job.id).state == "done")
        assert find_job(engine, job.id).outcome.documents == 12
        assert engine.collection("notes").contract.model == "large"
        assert len(set(large.embedded) & done_before) <= 10  # the window that was not kept
        assert {document for document, _ in stored(engine)} == {each.id for each in DOCUMENTS}
    with opened(home, models) as engine:  # and it is still so
        assert found(engine, "marker7") == "d7"
        assert next(job for job in known_jobs(engine) if job.kind == "reembed").outcome.after == "large"


def test_a_process_that_imports_nothing_but_the_resuming_goes_on_with_every_kind_of_job(home, models):
    """A kind that joined by the import of another module would be given up for good there."""
    with opened(home, models) as engine:
        add(engine, DOCUMENTS)
        collection = engine.collection("notes")
        request = json.dumps({"collection": "notes", "model": "large", "dimensions": 64})
        collection.start_job(JobRecord("reembed-1", "reembed", "running", time.time(), time.time(), request), [])
    resuming = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "from knowledge_core.recorded_jobs.resuming import resume_jobs\n"
        "from knowledge_core.config import Config\n"
        "from knowledge_core.engine import Engine\n"
        "from hash_embedder import HashEmbedder\n"
        "from owner_processes import until\n"
        "made = {name: HashEmbedder(dimensions=size, model=name) for name, size in (('small', 32), ('large', 64))}\n"
        "with Engine(Path(sys.argv[1]), Config(), make_embedder=lambda name, size: made[name]) as engine:\n"
        "    resume_jobs(engine)\n"
        "    until(lambda: engine.collection('notes').job('reembed-1').state not in ('running', 'interrupted'))\n"
        "    print(engine.collection('notes').job('reembed-1').state, engine.collection('notes').contract.model)\n"
    )
    command = [sys.executable, "-c", resuming, str(home), *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "done large\n", done.stderr


def test_cancelling_drops_what_was_made_and_leaves_the_collection_as_it_was(engine, models):
    before = stored(engine)
    models["large"].gate.clear()
    job = accept_reembed(engine, "notes", "large", None)
    assert models["large"].entered.wait(30)
    threading.Timer(0.2, models["large"].gate.set).start()
    assert cancel(engine, "notes")
    assert job.state == "cancelled"
    assert engine.collection("notes").reembedding.contract() is None
    assert not cancel(engine, "notes")
    after = stored(engine)
    assert after.keys() == before.keys()
    assert found(engine, "marker7") == "d7"


def test_what_was_made_for_another_model_is_not_used(engine, models, monkeypatch):
    models["third"].gate.clear()
    job = accept_reembed(engine, "notes", "third", None)
    assert models["third"].entered.wait(30)
    job.cancel()
    models["third"].gate.set()
    assert job.wait(30)
    assert job.state == "cancelled"
    assert engine.collection("notes").reembedding.contract().model == "third"
    move(engine, "large")
    assert engine.collection("notes").contract.model == "large"
    assert found(engine, "marker7") == "d7"


def test_a_second_move_at_the_same_time_an_idle_one_and_an_unknown_model_are_refused(engine, models):
    with pytest.raises(InvalidInput, match="already; nothing to do"):
        accept_reembed(engine, "notes", "small", None)
    with pytest.raises(ModelUnavailable):
        accept_reembed(engine, "notes", "unknown", None)
    models["large"].gate.clear()
    job = accept_reembed(engine, "notes", "large", None)
    with pytest.raises(Busy, match="already"):
        accept_reembed(engine, "notes", "third", None)
    models["large"].gate.set()
    assert job.wait(30)


def test_without_room_for_both_it_is_refused_before_anything_is_begun(engine, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1_000_000))
    job = accept_reembed(engine, "notes", "large", None)
    assert job.wait(30)
    assert job.state == "failed"
    assert "1 MB are free" in job.error
    assert engine.collection("notes").reembedding.contract() is None


def test_a_broken_vector_ends_the_move_and_the_old_ones_answer(engine, models):
    embed = models["large"].embed
    models["large"].embed = lambda *given: embed(*given) * np.nan
    job = accept_reembed(engine, "notes", "large", None)
    assert job.wait(30)
    assert job.state == "failed"
    assert "norm" in job.error
    assert found(engine, "marker7") == "d7"


def _removal(id: str):
    from knowledge_core.storage.collection import Change

    return Change(remove=[id])


def test_a_crash_right_after_the_switch_leaves_the_new_contract_whole(home, models, monkeypatch):
    class Crash(BaseException):
        pass

    def crash(self, *opened):
        raise Crash

    with opened(home, models) as engine:
        add(engine, DOCUMENTS)
        collection = engine.collection("notes")
        with monkeypatch.context() as patched:
            patched.setattr(Derived, "move", crash)
            monkeypatch.setattr(threading, "excepthook", lambda _: None)
            job = accept_reembed(engine, "notes", "large", None)
            until(lambda: collection.contract.model == "large")
            assert not job.wait(0.5)
        collection._closed = True  # as a process that died leaves it: nothing is saved
        del engine._collections["notes"]
        assert engine.collection("notes").contract.model == "large"
        assert found(engine, "marker7") == "d7"
        assert {finding.level for finding in engine.collection("notes").check()} == {"ok"}
        job.end("failed")


def test_a_collection_whose_indexes_a_disk_refused_at_the_switch_goes_on_at_the_next_write(engine, monkeypatch):
    collection = engine.collection("notes")

    def refuses(*_, **__):
        raise StorageFull("No space left.")

    with monkeypatch.context() as patched:
        patched.setattr(LexicalIndex, "load", refuses)
        job = accept_reembed(engine, "notes", "large", None)
        assert job.wait(30)
        assert (job.state, job.error) == ("failed", "No space left.")
        assert collection.contract.model == "large"
        assert found(engine, "marker7") == "d7"  # as before, from what was published last
    add(engine, [Document("new", "Something new about zebras.", "Zebras")])
    assert found(engine, "zebras") == "new"
    assert found(engine, "marker7") == "d7"
    assert {finding.level for finding in collection.check()} == {"ok"}
