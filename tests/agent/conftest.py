from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from knowledge_agent import Agent
from owner_processes import end_owner, kcore
from scripted_endpoint import Endpoint, scripted_endpoint

NOTES = {
    "solar.md": "# Solar panels\n\nA solar panel turns sunlight into electricity.\n\nIt needs no fuel and lasts 25 years.\n",
    "bread.md": "# Baking bread\n\nKnead the dough, let it rise for two hours, bake the loaf in a hot oven.\n",
    "kernel.md": "# Kernels\n\nThe kernel schedules processes and talks to the hardware.\n",
}
Connect = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory whose collection `notes` holds three files, embedded by the packaged model; one owner serves all."""
    folder = tmp_path_factory.mktemp("agent")
    home = folder / "home"
    home.mkdir(mode=0o700)
    notes = folder / "notes"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text)
    made = kcore(home, "index", str(notes), "--collection", "notes")
    assert made.returncode == 0, made.stderr
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
