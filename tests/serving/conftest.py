from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from mcp_text import NOTES
from tools_once import derive_once

derive_once()

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(engine: Engine) -> Connect:
    """Connect the official client to the engine's server, in memory, in either protocol era."""

    @asynccontextmanager
    async def connection(mode: str = "auto", **options: Any) -> AsyncIterator[Client]:
        async with Client(application(engine), mode=mode, **options) as client:
            yield client

    return connection


@pytest.fixture
async def indexed(connect: Connect) -> AsyncIterator[Client]:
    """A client whose collection `default` holds three short notes."""
    async with connect() as client:
        result = await client.call_tool("index", {"documents": NOTES})
        assert not result.is_error, result.content
        yield client
