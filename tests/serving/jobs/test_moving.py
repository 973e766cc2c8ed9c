"""A collection moves from model to model and back under a searching client, through real owners that are killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from embedding_endpoint import embedding_endpoint, hashed
from knowledge_core.cli.main import main
from knowledge_core.embedding.local.agreement import real_texts
from knowledge_core.embedding.models.packaged import packaged_folder
from knowledge_core.storage.collection import Collection
from model_hub import model_hub
from owner_processes import KCORE, RawPipe, environment, kcore, own_home, owner_pid, until
from tiny_gemma import make_tiny_gemma
from tiny_gemma2 import make_tiny_gemma2

LOST = -32001  # what the pipe answers for a call whose owner died under it

pytestmark = pytest.mark.skipif(
    packaged_folder() is None, reason="the packaged model is not installed (extra `offline`)"
)


class Searching:
    """A client that searches all the while, and what it got."""

    def __init__(self, home: Path, query: str, wanted: str) -> None:
        self._home, self._query, self._wanted = home, query, wanted
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered = self.lost = 0
        self.wrong: list[object] = []

    def _run(self) -> None:
        with RawPipe(self._home) as pipe:
            pipe.initialize()
            while not self._over.is_set():
                said = pipe.call("search", query=self._query, limit=5)
                if said.get("error", {}).get("code") == LOST:
                    self.lost += 1
                    continue
                structure = said.get("result", {}).get("structuredContent") or {}
                if self._wanted in [hit["document"] for hit in structure.get("hits", [])]:
                    self.answered += 1
                else:
                    self.wrong.append(said)

    def __enter__(self) -> Searching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def stored(home: Path):
    """Return every chunk with its vector, of a collection that nobody has open."""
    collection = Collection.open(home / "collections" / "default")
    try:
        with collection.view() as view:
            return {
                (chunk.document, chunk.position): (chunk.text, view.vectors([chunk.key])[0])
                for id in view.document_ids()
                for chunk in view.chunks_of_document(id)
            }
    finally:
        collection.close()


def model_of(home: Path) -> str:
    listed = json.loads(kcore(home, "list", "--json").stdout)
    return listed["collections"][0]["model"]


def move(home: Path, model: str, *, killed: bool) -> None:
    """Move the collection, with the owner killed while it works if that is asked for; the next owner goes on."""
    command = [*KCORE, "reembed", "default", "--model", model]
    moving = subprocess.Popen(
        command,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if killed:
        with RawPipe(home) as pipe:
            pipe.initialize()

            def half_done() -> bool:
                jobs = pipe.call("job")["result"]["structuredContent"]["jobs"]
                job = next((each for each in jobs if each["kind"] == "reembed" and each["state"] == "running"), None)
                return job is not None and 0 < job["done"] < job["total"]

            until(half_done)
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner_pid(home), signal.SIGKILL)
        out, err = moving.communicate(timeout=120)
        assert moving.returncode == 1, out + err
        assert "the owner process ended" in err.lower()
        kcore(home, "status")  # any command starts the next owner, which goes on with the job
        until(lambda: model_of(home).endswith(model.removeprefix("remote")), 120)
    else:
        out, err = moving.communicate(timeout=120)
        assert moving.returncode == 0, out + err
        assert "moved from" in out


@pytest.mark.slow
def test_a_collection_moves_there_and_back_under_a_searching_client_killed_twice_on_the_way(tmp_path):
    gemma = str(make_tiny_gemma(tmp_path / "tiny-gemma"))
    texts = real_texts(400)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(json.dumps({"id": f"d{i}", "text": text}) for i, text in enumerate(texts)))
    with embedding_endpoint() as endpoint:
        endpoint.model = hashed(64)
        remote = {"url": endpoint.url, "model": "elsewhere", "dimensions": 64, "max_length": 512}
        with own_home(tmp_path, embedding={"model": "all-MiniLM-L6-v2", "remote": remote}) as home:
            done = kcore(home, "index", "--jsonl", str(corpus))
            assert done.returncode == 0, done.stderr
            kcore(home, "stop")
            first = stored(home)
            with Searching(home, texts[7][:80], "d7") as client:
                move(home, gemma, killed=True)
                move(home, "remote", killed=False)
                move(home, "all-MiniLM-L6-v2", killed=True)
            assert client.wrong == []
            assert client.answered > 20
            assert client.lost <= 4  # only what was in flight when an owner was killed
            checked = kcore(home, "doctor")
            assert checked.returncode == 0, checked.stdout
            kcore(home, "stop")
            last = stored(home)
    assert last.keys() == first.keys()
    assert all(last[place][0] == first[place][0] for place in first)
    assert min(float(np.dot(last[place][1], first[place][1])) for place in first) >= 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 3])
def test_the_second_generation_is_pulled_indexed_searched_and_moved_to_and_from(tmp_path, shards):
    texts = real_texts(60)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(json.dumps({"id": f"d{i}", "text": text}) for i, text in enumerate(texts)))
    gemma = "google/embeddinggemma-2"
    with model_hub() as hub, own_home(tmp_path) as home:
        hub.add(gemma, make_tiny_gemma2(tmp_path / "tiny", shards=shards))
        surroundings = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"}

        def run(*argv: str) -> str:
            done = kcore(home, *argv, **surroundings)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        assert "No EmbeddingGemma was found" in run("index", "--jsonl", str(corpus), "--collection", "old")
        assert f"{gemma} is complete" in run("pull")
        run("index", "--jsonl", str(corpus), "--collection", "new")
        models = {each["name"]: each["model"] for each in json.loads(run("list", "--json"))["collections"]}
        assert models == {"old": "all-MiniLM-L6-v2", "new": gemma}
        for name in models:
            assert "moved from" in run("reembed", name, "--model", {"old": gemma, "new": "all-MiniLM-L6-v2"}[name])
            found = json.loads(run("search", texts[7][:100], "--collection", name, "--json"))
            assert found["hits"][0]["document"] == "d7"
        assert "moved from" in run("reembed", "old", "--model", "all-MiniLM-L6-v2")
        assert run("doctor").splitlines()[-1] == "All is well."
        assert "All is well" not in _broken(home, surroundings, tmp_path / "hub")


def _broken(home: Path, surroundings: dict[str, str], hub: Path) -> str:
    """Return what doctor says where both the model that was pulled and a collection's are gone."""
    kcore(home, "stop")
    for file in hub.rglob("*.safetensors"):
        file.resolve().write_bytes(b"")
    done = kcore(home, "doctor", **surroundings)
    assert "is cut off" in done.stdout
    return done.stdout


def test_a_wrong_move_says_what_is_wrong(tmp_path, capsys):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "a", "text": "One short text."}')
    assert main(["index", "--jsonl", str(corpus), "--in-process"]) == 0
    for argv, code, words in (
        (["default"], 2, "--model NAME"),
        (["nowhere", "--model", "all-MiniLM-L6-v2"], 1, "No collection 'nowhere'"),
        (["default", "--model", "google/embeddinggemma-2"], 1, "not on this machine"),
        (["default", "--model", "all-MiniLM-L6-v2"], 1, "already; nothing to do"),
        (["default", "--model", "remote"], 1, "embedding.remote.url"),
        (["default", "--model", "all-MiniLM-L6-v2", "--dimensions", "100"], 1, "100 dimensions"),
    ):
        capsys.readouterr()
        assert main(["reembed", *argv, "--in-process"]) == code
        told = capsys.readouterr().err
        assert words in told
        assert "Traceback" not in told
    assert main(["reembed", "default", "--cancel", "--in-process"]) == 0
    assert "nothing to cancel" in capsys.readouterr().out


def test_a_refusal_of_the_owner_is_not_taken_for_its_death(tmp_path):
    with own_home(tmp_path) as home:
        done = kcore(home, "reembed", "nowhere", "--model", "all-MiniLM-L6-v2")
        assert done.returncode == 1
        assert "No collection 'nowhere'" in done.stderr
