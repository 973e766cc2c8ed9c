"""A process that does not answer itself any more is ended from outside the interpreter, and the next one says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.paths import LOGS, holder
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.recorded_jobs.known import cancel_job, find_job
from knowledge_core.recorded_jobs.resuming import resume_jobs
from knowledge_core.serving.owner.watchdog import FILE, Ended, former_end, tell_of_former_end
from knowledge_core.types import Document
from owner_processes import RawPipe, environment, kcore, own_home, until

SECONDS = 0.4
HELD = 're.match(r"(a|a)*b", "a" * 64)'
ASLEEP = "ctypes.PyDLL(None).sleep(60)"  # holds the lock, and needs no processor

PROGRAM = """
import ctypes, os, re, signal, threading, time
from pathlib import Path
import anyio
from knowledge_core.serving.owner.watchdog import answer, watched

async def main(beat):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer, beat, {seconds})
        await anyio.sleep({alive})
        {then}
        tasks.cancel_scope.cancel()

with watched(Path({home!r}), {seconds}, lambda: {busy}) as beat:
    anyio.run(main, beat)
time.sleep({after})
print("in order")
"""


def ran(
    home: Path,
    then: str = "pass",
    *,
    alive: float = 0.05,
    after: float = 0.0,
    busy: bool = True,
    seconds: float | None = SECONDS,
) -> subprocess.Popen[str]:
    home.mkdir(exist_ok=True)
    program = PROGRAM.format(home=str(home), then=then, alive=alive, after=after, busy=busy, seconds=seconds)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="ctypes finds the system's library so on POSIX only")
@pytest.mark.parametrize("stuck", [HELD, pytest.param(ASLEEP, marks=pytest.mark.slow)])
def test_a_process_whose_interpreter_is_held_is_ended_and_what_its_threads_did_is_kept(stuck, tmp_path):
    process = ran(tmp_path, stuck)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (-signal.SIGALRM, "")
    ended = former_end(tmp_path)
    assert (ended.pid, ended.seconds, ended.stuck) == (process.pid, SECONDS, True)
    assert abs(ended.at - time.time()) < 30
    assert "in main" in ended.threads
    assert "(a|a)*b" not in ended.threads  # lines of code by number, nothing of what they hold


def test_a_process_that_answers_or_has_ended_in_order_is_left_alone(tmp_path):
    process = ran(tmp_path, alive=3 * SECONDS, after=2 * SECONDS)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out.strip()) == (0, "in order")
    assert former_end(tmp_path) is None


@pytest.mark.slow
def test_native_work_on_other_threads_that_lets_the_lock_go_ends_nothing(tmp_path):
    busy = f"await anyio.to_thread.run_sync(time.sleep, {3 * SECONDS})"
    process = ran(tmp_path, busy)
    assert process.communicate(timeout=30)[0].strip() == "in order"


@pytest.mark.slow
def test_none_seconds_mean_never(tmp_path):
    process = ran(tmp_path, "time.sleep(1)", seconds=None)
    assert process.communicate(timeout=30)[0].strip() == "in order"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals that stop a process")
def test_a_process_that_was_stopped_is_not_said_to_have_been_stuck(tmp_path):
    process = ran(tmp_path, alive=60)
    until(
        lambda: (tmp_path / LOGS / FILE).exists() and b'"beat": 0.0' not in (tmp_path / LOGS / FILE).read_bytes()[:200]
    )
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1.5 * SECONDS + 1.5)
    os.kill(process.pid, signal.SIGCONT)
    process.communicate(timeout=30)
    ended = former_end(tmp_path)
    assert not ended.stuck
    assert "was stopped for more than" in str(ended)


def engine_at(home: Path) -> Engine:
    return Engine(home, Config(), make_embedder=lambda model, dimensions: HashEmbedder())


def ended_at(home: Path, *, stuck: bool = True) -> None:
    """Leave what a process leaves that its watchdog ended."""
    (home / LOGS).mkdir(exist_ok=True, parents=True)
    beat = time.time() - (120 if stuck else 3600)
    head = json.dumps({"pid": 77, "seconds": 120, "beat": beat}).encode().ljust(199) + b"\n"
    (home / LOGS / FILE).write_bytes(head + b'Thread 0x1:\n  File "readers.py", line 7 in decode\n')


def left_running(home: Path, *names: str) -> list[str]:
    """Record a job in each collection as a process leaves it that ended over it."""
    with engine_at(home) as engine:
        jobs = [accept_index(engine, IndexRequest(name), [Document("a", "some words")], ()) for name in names]
        for job in jobs:
            assert job.wait(20)
    for name, job in zip(names, jobs, strict=True):
        _begun_again(home, name, job.id)
    return [job.id for job in jobs]


def _begun_again(home: Path, name: str, id: str) -> None:
    with engine_at(home) as engine:
        engine.collection(name).resume_job(id)


def test_a_job_over_which_two_processes_got_stuck_is_given_up_and_says_what_to_do(tmp_path):
    (job,) = left_running(tmp_path, "notes")
    for stuck in (1, 2):
        ended_at(tmp_path)
        with engine_at(tmp_path) as engine:
            tell_of_former_end(engine)
            resume_jobs(engine)
            until(lambda engine=engine: find_job(engine, job).state not in ("running", "interrupted"))
            found = find_job(engine, job)
            if stuck == 1:
                assert found.state == "done"
                assert "process 77" in engine.notices[0]
                engine.collection("notes")._store.jobs.blame(job)  # it ended well; as if it had not
        _begun_again(tmp_path, "notes", job)
    assert found.state == "failed"
    assert "2 processes got stuck while they worked on it" in found.error
    assert "`exclude`" in found.error


def test_jobs_that_ran_when_a_process_got_stuck_go_on_one_after_the_other_and_may_be_cancelled_meanwhile(tmp_path):
    first, second = left_running(tmp_path, "one", "two")
    ended_at(tmp_path)
    with engine_at(tmp_path) as engine:
        tell_of_former_end(engine)
        with engine.one_writer("one"):  # so that the first one does not end
            resume_jobs(engine)
            until(lambda: engine.jobs.find(first) is not None)
            time.sleep(0.2)
            assert find_job(engine, second).state == "interrupted"
            cancel_job(engine, second)
        until(lambda: find_job(engine, first).state == "done")
        time.sleep(0.2)
        assert find_job(engine, second).state == "cancelled"


def test_a_process_that_was_only_stopped_costs_no_job_anything(tmp_path):
    (job,) = left_running(tmp_path, "notes")
    ended_at(tmp_path, stuck=False)
    with engine_at(tmp_path) as engine:
        tell_of_former_end(engine)
        assert not engine.former_was_stuck
        resume_jobs(engine)
        until(lambda: find_job(engine, job).state == "done")


def another_than(home: Path, pid: int) -> bool:
    found = holder(home)  # None while it is being written
    return found is not None and found.pid != pid


@pytest.mark.slow
def test_an_owner_that_a_file_holds_is_ended_and_after_the_second_time_its_job_is_given_up(tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("# Held\n\nHOLD THE INTERPRETER")
    held = {"PYTHONPATH": str(Path(__file__).parent / "stuck")}
    with (
        own_home(tmp_path, owner={"unresponsive_seconds": 3}, roots=[str(notes)]) as home,
        RawPipe(home, **held) as pipe,
    ):
        pipe.initialize()
        first = holder(home).pid
        job = pipe.call("index", paths=[str(notes)], wait_seconds=0)["result"]["structuredContent"]["job"]
        until(lambda: another_than(home, first))  # the pipe starts the next owner, which goes on with the job
        second = holder(home).pid
        until(lambda: another_than(home, second))
        asked = {"name": "job", "arguments": {"id": job, "wait_seconds": 30}}
        told = pipe.answer(pipe.request("tools/call", asked))
        while "error" in told:  # the call that was under way when an owner ended
            told = pipe.answer(pipe.request("tools/call", asked))
        item = told["result"]["structuredContent"]["jobs"][0]
        assert (item["state"], "2 processes got stuck" in item["error"]) == ("failed", True)
        assert pipe.call("list_collections")["result"]["structuredContent"]["notices"]
        for command, says in (
            (["status"], "was ended at"),
            (["doctor"], "Given up: 2 processes got stuck"),
            (["logs", "--lines", "500"], "in _held"),
        ):
            assert says in kcore(home, *command, **held).stdout, command
        assert "HOLD THE" not in kcore(home, "logs", "--lines", "500", **held).stdout


@pytest.mark.slow
def test_a_server_in_its_clients_process_is_ended_too(tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("HOLD THE INTERPRETER")
    program = (
        "import sys; sys.orig_argv.append('owner'); import sitecustomize, importlib; importlib.reload(sitecustomize)"
    )
    program += "; from knowledge_core.cli.main import main; sys.exit(main(['serve', '--in-process']))"
    with own_home(tmp_path, owner={"unresponsive_seconds": 3}, roots=[str(notes)]) as home:
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment(home, PYTHONPATH=str(Path(__file__).parent / "stuck")),
        )  # fmt: skip
        for said in (
            {"id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": {"name": "index", "arguments": {"paths": [str(notes)]}}},
        ):  # fmt: skip
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **said}).encode() + b"\n")
            process.stdin.flush()
        assert process.wait(timeout=60) == -signal.SIGALRM
        assert isinstance(former_end(home), Ended)
