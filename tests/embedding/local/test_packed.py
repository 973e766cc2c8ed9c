"""The packed forward pass of EmbeddingGemma 2 gives the vectors of the text model by transformers, or leaves it to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from knowledge_core.embedding.local.agreement import compared
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.local_embedder import PROCESSOR_BATCH
from knowledge_core.embedding.local.packed import packing, products
from knowledge_core.embedding.local.packed.packed_runner import encoder_of
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task
from tiny_gemma import write_json
from tiny_gemma2 import WINDOW, make_tiny_gemma2

TEXTS = [
    "",
    "a",
    "b",  # as long as the one before
    " ".join("abcdefg"[: WINDOW // 2]),
    "Where is the nearest library?",
    "Every word of this text is farther than the window sees. " * 30,
    "Every word of that text is farther than the window sees. " * 30,
    "図書館はどこですか 🎉 أين تقع أقرب مكتبة؟",
]
LENGTHS = [1, 2, 2, WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW, 2 * WINDOW + 1, 2 * WINDOW + 1, 5 * WINDOW - 1, 300]
TEXT_CONFIG = "text_config"


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    kinds = {"published": {}, "in three files": {"shards": 3}, "text alone": {"flat": True}}
    return {name: make_tiny_gemma2(parent / name.replace(" ", "-"), **kind) for name, kind in kinds.items()}


@pytest.fixture(scope="module")
def folder(layouts):
    return layouts["published"]


@pytest.fixture(scope="module")
def text_model(layouts):
    from transformers import EmbeddingGemma2TextModel

    return EmbeddingGemma2TextModel.from_pretrained(layouts["text alone"], dtype=torch.float32).eval()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def tokens(lengths):
    random = np.random.default_rng(0)
    return [random.integers(3, 500, length).tolist() for length in lengths]


def by_the_text_model(text_model, texts):
    with torch.inference_mode():
        rows = [text_model(torch.tensor([ids])).last_hidden_state[0].mean(0).numpy() for ids in texts]
    return unit(np.stack(rows))


@pytest.mark.parametrize("layout", ["published", "in three files", "text alone"])
def test_tokens_have_the_vectors_of_the_text_model_whatever_their_number(layout, layouts, text_model):
    texts = tokens(LENGTHS)
    encoder = encoder_of(resolve(str(layouts[layout])))("float32")
    wanted = by_the_text_model(text_model, texts)
    assert np.sum(unit(encoder.forward(texts)) * wanted, axis=1).min() > 1 - 1e-6
    assert np.sum(unit(encoder.forward(texts[::-1])) * wanted[::-1], axis=1).min() > 1 - 1e-6
    alone = np.concatenate([encoder.forward([text]) for text in texts])
    np.testing.assert_allclose(unit(alone), wanted, atol=1e-5, rtol=0)


def test_bfloat16_is_as_good_as_a_search_needs(folder, text_model):
    texts = tokens(LENGTHS)
    found = compared(by_the_text_model(text_model, texts), encoder_of(resolve(str(folder)))("bfloat16").forward(texts))
    assert found.mean > 0.9999


@pytest.mark.parametrize("packs", [True, False])
def test_the_published_layout_is_run_by_the_packed_engine(packs, folder, monkeypatch):
    if not packs:  # a torch without oneDNN's operators
        monkeypatch.setattr(products, "packs", lambda dtype: False)
    embedder = make_embedder(resolve(str(folder)), precision="float32", device="cpu")
    wanted = reference_embedder(resolve(str(folder)), device="cpu")
    for task in (Task.QUERY, Task.DOCUMENT):
        np.testing.assert_allclose(embedder.embed(TEXTS, task), wanted.embed(TEXTS, task), atol=1e-5, rtol=0)
    assert embedder.engine == "packed float32"


def changed(folder, tmp_path, **settings):
    """Return a copy of the model whose text configuration says something else."""
    copy = tmp_path / "changed"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    write_json(copy / "config.json", config | {TEXT_CONFIG: config[TEXT_CONFIG] | settings})
    return resolve(str(copy))


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_activation": "silu"},
        {"attention_bias": True},
        {"layer_types": ["sliding_attention", "chunked_attention", "full_attention"]},
        {"layer_types": ["sliding_attention"] * 3},  # transformers would make the last one full
        {"layer_types": ["full_attention"]},
        {"per_layer_config": {"2": {"head_dim": 32, "num_key_value_heads": 1, "sliding_window": 4}}},
        {"per_layer_config": {"2": {"head_dim": 32, "num_key_value_heads": 3}}},
        {"rope_parameters": {"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 2.0}}},
        {"rope_parameters": None},
        {"num_attention_heads": None},
    ],
)
def test_a_configuration_that_says_something_unknown_is_left_to_the_reference(settings, folder, tmp_path):
    assert encoder_of(changed(folder, tmp_path, **settings)) is None


def spoiled(folder, tmp_path, spoil):
    """Return a copy of the model after a change of its weights."""
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "spoiled"
    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    spoil(weights)
    save_file(weights, str(copy / "model.safetensors"), {"format": "pt"})
    return resolve(str(copy))


@pytest.mark.parametrize("scalar", [0.0, -1.0, 1e-20])
def test_scalars_that_cannot_be_divided_out_are_left_to_the_reference(scalar, folder, tmp_path):
    model = spoiled(folder, tmp_path, lambda weights: weights["language_model.layers.0.layer_scalar"].fill_(scalar))
    embedder = make_embedder(model, precision="float32", device="cpu")
    wanted = reference_embedder(model, device="cpu").embed(TEXTS, Task.QUERY)
    np.testing.assert_allclose(embedder.embed(TEXTS, Task.QUERY), wanted, atol=1e-5, rtol=0)
    assert embedder.engine == "sentence-transformers float32"


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedder(folder):
    return make_embedder(resolve(str(folder)), precision="float32", device="cpu")


def test_a_text_beyond_the_longest_input_has_the_vector_of_its_beginning(embedder):
    longest = embedder.model.max_length
    long, longer = "word " * (longest + 1), "word " * 100_000
    one, two = embedder.embed([long, longer], Task.QUERY)
    assert len(embedder.tokens([long])[0].ids) == longest
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert np.linalg.norm(one) == pytest.approx(1)


def test_the_scores_of_a_long_text_never_lie_in_memory_as_a_whole(folder):
    """4,096 tokens have 268 MB of scores in float32 in a layer that sees the whole text."""
    from torch.profiler import ProfilerActivity, profile

    encoder = encoder_of(resolve(str(folder)))("float32")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        encoder.forward(tokens([4096]))
    assert max(event.cpu_memory_usage for event in profiled.events()) < 32e6


def test_texts_of_nothing_or_of_special_tokens_have_the_references_vectors(embedder):
    texts = ["", " ", "\n", "<bos>", "<eos><eos>", "<pad><pad><pad>", "<bos><eos>", "<mask>"]
    wanted = reference_embedder(embedder.model, device="cpu").embed(texts, Task.DOCUMENT)
    np.testing.assert_allclose(embedder.embed(texts, Task.DOCUMENT), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name", ["embed_tokens.weight", "layers.1.mlp.up_proj.weight", "layers.2.self_attn.k_norm.weight"]
)
def test_weights_that_are_no_numbers_are_an_error_that_names_them(name, folder, tmp_path):
    model = spoiled(
        folder, tmp_path, lambda weights: weights[f"language_model.{name}"].view(-1)[3:4].fill_(float("nan"))
    )
    with pytest.raises(ModelUnavailable, match=f"damaged: .*{name}"):
        make_embedder(model, device="cpu").embed(TEXTS, Task.QUERY)


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize(
    "change", [{"intermediate_size": 80}, {"num_attention_heads": 2}, {"hidden_size_per_layer_input": 12}]
)
def test_weights_of_other_sizes_are_refused_before_they_are_used(change, packs, folder, tmp_path, monkeypatch):
    if not packs:
        monkeypatch.setattr(products, "packs", lambda dtype: False)
    with pytest.raises(ModelUnavailable, match="do not fit its configuration"):
        make_embedder(changed(folder, tmp_path, **change), device="cpu").embed(["a"], Task.QUERY)


ALONE = """
import sys
import numpy as np
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.types import Task
made = make_embedder(resolve(sys.argv[1]), precision=sys.argv[2], device="cpu")
vectors = made.embed(["a", "Where is the library?", "word " * 3000], Task.QUERY)
assert np.isfinite(vectors).all()
np.save(sys.argv[3], vectors)
print(made.engine)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "precision", "engine"),
    [
        ({"OMP_NUM_THREADS": "0"}, "float32", "packed float32"),
        ({"OMP_NUM_THREADS": "64"}, "float32", "packed float32"),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}, "auto", "packed float32"),  # without bfloat16
        ({"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}, "bfloat16", "packed bfloat16"),
    ],
)
def test_an_odd_machine_gives_the_same_vectors(settings, precision, engine, folder, embedder, tmp_path):
    arguments = [sys.executable, "-c", ALONE, str(folder), precision, str(tmp_path / "v.npy")]
    done = subprocess.run(arguments, env=os.environ | settings, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == engine
    wanted = embedder.embed(["a", "Where is the library?", "word " * 3000], Task.QUERY)
    assert np.sum(np.load(tmp_path / "v.npy") * wanted, axis=1).min() > (0.999 if "bfloat16" in engine else 0.99999)


def test_rows_are_rounded_up_to_so_few_numbers_that_their_products_stay_prepared():
    rounded = {tokens: tokens + -tokens % packing.step_of(tokens) for tokens in range(1, PROCESSOR_BATCH + 1)}
    assert len({*rounded.values()}) == 28
    assert all(rounded[tokens] - tokens <= max(15, tokens // 4) for tokens in rounded)
    assert int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) >= 4 * 28
