from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge_core.embedding.hub import hub as client
from model_hub import ModelHub, model_hub
from pulling import GEMMA_1, GEMMA_2

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        *PROXIES,
        *map(str.lower, PROXIES),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_STORED_TOKENS_PATH", str(tmp_path / "hf" / "stored_tokens"))
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def hub(tiny_folder: Path, tiny2_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    with model_hub() as served:
        served.add(GEMMA_2, tiny2_folder)
        served.add(GEMMA_1, tiny_folder)
        served.repositories[GEMMA_1].gated = True
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


@pytest.fixture
def cache() -> Path:
    return Path(os.environ["HF_HUB_CACHE"])
