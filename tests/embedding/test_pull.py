"""`kcore pull`: a model comes from a hub whole or not at all, is gone on with, and every refusal says what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import namedtuple

import pytest
from filelock import FileLock

from hub_server import COMMIT, LARGE, hub_server
from knowledge_core.embedding import hub as module
from knowledge_core.embedding.models import resolve
from knowledge_core.embedding.pulling import pull
from knowledge_core.embedding.sentence_transformers_engine import reference_embedder
from knowledge_core.errors import ModelUnavailable, StorageFull
from knowledge_core.types import Task, no_progress
from owner_processes import KCORE, environment

NAME = "google/embeddinggemma-300m"


@pytest.fixture
def hub(tiny_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    with hub_server(tiny_folder, NAME) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        served.extra = {"README.md": b"# A model", "onnx/model.onnx": b"x" * LARGE, "pytorch_model.bin": b"x" * LARGE}
        yield served


def fetched(name=NAME, **settings):
    return pull(name, progress=settings.pop("progress", no_progress), **settings)


def test_a_pulled_model_is_found_and_embeds_like_its_source(hub, tiny_embedder):
    done = fetched("embeddinggemma-300m")
    assert done.commit == COMMIT
    assert done.license.startswith("Gemma terms of use")
    model = resolve(NAME)
    assert model.folder == done.model.folder
    made = reference_embedder(model, device="cpu").embed(["a text"], Task.QUERY)
    assert (made == tiny_embedder.embed(["a text"], Task.QUERY)).all()
    assert not any("onnx" in each or ".bin" in each for each in hub.requests)  # nor what else lies there


def test_what_is_here_already_is_not_fetched_again(hub):
    first = fetched()
    assert first.fetched == first.bytes
    hub.sent.clear()
    again = fetched()
    assert (again.fetched, hub.sent) == (0, {})


def test_a_run_that_was_cut_off_is_gone_on_with_where_it_was(hub):
    class Stopped(Exception):
        pass

    def stop_at(progress):
        if progress.done > 60_000:
            raise Stopped

    hub.cut_after = 50_000
    with pytest.raises(Stopped):
        fetched(progress=stop_at)
    with pytest.raises(ModelUnavailable):
        resolve(NAME)
    done = fetched()
    assert resolve(NAME).folder == done.model.folder
    size = len(hub.files()["model.safetensors"])
    assert hub.sent["model.safetensors"] <= size + module.PIECE
    assert 0 < done.fetched < done.bytes


def test_a_connection_that_breaks_is_gone_on_with_in_the_same_run(hub):
    hub.cut_after = 50_000
    seen = []
    done = fetched(progress=lambda progress: seen.append(progress.done))
    assert done.fetched == done.bytes
    assert hub.sent["model.safetensors"] == len(hub.files()["model.safetensors"])  # no byte twice
    assert seen == sorted(seen)
    assert seen[-1] == done.bytes


def test_a_server_that_knows_no_ranges_is_begun_with_anew(hub):
    hub.ignores_ranges, hub.cut_after = True, 50_000
    done = fetched()
    assert (done.model.folder / "model.safetensors").read_bytes() == hub.files()["model.safetensors"]


def test_a_wrong_checksum_is_fetched_once_more_and_never_kept(hub):
    hub.spoiled = 1
    done = fetched()
    assert (done.model.folder / "model.safetensors").read_bytes() == hub.files()["model.safetensors"]
    shutil.rmtree(done.model.folder.parents[1])
    hub.spoiled = 2
    with pytest.raises(ModelUnavailable, match="wrong checksum, twice"):
        fetched()
    with pytest.raises(ModelUnavailable):
        resolve(NAME)


def test_the_token_goes_to_the_hub_and_to_nobody_else(hub):
    fetched(token="hf_secret")
    assert set(hub.tokens["hub"]) == {"Bearer hf_secret"}
    assert set(hub.tokens["cdn"]) == {None}


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (401, {"X-Error-Code": "GatedRepo"}, "licence must be accepted once on"),
        (403, {"X-Error-Code": "GatedRepo"}, "hf auth login"),
        (401, {}, "does not accept the token"),
        (404, {"X-Error-Code": "RepoNotFound"}, "has no model"),
        (418, {}, "answered 418"),
    ],
)
def test_a_refusal_says_what_to_do(hub, status, headers, said):
    hub.refusal = (status, headers)
    with pytest.raises(ModelUnavailable, match=said) as caught:
        fetched(token="hf_secret")
    assert "hf_secret" not in str(caught.value)


def test_an_unknown_model_revision_or_name_is_named(hub):
    for name, revision, said in (
        ("someone/else", "main", "no model 'someone/else'"),
        (NAME, "v9", "no revision 'v9'"),
        ("../../etc", "main", "is no model of the hub"),
        ("nameonly", "main", "is no model of the hub"),
    ):
        with pytest.raises(ModelUnavailable, match=said):
            fetched(name, revision=revision)


def test_a_busy_hub_is_asked_again_and_one_that_stays_so_is_an_error(hub):
    hub.refusal, hub.refusals_left = (503, {}), 3
    assert fetched().bytes
    hub.refusal, hub.refusals_left = (429, {"Retry-After": "0"}), 1 << 30
    with pytest.raises(ModelUnavailable, match=r"answered 429, 5 times. What was fetched stays"):
        fetched()


def test_a_hub_that_is_not_there_is_an_error_with_the_next_step(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        fetched()
    monkeypatch.setenv("HF_ENDPOINT", "nonsense")
    with pytest.raises(ModelUnavailable, match="HF_ENDPOINT"):
        fetched()


def test_what_is_no_embedding_model_is_refused_before_its_weights_come(hub, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(hub.folder, other)
    (other / "modules.json").unlink()
    hub.folder = other
    with pytest.raises(ModelUnavailable, match=r"no modules.json"):
        fetched()
    assert hub.sent == {}


def test_a_second_run_of_the_same_model_waits_for_the_first(hub, tmp_path):
    folder = tmp_path / "cache" / "models--google--embeddinggemma-300m"
    folder.mkdir(parents=True)
    first = FileLock(folder / ".kcore-pull.lock")
    first.acquire()
    assert fetched(waiting=first.release).bytes


def test_without_room_nothing_is_begun(hub, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 150_000_000))
    with pytest.raises(StorageFull, match="has 150 MB"):
        fetched()
    assert hub.sent == {}


def test_the_command_downloads_says_where_and_exits_with_the_right_code(hub, tmp_path):
    (tmp_path / "home").mkdir()

    def kcore(*argv, **more):
        own = environment(tmp_path / "home") | more
        return subprocess.run([*KCORE, *argv], capture_output=True, text=True, env=own, check=False)

    done = kcore("pull", NAME)
    assert done.returncode == 0, done.stderr
    assert "kcore reembed COLLECTION --model google/embeddinggemma-300m" in done.stdout
    assert "Gemma terms of use" in done.stdout
    assert done.stderr == ""  # progress is for terminals
    again = kcore("pull", NAME, "--json")
    assert json.loads(again.stdout)["fetched"] == 0
    assert str(os.path.join("snapshots", COMMIT)) in json.loads(again.stdout)["folder"]
    wrong = kcore("pull", "someone/else")
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr
    listed = kcore("models", "--in-process", "--json")
    assert NAME in listed.stdout
