from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from tools_once import derive_once

derive_once()


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Client]:
    async with Client(application(engine)) as connected:
        yield connected
