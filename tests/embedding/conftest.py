"""A tiny checkpoint of the real architecture, and what a plain SentenceTransformer makes of a model's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from knowledge_core.embedding.local.local_embedder import LocalEmbedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import MINILM, Model, resolve
from knowledge_core.embedding.models.packaged import packaged_folder
from knowledge_core.types import Vectors
from tiny_gemma import make_tiny_gemma
from tiny_gemma2 import make_tiny_gemma2

Reference = Callable[[Sequence[str], int], Vectors]
"""(the exact strings, dimensions) to vectors: what the product must equal."""


@pytest.fixture(autouse=True)
def _empty_hub_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gemma(tmp_path_factory.mktemp("models") / "tiny-gemma")


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Model:
    return resolve(str(tiny_folder))


@pytest.fixture(scope="session")
def tiny_embedder(tiny: Model) -> LocalEmbedder:
    return reference_embedder(tiny, device="cpu")


@pytest.fixture(scope="session")
def tiny2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EmbeddingGemma 2 as it is published, towers and all."""
    return make_tiny_gemma2(tmp_path_factory.mktemp("models") / "tiny-gemma-2")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    folder = packaged_folder()
    if folder is None:
        pytest.skip("the packaged model is not installed (extra `offline`)")
    return folder


@pytest.fixture(scope="session")
def minilm_embedder(minilm_folder: Path) -> LocalEmbedder:
    return reference_embedder(resolve(MINILM), device="cpu")


@pytest.fixture(scope="session")
def tiny_reference(tiny_folder: Path) -> Reference:
    return plain(tiny_folder)


@pytest.fixture(scope="session")
def minilm_reference(minilm_folder: Path) -> Reference:
    return plain(minilm_folder)


def plain(folder: Path) -> Reference:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def vectors(texts: Sequence[str], dimensions: int) -> Vectors:
        cut = model.encode(list(texts), show_progress_bar=False)[:, :dimensions]
        result: Vectors = cut / np.linalg.norm(cut, axis=1, keepdims=True)
        return result

    return vectors
