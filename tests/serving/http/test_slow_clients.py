"""Clients that are slow, too many, or never say goodbye take nothing from the others."""

from __future__ import annotations

import asyncio
import socket
import time

import anyio
import pytest

from knowledge_core.serving.http import http_door, slow_clients

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(http_door, "LOOK_EVERY", 1)


async def test_a_request_whose_head_does_not_come_in_time_is_ended(door_of, monkeypatch):
    monkeypatch.setattr(slow_clients, "WHOLE_HEAD", 0.3)
    async with door_of() as (_, caller):
        silent, begun, dripping = [await caller.connection() for _ in range(3)]
        await begun.send(b"POST /mcp HTTP/1.1\r\nHost: ")

        async def drip() -> None:
            while True:
                await dripping.send(b"x")
                await anyio.sleep(0.05)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drip)
            assert await silent.ended() == b""
            assert b" 408 " in await begun.ended()
            await dripping.ended()
            tasks.cancel_scope.cancel()
        assert (await caller.ask()).status == 200


async def test_the_rest_of_a_refused_body_is_not_waited_for(door_of, monkeypatch):
    monkeypatch.setattr(slow_clients, "LEFTOVER_BODY", 0.3)
    async with door_of() as (_, caller):
        raw = await caller.connection()
        await raw.send(caller.head(Content_Length="20000000") + b"x")
        assert (await raw.answer()).status == 413
        assert await raw.ended() == b""


@pytest.mark.parametrize(("slow", "most"), [(60, 20), pytest.param(1_000, 256, marks=pytest.mark.slow)])
async def test_connections_that_send_nothing_keep_nobody_out(door_of, monkeypatch, slow, most):
    monkeypatch.setattr(slow_clients, "MOST_CONNECTIONS", most)
    async with door_of() as (_, caller):
        held = []
        for number in range(slow):
            raw = await caller.connection()
            await raw.send([b"", b"P", caller.head(Content_Length="100") + b"{"][number % 3])
            held.append(raw)
            if number % (slow // 10) == 0:
                began = time.monotonic()
                assert (await caller.ask()).status == 200
                assert time.monotonic() - began < 5
        open_still = 0
        for each in held:
            with anyio.move_on_after(0.02) as waiting:
                await each.ended()
            open_still += waiting.cancelled_caught
        assert open_still <= most


async def test_where_everybody_is_being_answered_one_more_is_told_to_come_back(door_of, monkeypatch):
    monkeypatch.setattr(slow_clients, "MOST_CONNECTIONS", 8)
    async with door_of() as (_, caller):
        for _ in range(8):
            session = (await caller.ask(Connection="close")).headers["mcp-session-id"]
            stream = await caller.connection()
            await stream.send(caller.head("GET", Mcp_Session_Id=session))
            assert (await stream.head())[0] == 200
        raw = await caller.connection()
        assert (await raw.answer()).status == 503
        assert await raw.ended() == b""
        stream.writer.close()
        await asyncio.sleep(0.2)
        assert (await caller.ask()).status == 200


async def test_a_session_that_nobody_uses_ends_and_one_with_an_open_stream_does_not(door_of, monkeypatch):
    monkeypatch.setattr(http_door, "IDLE_SESSION", 0.3)
    async with door_of() as (_, caller):
        left, kept = [(await caller.ask()).headers["mcp-session-id"] for _ in range(2)]
        stream = await caller.connection()
        await stream.send(caller.head("GET", Mcp_Session_Id=kept))
        assert (await stream.head())[0] == 200
        await anyio.sleep(0.8)
        ping = b'{"jsonrpc":"2.0","id":2,"method":"ping"}'
        assert (await caller.ask(ping, Mcp_Session_Id=left)).status == 404
        assert (await caller.ask(ping, Mcp_Session_Id=kept)).status == 200
        assert (await caller.ask()).headers["mcp-session-id"] != left  # what the specification bids a client do then


async def test_the_number_of_sessions_is_bounded(door_of, monkeypatch):
    monkeypatch.setattr(http_door, "MOST_SESSIONS", 2)
    async with door_of() as (_, caller):
        sessions = [await caller.ask() for _ in range(3)]
        assert [each.status for each in sessions] == [200, 200, 503]
        assert b"Too many open sessions" in sessions[-1].body
        ended = await caller.ask(b"", "DELETE", Mcp_Session_Id=sessions[0].headers["mcp-session-id"])
        assert ended.status == 200
        assert (await caller.ask()).status == 200


@pytest.mark.parametrize(("pause", "whole"), [(0.02, True), (None, False)], ids=["reading slowly", "not reading"])
async def test_a_client_that_reads_an_answer_slowly_gets_all_of_it_and_one_that_does_not_is_let_go(
    monkeypatch, pause, whole
):
    monkeypatch.setattr(slow_clients, "UNREAD_ANSWER", 0.4)
    size, step = 12_000_000, 262_144

    async def large(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * size})

    listener = http_door.loopback_socket("127.0.0.1", 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    door = http_door.HttpDoor(large, listener)
    door.config.lifespan = "off"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.serve_until_closed)
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=65_536)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = 0
        with anyio.fail_after(20):
            if pause is None:
                while door.server_state.connections or not got:  # the door lets it go while nothing is read
                    got = 1
                    await anyio.sleep(0.05)
            try:
                while part := await reader.read(step):
                    got += len(part)
                    await anyio.sleep(pause or 0)
            except ConnectionError:
                pass
        assert (got > size) is whole
        writer.close()
        door.close()
