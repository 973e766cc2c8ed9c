"""The HTTP door of an engine: one at a time, and nothing left of those that closed."""

from __future__ import annotations

import sys

import anyio
import httpx2
import pytest

from knowledge_core.errors import InvalidInput
from knowledge_core.serving.http.doors import Doors

pytestmark = pytest.mark.anyio


async def test_a_door_that_is_opened_and_closed_again_and_again_leaves_nothing_behind(engine):
    before = len(engine.listeners)
    async with anyio.create_task_group() as tasks:
        doors = Doors(engine)
        tasks.start_soon(doors.run)
        for _ in range(3):
            url = (await doors.open("127.0.0.1", 0)).url
            assert doors.url == url
            assert len(engine.listeners) == before + 1
            doors.close()  # and opened at once: what is closing is waited for
        await doors.closed()
        assert len(engine.listeners) == before
        opened = []

        async def attempt() -> None:
            try:
                opened.append((await doors.open("127.0.0.1", 0)).url)
            except InvalidInput as refused:
                opened.append(str(refused))

        async with anyio.create_task_group() as at_once:
            for _ in range(3):
                at_once.start_soon(attempt)
        assert sum("open already" in each for each in opened) == 2
        doors.close()
        await doors.closed()
        tasks.cancel_scope.cancel()


async def test_a_door_whose_opener_leaves_before_it_is_open_closes_again(engine):
    doors = Doors(engine)
    with anyio.move_on_after(0.1) as left:
        await doors.open("127.0.0.1", 0)  # nobody serves yet
    assert left.cancelled_caught
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(doors.run)
        with anyio.fail_after(10):
            await doors.closed()
        assert doors.url is None
        tasks.cancel_scope.cancel()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only 127.0.0.1 is there by itself")
async def test_a_door_answers_under_the_address_that_it_shows(engine):
    async with anyio.create_task_group() as tasks:
        doors = Doors(engine)
        tasks.start_soon(doors.run)
        opened = await doors.open("127.0.0.2", 0)
        async with httpx2.AsyncClient(trust_env=False) as client:
            answered = await client.get(opened.url.replace("/mcp", "/healthz"))
        assert (opened.url.startswith("http://127.0.0.2:"), answered.status_code) == (True, 200)
        doors.close()
        await doors.closed()
        tasks.cancel_scope.cancel()
