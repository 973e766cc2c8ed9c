"""Jobs survive: what was accepted is recorded, and goes on where it was, whatever ended the process."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import CollectionNotFound, Interrupted, ModelUnavailable
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.recorded_jobs.known import find_job, known_jobs
from knowledge_core.recorded_jobs.resuming import MOST_ATTEMPTS, resume_jobs
from knowledge_core.serving.surface.application import application
from knowledge_core.storage.collection import JobRecord
from knowledge_core.types import Document
from mcp_text import text_of
from owner_processes import until

pytestmark = pytest.mark.anyio


class GatedEmbedder(HashEmbedder):
    """Embeds documents one call at a time, as far as a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def embed(self, texts, task, titles=None):
        if titles is not None:
            self.entered.release()
            assert self.gate.acquire(timeout=30)
        return super().embed(texts, task, titles)

    def open(self) -> None:
        self.gate.release(10_000)


def engine_at(home: Path, embedder: HashEmbedder) -> Engine:
    config = Config.model_validate({"roots": [str(home.parent)]})
    return Engine(home, config, make_embedder=lambda model, dimensions: embedder)


async def described(client: Client, job: str) -> dict[str, Any]:
    return (await client.call_tool("job", {"id": job})).structured_content["jobs"][0]


def document(number: int) -> dict[str, str]:
    return {"id": f"d{number}", "text": f"Note {number} speaks of marker{number}. " + f"tail{number} " * 30}


def ended(engine: Engine, id: str) -> bool:
    return find_job(engine, id).state not in ("running", "interrupted")


async def asked(client: Client, wait_seconds: float = 0, **arguments) -> dict:
    result = await client.call_tool("index", {**arguments, "wait_seconds": wait_seconds})
    assert not result.is_error, text_of(result)
    return result.structured_content


async def test_an_interrupted_job_goes_on_under_its_id_with_its_counts_and_embeds_nothing_twice(
    home, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "knowledge_core.verbs.index.LARGEST_WINDOW", 64
    )  # however fast it is: the interrupt is not in the last window
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(200):
        (folder / f"n{number:03}.md").write_text(document(number)["text"])
    gated = GatedEmbedder()
    with engine_at(home, gated) as engine:
        async with Client(application(engine)) as client:
            job = (await asked(client, paths=[str(folder)]))["job"]
            for _ in range(2):
                await anyio.to_thread.run_sync(gated.entered.acquire)
                gated.gate.release()  # one window is acknowledged, another one is being written or under way
            await anyio.to_thread.run_sync(gated.entered.acquire)
            engine.jobs.find(job).interrupt()  # before the gate opens: it would be done too soon
            gated.open()
            engine.jobs.stop()
        assert engine.jobs.find(job).state == "interrupted"
        with engine.collection("default").view() as view:
            acknowledged = set(view.document_ids())
    assert 0 < len(acknowledged) < 200

    again = HashEmbedder()
    with engine_at(home, again) as engine:
        resume_jobs(engine)
        until(lambda: ended(engine, job))
        report = find_job(engine, job).outcome
        assert (report.indexed, report.unchanged, report.embedded) == (200, 0, 200)
        assert len(again.documents) == 200 - len(acknowledged)
        assert not [text for text in again.documents if f"notes/{text.partition(chr(10))[0]}" in acknowledged]
        with engine.collection("default").view() as view:
            assert view.counts().documents == view.counts().known == 200


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import anyio
from mcp.client import Client
from test_index_job import GatedEmbedder, engine_at, document
from knowledge_core.serving.surface.application import application

async def main():
    gated = GatedEmbedder()
    engine = engine_at(Path(sys.argv[2]), gated)
    async with Client(application(engine)) as client:
        documents = [document(number) for number in range(int(sys.argv[3]))]
        handle = await client.call_tool("index", {"documents": documents, "wait_seconds": 0})
        print(handle.structured_content["job"], flush=True)
        gated.gate.release(int(sys.argv[4]))
        await anyio.sleep(60)

anyio.run(main)
"""


def killed_with_a_job(home: Path, documents: int, windows: int) -> str:
    """Let a process accept a job and do some of its windows, kill it, and return the job's id."""
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(home), str(documents), str(windows)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert child.stdout is not None
    job = child.stdout.readline().strip()
    if windows:
        time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    return job


@pytest.mark.parametrize("windows", [0, 2])
async def test_documents_given_in_a_call_survive_kill_9_from_the_moment_of_the_handle(tmp_path, windows):
    home = tmp_path / "home"
    job = killed_with_a_job(home, 300, windows)
    embedder = HashEmbedder()
    with engine_at(home, embedder) as engine:
        with engine.collection("default").view() as view:
            before = view.counts()
            assert before.known == 300
        resume_jobs(engine)
        until(lambda: ended(engine, job))
        report = find_job(engine, job).outcome
        assert (report.indexed, len(embedder.documents)) == (300, 300 - before.documents)
        async with Client(application(engine)) as client:
            answer = await client.call_tool("search", {"query": "marker299"})
            assert answer.structured_content["hits"][0]["document"] == "d299"


async def test_a_job_that_ends_its_process_every_time_is_given_up(tmp_path):
    home = tmp_path / "home"
    job = killed_with_a_job(home, 100, 0)
    for _ in range(MOST_ATTEMPTS - 1):
        with engine_at(home, HashEmbedder()) as engine:
            engine.collection("default").resume_job(job)  # began again, and never ended: as after a crash
    with engine_at(home, HashEmbedder()) as engine:
        resume_jobs(engine)
        until(lambda: ended(engine, job))
        found = find_job(engine, job)
        assert (found.state, "3 processes ended" in found.error) == ("failed", True)


async def test_an_ended_job_is_remembered_by_the_next_process(home):
    with engine_at(home, HashEmbedder()) as engine:
        async with Client(application(engine)) as client:
            job = (await asked(client, 20, documents=[document(1)]))["job"]
    with engine_at(home, HashEmbedder()) as engine:
        async with Client(application(engine)) as client:
            told = await client.call_tool("job", {"id": job})
            item = told.structured_content["jobs"][0]
            assert (item["state"], item["result"]["indexed"]) == ("done", 1)
            unknown = await client.call_tool("job", {"id": "index-0"})
            assert unknown.is_error
            assert job in text_of(unknown)


async def test_a_source_that_vanished_meanwhile_fails_its_job_with_the_reason(home, tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("text")
    gated = GatedEmbedder()
    with engine_at(home, gated) as engine:
        engine._writers.setdefault("default", threading.Lock()).acquire()  # so that it waits before it walks
        async with Client(application(engine)) as client:
            job = (await asked(client, paths=[str(folder)]))["job"]
    (folder / "a.md").unlink()
    folder.rmdir()
    with engine_at(home, HashEmbedder()) as engine:
        resume_jobs(engine)
        until(lambda: job not in [each.id for each in engine.jobs.running()] and engine.jobs.find(job) is not None)
        found = find_job(engine, job)
        assert (found.state, str(folder) in found.error) == ("failed", True)
        assert engine.names() == []  # the collection was made for this job alone


async def test_a_later_call_wins_over_an_earlier_one_that_waits(home):
    gated = GatedEmbedder()
    with engine_at(home, gated) as engine:
        async with Client(application(engine)) as client:
            first = (await asked(client, documents=[document(0)]))["job"]
            await anyio.to_thread.run_sync(gated.entered.acquire)
            second = (await asked(client, documents=[{"id": "x", "text": "the old words"}]))["job"]
            third = (await asked(client, documents=[{"id": "x", "text": "the new words"}]))["job"]
            gated.open()
            until(lambda: all(ended(engine, id) for id in (first, second, third)))
            found = await client.call_tool("get_document", {"id": "x"})
            assert found.structured_content["text"] == "the new words"


async def test_a_job_that_waits_for_another_says_so_and_can_be_cancelled(home):
    gated = GatedEmbedder()
    with engine_at(home, gated) as engine:
        async with Client(application(engine)) as client:
            first = (await asked(client, documents=[document(0)]))["job"]
            await anyio.to_thread.run_sync(gated.entered.acquire)
            second = (await asked(client, documents=[document(1)]))["job"]
            until(lambda: "waiting for another job" in find_job(engine, second).progress.message)
            await client.call_tool("job", {"id": second, "action": "cancel", "wait_seconds": 10})
            assert find_job(engine, second).state == "cancelled"
            gated.open()
            until(lambda: ended(engine, first))
            with engine.collection("default").view() as view:
                assert view.document_ids() == ["d0"]
                assert view.counts().known == 1


async def test_many_clients_may_wait_for_jobs_at_once_without_holding_threads(home):
    gated = GatedEmbedder()
    with engine_at(home, gated) as engine:
        async with Client(application(engine)) as client, anyio.create_task_group() as tasks:
            job = (await asked(client, documents=[document(0)]))["job"]
            await anyio.to_thread.run_sync(gated.entered.acquire)
            for _ in range(60):  # more than the 40 threads that there are for tools
                tasks.start_soon(client.call_tool, "job", {"id": job, "wait_seconds": 60})
            await anyio.sleep(0.1)
            listed = await client.call_tool("list_collections", {})
            assert not listed.is_error
            gated.open()


async def test_a_wrong_call_leaves_no_collection(home):
    with engine_at(home, HashEmbedder()) as engine:
        async with Client(application(engine)) as client:
            for wrong in ({"paths": ["/nowhere/at/all"]}, {"documents": [{"id": "", "text": "x"}]}):
                assert (await client.call_tool("index", {**wrong, "collection": "other"})).is_error
            assert engine.names() == []


async def test_without_any_model_a_call_is_refused_and_leaves_nothing(home):
    def none(model: str, dimensions: int | None) -> HashEmbedder:
        raise ModelUnavailable("No embedding model is on this machine.")

    with Engine(home, Config(), make_embedder=none) as engine:
        async with Client(application(engine)) as client:
            refused = await client.call_tool("index", {"documents": [document(0)]})
            assert "No embedding model" in text_of(refused)
            assert engine.names() == []


async def test_progress_has_its_numbers(home):
    gated = GatedEmbedder()
    with engine_at(home, gated) as engine:
        async with Client(application(engine)) as client:
            job = (await asked(client, documents=[document(number) for number in range(200)]))["job"]
            await anyio.to_thread.run_sync(gated.entered.acquire)
            await anyio.sleep(0.5)  # so that what is left is more than nothing, rounded
            while not (item := await described(client, job))["done"]:  # a window is written beside what comes next
                gated.gate.release()
                await anyio.to_thread.run_sync(gated.entered.acquire)
            assert item["done"] < item["total"] == 200
            assert item["chunks"] > 0
            assert item["tokens_per_second"] > 0
            assert item["seconds_left"] > 0
            gated.open()


def test_a_record_of_the_first_schema_is_taken_over(home):
    with engine_at(home, HashEmbedder()) as engine:
        engine.collection_or_new("old")
    file = home / "collections" / "old" / "documents.db"
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE jobs DROP COLUMN attempts")
        connection.execute("DROP INDEX documents_by_size")
        connection.execute("DROP TABLE kept_out")
        connection.execute("DROP INDEX chunks_by_text")
        connection.execute("ALTER TABLE chunks DROP COLUMN text_digest")
        for later in ("headings", "lines_of_file", "ctime_ns", "unreadable", "embedded_title"):
            connection.execute(f"ALTER TABLE documents DROP COLUMN {later}")
        for later in ("patterns", "by_person", "watch", "whole", "mounts"):
            connection.execute(f"ALTER TABLE sources DROP COLUMN {later}")
        connection.execute("INSERT INTO jobs VALUES ('index-1', 'index', 'running', 1, 1, '{}', '{}')")
        inline = json.dumps(document(7))
        connection.execute("INSERT INTO plan VALUES ('index-1', 0, 'd7', 'add', NULL, ?, 'waiting', '')", (inline,))
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with engine_at(home, HashEmbedder()) as engine:
        (job,) = engine.collection("old").jobs()
        assert (job.state, job.attempts) == ("interrupted", 1)
        resume_jobs(engine)
        until(lambda: ended(engine, "index-1"))
        with engine.collection("old").view() as view:
            assert view.document_ids() == ["d7"]


def test_one_damaged_collection_does_not_hide_the_jobs_of_the_others(home):
    with engine_at(home, HashEmbedder()) as engine:
        for name in ("good", "bad"):
            assert accept_index(engine, IndexRequest(name), [Document("a", "some words")], ()).wait(20)
    for extra in (home / "collections" / "bad").glob("documents.db-*"):
        extra.unlink()
    (home / "collections" / "bad" / "documents.db").write_bytes(b"not a database" * 1000)
    with engine_at(home, HashEmbedder()) as engine:
        assert [job.collection for job in known_jobs(engine)] == ["good"]


async def test_a_job_that_waits_to_go_on_can_be_cancelled(engine, connect):
    accept_index(engine, IndexRequest("c"), [Document("a", "some words")], ()).wait(20)
    content = json.dumps(asdict(IndexRequest("c")))
    engine.collection("c").start_job(JobRecord("index-left", "index", "interrupted", 1, 1, content, "{}"), [])
    async with connect() as client:
        told = await client.call_tool("job", {"id": "index-left", "action": "cancel"})
    assert told.structured_content["jobs"][0]["state"] == "cancelled"


def test_a_job_whose_collection_was_replaced_while_it_waited_says_so(home):
    with engine_at(home, HashEmbedder()) as engine:
        accept_index(engine, IndexRequest("c"), [Document("a", "some words")], ()).wait(20)
        with engine.one_writer("c"):
            waiting = accept_index(engine, IndexRequest("c"), [Document("b", "other words")], ())
            engine.drop("c")
            accept_index(engine, IndexRequest("c"), [Document("a", "some words")], ())
        assert waiting.wait(20)
        assert "deleted and made again" in waiting.error


def test_an_ending_process_neither_loses_a_call_nor_counts_an_attempt(home):
    with engine_at(home, HashEmbedder()) as engine:
        accept_index(engine, IndexRequest("c"), [Document("a", "some words")], ()).wait(20)
        engine.jobs.stop()
        with pytest.raises(Interrupted, match="goes on in the next one"):
            accept_index(engine, IndexRequest("c"), [Document("b", "other words")], ())
    for _ in range(MOST_ATTEMPTS + 1):
        with engine_at(home, HashEmbedder()) as engine:
            engine.jobs.stop()
            resume_jobs(engine)
            time.sleep(0.05)
    with engine_at(home, HashEmbedder()) as engine:
        resume_jobs(engine)
        until(lambda: engine.collection("c").stored_state("b") is not None)


def test_a_process_that_ends_while_it_looks_for_jobs_counts_no_attempt_of_them(home, monkeypatch):
    with engine_at(home, HashEmbedder()) as engine:
        accept_index(engine, IndexRequest("c"), [Document("a", "some words")], ()).wait(20)
        engine.jobs.stop()
        with pytest.raises(Interrupted):
            accept_index(engine, IndexRequest("c"), [Document("b", "other words")], ())
    with engine_at(home, HashEmbedder()) as engine:
        collection = engine.collection("c")
        (attempts,) = [each.attempts for each in collection.jobs() if each.state == "interrupted"]

        def closed(*_: object) -> None:
            raise CollectionNotFound("it was closed")

        monkeypatch.setattr(collection, "finish_job", closed)
        engine.jobs.stop()
        resume_jobs(engine)
        until(lambda: not any(thread.name == "resume" for thread in threading.enumerate()))
        assert [each.attempts for each in collection.jobs() if each.state != "done"] == [attempts]
