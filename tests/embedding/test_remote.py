"""A model behind an endpoint: the same promises as a local one, whatever the endpoint does."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest

from certificates import self_signed
from embedding_endpoint import EmbeddingEndpoint, Misbehave, embedding_endpoint, hashed
from knowledge_core.contract import PROBE_TEXTS
from knowledge_core.embedding.http_clients import VARIABLES
from knowledge_core.embedding.remote import endpoint as http
from knowledge_core.embedding.remote import remote as module
from knowledge_core.embedding.remote.remote import TEXTS_PER_REQUEST, RemoteEmbedder, RemoteModel, is_remote
from knowledge_core.embedding.tokens import truncation_of
from knowledge_core.errors import ConfigurationError, ContractMismatch, Interrupted, InvalidInput, ModelUnavailable
from knowledge_core.types import Task

DIMENSIONS = 8


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    with embedding_endpoint() as served:
        yield served


def remote(endpoint: EmbeddingEndpoint, **settings) -> RemoteEmbedder:
    given = {"url": endpoint.url, "name": "some-model", "dimensions": DIMENSIONS, "timeout": 5.0} | settings
    return RemoteEmbedder(RemoteModel(**given))


def asked(endpoint: EmbeddingEndpoint, **settings) -> RemoteEmbedder:
    """Return an embedder that has its probe, so that a script begins with the next request."""
    embedder = remote(endpoint, **settings)
    assert embedder.contract.probe is not None
    return embedder


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_vectors_come_in_the_order_of_the_texts_with_norm_one_whatever_the_form(endpoint):
    texts = [f"text {number}" for number in range(3 * TEXTS_PER_REQUEST + 5)]
    expected = unit(hashed(DIMENSIONS)(texts))
    for as_base64, strict in ((True, False), (False, False), (False, True)):
        endpoint.base64, endpoint.strict = as_base64, strict
        made = remote(endpoint).embed(texts, Task.DOCUMENT)
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, expected, atol=1e-6)


def test_items_out_of_order_are_put_in_order(endpoint):
    embedder = asked(endpoint)
    endpoint.script = [Misbehave(spoil=lambda items: items[::-1])]
    made = embedder.embed(["a", "b", "c"], Task.DOCUMENT)
    np.testing.assert_allclose(made, unit(hashed(DIMENSIONS)(["a", "b", "c"])), atol=1e-6)


def test_a_local_gemma_behind_an_endpoint_is_the_same_contract(endpoint, tiny_embedder, tiny_reference):
    endpoint.model = lambda strings: tiny_reference(strings, 768)
    embedder = remote(endpoint, name="embeddinggemma:300m", dimensions=768, max_length=160)
    assert tiny_embedder.contract.differences(embedder.contract) == []
    assert embedder.contract.model == "remote:embeddinggemma:300m"
    for task in (Task.QUERY, Task.DOCUMENT, Task.CODE):
        ours, theirs = (each.embed(["a library"], task) for each in (embedder, tiny_embedder))
        assert float(np.sum(ours * theirs)) > 0.9999
    assert "task: search result | query: a library" in endpoint.texts()
    embedder.embed(["text"], Task.DOCUMENT, ["Title"])
    assert "title: Title | text: text" in endpoint.texts()


def test_a_server_that_adds_a_prompt_of_its_own_is_another_contract(endpoint, tiny_embedder, tiny_reference):
    endpoint.model = lambda strings: tiny_reference(["task: search result | query: " + each for each in strings], 768)
    embedder = remote(endpoint, name="embeddinggemma", dimensions=768, max_length=160)
    cosines = np.sum(tiny_embedder.contract.probe * embedder.contract.probe, axis=1)
    assert (cosines < 0.9999).all()


def test_matryoshka_sizes_are_cut_and_scaled_on_this_side(endpoint, tiny_reference):
    endpoint.model = lambda strings: tiny_reference(strings, 768)
    model = RemoteModel(endpoint.url, "embeddinggemma", max_length=160)
    made = RemoteEmbedder(model, dimensions=256).embed(["a"], Task.QUERY)
    assert made.shape == (1, 256)
    assert abs(float(np.linalg.norm(made)) - 1) < 1e-5
    with pytest.raises(InvalidInput, match=r"300 dimensions. It has: 768, 512, 256, 128"):
        RemoteEmbedder(model, dimensions=300)


def test_prompts_are_the_familys_or_none(endpoint):
    named = {"embeddinggemma": True, "google/embeddinggemma-300m": True, "EmbeddingGemma-2": True, "bge-m3": False}
    for name, gemma in named.items():
        assert RemoteModel(endpoint.url, name).gemma is gemma
    assert RemoteModel(endpoint.url, "mine", prompts="embeddinggemma").gemma
    assert not RemoteModel(endpoint.url, "embeddinggemma", prompts="none").gemma


def test_what_has_no_text_is_a_fixed_direction_and_is_not_sent(endpoint):
    embedder = remote(endpoint)
    made = embedder.embed(["", "a", "  \n"], Task.SIMILARITY)
    assert made[0].tolist() == made[2].tolist() == [1.0] + [0.0] * 7
    assert all(text.strip() for text in endpoint.texts())
    assert embedder.embed([], Task.QUERY).shape == (0, DIMENSIONS)


def test_halves_of_surrogates_nul_and_a_megabyte_are_sent_as_text_that_is_read(endpoint):
    embedder = remote(endpoint, max_length=100)
    made = embedder.embed(["a\x00b \ud83d", "word " * 200_000], Task.DOCUMENT)
    assert np.isfinite(made).all()
    assert max(len(text.encode()) for text in endpoint.texts()) <= 300
    assert "100 tokens" in str(truncation_of(embedder, ["word " * 200_000], Task.DOCUMENT))
    assert embedder.count_tokens(["", "abcd", "図書館"]) == [0, 2, 3]


def test_many_texts_are_bounded_requests_at_once(endpoint):
    endpoint.always = Misbehave(slow=0.03)
    embedder = remote(endpoint, concurrency=3)
    texts = [[f"{caller} {number}" for number in range(80)] for caller in range(3)]
    callers = [threading.Thread(target=embedder.embed, args=(each, Task.DOCUMENT)) for each in texts]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert endpoint.most_at_once == 3
    assert all(len(request["input"]) <= TEXTS_PER_REQUEST + 1 for request in endpoint.requests)


def test_a_query_does_not_wait_for_bulk_work(endpoint):
    embedder = asked(endpoint, concurrency=1)
    endpoint.script = [Misbehave(slow=1.5)]
    bulk = threading.Thread(target=embedder.embed, args=(["long"], Task.DOCUMENT))
    bulk.start()
    while len(endpoint.requests) < 2:
        time.sleep(0.005)
    began = time.monotonic()
    embedder.embed(["a query"], Task.QUERY)
    assert time.monotonic() - began < 1.0
    bulk.join()


PASSING = {
    "500 and 503": [Misbehave(500), Misbehave(503)],
    "429 with a time to wait": [Misbehave(429, headers={"retry-after": "0.2"})],
    "429 with a date to wait for": [Misbehave(429, headers={"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT"})],
    "truncated JSON": [Misbehave(raw=b'{"data": [{"index": 0, "embed')],
    "a connection cut in the answer": [Misbehave(cut=True)],
}


@pytest.mark.parametrize("what", PASSING)
def test_what_may_pass_is_tried_again(what, endpoint):
    embedder = asked(endpoint)
    endpoint.script = list(PASSING[what])
    made = embedder.embed(["a"], Task.DOCUMENT)
    np.testing.assert_allclose(made, unit(hashed(DIMENSIONS)(["a"])), atol=1e-6)
    assert len(endpoint.requests) == 2 + len(PASSING[what])


def test_the_time_that_an_endpoint_asks_for_is_waited(endpoint):
    embedder = asked(endpoint)
    endpoint.script = [Misbehave(429, headers={"retry-after": "0.4"})]
    embedder.embed(["a"], Task.DOCUMENT)
    assert endpoint.times[-1] - endpoint.times[-2] >= 0.4


def test_bulk_work_gives_up_after_its_attempts(endpoint):
    embedder = asked(endpoint)
    endpoint.always = Misbehave(503)
    with pytest.raises(ModelUnavailable, match=r"answered 503 \(scripted failure\) after 5 attempts"):
        embedder.embed(["some text"], Task.DOCUMENT)
    assert len(endpoint.requests) == 1 + http.ATTEMPTS


def test_a_query_gives_up_within_its_time_and_says_what_the_endpoint_wants(endpoint):
    embedder = asked(endpoint, timeout=0.5)
    endpoint.always = Misbehave(429, headers={"retry-after": "30"})
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"answered 429 \(scripted failure\).*asks to wait 30 s.*lexical"):
        embedder.embed(["a"], Task.QUERY)
    assert time.monotonic() - began < 1.0


def spoiled(**wrong):
    return Misbehave(spoil=lambda items: [items[0] | wrong, *items[1:]])


REFUSED = {
    "a wrong dimension": (spoiled(embedding=[0.5] * 9), r"of 9 dimensions; embedding.remote.dimensions says 8"),
    "not a number": (spoiled(embedding=[float("nan")] * 8), r"not finite, or zero.*float16"),
    "infinite": (spoiled(embedding=[1e39] * 8), r"not finite, or zero"),
    "zero": (spoiled(embedding=[0.0] * 8), r"not finite, or zero"),
    "words": (spoiled(embedding=["a"] * 8), r"cannot be read"),
    "base64 that is none": (spoiled(embedding="€€"), r"cannot be read"),
    "base64 of half a number": (spoiled(embedding="AAAA"), r"cannot be read"),
    "an index twice": (spoiled(index=1), r"cannot be read"),
    "an index beyond all": (spoiled(index=1e400), r"cannot be read"),
    "fewer vectors": (Misbehave(spoil=lambda items: items[:-1]), r"gave 2 vectors for 3 texts"),
    "another API": (Misbehave(raw=b'{"embeddings": []}'), r"not answer like an OpenAI-compatible"),
    "no object": (Misbehave(raw=b"[1]"), r"not answer like an OpenAI-compatible"),
    "no key": (Misbehave(401), r"answered 401: it wants a key.*api_key_env"),
    "no such model": (Misbehave(404, '{"error": {"message": "model not found"}}'), r"model not found.*ollama pull"),
    "too long": (Misbehave(400, '{"detail": "input is too long"}'), r"400 \(input is too long\).*max_length"),
    "a redirect": (Misbehave(307, headers={"location": "http://127.0.0.1:9/v1/embeddings"}), r"redirect.*not followed"),
    "a huge body": (Misbehave(raw=b" " * 3_000_000), r"more than .* MB, far more than vectors take"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_pass_is_an_error_at_once_with_the_host_and_the_next_step(what, endpoint):
    turn, said = REFUSED[what]
    embedder = asked(endpoint)
    endpoint.script = [turn, turn]  # the second for the attempt with the other form of numbers
    with pytest.raises(ModelUnavailable, match=said) as caught:
        embedder.embed(["one", "two"], Task.DOCUMENT)
    assert endpoint.host in str(caught.value)
    assert len(endpoint.requests) <= 3
    endpoint.script = []
    assert embedder.embed(["one"], Task.DOCUMENT).shape == (1, DIMENSIONS)  # and goes on when it behaves


@pytest.mark.parametrize("turn", [Misbehave(slow=2), Misbehave(drip=0.05)], ids=["silent", "drop by drop"])
def test_a_slow_endpoint_is_given_up_after_its_time(turn, endpoint):
    embedder = asked(endpoint, timeout=0.4)
    endpoint.always = turn
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match="within"):
        embedder.embed(["a"], Task.QUERY)
    assert time.monotonic() - began < 1.5


def test_an_endpoint_that_is_not_there_is_a_clear_error():
    with embedding_endpoint() as gone:
        url = gone.url
    embedder = RemoteEmbedder(RemoteModel(url, "m", timeout=0.4))
    with pytest.raises(ModelUnavailable, match=r"127.0.0.1:\d+ cannot be reached.*embedding.remote.url"):
        embedder.embed(["a"], Task.QUERY)


def test_another_model_under_the_same_name_is_noticed_before_anything_is_stored(endpoint):
    embedder = remote(endpoint)
    before = embedder.contract
    endpoint.model = hashed(DIMENSIONS, salt="another")
    with pytest.raises(ContractMismatch, match="its model was exchanged"):
        embedder.embed(["a"], Task.DOCUMENT)
    assert before.differences(embedder.contract)  # what is there now is another contract


def test_a_query_notices_another_model_after_a_while(endpoint, monkeypatch):
    embedder = asked(endpoint)
    endpoint.model = hashed(DIMENSIONS, salt="another")
    monkeypatch.setattr(module, "CHECKED_FOR", 0.0)
    with pytest.raises(ContractMismatch):
        embedder.embed(["a"], Task.QUERY)


def test_every_request_to_store_carries_the_probe_and_a_query_does_not(endpoint):
    embedder = remote(endpoint)
    embedder.embed(["a"], Task.QUERY)
    assert endpoint.requests[-1]["input"] == ["a"]
    embedder.embed(["a"], Task.DOCUMENT)
    assert endpoint.requests[-1]["input"] == ["a", PROBE_TEXTS[0]]


def test_the_key_comes_from_the_environment_and_is_in_no_message(endpoint, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    embedder = remote(endpoint, api_key_env="TEST_EMBEDDING_KEY")
    with pytest.raises(ModelUnavailable, match=r"TEST_EMBEDDING_KEY.*is not set"):
        embedder.embed(["a"], Task.QUERY)
    monkeypatch.setenv("TEST_EMBEDDING_KEY", "sk-very-secret-key")
    embedder.embed(["a"], Task.QUERY)
    assert endpoint.keys[-1] == "Bearer sk-very-secret-key"
    echo = '{"error": {"message": "wrong key sk-very-secret-key"}}'
    for turn in (Misbehave(401, echo), Misbehave(400, echo), Misbehave(404, echo)):
        endpoint.script = [turn, turn]
        with pytest.raises(ModelUnavailable) as caught:
            embedder.embed(["b"], Task.QUERY)
        endpoint.script = []
        assert "sk-very-secret" not in str(caught.value)
    monkeypatch.setenv("TEST_EMBEDDING_KEY", "sk-secret\nx-evil: 1")
    with pytest.raises(ModelUnavailable, match="holds no usable key") as caught:
        embedder.embed(["c"], Task.QUERY)
    assert "sk-secret" not in str(caught.value)
    assert "sk-" not in caplog.text


def test_no_text_of_a_document_is_in_a_message(endpoint):
    embedder = asked(endpoint)
    turn = Misbehave(422, '{"detail": "cannot embed: the patient was told the diagnosis"}')
    endpoint.script = [turn, turn]
    with pytest.raises(ModelUnavailable, match="422") as caught:
        embedder.embed(["the patient was told the diagnosis"], Task.DOCUMENT)
    assert "patient" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("ftp://127.0.0.1/v1", "", "must be an address"),
        ("127.0.0.1:11434", "", "must be an address"),
        ("http://127.0.0.1:port/v1", "", "must be an address"),
        ("", "", "must be an address"),
        ("https://me:secret@models.example/v1", "", "user name or password"),
        ("http://models.example/v1", "KEY", "unencrypted to models.example"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_secrets(url, key, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        RemoteEmbedder(RemoteModel(url, "m", api_key_env=key))
    assert "secret" not in str(caught.value)


def test_a_proxy_gets_what_is_meant_for_elsewhere_and_nothing_meant_for_this_machine(endpoint, monkeypatch):
    with embedding_endpoint() as proxy:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        elsewhere = RemoteEmbedder(RemoteModel("http://models.invalid/v1", "m", timeout=2))
        with pytest.raises(ModelUnavailable, match="404"):  # what stands in for the proxy knows no such address
            elsewhere.embed(["a"], Task.QUERY)
        assert len(proxy.requests) == 1
        assert remote(endpoint).embed(["a"], Task.QUERY).shape == (1, DIMENSIONS)
        assert len(proxy.requests) == 1


def test_an_ending_process_waits_for_no_endpoint(endpoint):
    embedder = asked(endpoint, timeout=20)
    endpoint.always = Misbehave(slow=3)
    ended: list[BaseException] = []

    def bulk() -> None:
        try:
            embedder.embed(["a"], Task.DOCUMENT)
        except Interrupted as error:
            ended.append(error)

    thread = threading.Thread(target=bulk)
    thread.start()
    began = time.monotonic()
    embedder.stop()
    thread.join()
    assert ended
    assert time.monotonic() - began < 2


def test_names_of_models_behind_an_endpoint():
    assert is_remote("remote")
    assert is_remote("remote:embeddinggemma:300m")
    assert not is_remote("google/embeddinggemma-2")
    assert not is_remote("remotely")


def test_a_certificate_of_ones_own_is_trusted_where_the_environment_names_it_and_refused_elsewhere(
    tmp_path, monkeypatch
):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with embedding_endpoint(self_signed(tmp_path)) as served:
        with pytest.raises(ModelUnavailable, match="SSL_CERT_FILE"):
            remote(served).embed(["a"], Task.DOCUMENT)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
        assert remote(served).embed(["a"], Task.DOCUMENT).shape == (1, DIMENSIONS)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE is"):
            remote(served).embed(["a"], Task.DOCUMENT)


def test_a_proxy_that_is_no_address_is_told_with_its_variable(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "carrier-pigeon://127.0.0.1:9")
    elsewhere = RemoteEmbedder(
        RemoteModel(url="https://endpoint.test/v1", name="m", dimensions=DIMENSIONS, timeout=1.0)
    )
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        elsewhere.embed(["a"], Task.DOCUMENT)


def test_an_endpoint_on_this_machine_without_tls_needs_no_certificates(endpoint, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authority.pem")
    assert remote(endpoint).embed(["a"], Task.DOCUMENT).shape == (1, DIMENSIONS)
