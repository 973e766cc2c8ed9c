"""The HTTP door of an engine: one at a time, and nothing left of those that closed."""

from __future__ import annotations

import anyio
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
