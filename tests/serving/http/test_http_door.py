"""The HTTP door: streamable HTTP at /mcp on loopback, for as long as the command that opened it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from mcp_types import ResourceTemplateReference

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
        return str(json.loads(self.process.stdout.readline())["url"])

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def ask(self, method: str, path: str, headers: dict[str, str], body: str = "") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, headers)
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
    async with Client(door.url, mode=mode) as client:
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


def test_healthz_answers(door):
    assert door.ask("GET", "/healthz", {}) == (200, '{"status":"ok"}')


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Origin": "http://localhost:{port}"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_loopback_hosts_and_pages_from_there_are_let_in(door, headers, status):
    shown = {name: value.replace("{port}", str(door.port)) for name, value in headers.items()}
    assert door.ask("POST", "/mcp", {**JSON, **shown}, INITIALIZE)[0] == status


def test_a_request_that_is_too_large_is_refused(door):
    status, _ = door.ask("POST", "/mcp", {**JSON, "Content-Length": str(17 * 1024 * 1024)})
    assert status == 413


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
def test_a_host_that_others_can_reach_is_refused_with_the_reason(tmp_path, host):
    with own_home(tmp_path) as home:
        refused = kcore(home, "serve", "--http", "--in-process", "--host", host, "--port", "0")
    assert (refused.returncode, "no authentication yet" in refused.stderr) == (1, True)


def test_a_taken_port_is_named_and_options_without_http_are_wrong_usage(tmp_path, door):
    with own_home(tmp_path) as home:
        taken = kcore(home, "serve", "--http", "--in-process", "--port", str(door.port))
        assert (taken.returncode, f"Port {door.port}" in taken.stderr) == (1, True)
        assert kcore(home, "serve", "--port", "1").returncode == 2


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
        assert (await client.read_resource(uri)).contents[0].text == "something new"
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
