"""What the engine promises beside right numbers: strange texts, many threads, silence, no network, clear refusals."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from knowledge_core.contract import PROBE_TEXTS
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.errors import ConfigurationError, InvalidInput, ModelUnavailable
from knowledge_core.types import Task


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u200b", "a\x00b", "half \ud83d of a pair", "\udfff", "\x00"])
def test_strange_texts_have_finite_vectors_of_norm_one(text, tiny_embedder, minilm_embedder):
    for embedder in (tiny_embedder, minilm_embedder):
        vectors = embedder.embed([text, "beside it"], Task.DOCUMENT, [text, ""])
        assert np.isfinite(vectors).all()
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(vectors, embedder.embed([text, "beside it"], Task.DOCUMENT, [text, ""]))
        assert embedder.count_tokens([text])[0] >= 0


def test_what_no_tokenizer_takes_is_read_as_a_replacement_character(tiny_embedder):
    vectors = tiny_embedder.embed(["a\x00b \ud800", "a\ufffdb \ufffd"], Task.QUERY)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_no_text_gives_no_vector_and_loads_nothing(tiny):
    embedder = reference_embedder(tiny, dimensions=256)
    assert embedder.embed([], Task.QUERY).shape == (0, 256)
    assert embedder.count_tokens(["a"]) == [1]
    assert embedder.static_contract.probe is None
    assert not embedder.loaded


def test_tokens_are_counted_without_prompts_special_tokens_or_the_longest_input(minilm_embedder, tiny_embedder):
    assert minilm_embedder.count_tokens(["hello world", "", "hello " * 1000]) == [2, 0, 1000]
    assert tiny_embedder.count_tokens([]) == []


def test_the_contract_holds_what_the_model_gave_for_the_probe(tiny_embedder, tiny):
    contract = tiny_embedder.contract
    np.testing.assert_allclose(contract.probe, tiny_embedder.embed(PROBE_TEXTS, Task.DOCUMENT), atol=1e-6)
    assert contract.differences(reference_embedder(tiny, device="cpu").contract) == []
    assert len(contract.weights) == 64
    assert contract == tiny_embedder.static_contract


def test_many_threads_load_one_model_and_get_their_own_vectors(tiny):
    embedder = reference_embedder(tiny, device="cpu")
    groups = [[f"thread {i} text {j} " + "word " * (j * 5) for j in range(1 + i * 6)] for i in range(8)]
    begin = threading.Barrier(len(groups))

    def work(texts):
        begin.wait()
        return embedder.embed(texts, Task.DOCUMENT)

    with ThreadPoolExecutor(len(groups)) as pool:
        together = list(pool.map(work, groups))
    for texts, vectors in zip(groups, together, strict=True):
        np.testing.assert_allclose(vectors, embedder.embed(texts, Task.DOCUMENT), atol=1e-5)


def test_bfloat16_is_the_same_contract(tiny, tiny_embedder):
    half = reference_embedder(tiny, precision="bfloat16", device="cpu")
    assert half.contract.differences(tiny_embedder.contract) == []


@pytest.mark.parametrize(("dimensions", "named"), [(384, "768, 512, 256, 128"), (0, "768"), (1024, "768")])
def test_dimensions_that_the_model_was_not_trained_for_are_refused_by_name(tiny, dimensions, named):
    with pytest.raises(InvalidInput, match=named):
        reference_embedder(tiny, dimensions=dimensions)


def test_the_packaged_model_has_only_its_full_size(minilm_embedder):
    with pytest.raises(InvalidInput, match="It has: 384"):
        reference_embedder(minilm_embedder.model, dimensions=256)


def test_float16_is_refused_for_gemma_with_the_reason(tiny):
    with pytest.raises(ConfigurationError, match="bfloat16"):
        reference_embedder(tiny, precision="float16")


@pytest.mark.parametrize("setting", [{"precision": "int3"}, {"device": "abacus"}])
def test_an_unknown_precision_or_device_is_refused(tiny, setting):
    with pytest.raises(ConfigurationError, match="unknown"):
        reference_embedder(tiny, **setting)


def test_a_device_that_is_not_there_is_refused(tiny):
    with pytest.raises(ConfigurationError, match="no such device"):
        reference_embedder(tiny, device="cuda:99").load()


def test_a_model_that_gives_numbers_that_are_not_finite_is_unavailable(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    from tiny_gemma import make_tiny_gemma

    folder = make_tiny_gemma(tmp_path / "broken")
    weights = folder / "3_Dense" / "model.safetensors"
    save_file({name: torch.full_like(value, torch.nan) for name, value in load_file(weights).items()}, weights)
    with pytest.raises(ModelUnavailable, match="not finite"):
        reference_embedder(resolve(str(folder)), device="cpu").embed(["a"], Task.QUERY)


def test_a_model_that_the_libraries_cannot_read_is_unavailable_without_its_path(tmp_path):
    from tiny_gemma import make_tiny_gemma

    folder = make_tiny_gemma(tmp_path / "secret-place" / "broken")
    config = folder / "config.json"
    config.write_text(config.read_text().replace("gemma3_text", "gemma99"))
    embedder = reference_embedder(resolve(str(folder)), device="cpu")
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        embedder.load()
    assert not embedder.loaded


SILENT = """
import socket, sys
def refuse(*a, **k): raise AssertionError("network")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from pathlib import Path
from knowledge_core.embedding.models.models import resolve
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.types import Task
assert not {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
for name in sys.argv[1:]:
    embedder = reference_embedder(resolve(name))
    embedder.count_tokens(["a text"] * 100)
    assert "torch" not in sys.modules or name != sys.argv[1]
    embedder.embed(["a text " * 1000, "https://127.0.0.1:9/cat.png", "cat.png"], Task.QUERY)
    assert embedder.contract.probe is not None
    import subprocess
    subprocess.run([sys.executable, "-c", ""], check=True)
"""


def test_loading_and_embedding_print_nothing_and_reach_no_network(tiny_folder, minilm_folder):
    environment = {"PATH": "", "PYTHONPATH": ":".join(path for path in sys.path if path), "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", SILENT, str(tiny_folder), "all-MiniLM-L6-v2"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_models_that_are_loaded_at_once_in_two_precisions_do_not_mix_them(tiny, tiny_embedder):
    """As at the start of an owner whose collections have different models."""
    alone = tiny_embedder.embed(["some text"], Task.QUERY)

    def loaded(precision: str) -> list[np.ndarray]:
        made = (reference_embedder(tiny, device="cpu", precision=precision) for _ in range(12))
        return [each.embed(["some text"], Task.QUERY) for each in made]

    with ThreadPoolExecutor(2) as threads:
        for found in threads.map(loaded, ("float32", "bfloat16")):
            for vectors in found:
                np.testing.assert_allclose(vectors @ alone.T, 1, atol=0.02)
