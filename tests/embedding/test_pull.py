"""`kcore pull`: whatever the hub, the network and the disk do, a model is here whole, or not here and told why."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from knowledge_core.cli.main import main
from knowledge_core.embedding.certificates import VARIABLES
from knowledge_core.embedding.hub import hub as client
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.hub_cache import PARTIAL
from knowledge_core.embedding.models.models import GEMMA_NAMES, MINILM, installed, resolve
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task
from model_hub import Misbehave, ModelHub, model_hub, sha256
from owner_processes import KCORE, environment, until
from tiny_gemma2 import make_tiny_gemma2

GEMMA_2, GEMMA_1 = GEMMA_NAMES
BIG = "model.safetensors"
TOKEN = "hf_thisIsTheTokenOfATest"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        *PROXIES,
        *map(str.lower, PROXIES),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_STORED_TOKENS_PATH", str(tmp_path / "hf" / "stored_tokens"))
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def hub(tiny_folder: Path, tiny2_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    with model_hub() as served:
        served.add(GEMMA_2, tiny2_folder)
        served.add(GEMMA_1, tiny_folder)
        served.repositories[GEMMA_1].gated = True
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


@pytest.fixture
def cache() -> Path:
    return Path(os.environ["HF_HUB_CACHE"])


def pull(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["pull", *argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert TOKEN not in out + err
    return code, out, err


def pulling(home: Path, *argv: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [*KCORE, "pull", *argv],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment(home),
    )  # fmt: skip


def digest(hub: ModelHub, name: str = BIG) -> str:
    """Return the end of the address at which the store has a file."""
    return sha256(hub.repositories[GEMMA_2].files[name])


def partials(cache: Path) -> list[Path]:
    return sorted(cache.rglob(f"*{PARTIAL}"))


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


def test_the_token_reaches_the_hub_and_nobody_else(capsys, hub, monkeypatch):
    hub.tokens, hub.accepted = {TOKEN}, {TOKEN}
    hub.renamed["google/embeddinggemma-300m-old"] = GEMMA_1
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, out, _ = pull(capsys, GEMMA_1)
    assert (code, "Gemma terms of use, https://ai.google.dev/gemma/terms" in out) == (0, True)
    assert {each.authorization for each in hub.requests if each.at == "hub"} == {f"Bearer {TOKEN}"}
    assert {each.authorization for each in hub.requests if each.at == "store"} == {None}
    assert hub.paths("store")
    assert pull(capsys, "google/embeddinggemma-300m-old")[0] == 0  # redirected within the hub, where the token stays


def test_the_token_of_a_login_is_used_too(capsys, hub, tmp_path):
    hub.tokens, hub.accepted = {TOKEN}, {TOKEN}
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text(TOKEN)
    assert pull(capsys, GEMMA_1)[0] == 0


def test_a_login_that_has_run_out_renews_itself(hub, home, tmp_path):
    hub.tokens, hub.accepted, hub.renewals = {TOKEN}, {TOKEN}, {"refresh": TOKEN}
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_old")
    (tmp_path / "hf" / "stored_tokens").write_text("[me]\nhf_token = hf_old\nrefresh_token = refresh\nexpires_at = 1\n")
    process = pulling(home, GEMMA_1)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Error" in err, GEMMA_1 in out) == (0, False, True)
    assert {each.authorization for each in hub.requests if each.at == "hub"} == {f"Bearer {TOKEN}"}


def test_a_token_does_not_travel_unencrypted(capsys, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.test")
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    code, _, err = pull(capsys)
    assert (code, "unencrypted" in err, hub.requests) == (1, True, [])


REFUSED = {
    "gated": (GEMMA_1, "", ("gated", f"https://huggingface.co/{GEMMA_1}", "hf auth login", "HF_TOKEN", f"kcore pull {GEMMA_2}")),
    "gated, licence not accepted": (GEMMA_1, TOKEN, ("gated", "the account of your token", f"kcore pull {GEMMA_2}")),
    "no such model": ("no/such", "", ("no model 'no/such'", "Check its name", "hf auth login")),
    "no such model, logged in": ("no/such", TOKEN, ("no model 'no/such'", "Check its name")),
    "no name": ("a/b/c", "", ("no model of the hub", GEMMA_2)),
    "auto": ("auto", "", ("no model of the hub", GEMMA_2)),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_hub_refuses_is_told_with_the_next_step(capsys, hub, cache, monkeypatch, what):
    name, token, words = REFUSED[what]
    hub.tokens = {TOKEN}
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    code, out, err = pull(capsys, name)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert all(word in err for word in words), err
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == partials(cache)


def test_a_refused_token_is_told_as_that(capsys, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, _, err = pull(capsys)
    assert (code, "does not accept your token (Invalid credentials" in err, "hf auth login" in err) == (1, True, True)
    monkeypatch.setenv("HF_TOKEN", "hf_\u00fc")
    code, _, err = pull(capsys)
    assert (code, "Check HF_TOKEN" in err) == (1, True)


def test_a_revision_that_is_not_there_is_told(capsys, hub):
    code, _, err = pull(capsys, "--revision", "v9")
    assert (code, "no revision 'v9'" in err, f"{GEMMA_2}/tree/main" in err) == (1, True, True)
    assert pull(capsys, "--revision", "../x")[0] == 2


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("modules.json", "no sentence-transformers model"),
        ("tokenizer.json", "no tokenizer.json"),
        ("model.safetensors", "no model.safetensors"),
        (BIG, f"no {BIG}"),
    ],
)
def test_a_repository_that_is_no_such_model_is_refused_before_the_download(capsys, hub, lost, said):
    del hub.repositories[GEMMA_2].files[lost]
    hub.repositories[GEMMA_2].files["pytorch_model.bin"] = b"a pickle"
    code, _, err = pull(capsys)
    assert (code, said in err, hub.paths("store")) == (1, True, [])


def test_a_busy_hub_is_tried_again_when_it_says(capsys, hub):
    limits = {"ratelimit": '"resolvers";r=0;t=0', "ratelimit-policy": '"fixed window";"resolvers";q=5000;w=300'}
    hub.script = [
        Misbehave("/api/models/", status=503),
        Misbehave("/api/models/", status=429, headers={"retry-after": "0"}),
        Misbehave("/resolve/", status=500),
        Misbehave("/resolve/", status=429, headers=limits),
        Misbehave(digest(hub), at="store", status=403),  # a signed address that has run out
    ]
    code, _, err = pull(capsys)
    assert (code, err.count("trying again"), "answered 429; trying again in 1 s" in err) == (0, 5, True)
    hub.script = [Misbehave("/api/models/", status=429, headers={"retry-after": "3600"})]
    code, out, err = pull(capsys)
    assert (code, "It asks to wait 3600 s" in out, err) == (0, True, "")


def test_a_hub_that_stays_busy_is_an_error_where_nothing_is_here(capsys, hub):
    hub.script = [Misbehave("/api/models/", status=503) for _ in range(5)]
    code, _, err = pull(capsys)
    assert (code, "answered 503 after 5 attempts" in err) == (1, True)


def test_a_page_instead_of_a_listing_is_told(capsys, hub):
    hub.script = [Misbehave("/api/models/", status=200, body=b"<html>Please log in to the hotel</html>")]
    code, _, err = pull(capsys)
    assert (code, "no list of files" in err, "HTTPS_PROXY" in err) == (1, True, True)


def test_without_a_network_a_complete_model_is_enough_and_says_that_it_was_not_compared(capsys, hub, monkeypatch):
    pull(capsys)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    code, out, _ = pull(capsys)
    assert (code, "not compared with the hub" in out, "complete already" in out) == (0, True, True)
    code, _, err = pull(capsys, GEMMA_1)
    assert (code, "cannot be reached after 5 attempts" in err) == (1, True)


def test_a_name_that_cannot_be_looked_up_is_told_as_that(capsys, hub, monkeypatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("HF_ENDPOINT", "https://hub.test")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    code, _, err = pull(capsys)
    assert (code, "hub.test cannot be looked up: no network, or no DNS" in err) == (1, True)


def test_a_proxy_is_honoured_and_its_refusal_told(capsys, hub, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # where the store is
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.test")
    assert pull(capsys)[0] == 0
    assert "hub.test" in {each.host for each in hub.requests if each.at == "hub"}
    monkeypatch.setenv("HTTPS_PROXY", hub.url)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.test")
    code, _, err = pull(capsys, GEMMA_1)
    assert (code, "The proxy refused" in err, "NO_PROXY" in err) == (1, True, True)


def test_a_proxy_that_is_no_address_is_told(capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.test")
    monkeypatch.setenv("ALL_PROXY", "carrier-pigeon://127.0.0.1:9")
    code, _, err = pull(capsys)
    assert (code, "ALL_PROXY" in err) == (1, True)


@pytest.mark.parametrize("address", ["huggingface.co", "https://user:secret@hub.test", "ftp://hub.test", "http://a:b"])
def test_an_endpoint_that_is_no_address_is_told(capsys, monkeypatch, address):
    monkeypatch.setenv("HF_ENDPOINT", address)
    code, _, err = pull(capsys)
    assert (code, "HF_ENDPOINT" in err, "secret" in err) == (1, True, False)


def test_a_certificate_that_nobody_vouches_for_is_refused(capsys, tmp_path, monkeypatch):
    with model_hub(self_signed(tmp_path)) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        code, _, err = pull(capsys)
        assert (code, "certificate" in err, "SSL_CERT_FILE" in err, served.requests) == (1, True, True, [])


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_trusted_where_the_environment_names_it(
    capsys, tmp_path, monkeypatch, tiny2_folder, variable
):
    with model_hub(self_signed(tmp_path)) as served:
        served.add(GEMMA_2, tiny2_folder)
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, str(tmp_path / "own.pem"))
        code, _, err = pull(capsys)
        assert code == 0, err


@pytest.mark.parametrize("value", ["{folder}/absent.pem", "{folder}/empty.pem", "{folder}/text.pem"])
def test_a_file_of_certificates_that_is_none_is_told_with_its_variable(capsys, hub, tmp_path, monkeypatch, value):
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "text.pem").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", value.format(folder=tmp_path))
    code, _, err = pull(capsys)
    assert (code, "SSL_CERT_FILE is" in err, hub.requests) == (1, True, [])


def self_signed(folder: Path) -> ssl.SSLContext:
    """Return what a server needs to speak for 127.0.0.1 with a certificate of its own making."""
    from datetime import UTC, datetime, timedelta

    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "own.pem").write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem")
    return context


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
