"""The HTTP door: streamable HTTP at /mcp on loopback, for as long as the command that opened it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ResourceTemplateReference

from knowledge_core.cli.main import main
from knowledge_core.paths import data_directory
from mcp_text import text_of
from owner_processes import KCORE, RawPipe, environment, kcore, own_home, owner_pid, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_home(tmp_path_factory.mktemp("http")) as made:
        yield made


class Door:
    def __init__(self, home: Path, *argv: str) -> None:
        self.process = subprocess.Popen(
            [*KCORE, "serve", "--http", "--json", "--port", "0", *argv],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(home),
        )  # fmt: skip
        self.url = self.opened()

    def opened(self) -> str:
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline())
        return str(self.said["url"])

    @property
    def shown(self) -> dict[str, str]:
        """The header that its command shows."""
        name, _, value = str(self.said["header"]).partition(": ")
        return {name: value}

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def ask(self, method: str, path: str, headers: dict[str, str], body: str = "") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, {**self.shown, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def close(self) -> str:
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=30)
        return errors


@pytest.fixture(scope="module")
def door(home: Path) -> Iterator[Door]:
    made = Door(home)
    yield made
    if made.process.poll() is None:
        made.close()


@asynccontextmanager
async def connected(door: Door, mode: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=door.shown, timeout=60) as http,
        Client(streamable_http_client(door.url, http_client=http), mode=mode) as client,
    ):
        yield client


INITIALIZE = json.dumps({
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
})  # fmt: skip
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


async def test_both_eras_over_http(door, era):
    async with connected(door, era) as client:
        assert len((await client.list_tools()).tools) == 10
        listed = await client.call_tool("list_collections", {})
        assert "No collection yet" in text_of(listed)


def test_healthz_answers_without_a_token(door):
    assert door.ask("GET", "/healthz", {"Authorization": ""}) == (200, '{"status":"ok"}')


def test_the_command_shows_url_header_and_file_and_the_token_is_nowhere_else(home, door):
    token, file = door.said["token"], Path(door.said["token_file"])
    assert door.said["header"] == f"Authorization: Bearer {token}"
    assert (file.parent, file.stat().st_mode & 0o777) == (home, 0o600)
    for given, status in ((token, 200), ("wrong", 401), ("", 401)):
        assert door.ask("POST", "/mcp", {**JSON, "Authorization": f"Bearer {given}"}, INITIALIZE)[0] == status
    said = [kcore(home, "status", "--json").stdout, *(each.read_text() for each in (home / "logs").iterdir())]
    assert door.url in said[0]
    assert any("refused requests" in each for each in said)
    if sys.platform == "linux":
        said += [Path(f"/proc/{pid}/cmdline").read_text() for pid in (door.process.pid, owner_pid(home))]
    assert all(token not in each for each in said)


def test_a_new_token_is_made_while_the_door_is_open_and_the_old_one_ends(home, door):
    old = door.shown
    made = kcore(home, "serve", "--http", "--new-token", "--json")
    assert (made.returncode, made.stderr) == (0, "")
    door.said = json.loads(made.stdout)
    assert (door.said["url"], door.said["by_another"], door.shown != old) == (door.url, True, True)
    assert door.ask("POST", "/mcp", {**JSON, **old}, INITIALIZE)[0] == 401
    assert door.ask("POST", "/mcp", JSON, INITIALIZE)[0] == 200  # and the door is still open


def refused(capsys, *argv: str) -> str:
    """Run `kcore serve`, which must not open a door, in this process, and return what it says."""
    assert main(["serve", *argv, "--in-process", "--port", "0"]) == 1
    return str(capsys.readouterr().err)


def test_a_door_without_a_token_never_opens_beyond_this_machine(capsys):
    said = refused(capsys, "--http", "--no-token", "--host", "0.0.0.0")
    assert ("0.0.0.0" in said, "--no-token" in said) == (True, True)


def test_options_without_http_are_wrong_usage_and_so_is_a_new_token_that_nobody_asks_for(capsys):
    for option in (["--port", "1"], ["--no-token"], ["--new-token"]):
        assert (main(["serve", *option]), "--http" in capsys.readouterr().err) == (2, True)
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--http", "--no-token", "--new-token"])


def test_a_token_file_that_cannot_be_used_is_named_with_the_remedy(capsys):
    file = data_directory() / "http-tokens.json"
    file.write_text("{")
    file.chmod(0o600)
    said = refused(capsys, "--http")
    assert (str(file) in said, "kcore serve --http --new-token" in said) == (True, True)


@pytest.mark.slow
def test_warnings_are_given_where_the_door_opens_nonetheless(tmp_path):
    with own_home(tmp_path) as home:
        door = Door(home, "--no-token", "--in-process")
        try:
            assert (door.said["token"], door.said["header"], door.said["token_file"]) == (None, None, None)
            door.said["header"] = "X-Nothing: at all"
            assert door.ask("POST", "/mcp", JSON, INITIALIZE)[0] == 200
            file = home / "http-tokens.json"
            assert not file.exists()
        finally:
            errors = door.close()
        assert "every user of this machine can read, search and delete" in errors
        door = Door(home, "--in-process")
        door.close()
        file.chmod(0o644)
        again = Door(home, "--in-process")
        assert "its token was replaced" in again.close()
        assert (again.shown != door.shown, file.stat().st_mode & 0o777) == (True, 0o600)


def test_over_http_nobody_can_make_the_requests_of_the_command_line(door):
    asked = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "knowledge-core/stop", "params": {}})
    status, body = door.ask("POST", "/mcp", {**JSON, "MCP-Protocol-Version": "2025-11-25"}, asked)
    assert "result" not in body, (status, body)


def test_a_second_door_and_any_other_machine_are_refused_by_name(home, door):
    second = kcore(home, "serve", "--http", "--port", "0")
    assert (second.returncode, door.url in second.stderr) == (1, True)
    assert door.url in kcore(home, "status").stdout
    open_to_all = kcore(home, "serve", "--http", "--host", "0.0.0.0")
    assert open_to_all.returncode == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::"])
def test_a_host_that_others_can_reach_is_refused_with_the_reason(capsys, host):
    assert "SSH tunnel" in refused(capsys, "--http", "--host", host)


def test_a_taken_port_is_named(capsys, door):
    assert main(["serve", "--http", "--in-process", "--port", str(door.port)]) == 1
    assert f"Port {door.port}" in capsys.readouterr().err


@pytest.mark.slow
async def test_over_http_a_client_that_gives_up_or_leaves_ends_no_work(door, era):
    collection = "given-up-" + era
    texts = [{"id": f"d{n}", "text": f"Entry {n}. " + f"token{n} beside token. " * 60} for n in range(90)]
    async with connected(door, era) as client:
        with anyio.move_on_after(1.0) as giving_up:
            await client.call_tool("index", {"documents": texts, "collection": collection, "wait_seconds": 600})
    assert giving_up.cancelled_caught
    async with connected(door, era) as client:
        listed = (await client.call_tool("job", {})).structured_content["jobs"]
        job = next(each["id"] for each in listed if each["collection"] == collection and each["kind"] == "index")
        ended = (await client.call_tool("job", {"id": job, "wait_seconds": 40})).structured_content["jobs"][0]
        assert (ended["state"], ended["result"]["indexed"]) == ("done", 90)
        await client.call_tool("delete", {"collection": collection, "all": True, "confirm": True})


@pytest.mark.slow
async def test_subscribers_hear_which_documents_changed_whoever_changed_them(home, door):
    heard = []
    async with connected(door, "2026-07-28") as client:
        uri = "knowledge://news/a%20b"
        async with client.listen(resource_subscriptions=[uri]) as events, anyio.create_task_group() as tasks:

            async def listen() -> None:
                async for event in events:
                    heard.append(str(event.uri))
                    return

            tasks.start_soon(listen)
            await anyio.to_thread.run_sync(index_over_a_pipe, home)
            with anyio.fail_after(30):
                while not heard:
                    await anyio.sleep(0.05)
        assert heard == [uri]
        assert (await client.read_resource(uri)).contents[0].text == "```\nsomething new\n```"
        about = ResourceTemplateReference(type="ref/resource", uri="knowledge://{collection}/{+document}")
        found = await client.complete(about, {"name": "document", "value": "a"}, {"collection": "news"})
        assert found.completion.values == ["a b"]
        found = await client.complete(about, {"name": "collection", "value": "n"})
        assert found.completion.values == ["news"]


def index_over_a_pipe(home: Path) -> None:
    with RawPipe(home) as pipe:
        pipe.initialize()
        documents = [{"id": "a b", "text": "something new"}]
        pipe.call("index", documents=documents, collection="news", wait_seconds=60)


@pytest.mark.slow
async def test_the_door_of_a_killed_owner_is_opened_anew_at_the_same_address_and_closes_with_its_command(home, door):
    os.kill(owner_pid(home), signal.SIGKILL)
    assert await anyio.to_thread.run_sync(door.opened) == door.url
    async with connected(door, "legacy") as client:
        assert len((await client.list_tools()).tools) == 10
        errors = await anyio.to_thread.run_sync(door.close)  # a client holds its stream open: that must not hang
    assert "Opening the door of the next owner" in errors
    until(lambda: "HTTP at" not in kcore(home, "status").stdout)
