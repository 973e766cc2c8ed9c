"""`kcore serve` as clients launch it: a thin pipe to the owner, and what it does with whatever comes over it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge_core.paths import is_held
from owner_processes import KCORE, MODERN, RawPipe, environment, kcore, own_home, owner_pid, until

WITHDRAWN = -32001


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory that the tests of this module share, and so one owner; nothing here needs a model."""
    with own_home(tmp_path_factory.mktemp("pipe")) as made:
        yield made


@pytest.fixture
def pipe(home: Path) -> Iterator[RawPipe]:
    with RawPipe(home) as made:
        made.initialize()
        yield made


def test_the_pipe_imports_the_standard_library_only():
    code = (
        "import sys, sysconfig; from knowledge_core.cli.main import parser; parser(); import knowledge_core.serving.pipe.pipe;"
        "site = sysconfig.get_paths()['purelib'];"
        "print([n for n, m in sys.modules.items() if site in (getattr(m, '__file__', '') or '') and n[0] != '_'],"
        " [n for n in ('asyncio', 'subprocess', 'logging', 'tempfile') if n in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[] []"


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells private memory")
def test_a_pipe_takes_less_than_12_mb_of_private_memory(home, pipe):
    assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]
    rollup = Path(f"/proc/{pipe.process.pid}/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in rollup if line.startswith(("Private_Dirty", "Private_Clean")))
    assert private < 12 * 1024, f"{private} kB"


def test_two_pipes_share_one_owner(home, pipe):
    before = owner_pid(home)
    with RawPipe(home) as other:
        other.initialize()
        assert other.answer(other.request("tools/list"))["result"]["tools"]
    assert owner_pid(home) == before


def test_stdout_carries_the_protocol_and_nothing_else(home):
    with RawPipe(home) as pipe:
        pipe.initialize()
        pipe.call("list_collections")
        assert pipe.process.stdin is not None
        pipe.process.stdin.close()
        assert pipe.process.wait(timeout=10) == 0
        while (line := pipe.lines.get(timeout=10)) is not None:
            assert json.loads(line)["jsonrpc"] == "2.0"
    assert pipe.errors == b""


def test_requests_that_were_sent_before_stdin_ended_are_answered(home):
    initialize = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    script = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    said = subprocess.run(
        [*KCORE, "serve"], input="\n".join(map(json.dumps, script)) + "\n", capture_output=True, text=True,
        env=environment(home), check=True,
    ).stdout  # fmt: skip
    assert [json.loads(line)["id"] for line in said.splitlines()] == [1, 2]


def test_a_host_cannot_make_the_requests_of_the_command_line(pipe):
    refused = pipe.answer(pipe.request("knowledge-core/roots", {"arguments": {"add": ["/"]}}))
    assert refused["error"]["code"] == -32601


# -- what is no message ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "id"),
    [
        (b'{"jsonrpc": "2.0", "id": 7, "method"\n', -32700, 7),
        (b"\xff\xfe\x00 not text\n", -32700, None),
        (b'{"jsonrpc": "2.0", "id": 9, "method": "\xff"}\n', -32700, 9),
        (b"[" * 50_000 + b"\n", -32700, None),
        (b"[]\n", -32600, None),
        (b'{"id": 11, "method": 3}\n', -32600, 11),
        (b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": [1]}\n', -32600, None),
    ],
    ids=[
        "half JSON",
        "not UTF-8",
        "not UTF-8 in a string",
        "absurdly nested",
        "a list",
        "no JSON-RPC",
        "parameters in a list",
    ],
)
def test_what_is_no_message_is_answered_with_an_error_and_the_connection_goes_on(pipe, line, code, id):
    pipe.send(line)
    assert pipe.answer(id)["error"]["code"] == code
    assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (r'"a rose \ud83c"', "result"),
        ("[" * 300 + "]" * 300, "a valid string"),
        ("[" * 50_000 + "]" * 50_000, "nests too deep"),
        ("9" * 5_000, "too many digits"),
    ],
    ids=["half an emoji", "nested", "absurdly nested", "a number of 5,000 digits"],
)
def test_a_call_that_only_some_readers_of_json_can_read_is_answered_under_its_id(pipe, value, found):
    call = f'"params": {{"name": "embed", "arguments": {{"texts": "a"}}, "_meta": {{"x": {value}}}}}'
    if found == "a valid string":
        call = f'"params": {{"name": "search", "arguments": {{"query": {value}}}}}'
    pipe.send(f'{{"jsonrpc": "2.0", "id": 55, "method": "tools/call", {call}}}\n'.encode())
    assert found in json.dumps(pipe.answer(55))


def test_a_token_of_half_a_surrogate_pair_comes_back_as_it_was_and_the_connection_goes_on(pipe):
    documents = '"arguments": {"documents": [{"id": "a", "text": "half \\ud83c of it"}]}'
    call = f'{{"name": "index", {documents}, "_meta": {{"progressToken": "\\ud83c"}}}}'
    pipe.send(f'{{"jsonrpc": "2.0", "id": 56, "method": "tools/call", "params": {call}}}\n'.encode())
    assert pipe.answer(56)["result"]["structuredContent"]["indexed"] == 1
    assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]


def test_a_message_of_100_mb_is_refused_with_its_id_and_the_connection_goes_on(home, pipe):
    head = b'{"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": {"name": "index", "arguments": {"x": "'
    pipe.send(head)
    for _ in range(100):
        pipe.send(b"a" * 1_000_000)
    pipe.send(b'"}}}\n')
    refused = pipe.answer(77)
    assert "64 MiB" in refused["error"]["message"]
    assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]


def test_half_a_line_at_the_end_of_stdin_is_dropped(home):
    with RawPipe(home) as pipe:
        pipe.initialize()
        pipe.send(b'{"jsonrpc": "2.0", "id": 5, "meth')
        assert pipe.process.stdin is not None
        pipe.process.stdin.close()
        assert pipe.process.wait(timeout=10) == 0


def test_a_client_that_never_reads_harms_nobody_else(home, pipe):
    deaf = subprocess.Popen(
        [*KCORE, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home),
    )
    assert deaf.stdin is not None
    os.set_blocking(deaf.stdin.fileno(), False)
    line = b'{"jsonrpc":"2.0","id":%d,"method":"tools/list","params":{"_meta":%s}}\n'
    meta = json.dumps({
        "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "deaf", "version": "1"},
    }).encode()  # fmt: skip
    sent = 0
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.5 and sent < 20_000:
        try:
            os.write(deaf.stdin.fileno(), line % (sent, meta))
            sent, quiet_since = sent + 1, time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    assert sent < 20_000, "nothing held the client back that never reads"
    assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]
    deaf.kill()
    deaf.wait()
    assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]


def test_a_client_that_closes_in_the_middle_of_a_call_harms_nobody_else(home, pipe):
    for _ in range(3):
        with RawPipe(home) as leaving:
            leaving.initialize()
            leaving.request("tools/call", {"name": "job", "arguments": {"wait_seconds": 30}})
            leaving.process.kill()
    assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]


# -- owners that end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_connection_outlives_a_killed_owner(home, era):
    with RawPipe(home) as pipe:
        meta = {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            }
        }
        params = meta if era == "modern" else {}
        if era == "legacy":
            pipe.initialize()
        assert pipe.answer(pipe.request("tools/list", params))["result"]["tools"]
        first = owner_pid(home)

        os.kill(first, signal.SIGSTOP)  # so that the call is surely under way when it dies
        under_way = pipe.request("tools/list", params)
        time.sleep(0.3)  # a busy machine's pipe would else find the owner gone, and ask the next one
        os.kill(first, signal.SIGKILL)
        lost = pipe.answer(under_way)
        assert (lost["error"]["code"], "ended during this call" in lost["error"]["message"]) == (WITHDRAWN, True)

        assert pipe.answer(pipe.request("tools/list", params))["result"]["tools"]
        assert owner_pid(home) != first
    assert b"ended unexpectedly" in pipe.errors


def test_an_owner_killed_before_it_answered_initialize_is_replaced_without_an_error(home):
    with RawPipe(home) as pipe:
        pipe.initialize()
    first, log = owner_pid(home), home / "logs" / "owner.log"
    connected = log.read_text().count("host connected")
    with RawPipe(home) as pipe:
        until(lambda: log.read_text().count("host connected") > connected)
        os.kill(first, signal.SIGSTOP)
        info = {"name": "test", "version": "1"}
        asked = pipe.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info})
        time.sleep(0.1)
        os.kill(first, signal.SIGKILL)
        assert pipe.answer(asked)["result"]["serverInfo"]["name"] == "knowledge-core"
        pipe.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]


def test_after_an_orderly_stop_the_next_call_starts_the_next_owner_and_none_before(home, pipe):
    first = owner_pid(home)
    assert "Stopped the owner" in kcore(home, "stop").stdout
    time.sleep(0.3)
    assert not is_held(home)
    assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]
    assert owner_pid(home) != first


@pytest.mark.slow
def test_an_owner_that_does_not_answer_is_named_with_the_way_out(home, pipe):
    pid = owner_pid(home)
    os.kill(pid, signal.SIGSTOP)
    try:
        for argv in (["serve"], ["status"]):
            refused = kcore(home, *argv, KNOWLEDGE_CORE_PATIENCE="0.5")
            assert refused.returncode == 1
            assert f"process {pid}" in refused.stderr
            assert "kcore stop --force" in refused.stderr
        forced = kcore(home, "stop", "--force", KNOWLEDGE_CORE_PATIENCE="0.5")
        assert (forced.returncode, str(pid) in forced.stdout) == (0, True)
        assert pipe.answer(pipe.request("tools/list"))["result"]["tools"]
    finally:
        if is_held(home) and owner_pid(home) == pid:
            os.kill(pid, signal.SIGCONT)
