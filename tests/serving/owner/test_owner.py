"""The owner process: how it starts, whom it lets in, when it ends, and what happens where it cannot be."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import knowledge_core
from knowledge_core.paths import OwnerLock, holder, is_held
from knowledge_core.serving.pipe.lines import own_line
from knowledge_core.serving.pipe.local_socket import dial
from owner_processes import KCORE, RawPipe, environment, kcore, own_home, owner_pid, until

TRANSPORT = "KNOWLEDGE_CORE_TRANSPORT"
PATIENCE = "KNOWLEDGE_CORE_PATIENCE"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with own_home(tmp_path) as made:
        yield made


def address_of(home: Path) -> dict[str, Any]:
    found = holder(home)
    assert found is not None
    return dict(found.address or {})


def log(home: Path) -> str:
    return (home / "logs" / "owner.log").read_text()


# -- starting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["unix", pytest.param("tcp", marks=pytest.mark.slow)])
def test_ten_pipes_that_start_at_once_have_one_owner(home, transport):
    def tools() -> int:
        with RawPipe(home, **{TRANSPORT: transport}) as pipe:
            pipe.initialize()
            return len(pipe.answer(pipe.request("tools/list"))["result"]["tools"])

    with ThreadPoolExecutor(10) as at_once:
        counts = [future.result() for future in [at_once.submit(tools) for _ in range(10)]]
    assert counts == [10] * 10
    assert log(home).count("owner of ") == 1
    assert list(address_of(home)) == [transport]


def test_the_owner_is_detached_and_keeps_its_files_to_its_user(home):
    assert kcore(home, "list").returncode == 0
    pid = owner_pid(home)
    assert os.getsid(pid) == pid
    assert not stat.S_IMODE((home / "owner.lock").stat().st_mode) & 0o077
    address = address_of(home)
    assert stat.S_IMODE(Path(address["unix"]).parent.stat().st_mode) == 0o700
    if Path("/proc").exists():
        assert os.readlink(f"/proc/{pid}/cwd") == str(home)
        assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1)] == ["/dev/null"] * 2


def test_a_losing_owner_imports_nothing_but_the_standard_library(home):
    with OwnerLock(home, "kcore owner"):
        command = [sys.executable, "-X", "importtime", "-P", "-m", "knowledge_core.serving.owner", "--home", str(home)]
        lost = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (lost.returncode, json.loads(lost.stdout)["state"]) == (3, "held")
    assert not [
        name for name in ("numpy", "mcp", "pydantic", "yaml", "anyio", "asyncio") if f" {name}\n" in lost.stderr
    ]


@pytest.mark.slow
def test_what_a_dead_owner_left_is_replaced(home):
    kcore(home, "list")
    first = owner_pid(home)
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_held(home))
    assert Path(address_of(home)["unix"]).exists()
    assert kcore(home, "list").returncode == 0
    assert owner_pid(home) != first


@pytest.fixture
def private_temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of this test's own, short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="kc", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        yield Path(folder)


@pytest.fixture
def short_home(private_temporary: Path) -> Iterator[Path]:
    """A data directory that is short enough for a socket in it."""
    with own_home(private_temporary) as made:
        yield made


def sockets_of(home: Path) -> str:
    assert kcore(home, "list").returncode == 0
    return str(address_of(home)["unix"])


@pytest.mark.slow
def test_a_foreign_file_in_the_sockets_place_is_left_alone(private_temporary, short_home):
    home = short_home
    place = Path(sockets_of(home))
    assert place.is_relative_to(private_temporary)
    kcore(home, "stop")
    place.write_text("not ours")
    assert Path(sockets_of(home)) == home / "run" / place.name
    assert place.read_text() == "not ours"
    assert "is in the way" in log(home)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_used(private_temporary, short_home):
    home = short_home
    place = private_temporary / f"knowledge-core-{os.getuid()}"
    place.mkdir(mode=0o777)
    os.chown(place, 12345, 12345)
    assert Path(sockets_of(home)).parent == home / "run"
    assert "not a folder of this user" in log(home)


@pytest.mark.slow
def test_a_link_in_the_folders_place_is_not_followed(private_temporary, short_home, tmp_path):
    home = short_home
    (tmp_path / "elsewhere").mkdir()
    (private_temporary / f"knowledge-core-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    assert Path(sockets_of(home)).parent == home / "run"


@pytest.mark.slow
def test_a_long_path_falls_back_to_loopback(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with own_home(deep) as home:
        assert kcore(home, "list").returncode == 0
        assert "tcp" in address_of(home)


# -- who may come in ---------------------------------------------------------------------------------------------------


def test_on_loopback_nobody_comes_in_without_the_secret(home):
    assert kcore(home, "list", **{TRANSPORT: "tcp"}).returncode == 0
    assert stat.S_IMODE((home / "owner.secret").stat().st_mode) == 0o600
    address = address_of(home)
    for answer in (own_line(**{"knowledge-core": "proof", "proof": "0" * 64}), b'{"jsonrpc":"2.0"}\n', b"\xff\n"):
        with dial(address, 5) as stranger:
            stranger.sendall(own_line(**{"knowledge-core": "hello", "version": "0", "role": "cli", "nonce": "1"}))
            said = stranger.makefile("rb")
            assert "welcome" not in json.loads(said.readline())
            stranger.sendall(answer)
            stranger.sendall(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n')
            with contextlib.suppress(ConnectionResetError):  # closed with our words unread: the same
                assert said.readline() == b""


@pytest.mark.slow
def test_a_program_that_took_a_dead_owners_port_learns_nothing_and_an_owner_starts(home):
    kcore(home, "list", **{TRANSPORT: "tcp"})
    address = address_of(home)
    first = owner_pid(home)
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_held(home))
    with socket.socket() as impostor:
        impostor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        impostor.bind(("127.0.0.1", address["tcp"]))
        impostor.listen()
        with ThreadPoolExecutor(1) as beside:
            listing = beside.submit(kcore, home, "list", **{TRANSPORT: "tcp"})
            accepted, _ = impostor.accept()
            with accepted:
                hello = json.loads(accepted.makefile("rb").readline())
                accepted.sendall(own_line(**{"knowledge-core": "challenge", "nonce": "1", "proof": "f" * 64}))
                rest = accepted.makefile("rb").read()
            assert listing.result().returncode == 0
    assert (hello["role"], rest) == ("cli", b"")
    assert owner_pid(home) != first


@pytest.mark.slow
def test_a_stranger_on_the_socket_is_shown_the_door(home):
    kcore(home, "list")
    for words in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 10_000,
        b"",
        b'{"knowledge-core":"goodbye"}\n',
        b"[" * 4000 + b"\n",
    ):
        with dial(address_of(home), 5) as stranger:
            stranger.sendall(words)
            stranger.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(100) == b""
    assert kcore(home, "list").returncode == 0


def test_roots_that_a_clients_configuration_names_are_allowed_and_wrong_ones_told(home, tmp_path):
    (tmp_path / "notes").mkdir()
    with RawPipe(home, "--root", str(tmp_path / "notes"), str(tmp_path / "nowhere")) as pipe:
        pipe.initialize()
        assert kcore(home, "roots").stdout.strip() == str(tmp_path / "notes")
    assert b"nowhere does not exist" in pipe.errors


# -- ending ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_owner_ends_when_nobody_has_needed_it_for_the_configured_time(tmp_path):
    with own_home(tmp_path, owner={"idle_minutes": 0.01}) as home:
        with RawPipe(home) as pipe:
            pipe.initialize()
            time.sleep(1.5)
            assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]
            pid = owner_pid(home)
        until(lambda: not is_held(home))
        assert "ending: idle" in log(home)
        assert not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/cmdline").read_bytes() == b""


@pytest.mark.slow
def test_the_owner_ends_when_its_data_directory_is_removed(home):
    kcore(home, "list")
    pid = owner_pid(home)
    shutil.rmtree(home)

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return not Path(f"/proc/{pid}/cmdline").read_bytes()

    until(gone)


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A copy of the package, so that a test can install another version over it."""
    place = tmp_path / "installed" / "knowledge_core"
    # With what was compiled: each process of the copy would compile the whole package anew.
    shutil.copytree(Path(knowledge_core.__file__).parent, place)
    return place


def upgrade(installation: Path, version: str) -> None:
    file = installation / "__init__.py"
    file.write_text(file.read_text().replace(f'"{knowledge_core.__version__}"', f'"{version}"'))


@pytest.mark.slow
def test_a_newer_client_replaces_the_owner_and_an_older_one_uses_the_newer(home, installation):
    with RawPipe(home) as old:
        old.initialize()
        first = owner_pid(home)
        upgrade(installation, "99.0.0")
        newer = {"PYTHONPATH": str(installation.parent)}
        status = json.loads(kcore(home, "status", "--json", **newer).stdout)
        assert status["version"] == "99.0.0"
        assert owner_pid(home) != first

        assert old.answer(old.request("tools/list"))["result"]["tools"]
        assert holder(home).version == "99.0.0"  # type: ignore[union-attr]
        told = kcore(home, "list")
        assert (told.returncode, "is version 99.0.0" in told.stderr) == (0, True)
    assert b"is version 99.0.0" in old.errors


@pytest.mark.slow
def test_the_owner_ends_when_another_version_was_installed_over_it(home, installation):
    kcore(home, "list", PYTHONPATH=str(installation.parent))
    upgrade(installation, "0.0.1")
    until(lambda: not is_held(home))
    assert "the installed version changed" in log(home)


@pytest.mark.slow
def test_a_changed_configuration_is_taken_when_nobody_else_is_there_and_told_when_somebody_is(home, tmp_path):
    kcore(home, "list")
    first = owner_pid(home)
    (home / "config.yaml").write_text("indexing: {chunk_size: 128}\n")
    with RawPipe(home) as pipe:
        pipe.initialize()
        second = owner_pid(home)
        assert second != first
        (home / "config.yaml").write_text("indexing: {chunk_size: 64}\n")
        told = kcore(home, "list")
        assert (told.returncode, "another configuration" in told.stderr) == (0, True)
        assert owner_pid(home) == second


@pytest.mark.slow
def test_settings_that_count_at_once_end_no_owner_and_are_told_to_nobody(home):
    assert kcore(home, "status").returncode == 0
    owner = owner_pid(home)
    (home / "config.yaml").write_text("indexing: {threads: 1, priority: normal}\n")
    time.sleep(2.0)  # the owner looks once a second
    told = kcore(home, "status")
    assert (told.returncode, told.stderr) == (0, "")
    assert owner_pid(home) == owner


def test_a_wrong_configuration_is_told_to_every_client_that_waits(home):
    (home / "config.yaml").write_text("indexing: {chunk_sise: 128}\n")
    for argv in (["list"], ["serve"]):
        refused = kcore(home, *argv)
        assert (refused.returncode, "Did you mean 'chunk_size'" in refused.stderr) == (1, True), refused
    until(lambda: not is_held(home))


# -- where no owner can be ---------------------------------------------------------------------------------------------

NO_SOCKETS = """
import socket
class Refused(socket.socket):
    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        if fileno is None:  # a pair of sockets within the process, which every event loop needs, comes with numbers
            raise PermissionError(1, "Operation not permitted")
        super().__init__(family, type, proto, fileno)
socket.socket = Refused
"""
NO_CHILDREN = """
import subprocess
class Refused(subprocess.Popen):
    def __init__(self, *arguments, **options):
        raise PermissionError(1, "Operation not permitted")
subprocess.Popen = Refused
"""
KILLED_CHILDREN = """
import sys
if "--home" in sys.argv and sys.argv[0] == "-m":
    import os
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(
    params=[
        pytest.param(NO_SOCKETS, id="no sockets"),
        pytest.param(NO_CHILDREN, id="no children", marks=pytest.mark.slow),
        pytest.param(KILLED_CHILDREN, id="killed children", marks=pytest.mark.slow),
    ]
)
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that may not do something."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(request.param)
    return {"PYTHONPATH": str(tmp_path / "site")}


def test_where_no_owner_can_be_kcore_serves_in_its_own_process_and_says_so(home, sandbox):
    with RawPipe(home, **sandbox) as pipe:
        pipe.initialize()
        listed = pipe.call("list_collections")["result"]
        assert any("in its client's process" in notice for notice in listed["structuredContent"]["notices"])
        assert owner_pid(home) == pipe.process.pid
        second = kcore(home, "list")
        assert (second.returncode, f"process {pipe.process.pid}" in second.stderr) == (1, True)
        assert "--in-process" in second.stderr
    assert b"serving in this process" in pipe.errors


@pytest.mark.slow
def test_where_no_owner_can_be_a_command_works_in_its_own_process_and_says_so(home, sandbox):
    listed = kcore(home, "list", **sandbox)
    assert (listed.returncode, "working in this process" in listed.stderr) == (0, True)
    assert "No collection yet" in listed.stdout


@pytest.mark.slow
def test_in_process_is_refused_while_an_owner_holds_the_data_directory(home):
    kcore(home, "list")
    for argv in (["list", "--in-process"], ["serve", "--in-process"]):
        refused = kcore(home, *argv)
        assert (refused.returncode, f"process {owner_pid(home)}" in refused.stderr) == (1, True)


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    refused = subprocess.run(
        [*KCORE, "list"], capture_output=True, text=True, check=False, env=environment(tmp_path / "file" / "home")
    )
    assert (refused.returncode, "cannot be written" in refused.stderr) == (1, True)
    assert "Traceback" not in refused.stderr
