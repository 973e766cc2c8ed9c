"""Fixtures that all tests share. No test may reach the network or the user's own data directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from owner_processes import end_owner

if TYPE_CHECKING:
    from knowledge_core.engine import Engine

# The same examples each time, and no clock: a machine that is busy with something else fails nothing.
settings.register_profile(
    "deterministic", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("deterministic")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file to one process, and all files of the agent to one: they share a directory that takes long to fill."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "tests/agent" if file.startswith("tests/agent/") else file

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", str(home))
    monkeypatch.delenv("KNOWLEDGE_CORE_CONFIG", raising=False)
    monkeypatch.delenv("KNOWLEDGE_CORE_TRANSPORT", raising=False)
    # Which engine runs a model best is tried once for all homes, not once each.
    tried, own = tmp_path_factory.getbasetemp() / "engines.json", home / "engines.json"
    if tried.exists():
        shutil.copy(tried, own)
    yield
    end_owner(home)
    if own.exists():
        shutil.copy(own, tried)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def engine(home: Path, embedder: HashEmbedder) -> Iterator[Engine]:
    """An engine with a small deterministic embedder, where the model is not the point."""
    from knowledge_core.engine import Engine  # here, so that the tests of lower layers need nothing above them

    with Engine(home, Config(), command="test", make_embedder=lambda model, dimensions: embedder) as made:
        yield made
