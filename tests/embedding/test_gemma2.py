"""EmbeddingGemma 2, on a tiny checkpoint of its text architecture, against what sentence-transformers gives."""

from __future__ import annotations

import numpy as np
import pytest

from knowledge_core.embedding.contract import GEMMA_PROMPTS
from knowledge_core.embedding.engines import make_embedder
from knowledge_core.embedding.models import resolve
from knowledge_core.embedding.sentence_transformers_engine import reference_embedder
from knowledge_core.types import Task
from tiny_gemma2 import DIMENSIONS, LONGEST, make_tiny_gemma2

TEXTS = [
    "a",
    "Where is the nearest library?",
    "Every word of this text is farther than the window sees. " * 20,
    "図書館はどこですか 🎉 أين تقع أقرب مكتبة؟",
    "Longer than the model reads. " * 200,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_gemma2(tmp_path_factory.mktemp("models") / "tiny-gemma-2")


@pytest.fixture(scope="module")
def model(folder):
    return resolve(str(folder))


def test_it_is_one_of_the_family_with_its_prompts_sizes_and_length(model):
    assert model.family == "gemma"
    assert (model.dimensions, model.sizes, model.max_length) == (DIMENSIONS, (768, 512, 256, 128), LONGEST)
    assert model.prompts == GEMMA_PROMPTS


@pytest.mark.parametrize(("task", "prompt"), [(Task.QUERY, "query"), (Task.CLUSTERING, "Clustering")])
def test_vectors_are_those_of_plain_sentence_transformers_under_the_models_own_prompts(model, folder, task, prompt):
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = plain.encode(TEXTS, prompt_name=prompt, show_progress_bar=False)
    made = reference_embedder(model, device="cpu").embed(TEXTS, task)
    np.testing.assert_allclose(made, expected, atol=1e-5)
    short = reference_embedder(model, dimensions=128, device="cpu").embed(TEXTS, task)
    cut = expected[:, :128] / np.linalg.norm(expected[:, :128], axis=1, keepdims=True)
    np.testing.assert_allclose(short, cut, atol=1e-5)


def test_the_packed_pass_of_gemma_3_leaves_it_to_the_reference_library(model):
    chosen = make_embedder(model, device="cpu")
    chosen.load()
    assert chosen.engine.startswith("sentence-transformers")
