"""The agent's connection outlives the server: killed between calls, killed during one, restarted behind a URL."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from knowledge_agent import mcp_client
from knowledge_agent.errors import ServerUnavailable, ToolFailed, WrongSetup
from knowledge_agent.mcp_client import connected
from owner_processes import environment

pytestmark = pytest.mark.anyio

SERVE = [sys.executable, "-m", "knowledge_core.cli.main", "serve"]


@pytest.fixture
def command(library, monkeypatch):
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", str(library))
    return SERVE


def children(words: str) -> list[int]:
    """Process ids of this process's children whose command line holds these words."""
    found = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout
    return [int(line.split()[0]) for line in found.splitlines() if words in line]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the child with Linux's ps")
async def test_a_server_killed_between_calls_is_started_again(command):
    async with connected(command=command) as server:
        first = await server.tools()
        (pid,) = children("knowledge_core.cli.main serve")
        os.kill(pid, signal.SIGKILL)
        again = await server.call("list_collections", {})
        assert "notes" in again.text
        assert await server.tools() == first


@pytest.mark.skipif(sys.platform != "linux", reason="finds the child with Linux's ps")
async def test_a_call_that_reads_survives_the_servers_death_in_its_midst(command):
    async with connected(command=command) as server:
        await server.tools()
        (pid,) = children("knowledge_core.cli.main serve")
        os.kill(pid, signal.SIGSTOP)  # so that the call is on its way, and no answer can be
        asked = asyncio.create_task(server.call("cluster", {"collection": "notes"}))
        await asyncio.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        assert (await asked).structure["state"] == "done"


DIES = """
import os
from mcp.server import MCPServer
from mcp_types import ToolAnnotations
server = MCPServer("dies")
def called() -> int:
    with open({log!r}, "a") as file:
        file.write("called\\n")
    return open({log!r}).read().count("called")
def write() -> str:
    called()
    os._exit(1)
def read() -> str:
    if called() < 3:
        os._exit(1)
    return "at last"
server.tool(name="write", description="x")(write)
server.tool(name="read", description="x", annotations=ToolAnnotations(read_only_hint=True))(read)
server.run("stdio")
"""


async def test_only_calls_that_may_be_made_twice_are_made_twice(tmp_path):
    log = tmp_path / "log"
    program = tmp_path / "dies.py"
    program.write_text(DIES.format(log=str(log)))
    async with connected(command=[sys.executable, str(program)]) as server:
        assert [each.name for each in await server.tools()] == ["write", "read"]
        with pytest.raises(ServerUnavailable, match="a call that changes something"):
            await server.call("write", {})
        assert log.read_text().count("called") == 1
        assert (await server.call("read", {})).text == "at last"
        assert log.read_text().count("called") == 3


def http_door(home, port: int) -> tuple[subprocess.Popen[str], str]:
    """A door, and the token that it asks for."""
    command = [*SERVE, "--http", "--port", str(port), "--in-process", "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(home)
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert "/mcp" in said["url"]
    return process, said["token"]


@pytest.mark.slow
async def test_a_restarted_http_server_goes_unnoticed_and_its_token_is_asked_for_by_name(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first, token = http_door(home, port)
    try:
        async with connected(url=f"http://127.0.0.1:{port}/mcp") as server:
            with pytest.raises(ServerUnavailable, match=r"KNOWLEDGE_AGENT_TOKEN is not set.*kcore serve --http"):
                await server.tools()
        monkeypatch.setenv("KNOWLEDGE_AGENT_TOKEN", token)
        async with connected(url=f"http://127.0.0.1:{port}/mcp") as server:
            await server.tools()
            first.kill()
            first.wait()
            asked = asyncio.create_task(server.call("list_collections", {}))
            await asyncio.sleep(0.3)
            second, _ = await asyncio.to_thread(http_door, home, port)
            try:
                assert "No collection yet" in (await asked).text
                with pytest.raises(ToolFailed, match="nowhere"):
                    await server.call("get_document", {"id": "nowhere", "collection": "nowhere"})
            finally:
                second.kill()
                second.wait()
    finally:
        first.kill()


async def test_the_server_gets_no_key_of_the_model(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", "/somewhere")
    given = mcp_client.environment()
    assert "ANTHROPIC_API_KEY" not in given
    assert given["KNOWLEDGE_CORE_HOME"] == "/somewhere"


async def test_a_token_that_was_pasted_with_its_quotation_marks_is_told_as_that(monkeypatch):
    monkeypatch.setenv("KNOWLEDGE_AGENT_TOKEN", "\u201cabc\u201d")
    with pytest.raises(WrongSetup, match=r"KNOWLEDGE_AGENT_TOKEN holds characters.*kcore serve --http"):
        async with connected(url="http://127.0.0.1:9/mcp"):
            pass
