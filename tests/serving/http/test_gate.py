"""What must not come in through the HTTP door is answered before its body is read, and a token ends when it is replaced."""

from __future__ import annotations

import contextlib
import logging

import anyio
import pytest

from knowledge_core.serving.http import gate
from knowledge_core.serving.http.tokens import TokenStore

pytestmark = pytest.mark.anyio

HUGE = "20000000"  # bytes; none of them is ever sent
JUDGED = [  # what differs from a right request, and the answer
    ({"Host": "evil.example", "Authorization": None}, 421),
    ({"Host": "evil.example:{port}"}, 421),
    ({"Host": "127.0.0.1:1"}, 421),
    ({"path": "/healthz", "Host": "evil.example"}, 421),
    ({"Origin": "https://evil.example", "Authorization": None}, 403),
    ({"Origin": "null"}, 403),
    ({"path": "/.well-known/oauth-protected-resource", "Authorization": None}, 404),
    ({"Authorization": None}, 401),
    ({"Authorization": ""}, 401),
    ({"Authorization": "Bearer"}, 401),
    ({"Authorization": "Bearer "}, 401),
    ({"Authorization": "Bearer wrong"}, 401),
    ({"Authorization": "Bearer {token}x"}, 401),
    ({"Authorization": "Basic {token}"}, 401),
    ({"Authorization": "Bearer {token}\r\nAuthorization: Bearer {token}"}, 401),
    ({"path": "/mcp/", "Authorization": None}, 404),
    ({}, 413),
    ({"Host": "LOCALHOST:{port}", "Origin": "http://localhost:{port}", "Authorization": "bearer  {token}"}, 413),
]


async def test_a_request_is_judged_by_its_head_before_a_byte_of_its_body_comes(door_of):
    async with door_of() as (_, caller):
        for changed, status in JUDGED:
            given = {
                name: value and value.replace("{port}", str(caller.port)).replace("{token}", caller.token)
                for name, value in changed.items()
            }
            raw = await caller.connection()
            await raw.send(caller.head(**{"Content_Length": HUGE, **given}))
            answered = await raw.answer()
            assert (answered.status, changed) == (status, changed)
            assert caller.token.encode() not in answered.body
            assert answered.headers.get("www-authenticate", "").startswith("bearer realm=") == (status == 401)


async def test_a_body_without_an_announced_size_is_cut_off_at_the_limit(door_of):
    async with door_of() as (_, caller):
        for token, status in ((caller.token, 413), ("wrong", 401)):
            raw = await caller.connection()
            await raw.send(caller.head(Transfer_Encoding="chunked", Authorization=f"Bearer {token}"))
            with contextlib.suppress(ConnectionError):
                for _ in range(20):
                    await raw.send(b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n")
            assert (await raw.answer()).status == status


async def test_a_body_that_stops_coming_is_given_up_with_the_reason(door_of, monkeypatch):
    monkeypatch.setattr(gate, "SILENT_BODY", 0.1)
    async with door_of() as (_, caller):
        raw = await caller.connection()
        await raw.send(caller.head(Content_Length="100") + b"{")
        answered = await raw.answer()
        assert (answered.status, answered.headers["connection"]) == (408, "close")
        assert await raw.ended() == b""
        monkeypatch.setattr(gate, "SILENT_BODY", 10.0)
        monkeypatch.setattr(gate, "WHOLE_BODY", 0.3)
        raw = await caller.connection()
        await raw.send(caller.head(Content_Length="100"))
        for _ in range(2):
            await raw.send(b" ")
            await anyio.sleep(0.1)
        assert (await raw.answer()).status == 408


async def test_a_replaced_token_ends_at_once_also_for_a_stream_that_is_open(door_of, engine):
    async with door_of() as (doors, caller), caller.client("2026-07-28") as client:
        uri = "knowledge://news/a"
        heard = []
        async with client.listen(resource_subscriptions=[uri]) as events:

            async def listen() -> None:
                with contextlib.suppress(Exception):  # what a client makes of a stream that ended
                    async for event in events:
                        heard.append(str(event.uri))
                heard.append("the end")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                tell(engine)
                await until(lambda: heard)
                new = await doors.open("127.0.0.1", 0, new_token=True)
                assert (new.by_another, new.token != caller.token) == (True, True)
                assert (await caller.ask()).status == 401
                tell(engine)
                await until(lambda: len(heard) > 1)
                tasks.cancel_scope.cancel()
            assert heard == [uri, "the end"]
        caller.token = new.token
        assert (await caller.ask()).status == 200


def tell(engine) -> None:
    for listener in engine.listeners:
        listener("news", ["a"])


async def until(true) -> None:
    with anyio.fail_after(20):
        while not true():
            await anyio.sleep(0.01)


async def test_a_door_whose_tokens_cannot_be_trusted_lets_nobody_in_until_they_are_written_anew(
    door_of, engine, caplog
):
    store = TokenStore(engine.home)
    async with door_of() as (doors, caller):
        assert (await caller.ask()).status == 200
        for spoil in (lambda: store.path.chmod(0o644), lambda: store.path.write_text("{"), store.path.unlink):
            spoil()
            answered = await caller.ask()
            assert (answered.status, b"kcore logs" in answered.body) == (503, True)
            caller.token = (await doors.open("127.0.0.1", 0, new_token=True)).token
            assert (await caller.ask()).status == 200
    assert "--new-token" in caplog.text
    assert caller.token not in caplog.text


async def test_a_flood_of_wrong_tokens_is_told_once_and_never_by_what_was_shown(door_of, caplog):
    caplog.set_level(logging.DEBUG)
    async with door_of() as (_, caller):
        for number in range(20):
            await caller.ask(Authorization=f"Bearer secret-guess-{number}")
        raw = await caller.connection()
        await raw.send(b"\x00 no HTTP\r\n\r\n")
        await raw.ended()
        assert (await caller.ask()).status == 200
    assert len([each for each in caplog.messages if "refused requests" in each]) == 1
    assert "secret-guess" not in caplog.text
    assert caller.token not in caplog.text
    assert "Invalid HTTP request" not in caplog.text


async def test_without_a_token_the_door_is_open_and_still_judges_host_origin_and_size(door_of):
    async with door_of(token=False) as (doors, caller):
        assert (caller.token, doors.asks_for_token) == (None, False)
        assert (await caller.ask()).status == 200
        assert (await caller.ask(Host="evil.example")).status == 421
        assert (await caller.ask(Origin="http://evil.example")).status == 403
        raw = await caller.connection()
        await raw.send(caller.head(Content_Length=HUGE))
        assert (await raw.answer()).status == 413


async def test_nothing_is_collected_for_a_caller_without_a_token_not_even_where_none_is_asked_for(door_of):
    async with door_of() as (_, caller):
        raw = await caller.connection()
        head = f"POST /healthz HTTP/1.1\r\nHost: 127.0.0.1:{caller.port}\r\nContent-Length: 15000000\r\n\r\n"
        with anyio.fail_after(5):  # before the body's ten seconds
            await raw.send(head.encode() + b"x")
            assert (await raw.answer()).status == 405
