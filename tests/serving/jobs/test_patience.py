"""A host that gives up ends its waiting and no work: calls answer early, the work goes on, `job` finds it; Ctrl-C cancels."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.cli import reembedding
from knowledge_core.cli.main import parser
from knowledge_core.cli.waiting import code_of, finished
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import ModelUnavailable
from knowledge_core.recorded_jobs.known import find_job
from knowledge_core.serving.client import Connection, Refused
from knowledge_core.serving.surface import application as application_module
from knowledge_core.serving.surface.application import application
from knowledge_core.types import Progress
from mcp_text import text_of
from owner_processes import KCORE, RawPipe, environment, kcore, own_home, until

pytestmark = pytest.mark.anyio

GIVEN_UP = {"jsonrpc": "2.0", "method": "notifications/cancelled"}


class Slow(HashEmbedder):
    """Embeds whatever it is given only while `open` is set."""

    def __init__(self, **contract: Any) -> None:
        super().__init__(**contract)
        self.entered, self.open = threading.Event(), threading.Event()

    def embed(self, texts, task, titles=None):
        self.entered.set()
        assert self.open.wait(30)
        return super().embed(texts, task, titles)


@pytest.fixture
def slow(home: Path) -> Iterator[tuple[Engine, Slow]]:
    embedder = Slow()
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:
        yield engine, embedder
        embedder.open.set()


@pytest.fixture
def heard() -> Iterator[None]:
    """Hear Ctrl-C even where whoever runs the tests put them into the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application_module, "LONGEST_CALL", 0.2)


def notes(count: int) -> list[dict[str, str]]:
    return [{"id": f"d{number}", "text": f"Note {number} speaks of marker{number}."} for number in range(count)]


async def told(client: Client, id: str, **more: Any) -> tuple[dict[str, Any], str]:
    result = await client.call_tool("job", {"id": id, **more})
    assert not result.is_error, text_of(result)
    return result.structured_content["jobs"][0], text_of(result)


async def test_a_call_that_is_withdrawn_leaves_its_work_alone_whatever_kind_it_is(slow):
    engine, embedder = slow
    calls = [
        ("index", {"documents": notes(3), "wait_seconds": 60}),
        ("cluster", {"texts": [f"text {n}" for n in range(9)], "k": 2, "wait_seconds": 60}),
    ]
    async with Client(application(engine)) as client:
        for tool, arguments in calls:
            with anyio.move_on_after(0.2) as giving_up:
                await client.call_tool(tool, arguments)
            assert giving_up.cancelled_caught
        assert {job.kind: job.state for job in engine.jobs.all()} == {"index": "running", "cluster": "running"}
    embedder.open.set()
    until(lambda: not engine.jobs.running())
    async with Client(application(engine)) as later:
        listed = (await later.call_tool("job", {})).structured_content["jobs"]
        assert {job["kind"]: job["state"] for job in listed} == {"index": "done", "cluster": "done"}
        results = {job["kind"]: job["result"] for job in listed}
        assert (results["index"]["indexed"], results["cluster"]["clusters_total"]) == (3, 2)


async def test_a_hosts_call_answers_early_with_a_job_whatever_it_was_asked_to_wait(slow, impatient):
    engine, embedder = slow
    async with Client(application(engine)) as client:
        texts = [f"text {n}" for n in range(9)]
        for tool, arguments in (
            ("index", {"documents": notes(3)}),
            ("cluster", {"texts": texts, "k": 2}),
        ):
            began = time.monotonic()
            answer = await client.call_tool(tool, {**arguments, "wait_seconds": 600})
            assert time.monotonic() - began < 20
            job = answer.structured_content["job"]
            assert answer.structured_content["state"] == "running"
            assert f'It goes on as a job, also when nobody waits. Next: job(id="{job}", wait_seconds=40).' in text_of(
                answer
            )
            item, text = await told(client, job, wait_seconds=600)
            assert item["state"] == "running"
            assert f'Next: job(id="{job}", wait_seconds=40)' in text
        embedder.open.set()
        until(lambda: not engine.jobs.running())
        assert (await told(client, job, wait_seconds=600))[0]["state"] == "done"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("embed", {"texts": ["one", "two"]}),
        ("classify", {"texts": ["one"], "labels": [{"name": "a"}, {"name": "b"}]}),
        ("search", {"query": "marker1", "mode": "semantic"}),
    ],
)
async def test_what_is_no_job_from_the_start_becomes_one_that_has_the_answer(slow, impatient, tool, arguments):
    engine, embedder = slow
    async with Client(application(engine)) as client:
        embedder.open.set()
        indexed = await client.call_tool("index", {"documents": notes(3), "wait_seconds": 20})
        await told(client, indexed.structured_content["job"], wait_seconds=20)
        until(lambda: not engine.jobs.running())
        embedder.open.clear()
        late = await client.call_tool(tool, arguments)
        assert late.is_error
        (job,) = [each.id for each in engine.jobs.running()]
        assert f'Next: job(id="{job}", wait_seconds=40). That has the answer.' in text_of(late)
        embedder.open.set()
        until(lambda: not engine.jobs.running())
        item, text = await told(client, job)
        wanted = await client.call_tool(tool, arguments)
        assert (item["state"], item["result"]) == ("done", wanted.structured_content)
        assert text == f"{job}: done.\n{text_of(wanted)}"


async def test_a_shell_waits_as_long_as_it_takes(slow, impatient):
    engine, embedder = slow
    threading.Timer(0.6, embedder.open.set).start()
    async with Client(application(engine, for_cli=True)) as client:
        answer = await client.call_tool("index", {"documents": notes(3), "wait_seconds": 600})
    assert (answer.structured_content["state"], answer.structured_content["indexed"]) == ("done", 3)


async def test_a_job_that_was_cancelled_tells_what_it_did_and_nothing_that_is_yet_to_come(home):
    class Pausing(HashEmbedder):
        calls = 0

        def embed(self, texts, task, titles=None):
            self.calls += 1
            time.sleep(0.05 if self.calls < 4 else 0.4)
            return super().embed(texts, task, titles)

    async def judge(client: Client, job: str) -> dict[str, Any]:
        item, text = await told(client, job)
        assert item["state"] == item["result"]["state"] == "cancelled"
        assert 0 < item["result"]["indexed"] == item["done"] < 600
        assert "seconds_left" not in item
        assert "left" not in item["message"] + item["result"]["progress"]
        assert " s left" not in text
        assert f"{item['result']['indexed']} documents indexed" in text
        assert "was cancelled after" in text
        return item

    embedder = Pausing()
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:
        async with Client(application(engine)) as client:
            started = await client.call_tool("index", {"documents": notes(600), "wait_seconds": 0})
            job = started.structured_content["job"]
            until(lambda: find_job(engine, job).progress.seconds_left is not None)
            stopping = await client.call_tool("job", {"id": job, "action": "cancel"})
            item = stopping.structured_content["jobs"][0]
            if item["state"] == "running":
                assert item["message"].startswith("stopping after its present step")
                assert "seconds_left" not in item
            until(lambda: not engine.jobs.running())
            here = await judge(client, job)
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:
        async with Client(application(engine)) as client:
            later = await judge(client, job)
    assert later["result"]["indexed"] == here["result"]["indexed"]


async def test_a_walk_through_many_folders_can_be_cancelled(slow, tmp_path, monkeypatch):
    engine, _ = slow
    for number in range(60):
        (tmp_path / "many" / f"f{number}").mkdir(parents=True)
    engine.roots.add(tmp_path)
    monkeypatch.setattr("knowledge_core.recorded_jobs.index_job.LOOKING", -1.0)
    reached = []

    def told(job, progress: Progress) -> None:
        if progress.message.startswith("looking for files"):
            reached.append(progress)
            job.cancel()
        real(job, progress)

    from knowledge_core.jobs import Job

    real = Job.report
    monkeypatch.setattr(Job, "report", told)
    async with Client(application(engine)) as client:
        answer = await client.call_tool("index", {"paths": [str(tmp_path / "many")], "wait_seconds": 20})
    assert answer.structured_content["state"] == "cancelled"
    assert len(reached) == 1


async def test_ctrl_c_at_a_shell_cancels_the_job_and_says_what_was_kept(slow, capfd, heard):
    engine, embedder = slow

    def press() -> None:
        assert embedder.entered.wait(20)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        embedder.open.set()

    before = signal.getsignal(signal.SIGINT)
    async with Client(application(engine, for_cli=True)) as client:
        pressing = threading.Thread(target=press)
        pressing.start()
        answer = await finished(Connection(client), "index", {"documents": notes(300)})
        pressing.join()
    (job,) = engine.jobs.all()
    assert (answer.structure["state"], job.state, code_of(answer)) == ("cancelled", "cancelled", 130)
    assert "was cancelled after" in answer.text
    assert "Ctrl-C again quits at once" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) == before


async def test_a_command_in_the_background_does_not_hear_ctrl_c(slow):
    engine, embedder = slow
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        async with Client(application(engine, for_cli=True)) as client:
            threading.Timer(0.2, lambda: (os.kill(os.getpid(), signal.SIGINT), embedder.open.set())).start()
            answer = await finished(Connection(client), "index", {"documents": notes(3)})
    finally:
        signal.signal(signal.SIGINT, before)
    assert answer.structure["state"] == "done"


async def test_ctrl_c_before_the_job_has_an_id_cancels_it_all_the_same(slow, monkeypatch, heard):
    engine, embedder = slow
    monkeypatch.setattr(engine.embedders, "default", lambda: os.kill(os.getpid(), signal.SIGINT) or embedder)
    async with Client(application(engine, for_cli=True)) as client:
        threading.Timer(0.5, embedder.open.set).start()
        answer = await finished(Connection(client), "index", {"documents": notes(300)})
    assert answer.structure["state"] == "cancelled"


async def test_a_job_that_fails_while_a_shell_waits_is_told_in_its_own_words(home):
    class Refusing(HashEmbedder):
        def embed(self, texts, task, titles=None):
            raise ModelUnavailable("the model has gone away")

    with Engine(home, Config(), make_embedder=lambda model, dimensions: Refusing()) as engine:
        async with Client(application(engine, for_cli=True)) as client:
            with pytest.raises(Refused, match="the model has gone away"):
                await finished(Connection(client), "index", {"documents": notes(3)})


async def test_ctrl_c_cancels_a_move_to_another_model_and_keeps_what_it_made(home, capsys, heard):
    slow = Slow(dimensions=64, model="slow")
    first = HashEmbedder()
    made = {"slow": slow, "auto": first, "hash": first}
    with Engine(home, Config(), make_embedder=lambda model, dimensions: made[model]) as engine:
        async with Client(application(engine, for_cli=True)) as client:
            await client.call_tool("index", {"documents": notes(30), "wait_seconds": 60})

            def press() -> None:
                assert slow.entered.wait(20)
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)
                slow.open.set()

            pressing = threading.Thread(target=press)
            pressing.start()
            arguments = parser().parse_args(["reembed", "default", "--model", "slow"])
            code = await reembedding._reembed(Connection(client), arguments)
            pressing.join()
        assert engine.collection("default").contract.model == "hash"
        assert next(job.state for job in engine.jobs.all() if job.kind == "reembed") == "cancelled"
    assert code == 130
    assert "What was made is kept: the same command goes on there, and --cancel drops it." in capsys.readouterr().out


# -- real processes ----------------------------------------------------------------------------------------------------


def long_notes(count: int) -> list[dict[str, str]]:
    return [{"id": f"w{n}", "text": f"Entry {n}. " + f"token{n} beside token. " * 60} for n in range(count)]


def structured(answer: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = answer["result"]["structuredContent"]
    return content


def jobs_of(pipe: RawPipe, kind: str = "index") -> list[dict[str, Any]]:
    return [each for each in structured(pipe.call("job"))["jobs"] if each["kind"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("where", [(), ("--in-process",)], ids=["owner", "in-process"])
def test_over_a_real_pipe_a_withdrawn_call_and_a_lost_client_leave_the_job_alone(tmp_path, where):
    with own_home(tmp_path) as home:
        with RawPipe(home, *where) as pipe:
            pipe.initialize()
            call = {"name": "index", "arguments": {"documents": long_notes(150), "wait_seconds": 600}}
            id = pipe.request("tools/call", call)
            until(lambda: bool(jobs_of(pipe)) and jobs_of(pipe)[0]["done"] > 0)
            pipe.send(json.dumps({**GIVEN_UP, "params": {"requestId": id}}).encode() + b"\n")
            assert jobs_of(pipe)[0]["state"] == "running"
            job = jobs_of(pipe)[0]["id"]
        with RawPipe(home, *where) as later:  # in one process: the next one goes on with what the last one left
            later.initialize()
            until(lambda: jobs_of(later)[0]["state"] == "done")
            (item,) = structured(later.call("job", id=job))["jobs"]
            assert item["result"]["indexed"] == 150


def documents_of(collection: Path) -> int:
    """Count what is acknowledged, in a file that another process writes."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{collection}/documents.db?mode=ro", uri=True)) as record:
            return int(record.execute("SELECT count(*) FROM documents").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("where", [(), ("--in-process",)], ids=["owner", "in-process"])
def test_ctrl_c_in_a_real_shell_cancels_and_a_second_one_quits_at_once(tmp_path, where, heard):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(map(json.dumps, long_notes(600))))
    with own_home(tmp_path) as home:
        for presses, code in ((1, 130), (2, 130)):
            command = [*KCORE, "index", "--jsonl", str(corpus), "--collection", f"c{presses}", *where]
            shell = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(home)
            )
            until(lambda name=f"c{presses}": documents_of(home / "collections" / name) > 0)
            for _ in range(presses):
                shell.send_signal(signal.SIGINT)
                time.sleep(
                    0.01
                )  # so that the system does not make one of two; a batch, after which all is over, takes 50 ms
            out, errors = shell.communicate(timeout=60)
            assert shell.returncode == code, errors
            assert "Traceback" not in errors
            assert ("was cancelled after" in out) == (presses == 1), out
            assert " 0 documents indexed" not in out
        if not where:
            until(lambda: "running" not in kcore(home, "status").stdout)
            assert kcore(home, "status").stdout.count(": cancelled, ") == 2
