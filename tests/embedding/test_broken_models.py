"""Files of a model that are lacking, damaged or of another model: a clear error, never a vector that is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task
from tiny_gemma import make_tiny_gemma, write_json, write_tokenizer
from tiny_gemma2 import make_tiny_gemma2

Break = Callable[[Path], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """One small model of each layout."""
    parent = tmp_path_factory.mktemp("models")
    return {
        "composite": make_tiny_gemma2(parent / "composite"),
        "shards": make_tiny_gemma2(parent / "shards", shards=4),
        "text": make_tiny_gemma2(parent / "text", flat=True),
        "300m": make_tiny_gemma(parent / "300m"),
        "bert": make_tiny_bert(parent / "bert"),
    }


def make_tiny_bert(folder: Path) -> Path:
    """Write a model of MiniLM's layout; without the pooler that is not used, as many are published."""
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=write_tokenizer(folder), **sizes), add_pooling_layer=False).save_pretrained(folder)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64})
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})
    return folder


def change(name: str, **content: object) -> Break:
    """Change keys of a JSON file; of a composite's text part where they are there."""

    def apply(folder: Path) -> None:
        whole = json.loads((folder / name).read_text())
        inner = whole.get("text_config", {})
        part = inner if content.keys() <= inner.keys() and "model_type" not in content else whole
        part.update(content)
        write_json(folder / name, whole)

    return apply


def without(name: str, key: str) -> Break:
    def apply(folder: Path) -> None:
        whole = json.loads((folder / name).read_text())
        del whole[key]
        write_json(folder / name, whole)

    return apply


def weights(edit: Callable[[dict[str, torch.Tensor], str], object]) -> Break:
    """Change the tensors of a single weights file. edit: is given them, and the name of one of the second layer's."""

    def apply(folder: Path) -> None:
        file = folder / "model.safetensors"
        tensors = load_file(file)
        one = next(
            name for name in sorted(tensors) if ".1." in name and name.endswith(("up_proj.weight", "dense.weight"))
        )
        edit(tensors, one)
        save_file(tensors, str(file), {"format": "pt"})

    return apply


def fill(value: float) -> Break:
    return weights(lambda tensors, one: tensors[one].view(-1)[3:4].fill_(value))


def all_zero(tensors: dict[str, torch.Tensor], _: str) -> None:
    for tensor in tensors.values():
        tensor.zero_()


def text(name: str, content: str) -> Break:
    return lambda folder: (folder / name).write_text(content)


def replaced(name: str, old: str, new: str) -> Break:
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


def cut_off(name: str, size: int) -> Break:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def gone(*names: str) -> Break:
    return lambda folder: [(folder / name).unlink() for name in names]


def without_end(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"]["single"] = tokenizer["post_processor"]["single"][:2]
    write_json(folder / "tokenizer.json", tokenizer)


def fewer_layers(folder: Path) -> None:
    """Let the configuration have two layers of the three that the weights have."""
    whole = json.loads((folder / "config.json").read_text())
    part = whole.get("text_config", whole)
    part["num_hidden_layers"] = 2
    if "layer_types" in part:
        part["layer_types"] = ["sliding_attention", "full_attention"]
    part.pop("per_layer_config", None)
    write_json(folder / "config.json", whole)


def own_code(folder: Path) -> None:
    (folder / "custom.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()\nclass Transformer: pass\n")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "custom.Transformer"
    write_json(folder / "modules.json", modules)


def own_architecture(folder: Path) -> None:
    own_code(folder)
    text("modules.json", (folder / "modules.json").read_text().replace("custom.", "sentence_transformers.models."))(
        folder
    )
    change("config.json", model_type="customs", auto_map={"AutoConfig": "custom.C", "AutoModel": "custom.M"})(folder)


def dense(activation: str) -> Break:
    """Put a layer behind the pooling, with an activation by its full name."""

    def apply(folder: Path) -> None:
        (folder / "custom.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()\nclass Bend: pass\n")
        modules = json.loads((folder / "modules.json").read_text())
        modules.insert(2, {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
        write_json(folder / "modules.json", modules)
        settings = {"in_features": 768, "out_features": 768, "bias": False, "activation_function": activation}
        write_json(folder / "2_Dense" / "config.json", settings)
        save_file({"linear.weight": torch.eye(768)}, str(folder / "2_Dense" / "model.safetensors"))

    return apply


def twice(place: int) -> Break:
    """Let the tokenizer put one of the tokens around a text twice."""

    def apply(folder: Path) -> None:
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        around = tokenizer["post_processor"]["single"]
        around.insert(place, around[place])
        write_json(folder / "tokenizer.json", tokenizer)

    return apply


def moved_tensor(folder: Path) -> None:
    """Let the index name a tensor that no file holds."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["language_model.layers.7.norm.weight"] = "model-00002-of-00004.safetensors"
    write_json(folder / "model.safetensors.index.json", index)


EVERYWHERE: dict[str, tuple[Break, str]] = {
    "a weight is missing": (weights(lambda tensors, one: tensors.pop(one)), r"lack layers\.1|lack encoder\.layer\.1"),
    "a weight is not a number": (fill(float("nan")), "not finite"),
    "a weight is infinite": (fill(float("inf")), "not finite"),
    "all weights are zero": (weights(all_zero), "same vector for different texts|not finite"),
    "the weights are cut off": (cut_off("model.safetensors", 5000), r"model\.safetensors is cut off"),
    "the weights are empty": (text("model.safetensors", ""), r"model\.safetensors is cut off"),
    "the weights are a pointer": (text("model.safetensors", "version https://git-lfs"), "is cut off or damaged"),
    "the tokenizer is empty": (text("tokenizer.json", ""), r"tokenizer\.json is cut off"),
    "the tokenizer is none": (text("tokenizer.json", "{}"), "cannot be (loaded|read)"),
    "the configuration is a list": (text("config.json", "[]"), r"config\.json.*not what it should be"),
    "the configuration is cut off": (text("config.json", "{"), r"config\.json"),
    "the modules are none": (text("modules.json", "[]"), r"modules\.json.*not what it should be"),
    "the modules are strings": (text("modules.json", '["a"]'), r"modules\.json.*not what it should be"),
    "the architecture is a list": (change("config.json", model_type=["gemma3"]), "cannot be loaded"),
    "the architecture is unknown": (change("config.json", model_type="gemma_of_tomorrow"), "cannot be loaded.*gemma_of_tomorrow"),
    "another width in the configuration": (change("config.json", hidden_size=64), "64|do not fit|cannot"),
    "more layers in the configuration": (change("config.json", num_hidden_layers=4), "lack|layer_type"),
    "fewer layers in the configuration": (fewer_layers, r"knows nothing of (encoder\.layer|layers)\.2|is \d+x\d+ in the weights"),
    "it brings a module of its own": (own_code, "custom.Transformer.*never run"),
    "it brings an architecture of its own": (own_architecture, "cannot be loaded"),
    "a module that is not known": (
        replaced("modules.json", "models.Pooling", "models.Wat"),
        "cannot be loaded",
    ),
    "no pooling settings": (gone("1_Pooling/config.json"), "cannot be loaded"),
}  # fmt: skip
GEMMA: dict[str, tuple[Break, str]] = {
    "no end token": (without_end, "no end token"),
    "two begin tokens": (twice(0), "3 special tokens around a text and not 2"),
    "two end tokens": (twice(-1), "3 special tokens around a text and not 2"),
    "no tokens around a text": (change("tokenizer.json", post_processor=None), "no begin and no end token"),
}
COMPOSITE: dict[str, tuple[Break, str]] = {
    "an activation of its own": (dense("custom.Bend"), r"custom\.Bend, in 2_Dense/config\.json.*never run"),
    "an activation that is none": (dense("os.system"), r"os\.system, in 2_Dense"),
    "layers that the types of layers do not count": (change("config.json", num_hidden_layers=9), r"`num_hidden_layers` \(9\)"),
    "the pooling is of another width": (change("1_Pooling/config.json", word_embedding_dimension=99), "99 dimensions, but"),
    "a text part of another kind": (
        replaced("config.json", "gemma2_text", "gemma9_text"),
        "is 'embedding_gemma9_text'",
    ),
    "no text configuration": (without("config.json", "text_config"), "no text_config"),
    "towers without text": (
        weights(lambda tensors, _: [tensors.pop(name) for name in [*tensors] if name.startswith("language_model")]),
        "no tensors of the text part",
    ),
    "a weight too many": (
        weights(lambda tensors, _: tensors.update({"language_model.layers.1.extra": torch.ones(2)})),
        r"knows nothing of layers\.1\.extra",
    ),
    "a weight of another size": (
        weights(lambda tensors, one: tensors.update({one: torch.ones(3, 3)})), "is 3x3 in the weights and 64x32",
    ),
    "a weight of whole numbers": (
        weights(lambda tensors, one: tensors.update({one: torch.ones(64, 32, dtype=torch.int8)})), "stored as I8",
    ),
    "another vocabulary in the configuration": (change("config.json", vocab_size=100), r"embed_tokens\.weight is \d+x32"),
}  # fmt: skip
SHARDS: dict[str, tuple[Break, str]] = {
    "half of the files are missing": (
        gone("model-00002-of-00004.safetensors", "model-00004-of-00004.safetensors"),
        "no model-00002-of-00004.safetensors, no model-00004-of-00004.safetensors",
    ),
    "one file is cut off": (cut_off("model-00003-of-00004.safetensors", 3000), "model-00003-of-00004.safetensors is cut off"),
    "one file is empty": (text("model-00003-of-00004.safetensors", ""), "model-00003-of-00004.safetensors is cut off"),
    "the index names what is not there": (moved_tensor, r"lacks language_model\.layers\.7"),
    "the index is no index": (text("model.safetensors.index.json", "[]"), r"index\.json is cut off or damaged"),
    "the index names nothing": (text("model.safetensors.index.json", '{"weight_map": {}}'), "cut off or damaged"),
    "the index leads out of the folder": (
        text("model.safetensors.index.json", '{"weight_map": {"a": "../model.safetensors"}}'), "cut off or damaged",
    ),
    "the index alone": (gone(*(f"model-0000{n}-of-00004.safetensors" for n in range(1, 5))), "no model-00001"),
}  # fmt: skip
TOLD_BY_OTHERS = (
    "a weight is missing",
    "more layers in the configuration",
    "fewer layers in the configuration",
    "a weight is not a number",
)
"""What other code looks for where sentence-transformers loads the whole."""

CASES = [
    *(("composite", name) for name in EVERYWHERE | GEMMA | COMPOSITE),
    *(("shards", name) for name in SHARDS),
    *((layout, name) for layout in ("300m", "bert") for name in TOLD_BY_OTHERS),
    *(("300m", name) for name in GEMMA),
    *(pytest.param("text", name, marks=pytest.mark.slow) for name in EVERYWHERE | GEMMA),
    *(
        pytest.param(layout, name, marks=pytest.mark.slow)
        for layout in ("300m", "bert")
        for name in EVERYWHERE
        if name not in TOLD_BY_OTHERS
    ),
]
BREAKS = EVERYWHERE | GEMMA | COMPOSITE | SHARDS


@pytest.mark.parametrize(("layout", "name"), CASES)
def test_what_is_broken_is_named_and_never_embeds(layout, name, sound, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(sound[layout], folder)
    breaks, words = BREAKS[name]
    breaks(folder)
    with pytest.raises(ModelUnavailable, match=words) as caught:
        make_embedder(resolve(str(folder)), precision="float32", device="cpu").contract  # noqa: B018  # loads it
    assert not (folder / "ran").exists()
    assert str(tmp_path) not in str(caught.value).replace(str(folder), "")


@pytest.mark.parametrize("layout", ["composite", "shards", "text", "300m", "bert"])
def test_whole_models_of_every_layout_embed(layout, sound):
    embedder = make_embedder(resolve(str(sound[layout])), precision="float32", device="cpu")
    assert embedder.contract.probe is not None


def test_a_number_that_is_none_in_the_row_of_a_rare_token_is_found_at_loading(sound, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(sound["composite"], folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["language_model.embed_tokens.weight"][7, 3] = float("nan")  # a byte that no text here has
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"embed_tokens\.weight hold values that are not finite"):
        make_embedder(resolve(str(folder)), device="cpu").load()


@pytest.mark.parametrize("layout", ["composite", "300m"])
def test_a_token_that_the_weights_have_no_row_for_is_read_as_unknown_text(layout, sound, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(sound[layout], folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    picture = {"id": 90_000, "content": "<picture>", "special": True}
    tokenizer["added_tokens"].append(picture | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False))
    write_json(folder / "tokenizer.json", tokenizer)
    embedder = make_embedder(resolve(str(folder)), precision="float32", device="cpu")
    beside, replaced, plain = embedder.embed(["see <picture> here", "see \ufffd here", "plain"], Task.QUERY)
    np.testing.assert_allclose(beside, replaced, atol=1e-6)
    assert not np.allclose(beside, plain)


def test_a_tokenizer_of_a_model_with_more_tokens_is_refused(sound, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(sound["composite"], folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] |= {"a": 90_001, "b": 90_002}
    write_json(folder / "tokenizer.json", tokenizer)
    embedder = make_embedder(resolve(str(folder)), precision="float32", device="cpu")
    with pytest.raises(ModelUnavailable, match="knows more tokens than its weights"):
        embedder.embed(["a", "b"], Task.QUERY)
