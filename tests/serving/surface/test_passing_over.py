"""A model that lies here and does not work never stands before one that does, and never goes unmentioned."""

from __future__ import annotations

import json
import shutil

import pytest
from mcp.client import Client
from safetensors.torch import load_file, save_file

from knowledge_core.cli.main import main
from knowledge_core.config import Config
from knowledge_core.embedding.models import models
from knowledge_core.engine import Engine
from knowledge_core.errors import ModelUnavailable
from knowledge_core.recorded_jobs.reembed_job import accept_reembed
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.doctor import examine
from mcp_text import NOTES, text_of
from tiny_gemma import make_tiny_gemma
from tiny_gemma2 import make_tiny_gemma2

pytestmark = pytest.mark.anyio

GEMMA_2, GEMMA_1 = models.GEMMA_NAMES


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    return {GEMMA_2: make_tiny_gemma2(parent / "two"), GEMMA_1: make_tiny_gemma(parent / "one")}


@pytest.fixture(autouse=True)
def _no_other_models(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(models, "packaged_folder", lambda: None)


@pytest.fixture
def put(home, sound):
    """Lay a model into the models folder of the data directory."""

    def lay(name):
        folder = home / "models" / name
        shutil.copytree(sound[name], folder)
        return folder

    return lay


def opened(home, model="auto", **embedding):
    return Engine(home, Config.model_validate({"embedding": {"model": model, "engine": "reference", **embedding}}))


def not_a_number(folder):
    edit(folder, lambda weights: weights["language_model.norm.weight"].fill_(float("nan")))


def lacking(folder):
    edit(folder, lambda weights: weights.pop("language_model.norm.weight"))


def edit(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def damaged_tokenizer(folder):
    (folder / "tokenizer.json").write_text('{"model": {}}')


async def call(engine, tool, **arguments):
    async with Client(application(engine)) as client:
        return await client.call_tool(tool, arguments)


FAULTS = {
    not_a_number: "not finite",
    lacking: "lack norm.weight",
    without_weights: "no model.safetensors",
    damaged_tokenizer: "tokenizer",
}


@pytest.mark.parametrize(
    "fault",
    [not_a_number, *(pytest.param(each, marks=pytest.mark.slow) for each in FAULTS if each is not not_a_number)],
)
async def test_a_new_collection_gets_the_next_model_and_the_answer_says_why(fault, home, put):
    fault(put(GEMMA_2))
    put(GEMMA_1)
    with opened(home) as engine:
        done = await call(engine, "index", documents=NOTES)
        assert not done.is_error, text_of(done)
        assert done.structured_content["indexed"] == len(NOTES)
        notices = " ".join(done.structured_content["notices"])
        for said in (GEMMA_2, FAULTS[fault], f"kcore pull {GEMMA_2}", f"{GEMMA_1} is used"):
            assert said in notices
        assert engine.collection("default").contract.model == GEMMA_1
        found = await call(engine, "search", query="sunlight electricity", mode="semantic")
        assert not found.is_error, text_of(found)
    with opened(home) as engine:  # what was pinned stays, also for a process that knows of no fault
        assert engine.collection("default").contract.probe is not None
        found = await call(engine, "search", query="sunlight electricity", mode="semantic")
        assert found.structured_content["hits"]


async def test_embedding_without_a_collection_takes_the_next_model_too(home, put):
    not_a_number(put(GEMMA_2))
    put(GEMMA_1)
    with opened(home) as engine:
        made = await call(engine, "embed", texts=["a", "b"])
        assert made.structured_content["model"] == GEMMA_1
        assert any("not finite" in notice for notice in made.structured_content["notices"])


@pytest.mark.parametrize("fault", [not_a_number, without_weights])
async def test_a_named_model_that_does_not_load_is_an_error_and_makes_nothing(fault, home, put):
    fault(put(GEMMA_2))
    put(GEMMA_1)
    with opened(home, GEMMA_2) as engine:
        refused = await call(engine, "index", documents=NOTES)
        assert refused.is_error
        assert FAULTS[fault] in text_of(refused)
        assert engine.names() == []
        assert (await call(engine, "embed", texts=["a"])).is_error


async def test_a_collection_that_holds_vectors_keeps_its_model_and_says_that_it_is_broken(home, put):
    folder = put(GEMMA_2)
    with opened(home) as engine:
        await call(engine, "index", documents=NOTES)
    not_a_number(folder)
    put(GEMMA_1)
    with opened(home) as engine:
        for tool, arguments in (
            ("index", {"documents": [{"id": "new", "text": "x"}]}),
            ("search", {"query": "sunlight"}),
        ):
            refused = await call(engine, tool, **arguments)
            assert refused.is_error
            assert "not finite" in text_of(refused)
        assert engine.collection("default").contract.model == GEMMA_2
        done = await call(engine, "index", documents=NOTES, collection="other")
        assert not done.is_error
        assert engine.collection("other").contract.model == GEMMA_1


def test_a_model_that_was_mended_is_taken_again(home, put, sound):
    folder = put(GEMMA_2)
    not_a_number(folder)
    put(GEMMA_1)
    with opened(home) as engine:
        assert engine.embedders.working().contract.model == GEMMA_1
        assert engine.embedders.find_model("auto").name == GEMMA_1
        (folder / "model.safetensors").unlink()
        shutil.copy(sound[GEMMA_2] / "model.safetensors", folder)
        assert engine.embedders.find_model("auto").name == GEMMA_2
        assert engine.embedders.working().contract.model == GEMMA_2
        assert engine.embedders.notice() == ""


def test_of_two_copies_of_a_model_the_one_that_works_is_taken(home, put, sound, tmp_path):
    not_a_number(put(GEMMA_2))
    put(GEMMA_1)
    snapshot = tmp_path / "hub" / "models--google--embeddinggemma-2" / "snapshots" / ("1" * 40)
    shutil.copytree(sound[GEMMA_2], snapshot)
    with opened(home) as engine:
        assert engine.embedders.working().contract.model == GEMMA_2
        assert engine.embedders.find_model(GEMMA_2).folder == snapshot


def test_a_folder_of_that_name_with_another_architecture_is_passed_over_with_word_of_it(home, put):
    folder = put(GEMMA_2)
    (folder / "config.json").write_text('{"model_type": "gemma_of_tomorrow", "hidden_size": 768}')
    put(GEMMA_1)
    with opened(home) as engine:
        model = engine.embedders.find_model("auto")
    assert model.name == GEMMA_1
    assert "gemma_of_tomorrow" in model.notice


def test_where_none_works_the_error_names_every_fault(home, put):
    not_a_number(put(GEMMA_2))
    without_weights(put(GEMMA_1))
    with opened(home) as engine, pytest.raises(ModelUnavailable) as caught:
        engine.embedders.working()
    for said in ("not finite", "no model.safetensors", "knowledge-core[offline]"):
        assert str(caught.value).count(said) == 1  # a folder's name is known from two sides


def test_a_size_that_the_next_model_does_not_have_is_told_with_the_fault(home, put, monkeypatch):
    not_a_number(put(GEMMA_2))
    put(GEMMA_1)
    monkeypatch.setattr(models.Model, "sizes", property(lambda self: (768,) if self.name == GEMMA_2 else (384,)))
    wanted = pytest.raises(ModelUnavailable, match=r"not finite.*cannot take its place.*768")
    with opened(home, dimensions=768) as engine, wanted:
        engine.embedders.working()


@pytest.mark.slow
def test_a_move_to_auto_goes_to_a_model_that_works(home, put):
    put(GEMMA_1)
    with opened(home) as engine:
        engine.collection_or_new("notes").set_probe(engine.embedders.working().contract)
        not_a_number(put(GEMMA_2))
        with pytest.raises(ModelUnavailable, match="not finite"):
            accept_reembed(engine, "notes", GEMMA_2, None)
        job = accept_reembed(engine, "notes", "auto", 256)
        assert job.wait(60)
        assert engine.collection("notes").contract.model == GEMMA_1


# -- what a person is told -----------------------------------------------------------------------------------------------


def levels(result):
    return [each["level"] for each in result["model"]["findings"]]


def test_doctor_says_that_all_is_well_only_with_a_model_that_works(home, put, capsys, monkeypatch):
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", str(home))
    home.mkdir()
    (home / "config.yaml").write_text("embedding: {engine: reference}\n")

    def doctor(*more):
        capsys.readouterr()
        code = main(["doctor", "--in-process", *more])
        return code, capsys.readouterr().out

    code, out = doctor()
    assert (code, "All is well" in out) == (1, False)
    assert "No embedding model is on this machine" in out

    folder = put(GEMMA_2)
    code, out = doctor()
    assert (code, out.splitlines()[-1]) == (0, "All is well.")
    assert f"{GEMMA_2} works" in out

    not_a_number(folder)
    code, out = doctor()
    assert (code, "All is well" in out) == (1, False)
    assert "not finite" in out
    code, out = doctor("--json")
    result = json.loads(out)
    assert (code, result["clean"], result["model"]["works"], result["model"]["model"]) == (1, False, False, None)

    put(GEMMA_1)
    code, out = doctor()
    assert (code, "All is well" in out) == (0, False)
    assert "warning" in out
    assert "a better one is broken" in out


async def test_doctor_finds_a_collection_whose_model_does_not_work_any_more(home, put):
    folder = put(GEMMA_2)
    with opened(home) as engine:
        await call(engine, "index", documents=NOTES)
        assert examine(engine, None, repair=False)["clean"]
    shutil.rmtree(folder)
    put(GEMMA_1)
    with opened(home) as engine:
        result = examine(engine, None, repair=False)
        assert (result["clean"], result["model"]["works"]) == (False, True)
        assert [each["level"] for each in result["collections"][0]["findings"]][-1] == "unavailable"
        assert "not on this machine" in result["collections"][0]["findings"][-1]["what"]


def test_doctor_of_a_named_model_does_not_speak_of_others(home, put):
    not_a_number(put(GEMMA_2))
    put(GEMMA_1)
    with opened(home, GEMMA_2) as engine:
        assert levels(examine(engine, None, repair=False)) == ["unavailable"]
    with opened(home, GEMMA_1) as engine:
        assert levels(examine(engine, None, repair=False)) == ["ok"]


def test_the_list_of_models_shows_what_cannot_be_used_and_why(home, put, capsys, monkeypatch):
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", str(home))
    without_weights(put(GEMMA_2))
    put(GEMMA_1)
    assert main(["models", "--in-process"]) == 0
    out = capsys.readouterr().out
    assert f"{GEMMA_2}: cannot be used" in out
    assert "no model.safetensors" in out
    used = next(line for line in out.splitlines() if "<- used for new collections" in line)
    assert used.startswith(GEMMA_1)
