"""EmbeddingGemma 2 in the layouts in which it lies on disks, against the text model alone by sentence-transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from knowledge_core.contract import GEMMA_PROMPTS
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.sentence_transformers_engine import SentenceTransformersRunner, reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.embedding.tokens import truncation_of
from knowledge_core.errors import ConfigurationError
from knowledge_core.types import Task
from tiny_gemma import write_json
from tiny_gemma2 import DIMENSIONS, LONGEST, TOWERS, WINDOW, make_tiny_gemma2

TEXTS = [
    "",
    "a",
    "Where is the nearest library?",
    "Every word of this text is farther than the window sees. " * 20,
    "図書館はどこですか 🎉 أين تقع أقرب مكتبة؟",
    "tabs\tand\nline ends\r\nand   spaces  ",
]
LAYOUTS = {
    "published": {},
    "in three files": {"shards": 3},
    "text alone": {"flat": True},
    "float32": {"dtype": "float32"},
}
PROMPTED = {task.value: GEMMA_PROMPTS[task.value].replace("title: {title}", "title: none") for task in Task}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    return {name: make_tiny_gemma2(parent / name.replace(" ", "-"), **kind) for name, kind in LAYOUTS.items()}


@pytest.fixture(scope="module")
def folder(folders):
    return folders["published"]


@pytest.fixture(scope="module")
def embedder(folder):
    return reference_embedder(resolve(str(folder)), device="cpu")


def by_sentence_transformers(folder: Path, texts: list[str]) -> np.ndarray:
    """Return what the text model alone gives in float32, without anything of ours."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": "float32"})
    return np.asarray(plain.encode(texts, show_progress_bar=False))


@pytest.fixture(scope="module")
def expected(folders):
    strings = [template.replace("{text}", text) for template in PROMPTED.values() for text in TEXTS]
    rows = by_sentence_transformers(folders["text alone"], strings)
    return dict(zip(PROMPTED, rows.reshape(len(PROMPTED), len(TEXTS), -1), strict=True))


def test_the_tiny_model_has_the_published_layout(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["EmbeddingGemma2Model"]
    assert {"text_config", "vision_config", "audio_config"} <= config.keys()
    assert (folder / "processor_config.json").is_file()
    assert not (folder / "sentence_bert_config.json").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_model_of_the_family(layout, folders):
    model = resolve(str(folders[layout]))
    assert model.family == "gemma"
    assert (model.dimensions, model.sizes, model.max_length) == (DIMENSIONS, (768, 512, 256, 128), LONGEST)
    assert model.prompts == GEMMA_PROMPTS


@pytest.mark.parametrize("layout", ["published", "in three files", "text alone"])
def test_vectors_are_those_of_the_text_model_by_sentence_transformers(layout, folders, expected):
    embedder = reference_embedder(resolve(str(folders[layout])), device="cpu")
    for task in Task:
        np.testing.assert_allclose(embedder.embed(TEXTS, task), expected[task.value], atol=1e-5, rtol=0)


def test_shorter_vectors_are_cut_and_scaled_back(folder, expected):
    short = reference_embedder(resolve(str(folder)), dimensions=128, device="cpu").embed(TEXTS, Task.QUERY)
    cut_off = expected["query"][:, :128]
    wanted = cut_off / np.linalg.norm(cut_off, axis=1, keepdims=True)
    np.testing.assert_allclose(short, wanted, atol=1e-5, rtol=0)


def test_a_title_stands_in_the_document_prompt(embedder, folders):
    made = embedder.embed(["It opens at nine."], Task.DOCUMENT, ["Library > Hours"])
    wanted = by_sentence_transformers(folders["text alone"], ["title: Library > Hours | text: It opens at nine."])
    np.testing.assert_allclose(made, wanted, atol=1e-5, rtol=0)


def test_a_text_has_the_same_vector_alone_and_beside_longer_ones(embedder):
    alone = np.concatenate([embedder.embed([text], Task.QUERY) for text in TEXTS])
    np.testing.assert_allclose(embedder.embed(TEXTS, Task.QUERY), alone, atol=1e-5, rtol=0)


def test_the_window_is_a_radius_and_every_token_of_a_text_counts(embedder):
    texts = ["word " * (3 * WINDOW) + end for end in ("one", "two")]
    one, two = embedder.embed(texts, Task.QUERY)
    assert float(one @ two) < 0.99999


def test_what_the_towers_hold_does_not_matter(folder, tmp_path, expected):
    """Numbers that are none would spoil whatever reads them."""
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "m"
    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    assert TOWERS.keys() < weights.keys()
    for name in TOWERS:
        weights[name].fill_(float("nan"))
    save_file(weights, str(copy / "model.safetensors"), {"format": "pt"})
    made = make_embedder(resolve(str(copy)), precision="float32", device="cpu").embed(TEXTS, Task.QUERY)
    np.testing.assert_allclose(made, expected["query"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_modules_behind_the_pooling_count(precision, folder, folders, tmp_path):
    from safetensors.torch import save_file

    for name in ("published", "text alone"):
        copy = tmp_path / name
        shutil.copytree(folders[name], copy)
        modules = json.loads((copy / "modules.json").read_text())
        modules.insert(2, {"idx": 9, "name": "9", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
        write_json(copy / "modules.json", modules)
        settings = {"in_features": DIMENSIONS, "out_features": 64, "bias": False}
        write_json(
            copy / "2_Dense" / "config.json", settings | {"activation_function": "torch.nn.modules.activation.Tanh"}
        )
        weight = torch.randn(64, DIMENSIONS, generator=torch.Generator().manual_seed(0)) / 8
        save_file({"linear.weight": weight}, str(copy / "2_Dense" / "model.safetensors"))
    model = resolve(str(tmp_path / "published"))
    made = make_embedder(model, precision=precision, device="cpu").embed(TEXTS, Task.QUERY)
    wanted = by_sentence_transformers(
        tmp_path / "text alone", [PROMPTED["query"].replace("{text}", text) for text in TEXTS]
    )
    assert made.shape == (len(TEXTS), 64)
    np.testing.assert_allclose(made, wanted, atol=1e-5 if precision == "float32" else 0.05, rtol=0)


def test_a_chat_template_beside_the_tokenizer_changes_nothing(folder, tmp_path, expected):
    copy = tmp_path / "m"
    shutil.copytree(folder, copy)
    (copy / "chat_template.jinja").write_text("{% for message in messages %}<mask>{{ message.content }}{% endfor %}")
    made = reference_embedder(resolve(str(copy)), device="cpu").embed(TEXTS, Task.QUERY)
    np.testing.assert_allclose(made, expected["query"], atol=1e-5, rtol=0)


def test_weights_in_float16_are_computed_in_float32(tmp_path, folders):
    half = make_tiny_gemma2(tmp_path / "half", dtype="float16")
    wanted = reference_embedder(resolve(str(folders["float32"])), device="cpu").embed(TEXTS, Task.QUERY)
    embedder = make_embedder(resolve(str(half)), precision="float32", device="cpu")
    made = embedder.embed(TEXTS, Task.QUERY)
    assert embedder.engine.endswith("float32")
    assert float(np.sum(made * wanted, axis=1).min()) > 0.9999  # the same numbers, stored with fewer digits
    with pytest.raises(ConfigurationError, match="float16 cannot be used"):
        make_embedder(resolve(str(half)), precision="float16", device="cpu")


@pytest.mark.slow
def test_bfloat16_is_as_good_and_the_trial_decides_as_for_other_models(folder, expected):
    from knowledge_core.embedding.local.agreement import compared

    half = make_embedder(resolve(str(folder)), precision="bfloat16", device="cpu")
    assert compared(expected["query"], half.embed(TEXTS, Task.QUERY)).mean >= 0.999
    assert half.engine == "packed bfloat16"
    chosen = make_embedder(resolve(str(folder)), device="cpu")
    chosen.load()
    assert chosen.engine.startswith("packed")
    assert "bfloat16" in chosen.engine_reason


# -- the longest input ---------------------------------------------------------------------------------------------------


def stated(folder: Path, tmp_path: Path, name: str, content: dict) -> Path:
    """Return a copy of a model with settings of its first module."""
    copy = tmp_path / "stated"
    shutil.copytree(folder, copy)
    write_json(copy / name, content)
    return copy


def test_a_text_is_read_to_the_trained_length_though_the_configuration_allows_any(folder):
    runner = SentenceTransformersRunner(resolve(str(folder)), "float32", "cpu")
    embedder = reference_embedder(resolve(str(folder)), device="cpu")
    long = "word " * 10_000
    (read,) = embedder.tokens([long])
    assert (len(read.ids), read.ids[0], read.ids[-1]) == (LONGEST, 2, 1)
    features = runner._transformer.preprocess([{"text": long}])
    assert features["input_ids"].tolist() == [read.ids]
    assert truncation_of(embedder, [long], Task.QUERY).longest == LONGEST


@pytest.mark.parametrize(
    ("name", "content", "length"),
    [
        ("sentence_bert_config.json", {"max_seq_length": 100, "do_lower_case": False}, 100),
        ("sentence_bert_config.json", {"max_seq_length": 100_000}, LONGEST),
        ("sentence_bert_config.json", {"max_seq_length": None}, LONGEST),
        ("sentence_bert_config.json", {"max_seq_length": 1}, LONGEST),  # no room between begin and end
        ("sentence_bert_config.json", {"processor_kwargs": {"model_max_length": 64}}, 64),
        ("sentence_roberta_config.json", {"max_seq_length": 77}, 77),
        ("tokenizer_config.json", {"model_max_length": 2048, "eos_token": "<eos>"}, LONGEST),
    ],
)
def test_a_smaller_length_that_the_model_states_counts(name, content, length, folder, tmp_path):
    assert resolve(str(stated(folder, tmp_path, name, content))).max_length == length


def test_a_text_of_ten_thousand_tokens_gives_the_vector_of_its_beginning(folder, folders, tmp_path):
    short = resolve(str(stated(folder, tmp_path, "sentence_bert_config.json", {"max_seq_length": 100})))
    text = "word " * 10_000
    made = make_embedder(short, precision="float32", device="cpu").embed([text, "b"], Task.QUERY)
    flat = stated(folders["text alone"], tmp_path / "flat", "sentence_bert_config.json", {"max_seq_length": 100})
    prompt = "task: search result | query: "
    np.testing.assert_allclose(made, by_sentence_transformers(flat, [prompt + text, prompt + "b"]), atol=1e-5, rtol=0)
