"""While a window is embedded the next is read and the former written: faster, and every promise stays as it was."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import Cancelled, ModelUnavailable, StorageFull
from knowledge_core.indexing.preparing import Reading, document_as_json
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Collection, JobRecord, PlanRow
from knowledge_core.types import Document, Progress, no_progress
from knowledge_core.verbs import index as indexing
from knowledge_core.verbs.index import index
from knowledge_core.verbs.index_report import IndexReport

A_WINDOW = 4  # documents, each of one chunk


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(indexing, "FIRST_WINDOW", A_WINDOW)
    monkeypatch.setattr(indexing, "LARGEST_WINDOW", A_WINDOW)


@pytest.fixture
def collection(tmp_path, embedder):
    made = create_collection(tmp_path / "notes", "notes", embedder.contract)
    yield made
    made.close()


class Job:
    """Runs `index` over documents given by their texts, as a job of its own."""

    count = 0

    def __init__(self, collection: Collection, embedder: HashEmbedder, documents: list[Document]) -> None:
        Job.count += 1
        self.id, self.collection, self.embedder = f"job-{Job.count}", collection, embedder
        rows = [PlanRow(each.id, "add", inline=document_as_json(each)) for each in documents]
        collection.start_job(JobRecord(self.id, "index", "running", Job.count, Job.count), rows)

    def run(self, progress=no_progress) -> IndexReport:
        return index(self.collection, self.embedder, Reading((), 400, 10**6), job=self.id, progress=progress)


def documents(count: int, text: str = "Note {} speaks of marker{}.") -> list[Document]:
    return [Document(f"d{number:02}", text.format(number, number)) for number in range(count)]


def ids(collection: Collection) -> list[str]:
    with collection.view() as view:
        return view.document_ids()


def recorded(collection: Collection, job: Job) -> IndexReport:
    return IndexReport.from_json(next(each.report for each in collection.jobs() if each.id == job.id))


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("index-")]


@pytest.fixture
def writes(collection, monkeypatch):
    """What is written, in order; `writes.hold` keeps every write waiting, and `writes.fail_at` breaks one."""

    class Writes(list):
        hold = threading.Event()
        fail_at = -1

    noted, real = Writes(), collection.write
    noted.hold.set()

    def write(change):
        assert noted.hold.wait(30)
        if len(noted) == noted.fail_at:
            raise StorageFull("The disk is full.")
        noted.append([new.document.id for new in change.add])
        return real(change)

    monkeypatch.setattr(collection, "write", write)
    return noted


def held_until_embedded(embedder: HashEmbedder, writes, calls: int) -> list[int]:
    """Hold every write until the model is called for the `calls`th time; return a list of its calls' sizes."""
    sizes: list[int] = []
    real = embedder.embed

    def embed(texts, task, titles=None):
        sizes.append(len(texts))
        if len(sizes) == calls:
            writes.hold.set()
        return real(texts, task, titles)

    writes.hold.clear()
    embedder.embed = embed
    return sizes


def test_the_next_window_is_embedded_while_the_former_waits_for_the_disk(collection, embedder, writes):
    held_until_embedded(embedder, writes, 2)  # else it would wait for ever
    report = Job(collection, embedder, documents(8)).run()
    assert (report.indexed, report.embedded) == (8, 8)
    assert writes == [["d00", "d01", "d02", "d03"], ["d04", "d05", "d06", "d07"]]


def test_progress_counts_only_what_is_in_the_record(collection, embedder):
    told: list[tuple[int, int]] = []

    def progress(now: Progress) -> None:
        told.append((now.done, len(ids(collection))))

    assert Job(collection, embedder, documents(16)).run(progress).indexed == 16
    assert all(done <= there for done, there in told)
    assert told[-1] == (16, 16)


def test_a_text_that_the_window_on_its_way_brings_is_not_embedded_again(collection, embedder, writes):
    same = "Every window says the very same thing."
    notes = [Document(each.id, same) if n % A_WINDOW else each for n, each in enumerate(documents(8))]
    sizes = held_until_embedded(embedder, writes, 2)
    report = Job(collection, embedder, notes).run()
    assert (report.indexed, report.embedded, report.reused) == (8, 3, 1)
    assert sizes == [2, 1]


def test_a_text_whose_last_document_the_window_before_replaces_is_embedded_anew(collection, embedder, writes):
    """While the second window is embedded its text is still there: the first one's write takes it away."""
    Job(collection, embedder, [Document("d00", "A passage that moves.")]).run()
    notes = [Document("d00", "Other words."), *documents(5)[1:], Document("d05", "A passage that moves.")]
    sizes = held_until_embedded(embedder, writes, 2)
    report = Job(collection, embedder, notes).run()
    assert (report.indexed, report.failed_total, sizes) == (6, 0, [4, 1, 1])
    assert all(finding.level == "ok" for finding in collection.check())


@pytest.mark.parametrize("when", [0, 2, 5])
def test_a_cancelled_job_keeps_whole_windows_and_writes_nothing_later(collection, embedder, writes, when):
    told = 0

    def progress(now: Progress) -> None:
        nonlocal told
        told += 1
        if told > 2 + when:
            raise Cancelled("enough")

    job = Job(collection, embedder, documents(24))
    with pytest.raises(Cancelled):
        job.run(progress)
    assert workers() == []
    kept = ids(collection)
    assert kept == [f"d{number:02}" for number in range(len(kept))]
    assert len(kept) % A_WINDOW == 0
    assert len(kept) < 24
    assert recorded(collection, job).indexed == len(kept)
    assert [row.document for row in collection.plan(job.id) if row.state == "done"] == kept

    assert job.run().indexed == 24  # and it goes on, embedding only the rest
    assert len(set(embedder.documents)) == 24


@pytest.mark.parametrize("window", [0, 2, 5])
def test_a_full_disk_ends_the_job_once_with_the_windows_before(collection, embedder, writes, window):
    writes.fail_at = window
    job = Job(collection, embedder, documents(24))
    with pytest.raises(StorageFull):
        job.run()
    assert workers() == []
    assert ids(collection) == [f"d{number:02}" for number in range(window * A_WINDOW)]
    assert recorded(collection, job).indexed == window * A_WINDOW


@pytest.mark.parametrize("batch", [0, 2])
def test_a_model_that_fails_ends_the_job_once_with_the_windows_before(collection, embedder, batch):
    real, calls = embedder.embed, []

    def embed(texts, task, titles=None):
        calls.append(len(texts))
        if len(calls) > batch:
            raise ModelUnavailable("It is gone.")
        return real(texts, task, titles)

    embedder.embed = embed
    with pytest.raises(ModelUnavailable):
        Job(collection, embedder, documents(24)).run()
    assert workers() == []
    assert ids(collection) == [f"d{number:02}" for number in range(batch * A_WINDOW)]


def test_an_error_while_the_next_window_is_read_ends_the_job_with_those_before(collection, embedder, monkeypatch):
    real = collection.inline

    def inline(job, document):
        if document == "d09":
            raise StorageFull("The record cannot be read.")
        return real(job, document)

    monkeypatch.setattr(collection, "inline", inline)
    with pytest.raises(StorageFull):
        Job(collection, embedder, documents(24)).run()
    assert workers() == []
    assert ids(collection) == [f"d{number:02}" for number in range(2 * A_WINDOW)]


def test_a_cancellation_is_heard_while_a_long_file_is_read(collection, embedder, monkeypatch):
    read, asked = threading.Event(), threading.Event()
    real = collection.inline

    def inline(job, document):
        asked.set()
        assert read.wait(30)
        return real(job, document)

    def progress(now: Progress) -> None:
        if asked.is_set():
            read.set()  # else the thread that reads would never end
            raise Cancelled("enough")

    monkeypatch.setattr(collection, "inline", inline)
    with pytest.raises(Cancelled):
        Job(collection, embedder, documents(24)).run(progress)
    assert (ids(collection), embedder.documents) == ([], [])


def test_at_most_three_windows_are_in_memory(collection, embedder, writes, monkeypatch):
    """One is read, one embedded, one written: a slow disk stops the reading, too."""
    read: list[str] = []
    ahead: list[int] = []
    real = collection.inline

    def inline(job, document):
        read.append(document)
        ahead.append(len(read) - sum(map(len, writes)))
        return real(job, document)

    monkeypatch.setattr(collection, "inline", inline)
    Job(collection, embedder, documents(32)).run()
    assert max(ahead) <= 4 * A_WINDOW  # the window that is being written counts until it is there


def test_a_file_given_twice_in_two_spellings_is_indexed_once(home, tmp_path, embedder):
    from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index

    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("Some words.")
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:
        engine.roots.add(tmp_path)
        paths = (str(folder / "a.md"), str(Path(folder) / ".." / "notes" / "a.md"))
        twice = accept_index(engine, IndexRequest("c", paths), [Document("notes/a.md", "Some words, as a text.")], ())
        assert twice.wait(20)
        report = twice.outcome
        assert (report.indexed, [each.reason for each in report.failed]) == (1, ["twice"])
        with engine.collection("c").view() as view:
            assert view.document("notes/a.md").document.text == "Some words, as a text."
