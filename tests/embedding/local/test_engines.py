"""Which engine is chosen, and that the packed forward pass of EmbeddingGemma gives the reference's vectors."""

from __future__ import annotations

import doctest
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from knowledge_core.embedding.local import engines
from knowledge_core.embedding.local.agreement import SAME_ENGINE, compared
from knowledge_core.embedding.local.device_memory import halving
from knowledge_core.embedding.local.engine_table import Engine
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.lanes import cores_here
from knowledge_core.embedding.local.packed import gemma3, packing, products
from knowledge_core.embedding.models.models import resolve
from knowledge_core.embedding.tokens import truncation_of
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task
from tiny_gemma import MANY_KINDS, MAX_LENGTH

TEXTS = [
    "a",
    "",
    " \n\t",
    *MANY_KINDS,
    "a\x00b half \ud83d of a pair \x07",
]


@pytest.fixture(scope="module")
def packed(tiny):
    made = make_embedder(tiny, precision="float32", device="cpu")
    made.load()
    return made


@pytest.mark.parametrize("task", [Task.QUERY, Task.DOCUMENT])
def test_the_packed_engine_gives_the_references_vectors(task, packed, tiny_embedder):
    assert packed.engine == "packed float32"
    np.testing.assert_allclose(packed.embed(TEXTS, task), tiny_embedder.embed(TEXTS, task), atol=1e-5, rtol=0)


def test_a_text_has_the_same_vector_alone_and_beside_others(packed):
    alone = np.concatenate([packed.embed([text], Task.QUERY) for text in TEXTS])
    np.testing.assert_allclose(packed.embed(TEXTS, Task.QUERY), alone, atol=1e-5, rtol=0)


def test_the_packed_engine_in_bfloat16_is_as_good(tiny, tiny_embedder):
    half = make_embedder(tiny, precision="bfloat16", device="cpu")
    found = compared(tiny_embedder.embed(TEXTS, Task.QUERY), half.embed(TEXTS, Task.QUERY))
    assert half.engine.endswith("bfloat16")
    assert found.mean >= 0.999
    assert half.engine_reason


def test_without_the_packed_products_plain_ones_give_the_same(tiny, tiny_embedder, monkeypatch):
    monkeypatch.setattr(products, "packs", lambda kind: False)
    plain = make_embedder(tiny, precision="float32", device="cpu")
    np.testing.assert_allclose(plain.embed(TEXTS, Task.QUERY), tiny_embedder.embed(TEXTS, Task.QUERY), atol=1e-5)
    assert plain.engine == "packed float32"


def test_where_the_packed_engine_disagrees_the_reference_runs(tiny, tiny_embedder, monkeypatch):
    monkeypatch.setattr(gemma3, "Window", lambda *_: None)  # a mistake: every token sees everything
    made = make_embedder(tiny, precision="float32", device="cpu")
    np.testing.assert_allclose(made.embed(TEXTS, Task.QUERY), tiny_embedder.embed(TEXTS, Task.QUERY), atol=1e-5)
    assert made.engine == "sentence-transformers float32"


@pytest.fixture
def counted(monkeypatch):
    """Count how often the reference is loaded."""
    loaded = []

    class Counted(engines.SentenceTransformersRunner):
        def __init__(self, *arguments):
            loaded.append(arguments[1])
            super().__init__(*arguments)

    monkeypatch.setattr(engines, "SentenceTransformersRunner", Counted)
    return loaded


def test_what_a_trial_found_is_remembered_until_something_changes(tiny, tmp_path, counted):
    folder = tmp_path / "model"
    shutil.copytree(tiny.folder, folder)
    file = tmp_path / "engines.json"

    def engine(precision="auto"):
        made = make_embedder(resolve(str(folder)), precision=precision, device="cpu", verdicts=file)
        made.load()
        return made.engine

    first = engine()
    assert counted == ["float32"]
    assert engine() == first  # without the reference
    assert counted == ["float32"]
    engine("float32")  # another question
    assert counted == ["float32"] * 2
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")  # another model, perhaps
    engine()
    assert counted == ["float32"] * 3


@pytest.fixture(scope="module")
def circumstances(tiny, tmp_path_factory):
    """Return the key under which an outcome of the tiny model is kept."""
    file = tmp_path_factory.mktemp("outcomes") / "engines.json"
    make_embedder(tiny, device="cpu", verdicts=file).load()
    (key,) = json.loads(file.read_text())
    return key


@pytest.fixture
def loaded_beside(tiny, tmp_path, circumstances):
    """Return what loads the tiny model beside a file that holds one outcome of it."""

    def load(**outcome):
        file = tmp_path / "engines.json"
        file.write_text(json.dumps({circumstances: outcome}, indent=1))
        made = make_embedder(tiny, device="cpu", verdicts=file)
        made.load()
        return made

    return load


@pytest.mark.parametrize("former", [{"packed": True}, {"runner": "packed"}])
def test_an_outcome_of_a_former_release_is_used_without_a_trial(former, loaded_beside):
    made = loaded_beside(precision="float32", reason="tried by the last release", **former)
    assert (made.engine, made.engine_reason) == ("packed float32", "tried by the last release")


@pytest.mark.parametrize("former", [{"packed": False}, {"runner": "sentence-transformers", "tried": ["abacus"]}])
def test_an_outcome_that_knew_nothing_of_an_engine_costs_a_trial(former, loaded_beside):
    made = loaded_beside(precision="float32", reason="tried by the last release", **former)
    assert made.engine.startswith("packed")


def test_an_outcome_against_an_engine_that_was_tried_stands(loaded_beside):
    made = loaded_beside(runner="sentence-transformers", precision="float32", reason="it was", tried=["packed"])
    assert (made.engine, made.engine_reason) == ("sentence-transformers float32", "it was")


@pytest.mark.parametrize("broken", [{"runner": "abacus"}, {"precision": "float7"}])
def test_an_outcome_that_names_nothing_known_costs_a_trial_and_no_error(broken, loaded_beside):
    made = loaded_beside(**{"runner": "packed", "precision": "float32", "reason": "broken"} | broken)
    assert made.engine.startswith("packed")
    assert made.engine_reason != "broken"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}', "null"])
def test_a_file_of_outcomes_that_cannot_be_read_costs_a_trial_and_no_error(tiny, tmp_path, counted, content):
    file = tmp_path / "engines.json"
    file.write_text(content)
    made = make_embedder(tiny, device="cpu", verdicts=file)
    made.load()
    assert counted == ["float32"]
    assert made.engine in file.read_text() or made.engine.rpartition(" ")[2] in file.read_text()


def test_where_the_outcome_cannot_be_kept_the_model_runs_all_the_same(tiny, tmp_path):
    made = make_embedder(tiny, device="cpu", verdicts=tmp_path / "absent" / "engines.json")
    assert made.embed(["a"], Task.QUERY).shape == (1, 768)


def test_a_remembered_engine_that_does_not_load_any_more_is_tried_anew(tiny, tmp_path, counted, monkeypatch):
    file = tmp_path / "engines.json"
    make_embedder(tiny, device="cpu", verdicts=file).load()

    def broken(*_):
        raise RuntimeError("gone")

    monkeypatch.setattr(gemma3, "Gemma3Encoder", broken)
    made = make_embedder(tiny, device="cpu", verdicts=file)
    made.load()
    assert made.engine.startswith("sentence-transformers")


class Abacus:
    """A further class of runner: the reference's numbers, times what spoils them."""

    kind = "abacus"
    on_processor = True

    def __init__(self, model, precision, reason, spoiled=1.0):
        self.precision, self.reason, self.spoiled = precision, reason, spoiled
        self._within = RawReference(model, "float32", "cpu")

    def forward(self, texts):
        rows = self._within.forward(texts)
        rows[:, 0] *= self.spoiled
        return rows

    def most_tokens(self):
        return 512


RawReference = engines.SentenceTransformersRunner


def entry(**changes):
    made = {
        "kind": "abacus",
        "maker": lambda model: lambda *about: Abacus(model, *about),
        "precisions": lambda _: ("float32",),
    }
    return Engine(**made | changes)


def test_a_further_class_of_runner_is_one_entry_of_the_table(tiny, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(engines, "ENGINES", (entry(), *engines.ENGINES))
    file = tmp_path / "engines.json"
    for loads in (1, 1):  # the second time it is remembered: the reference is not loaded again
        made = make_embedder(tiny, precision="float32", device="cpu", verdicts=file)
        made.load()
        assert (made.engine, len(counted)) == ("abacus float32", loads)
        assert "agrees" in made.engine_reason


def _cannot(*_):
    raise OverflowError("too few beads")


@pytest.mark.parametrize(
    "changes",
    [
        {"maker": lambda model: None},
        {"maker": lambda model: lambda *about: Abacus(model, *about, spoiled=float("nan"))},
        {"maker": lambda model: lambda *about: Abacus(model, *about, spoiled=-9.0)},
        {"maker": lambda model: _cannot, "misfits": (OverflowError,)},
        {"precisions": lambda _: ()},
        {"near": lambda found, precision: False},
    ],
)
def test_an_engine_that_does_not_fit_a_model_leaves_it_to_the_next(changes, tiny, monkeypatch):
    monkeypatch.setattr(engines, "ENGINES", (entry(**changes), *engines.ENGINES))
    made = make_embedder(tiny, precision="float32", device="cpu")
    made.load()
    assert made.engine == "packed float32"


def test_an_outcome_of_an_engine_that_is_gone_costs_a_trial(tiny, tmp_path, monkeypatch):
    file = tmp_path / "engines.json"
    with monkeypatch.context() as there:
        there.setattr(engines, "ENGINES", (entry(),))
        make_embedder(tiny, precision="float32", device="cpu", verdicts=file).load()
    made = make_embedder(tiny, precision="float32", device="cpu", verdicts=file)
    made.load()
    assert made.engine == "packed float32"


@pytest.mark.parametrize("change", [{"use_bidirectional_attention": False}, {"attention_bias": True}, {"x": 0}])
def test_another_architecture_is_left_to_the_reference(tiny, tmp_path, change):
    folder = tmp_path / "other"
    shutil.copytree(tiny.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    assert (gemma3.shape_of(folder, MAX_LENGTH) is not None) == ("x" in change)


def test_weights_of_another_architecture_are_refused(tiny, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(tiny.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 80, "hidden_size": 96}))
    with pytest.raises(ModelUnavailable):
        make_embedder(resolve(str(folder)), device="cpu").embed(["a"], Task.QUERY)


def test_a_model_of_another_family_in_bfloat16_is_run_by_the_reference_library(minilm_embedder):
    made = make_embedder(minilm_embedder.model, precision="bfloat16", device="cpu")
    found = compared(made.embed(TEXTS, Task.QUERY), minilm_embedder.embed(TEXTS, Task.QUERY))
    assert made.engine.startswith("sentence-transformers")
    assert found.mean >= 0.999


def test_many_texts_are_embedded_in_slices_in_their_order(packed, monkeypatch):
    monkeypatch.setattr("knowledge_core.embedding.local.local_embedder.SLICE", 7)
    texts = [f"text {number} " + "word " * (number % 11) for number in range(40)]
    together = packed.embed(texts, Task.DOCUMENT)
    np.testing.assert_allclose(together[::9], packed.embed(texts[::9], Task.DOCUMENT), atol=1e-5)


def test_what_is_cut_is_told(packed):
    found = truncation_of(packed, ["short", "word " * 1000], Task.QUERY)
    assert (found.texts, found.total, found.longest) == (1, 2, MAX_LENGTH)
    assert found.tokens > 500
    assert str(found).startswith(f"1 of 2 texts were longer than {MAX_LENGTH} tokens")
    assert str(truncation_of(packed, ["short"], Task.QUERY)) == ""


def test_a_full_memory_halves_the_batch_and_goes_on():
    def work(batch):
        tried.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return np.array([[float(item)] for item in batch], np.float32)

    tried: list[int] = []
    np.testing.assert_array_equal(halving(work, list(range(10)))[:, 0], np.arange(10))
    assert tried[:2] == [10, 5]


def test_a_text_for_which_memory_never_suffices_is_a_clear_error_and_other_errors_pass():
    def full(batch):
        raise RuntimeError("MPS backend out of memory")

    def broken(batch):
        raise RuntimeError("something else")

    with pytest.raises(ModelUnavailable, match="free memory"):
        halving(full, [1, 2])
    with pytest.raises(RuntimeError, match="something else"):
        halving(broken, [1, 2])


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_graphics_card_gives_the_same_vectors(device, tiny, tiny_embedder):
    there = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
    if not there:
        pytest.skip(f"PyTorch finds no {device} device here")
    made = make_embedder(tiny, device=device)
    found = compared(tiny_embedder.embed(TEXTS, Task.QUERY), made.embed(TEXTS, Task.QUERY))
    assert found.mean >= 0.999


def test_the_examples_of_the_forward_pass_hold():
    assert doctest.testmod(packing).failed == 0
    assert SAME_ENGINE < 1


def test_a_trial_changes_for_no_model_that_is_loaded_meanwhile_how_many_cores_there_are(tiny):
    default, seen, over = cores_here(), set(), threading.Event()

    def look() -> None:
        while not over.is_set():
            with ThreadPoolExecutor(1) as fresh:
                seen.add(fresh.submit(cores_here).result())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(3):
            make_embedder(tiny, device="cpu").load()
    finally:
        over.set()
        looking.join()
    assert seen == {default}


def test_a_model_is_loaded_on_a_thread_that_ends_so_that_no_helper_of_it_disturbs_queries(tiny):
    threads = []
    embedder = make_embedder(tiny, precision="float32", device="cpu")
    chosen = embedder._choose
    embedder._choose = lambda *given: threads.append(threading.current_thread()) or chosen(*given)
    embedder.load()
    (loader,) = threads
    assert loader is not threading.current_thread()
    assert not loader.is_alive()
