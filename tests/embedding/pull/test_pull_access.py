"""`kcore pull` before a byte of a model comes: tokens, refusals, proxies, certificates, a hub that is busy or not there."""

from __future__ import annotations

import socket

import pytest

from certificates import self_signed
from knowledge_core.embedding.http_clients import VARIABLES
from model_hub import Misbehave, model_hub
from pulling import BIG, GEMMA_1, GEMMA_2, TOKEN, digest, partials, pull, pulling


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
