"""The commands the usual way: clients of an owner process that they start themselves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge_core.paths import is_held
from owner_processes import KCORE, RawPipe, environment, kcore, own_home, owner_pid, until


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with own_home(tmp_path) as made:
        yield made


def test_commands_share_one_owner_and_status_shows_it(home):
    assert kcore(home, "list").returncode == 0
    pid = owner_pid(home)
    with RawPipe(home) as pipe:
        pipe.initialize()
        told = json.loads(kcore(home, "status", "--json").stdout)
        assert told["owner"]["pid"] == pid
        assert [client["role"] for client in told["owner"]["clients"]] == ["host", "cli"]
        assert told["owner"]["memory_bytes"] > 10_000_000
        shown = kcore(home, "status").stdout
        assert f"owner: process {pid}" in shown
        assert f"host, process {pipe.process.pid}" in shown


def test_stop_ends_the_owner_and_says_so_when_there_is_none(home):
    nothing = kcore(home, "stop")
    assert (nothing.returncode, nothing.stdout.startswith("No owner runs")) == (0, True)
    kcore(home, "list")
    pid = owner_pid(home)
    stopped = kcore(home, "stop", "--json")
    assert json.loads(stopped.stdout)["pid"] == pid
    assert not is_held(home)


def test_stop_does_not_end_a_server_of_a_clients_own(home):
    with RawPipe(home, "--in-process") as pipe:
        pipe.initialize()
        refused = kcore(home, "stop")
        assert (refused.returncode, f"process {pipe.process.pid}" in refused.stderr) == (1, True)


def test_logs_name_the_request_in_every_line_and_hold_no_text(home):
    with RawPipe(home) as pipe:
        pipe.initialize()
        pipe.call("search", query="a secret question", mode="lexical")
        pipe.call("list_collections")
    shown = kcore(home, "logs").stdout
    assert re.search(r"INFO \[c1\.3\] knowledge_core\.serving\.surface\.mcp_server: list_collections in \d+ ms", shown)
    assert "secret" not in shown
    assert len(kcore(home, "logs", "--lines", "2").stdout.splitlines()) == 2
    assert json.loads(kcore(home, "logs", "--json").stdout)["lines"]
    assert "No log yet" in kcore(home.parent / "other", "logs").stdout


@pytest.mark.slow
def test_logs_follow_what_is_added(home):
    kcore(home, "list")
    follower = subprocess.Popen([*KCORE, "logs", "--follow"], stdout=subprocess.PIPE, env=environment(home), text=True)
    assert follower.stdout is not None
    time.sleep(0.5)
    with RawPipe(home) as pipe:
        pipe.initialize()
    try:
        line = ""
        while "host connected" not in line:
            line = follower.stdout.readline()
            assert line
    finally:
        follower.kill()
        follower.communicate()


@pytest.mark.slow
def test_uninstall_says_what_would_go_asks_and_leaves_what_is_not_ours(home):
    kcore(home, "list")
    pid = owner_pid(home)
    (home / "diary.txt").write_text("mine")
    would = json.loads(kcore(home, "uninstall", "--dry-run", "--json").stdout)
    assert str(home / "collections") in [each["path"] for each in would["would_remove"]]
    assert owner_pid(home) == pid

    unsure = kcore(home, "uninstall")
    assert (unsure.returncode, "--yes" in unsure.stderr) == (2, True)

    removed = kcore(home, "uninstall", "--yes")
    assert (removed.returncode, "diary.txt" in removed.stdout) == (0, True)
    assert [path.name for path in home.iterdir()] == ["diary.txt"]
    until(lambda: not is_held(home))


@pytest.mark.slow
def test_an_owner_that_dies_during_a_command_is_one_line(home):
    kcore(home, "list")
    waiting = subprocess.Popen(
        [*KCORE, "search", "x", "--mode", "lexical"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment(home),
    )  # fmt: skip
    os.kill(owner_pid(home), signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(owner_pid(home), signal.SIGKILL)
    _, errors = waiting.communicate(timeout=30)
    assert waiting.returncode == 1
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1, errors
