from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_material import COLLECTIONS
from knowledge_agent import Agent
from owner_processes import RawPipe, end_owner
from scripted_endpoint import Endpoint, scripted_endpoint

Connect = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory with three collections, embedded by the packaged model; one owner serves all tests."""
    home = tmp_path_factory.mktemp("agent") / "home"
    home.mkdir(mode=0o700)
    with RawPipe(home) as pipe:
        pipe.initialize()
        for collection, documents in COLLECTIONS.items():
            said = pipe.call("index", collection=collection, documents=documents, wait_seconds=60)
            assert said["result"]["structuredContent"]["state"] == "done", said
    yield home
    end_owner(home)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with scripted_endpoint() as made:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", made.base_url("anthropic"))
        monkeypatch.setenv("OPENAI_BASE_URL", made.base_url("openai"))
        yield made


@pytest.fixture(params=["anthropic", "openai"])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def agent(library: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Open agents on the real server with the scripted model."""
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", str(library))
    command = [sys.executable, "-m", "knowledge_core.cli.main", "serve"]

    @asynccontextmanager
    async def connect(api: str = "openai", **options: Any):
        async with Agent.connect(api=api, model="scripted", server_command=command, **options) as made:
            yield made

    return connect
