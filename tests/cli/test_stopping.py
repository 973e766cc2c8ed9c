"""`kcore stop` where the owner does not answer: it names the way out, and `--force` ends that process and no other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from knowledge_core.paths import LOCK_FILE, OwnerLock, holder, is_held
from knowledge_core.serving.pipe import ending
from owner_processes import kcore, own_home, owner_pid, until

IMPATIENT = {"KNOWLEDGE_CORE_PATIENCE": "0.3"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with own_home(tmp_path) as made:
        yield made


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Some other program of this user."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def say(home: Path, **changed: object) -> None:
    """Change what the lock file says, as a process that died or a broken disk may leave it."""
    file = home / LOCK_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


@pytest.mark.slow
def test_an_owner_that_cannot_be_reached_is_named_with_force_and_force_ends_it(home):
    kcore(home, "list")
    pid = owner_pid(home)
    say(home, address={"unix": str(home / "nothing.sock")})
    refused = kcore(home, "stop", **IMPATIENT)
    assert refused.returncode == 1
    assert f"process {pid}" in refused.stderr
    assert "kcore stop --force" in refused.stderr
    forced = kcore(home, "stop", "--force", **IMPATIENT)
    assert forced.returncode == 0, forced.stderr
    assert not is_held(home)
    assert "signal SIGTERM" in (home / "logs" / "owner.log").read_text()  # it was asked first, and ended in order


@pytest.mark.slow
def test_an_owner_that_is_stopped_by_the_system_is_killed(home):
    kcore(home, "list")
    os.kill(owner_pid(home), signal.SIGSTOP)
    assert "kcore stop --force" in kcore(home, "stop", **IMPATIENT).stderr
    assert kcore(home, "stop", "--force", **IMPATIENT).returncode == 0
    assert not is_held(home)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who holds a lock")
@pytest.mark.slow
def test_force_never_ends_another_program_that_the_lock_file_names(home, bystander):
    home.mkdir(exist_ok=True)
    with OwnerLock(home, "kcore owner"):
        say(home, pid=bystander.pid, started=time.time() + 100)  # it seems to have lived since before
        refused = kcore(home, "stop", "--force", **IMPATIENT)
    assert refused.returncode == 1
    assert f"whether by process {bystander.pid}" in refused.stderr
    assert bystander.poll() is None


def test_where_the_system_does_not_tell_the_holder_a_younger_process_is_not_it(home, bystander, monkeypatch):
    monkeypatch.setattr(ending, "_locking", lambda file: set())
    with OwnerLock(home, "kcore owner"):
        me = holder(home)
        assert me is not None
        assert ending.is_the_holder(home, me)
        until(lambda: ending.process_started(bystander.pid) is not None)
        assert not ending.is_the_holder(home, replace(me, pid=bystander.pid, started=time.time() - 60))
        assert not ending.is_the_holder(home, replace(me, pid=2**22 + 1))  # no process has this number
