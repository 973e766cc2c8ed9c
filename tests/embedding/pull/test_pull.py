"""`kcore pull`: whatever the hub, the network and the disk do, a model is here whole, or not here and told why."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.hub_cache import PARTIAL
from knowledge_core.embedding.models.models import MINILM, installed, resolve
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task
from model_hub import Misbehave, sha256
from owner_processes import until
from pulling import BIG, GEMMA_1, GEMMA_2, digest, partials, pull, pulling
from tiny_gemma2 import make_tiny_gemma2


def test_a_model_is_pulled_and_embeds_as_the_one_it_was_made_from(hub, home, cache, tiny2_folder):
    process = pulling(home)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    model = resolve(GEMMA_2)
    plan, use = err.splitlines()
    assert f"{GEMMA_2} at commit 11111111: 8 of its 8 files" in plan
    assert f"into {cache}" in plan
    assert "are used, the text part" in use
    for said in (GEMMA_2, f"MB in {model.folder}", "Licence: Apache-2.0", "New collections use it.", "kcore reembed"):
        assert said in out
    assert model.folder.is_relative_to(cache)
    for task in (Task.QUERY, Task.DOCUMENT):
        ours, theirs = (
            reference_embedder(each, device="cpu").embed(["a library"], task)
            for each in (model, resolve(str(tiny2_folder)))
        )
        np.testing.assert_array_equal(ours, theirs)


def test_every_byte_is_fetched_once_and_nothing_at_all_the_next_time(capsys, hub, cache):
    code, out, _ = pull(capsys, "--json")
    said = json.loads(out)
    files = hub.repositories[GEMMA_2].files
    assert code == 0
    assert {name: hub.sent(name) for name in files} == {name: len(content) for name, content in files.items()}
    size = sum(map(len, files.values()))
    assert (said["model"], said["bytes"], said["already_complete"], said["licence"]) == (
        GEMMA_2,
        size,
        False,
        "Apache-2.0",
    )
    assert (said["commit"], said["revision"], said["dimensions"], said["notices"]) == ("1" * 40, "main", 768, [])

    hub.requests.clear()
    code, out, _ = pull(capsys, "--json")
    assert (code, json.loads(out)["already_complete"]) == (0, True)
    code, out, _ = pull(capsys)
    assert (code, "was complete already" in out) == (0, True)
    assert [path for path in hub.paths("hub") if "/api/" not in path] + hub.paths("store") == []


def test_a_complete_model_in_a_cache_that_is_only_read_is_enough(capsys, hub, cache):
    pull(capsys)
    shutil.rmtree(cache / ".locks")
    before = {path: path.lstat().st_mtime_ns for path in cache.rglob("*")}
    assert pull(capsys)[0] == 0
    assert {path: path.lstat().st_mtime_ns for path in cache.rglob("*")} == before


def test_what_was_pulled_is_what_the_hubs_own_client_finds(capsys, hub, cache):
    from huggingface_hub import scan_cache_dir, snapshot_download

    pull(capsys)
    assert snapshot_download(GEMMA_2, cache_dir=cache, local_files_only=True) == str(resolve(GEMMA_2).folder)
    found = scan_cache_dir(cache)
    assert found.warnings == []
    assert [(repository.repo_id, set(repository.refs)) for repository in found.repos] == [(GEMMA_2, {"main"})]


def test_a_run_that_was_interrupted_is_gone_on_with(hub, home, cache, tiny2_folder):
    stalled, go = threading.Event(), threading.Event()
    size, half = len((tiny2_folder / BIG).read_bytes()), 300_000
    hub.script = [Misbehave(digest(hub), at="store", cut=half, stall=stalled, go=go)]
    process = pulling(home)
    assert stalled.wait(60)
    until(lambda: [each.stat().st_size for each in partials(cache)] == [half])
    with pytest.raises(ModelUnavailable):
        resolve(GEMMA_2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith(f"kcore: interrupted; what was fetched stays, and `kcore pull {GEMMA_2}` goes on from there\n")

    process = pulling(home)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "MB are fetched now" in err) == (0, True)
    assert hub.sent(BIG) == size
    assert resolve(GEMMA_2).contract(768).weights
    assert partials(cache) == []


def test_a_cut_connection_is_gone_on_with_in_the_same_run(capsys, hub, cache):
    hub.script = [Misbehave(digest(hub), at="store", cut=cut) for cut in (1, 100_000, 0, 200_000)]
    code, _, err = pull(capsys)
    assert (code, err.count("ended the connection in the middle")) == (0, 4)
    assert hub.sent(BIG) == len(hub.repositories[GEMMA_2].files[BIG])
    asked = [request.range for request in hub.requests if request.at == "store" and digest(hub) in request.path]
    assert asked == [None, "bytes=1-", "bytes=100001-", "bytes=100001-", "bytes=300001-"]


def test_a_network_that_stays_bad_ends_with_what_to_do_and_keeps_what_came(capsys, hub, cache):
    hub.script = [Misbehave(digest(hub), at="store", cut=100_000 if first else 0) for first in (1, 0, 0, 0, 0, 0)]
    code, out, err = pull(capsys)
    assert (code, out) == (1, "")
    for said in (
        "ended the connection",
        "after 5 attempts",
        "HTTPS_PROXY",
        "goes on where it stopped",
        "models folder",
    ):
        assert said in err.splitlines()[-1]
    assert [each.stat().st_size for each in partials(cache)] == [100_000]
    assert installed() == [resolve(MINILM)]
    hub.script.clear()
    assert pull(capsys)[0] == 0
    assert hub.sent(BIG) == len(hub.repositories[GEMMA_2].files[BIG])


def test_a_server_that_ignores_range_is_read_from_the_start(capsys, hub):
    hub.script = [Misbehave(digest(hub), at="store", cut=100_000), Misbehave(digest(hub), at="store", whole=True)]
    assert pull(capsys)[0] == 0
    assert hub.sent(BIG) == 100_000 + len(hub.repositories[GEMMA_2].files[BIG])
    assert resolve(GEMMA_2).name == GEMMA_2


def test_an_answer_that_is_another_part_of_the_file_is_not_used(capsys, hub):
    wrong = {"content-range": "bytes 5-9/589912"}
    hub.script = [
        Misbehave(digest(hub), at="store", cut=100_000),
        Misbehave(digest(hub), at="store", status=206, body=b"12345", headers=wrong),
        Misbehave(digest(hub), at="store", cut=100_000),
        Misbehave(digest(hub), at="store", status=416),
        Misbehave(digest(hub), at="store", more=True),
    ]
    code, _, err = pull(capsys)
    assert (code, err.count("starting it over"), err.count("more of")) == (0, 2, 1)
    assert resolve(GEMMA_2).name == GEMMA_2


@pytest.mark.parametrize("name", [BIG, "modules.json"])
def test_a_file_that_was_damaged_on_the_disk_since_is_fetched_again(capsys, hub, cache, name):
    assert pull(capsys)[0] == 0
    file = resolve(GEMMA_2).folder / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.resolve().write_bytes(content)
    before = hub.sent("tokenizer.json")
    code, out, err = pull(capsys)
    assert (code, f"{name} is damaged on this disk; it is fetched again" in err) == (0, True)
    assert "was complete already" not in out
    assert sha256(file.read_bytes()) == sha256(hub.repositories[GEMMA_2].files[name])
    assert hub.sent("tokenizer.json") == before
    assert "was complete already" in pull(capsys)[1]


def test_wrong_bytes_are_removed_and_fetched_once_more(capsys, hub, cache):
    hub.script = [Misbehave(digest(hub), at="store", flip=True)]
    code, _, err = pull(capsys)
    assert (code, f"{BIG} does not have its checksum" in err) == (0, True)
    assert hub.sent(BIG) == 2 * len(hub.repositories[GEMMA_2].files[BIG])
    assert resolve(GEMMA_2).name == GEMMA_2


@pytest.mark.parametrize(("name", "at"), [(BIG, "store"), ("tokenizer.json", "hub")])
def test_bytes_that_are_wrong_twice_are_an_error_and_nothing_is_installed(capsys, hub, cache, name, at):
    on = digest(hub) if at == "store" else f"/{name}"
    hub.script = [Misbehave(on, at=at, flip=True) for _ in range(2)]
    code, _, err = pull(capsys)
    assert (code, f"{name} of {GEMMA_2} does not have its checksum, twice" in err) == (1, True)
    assert partials(cache) == []
    with pytest.raises(ModelUnavailable):
        resolve(GEMMA_2)


def test_a_file_that_changes_while_it_is_fetched_is_taken_as_it_is_now(capsys, hub, tiny_folder):
    files = hub.repositories[GEMMA_2].files
    other = bytes(reversed(files["README.md"])) if "README.md" in files else b"# Another model card"
    files["README.md"] = b"# A model card"

    def change() -> None:
        files["README.md"] = other
        hub.repositories[GEMMA_2].branches["main"] = "2" * 40

    hub.script = [Misbehave("/api/models/", after=change)]
    hub.repositories[GEMMA_2].branches["before"] = "1" * 40
    code, _, err = pull(capsys)
    assert (code, "changed while it was fetched" in err) == (0, True)
    folder = resolve(GEMMA_2).folder
    assert (folder.name, (folder / "README.md").read_bytes()) == ("2" * 40, other)


def test_a_mirror_with_etags_of_its_own_is_judged_by_the_bytes(capsys, hub):
    hub.script = [Misbehave("/resolve/", etag="0" * 40) for _ in range(30)]
    code, _, _ = pull(capsys)
    assert (code, resolve(GEMMA_2).name) == (0, GEMMA_2)


def test_a_mirror_that_lists_names_only_is_asked_for_each_file(capsys, hub):
    hub.lists_blobs = False
    assert pull(capsys)[0] == 0
    assert resolve(GEMMA_2).name == GEMMA_2
    assert hub.sent(BIG) == len(hub.repositories[GEMMA_2].files[BIG])


def test_a_new_commit_costs_only_what_changed(capsys, hub):
    pull(capsys)
    repository = hub.repositories[GEMMA_2]
    repository.files["config_sentence_transformers.json"] = (
        repository.files["config_sentence_transformers.json"] + b"\n"
    )
    repository.branches["main"] = "2" * 40
    hub.requests.clear()
    code, _, _ = pull(capsys)
    assert (code, resolve(GEMMA_2).folder.name) == (0, "2" * 40)
    fetched = [path.rpartition("/")[2] for path in hub.paths("hub") if "/resolve/" in path]
    assert (fetched, hub.paths("store")) == (["config_sentence_transformers.json"], [])


def test_another_revision_lies_beside_and_says_which_one_is_used(capsys, hub):
    pull(capsys)
    hub.repositories[GEMMA_2].branches["refs/pr/1"] = "3" * 40
    code, out, _ = pull(capsys, "--revision", "refs/pr/1", "--json")
    said = json.loads(out)
    assert (code, said["commit"], resolve(GEMMA_2).folder.name) == (0, "3" * 40, "1" * 40)
    assert "another copy is used" in said["notices"][0]
    assert resolve(said["folder"]).folder == Path(said["folder"])


@pytest.mark.parametrize(
    ("given", "repository"),
    [
        ("embeddinggemma-300m", GEMMA_1),
        ("embeddinggemma-2", GEMMA_2),
        (MINILM, f"sentence-transformers/{MINILM}"),
        (f"sentence-transformers/{MINILM}", f"sentence-transformers/{MINILM}"),
        ("someone/else", "someone/else"),
    ],
)
def test_a_short_name_means_the_repository_that_resolve_looks_for(capsys, hub, tiny_folder, given, repository):
    hub.add(repository, tiny_folder)
    code, out, _ = pull(capsys, given, "--json")
    assert (code, json.loads(out)["repository"]) == (0, repository)
    said = json.loads(out)
    assert (said["model"], bool(said["licence"])) == (resolve(given).name, True)


def test_only_what_the_model_is_loaded_from_is_fetched(capsys, hub):
    files = hub.repositories[GEMMA_2].files
    needed = set(files)
    papers = {"README.md", "LICENSE", "preprocessor_config.json", "chat_template.jinja", "tokenizer.model"}
    others = {
        "onnx/model.onnx", "onnx/config.json", "openvino/openvino_model.bin", "pytorch_model.bin", "tf_model.h5",
        "model.gguf", "model.fp16.safetensors", "model-00001-of-00002.safetensors", "assets/picture.png", "picture.png",
        "modeling_own.py", ".gitattributes", "2_Dense/pytorch_model.bin", "../../escaped.json", "/etc/config.json",
        "C:\\config.json",
    }  # fmt: skip
    files |= {name: name.encode() for name in papers | others}
    code, _, _ = pull(capsys)
    folder = resolve(GEMMA_2).folder
    assert code == 0
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == needed | papers
    assert sum(hub.sent(name) for name in others) == 0


def test_weights_in_shards_are_fetched_with_their_index(capsys, hub, tmp_path):
    hub.add(GEMMA_2, make_tiny_gemma2(tmp_path / "shards", shards=3))
    assert pull(capsys)[0] == 0
    assert reference_embedder(resolve(GEMMA_2), device="cpu").embed(["a"], Task.QUERY).shape == (1, 768)


def test_a_model_that_needs_code_of_its_own_is_refused_before_anything_large_is_fetched(capsys, hub):
    files = hub.repositories[GEMMA_2].files
    files["modules.json"] = files["modules.json"].replace(
        b"sentence_transformers.models.Transformer", b"custom_st.Wrapped"
    )
    code, _, err = pull(capsys)
    assert (code, "custom_st.Wrapped" in err, "never run" in err) == (1, True, True)
    assert hub.sent(BIG) == 0


def test_a_disk_without_room_is_told_before_anything_large_is_fetched(capsys, hub, cache):
    hub.repositories[GEMMA_2].sizes[BIG] = 10**18
    code, _, err = pull(capsys)
    assert (code, hub.paths("store")) == (1, [])
    for said in ("1000000000.00 GB are to be fetched", "200.0 MB must stay free", str(cache), "HF_HUB_CACHE"):
        assert said in err


def test_a_disk_that_fills_up_in_the_middle_keeps_what_came(capsys, hub, cache):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))  # as a full disk: writes beyond that fail
    try:
        code, _, err = pull(capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, "is full" in err, "goes on where it stopped" in err, str(cache) in err) == (1, True, True, True)
    assert 400_000 in [each.stat().st_size for each in partials(cache)]
    sent = hub.sent(BIG)
    hub.requests.clear()
    assert pull(capsys)[0] == 0
    assert sent >= 400_000
    assert hub.sent(BIG) == len(hub.repositories[GEMMA_2].files[BIG]) - 400_000


def test_a_cache_that_cannot_be_written_is_told(capsys, hub, cache):
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    code, _, err = pull(capsys)
    assert (code, "cannot be used" in err, "HF_HUB_CACHE" in err) == (1, True, True)


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_system_without_symbolic_links_gets_a_whole_model_too(capsys, hub, monkeypatch, hard_links):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    assert pull(capsys)[0] == 0
    model = resolve(GEMMA_2)
    assert not any(path.is_symlink() for path in model.folder.rglob("*"))
    hub.requests.clear()
    assert (pull(capsys)[0], hub.paths("store")) == (0, [])


def test_a_second_run_waits_for_the_first_and_fetches_nothing(hub, home, cache):
    stalled, go = threading.Event(), threading.Event()
    hub.script = [Misbehave(digest(hub), at="store", cut=300_000, stall=stalled, go=go)]
    first = pulling(home)
    assert stalled.wait(60)
    second = pulling(home, "--json")
    assert second.stderr is not None
    assert (
        second.stderr.readline()
        == f"kcore: Another `kcore pull` of {GEMMA_2} is at work; waiting until it has ended.\n"
    )
    go.set()
    out, _ = second.communicate(timeout=60)
    assert (first.wait(timeout=60), second.returncode, json.loads(out)["already_complete"]) == (0, 0, True)
    first.communicate()
    assert hub.sent(BIG) == len(hub.repositories[GEMMA_2].files[BIG])


def test_a_partial_file_that_is_longer_than_the_file_is_thrown_away(capsys, hub, cache):
    blobs = cache / "models--google--embeddinggemma-2" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{digest(hub)}{PARTIAL}").write_bytes(bytes(10**6))
    (blobs / f"{'0' * 64}{PARTIAL}").write_bytes(b"of a commit that nobody wants any more")
    assert pull(capsys)[0] == 0
    assert partials(cache) == []
    assert hub.sent(BIG) == len(hub.repositories[GEMMA_2].files[BIG])


def test_progress_is_for_a_terminal_only_and_says_bytes_rate_and_file(capsys, hub, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _, _, err = pull(capsys)
    assert "MB/s, " in err
    assert f"MB of {sum(map(len, hub.repositories[GEMMA_2].files.values())) / 1e6:.1f} MB" in err
    assert BIG in err or "model.safetensors" in err


def test_all_else_stays_offline(capsys, hub):
    from huggingface_hub import constants

    assert pull(capsys)[0] == 0
    assert (os.environ["HF_HUB_OFFLINE"], constants.HF_HUB_OFFLINE) == ("1", True)
