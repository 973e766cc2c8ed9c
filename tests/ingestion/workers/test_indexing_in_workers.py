"""What an agent sees of files that take their parser down: a report that names them, and everything else indexed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from evil_child import EVIL, evil
from ingestion_material import pdf_bytes
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.ingestion.workers.pool import Workers
from knowledge_core.paths import holder
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.private import PrivateRequests
from mcp_text import index
from owner_processes import kcore, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """Three files: in the middle one whose parser writes its number to `pid` and goes on for ever."""
    found = tmp_path / "papers"
    found.mkdir()
    (found / "a.pdf").write_bytes(pdf_bytes([["The first paper"]]))
    (found / "b.pdf").write_bytes(evil("sleep", str(tmp_path / "pid")))
    (found / "c.pdf").write_bytes(pdf_bytes([["The third paper"]]))
    engine.workers = Workers(command=EVIL, most=1)
    engine.roots.add(found)
    return found


def caught(pid: Path) -> int:
    """Wait for the child that parses the endless file, and return its number."""
    until(lambda: pid.exists() and pid.read_text() != "")
    number = int(pid.read_text())
    pid.unlink()
    return number


async def test_a_child_that_is_killed_in_the_middle_costs_its_file_alone(engine, folder, tmp_path):
    def killing() -> None:
        for _ in range(2):  # once may be an accident
            os.kill(caught(tmp_path / "pid"), signal.SIGKILL)

    killer = threading.Thread(target=killing)
    killer.start()
    async with Client(application(engine)) as client:
        report = await index(client, folder, wait_seconds=40)
    killer.join()
    assert (report["indexed"], report["failed_total"]) == (2, 1)
    (failed,) = report["failed"]
    assert failed["document"] == "papers/b.pdf"
    assert failed["reason"] == "damaged"


async def test_cancelling_a_job_ends_the_child_in_the_middle_of_its_file(engine, folder, tmp_path):
    async with Client(application(engine)) as client:
        begun = await index(client, folder, wait_seconds=0)
        pid = caught(tmp_path / "pid")
        began = time.monotonic()
        await client.call_tool("job", {"id": begun["job"], "action": "cancel"})
        done = await client.call_tool("job", {"id": begun["job"], "wait_seconds": 20})
    assert done.structured_content["jobs"][0]["state"] == "cancelled"
    assert time.monotonic() - began < 10
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_status_says_where_no_child_can_be_started(engine, folder):
    engine.workers = Workers(command=("/nowhere/python",))
    (folder / "b.pdf").unlink()
    async with Client(application(engine)) as client:
        report = await index(client, folder, wait_seconds=40)
    assert report["indexed"] == 2
    status = PrivateRequests(engine, {})._status()
    assert any("own process" in notice for notice in status["notices"])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="looks at processes as Linux shows them")
def test_the_owner_parses_in_a_child_that_dies_with_it(home, tmp_path):
    (tmp_path / "paper.pdf").write_bytes(pdf_bytes([["A paper on otters"]]))
    done = kcore(home, "index", str(tmp_path / "paper.pdf"), "--json")
    assert json.loads(done.stdout)["indexed"] == 1, done.stderr
    owner = holder(home)
    assert owner is not None
    children = Path(f"/proc/{owner.pid}/task").glob("*/children")
    (child,) = [int(pid) for each in children for pid in each.read_text().split() if is_parser(int(pid))]
    assert len(json.loads(kcore(home, "status", "--json").stdout)["parsing"]) == 1
    os.kill(owner.pid, signal.SIGKILL)
    until(lambda: not is_parser(child), 10)


def is_parser(pid: int) -> bool:
    try:
        return b"workers.child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
