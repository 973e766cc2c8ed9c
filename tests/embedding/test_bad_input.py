"""Whatever is given to a model: a defined vector or a clear error; never NaN, never a crash, never another's vector."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.local_embedder import SLICE
from knowledge_core.embedding.models.models import resolve
from knowledge_core.errors import ConfigurationError, InvalidInput, ModelUnavailable
from knowledge_core.types import Task

STRANGE = {
    "nothing": "",
    "only space": " \t\n\u00a0\u2003",
    "a quarter of a megabyte": "All work and no play. " * 12_000,
    "one word of a quarter of a megabyte": "a" * 250_000,
    "half a pair": "before \ud83d after",
    "control characters": "".join(map(chr, range(32))) + "\x7f\x85\u200b\ufeff\u202e",
    "NUL": "a\x00b",
    "not a character": "\ufffe\uffff\U0010ffff",
    "one letter": "x",
    "looks like a special token": "<bos> [CLS] <pad> [SEP] <eos> <unk>",
    "looks like a slot": "{text} {title} {0} %s",
}


@pytest.fixture(scope="module", params=["minilm", "tiny"])
def embedder(request):
    return make_embedder(request.getfixturevalue(f"{request.param}_embedder").model, device="cpu")


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_text_has_a_vector_of_its_own_that_neighbours_do_not_change(embedder, name):
    text = STRANGE[name]
    for task in (Task.QUERY, Task.DOCUMENT) if len(text) < 1000 else (Task.QUERY,):
        alone = embedder.embed([text], task)
        beside = embedder.embed(["A plain sentence about lighthouses.", text, "Another one."], task)
        assert np.isfinite(beside).all()
        np.testing.assert_allclose(np.linalg.norm(beside, axis=1), 1, atol=1e-5)
        assert float(alone[0] @ beside[1]) > 0.998
        plain = embedder.embed(["A plain sentence about lighthouses."], task)
        assert float(plain[0] @ beside[0]) > 0.998


def test_a_strange_title_does_no_harm(embedder):
    made = embedder.embed(["text"] * 3, Task.DOCUMENT, ["", "\x00\ud83d", "t" * 100_000])
    assert np.isfinite(made).all()
    with pytest.raises(ValueError, match="1 texts have 2 titles"):
        embedder.embed(["text"], Task.DOCUMENT, ["a", "b"])


def test_no_text_gives_no_vector(embedder):
    assert embedder.embed([], Task.QUERY).shape == (0, embedder.static_contract.dimensions)


def test_thousands_of_texts_in_one_call_come_back_in_their_order(embedder):
    many = SLICE + 50  # more than are tokens at the same time
    texts = [f"number {place % 100}" for place in range(many)]
    made = embedder.embed(texts, Task.DOCUMENT)
    assert made.shape[0] == many
    few = embedder.embed(texts[:100], Task.DOCUMENT)
    assert float((made * few[np.arange(many) % 100]).sum(1).min()) > 0.998


@pytest.mark.slow
def test_a_hundred_thousand_texts_in_one_call_come_back(minilm_embedder):
    embedder = make_embedder(minilm_embedder.model, device="cpu")
    made = embedder.embed([f"w{place % 97}" for place in range(100_000)], Task.DOCUMENT)
    assert made.shape == (100_000, 384)
    assert float((made[:97] * made[97 * 1000 : 97 * 1001]).sum(1).min()) > 0.998


def test_dimensions_and_precisions_that_a_model_lacks_are_refused(tiny, minilm_embedder):
    with pytest.raises(InvalidInput, match="It has: 768, 512, 256, 128"):
        make_embedder(tiny, dimensions=100)
    with pytest.raises(InvalidInput, match="It has: 384"):
        make_embedder(minilm_embedder.model, dimensions=128)
    with pytest.raises(ConfigurationError, match="float16"):
        make_embedder(tiny, precision="float16")
    with pytest.raises(ConfigurationError, match="There are: auto, float32"):
        make_embedder(tiny, precision="int4")
    with pytest.raises(ConfigurationError, match=r"no such device|unknown"):
        make_embedder(tiny, device="cuda:99").load()


def copied(model, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(model.folder, folder)
    return folder


def test_a_weights_file_that_is_cut_off_or_no_weights_file_is_named(tiny, tmp_path):
    folder = copied(tiny, tmp_path)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    for damaged in (content[:-100], content[: len(content) // 2], b"", b"version https://git-lfs", b"\xff" * 1000):
        weights.write_bytes(damaged)
        with pytest.raises(ModelUnavailable, match=r"model\.safetensors"):
            resolve(str(folder))


def test_weights_with_flipped_bytes_make_no_vector_that_is_stored(tiny, tmp_path):
    """Their length is right, so only what they compute can tell: infinite numbers are refused, others change the probe."""
    folder = copied(tiny, tmp_path)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[start:] = b"\xff\x7f" * ((len(content) - start) // 2) + content[start:][: (len(content) - start) % 2]
    weights.write_bytes(bytes(content))  # NaN everywhere
    with pytest.raises(ModelUnavailable, match="not finite"):
        make_embedder(resolve(str(folder)), device="cpu").embed(["a"], Task.QUERY)

    honest = make_embedder(tiny, device="cpu").contract
    rng = np.random.default_rng(0)
    small = rng.normal(0, 0.05, (len(content) - start) // 4).astype("<f4").tobytes()
    content[start : start + len(small)] = small
    weights.write_bytes(bytes(content))
    other = make_embedder(resolve(str(folder)), device="cpu").contract
    assert any("vectors of the same texts differ" in each for each in honest.differences(other))


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"no modules\.json"):
        resolve(str(tmp_path))
    with pytest.raises(ModelUnavailable, match="There is no model folder"):
        resolve(str(tmp_path / "absent"))
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(ModelUnavailable):
        resolve(str(tmp_path))
