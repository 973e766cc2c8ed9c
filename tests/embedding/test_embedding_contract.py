"""The contract: the exact string of every task, what makes two contracts differ, and its form on disk."""

from __future__ import annotations

import doctest
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hash_embedder import HashEmbedder
from knowledge_core import contract
from knowledge_core.contract import GEMMA_PROMPTS, MINILM_PROMPTS, SAME, EmbeddingContract
from knowledge_core.embedding import batching, http_rules, retrying
from knowledge_core.embedding.models import prompts, safetensors_headers
from knowledge_core.errors import StorageDamaged
from knowledge_core.types import Task

GEMMA = EmbeddingContract("google/embeddinggemma-300m", 8, GEMMA_PROMPTS, 2048)


def unit_rows(seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((3, 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_examples_in_the_docstrings_hold():
    for module in (batching, contract, http_rules, prompts, retrying, safetensors_headers):
        assert doctest.testmod(module).failed == 0


@given(st.text(), st.text())
def test_text_and_title_are_put_in_as_they_are(text, title):
    assert GEMMA.format(text, Task.DOCUMENT, title) == f"title: {title or 'none'} | text: {text}"
    assert GEMMA.format(text, Task.QUERY, title) == f"task: search result | query: {text}"


def test_slots_inside_a_text_are_only_text():
    assert GEMMA.format("{title}{text}", Task.DOCUMENT, "{text}") == "title: {text} | text: {title}{text}"


def test_a_contract_survives_its_json():
    for probe in (None, unit_rows(0)):
        written = replace(GEMMA, probe=probe, weights="ab" * 32)
        read = EmbeddingContract.from_json(written.to_json())
        assert read == written
        assert read.weights == written.weights
        assert read.to_json() == written.to_json()
        np.testing.assert_array_equal(read.probe, probe) if probe is not None else None


def without(name):
    content = json.loads(GEMMA.to_json())
    del content[name]
    return json.dumps(content)


def changed(**fields):
    return json.dumps(json.loads(GEMMA.to_json()) | fields)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "7", '"x"', "[" * 100_000),
        *(without("model"), without("prompts"), without("probe"), changed(prompts={})),
        *(changed(dimensions="8"), changed(dimensions=True), changed(dimensions=0)),
        *(changed(prompts={**GEMMA_PROMPTS, "query": 1}), changed(probe=7), changed(probe="?"), changed(probe="AAAA")),
        changed(probe="AADAfwAAwH8=" * 12),  # NaN
    ],
)
def test_nonsense_on_disk_is_damage_and_nothing_else(text):
    with pytest.raises(StorageDamaged, match="embedding contract"):
        EmbeddingContract.from_json(text)


def test_equal_contracts_do_not_differ():
    assert GEMMA.differences(replace(GEMMA, weights="other file")) == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (replace(GEMMA, model="x"), "model: google/embeddinggemma-300m here, x there"),
        (replace(GEMMA, dimensions=4), "dimensions: 8 here, 4 there"),
        (replace(GEMMA, max_length=256), "max_length: 2048 here, 256 there"),
        (replace(GEMMA, normalised=False), "normalised: True here, False there"),
        (
            replace(GEMMA, prompts=MINILM_PROMPTS),
            "prompt code: 'task: code retrieval | query: {text}' here, '{text}' there",
        ),
    ],
)
def test_every_difference_names_both_sides(other, told):
    assert told in GEMMA.differences(other)


def test_a_probe_that_agrees_is_the_same_model_under_any_name():
    near = unit_rows(0) + np.float32(0.01)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    assert float((near * unit_rows(0)).sum(axis=1).min()) > SAME
    assert replace(GEMMA, probe=unit_rows(0)).differences(replace(GEMMA, model="/a/folder", probe=near)) == []


def test_a_probe_that_disagrees_is_another_model_under_the_same_name():
    found = replace(GEMMA, probe=unit_rows(0)).differences(replace(GEMMA, probe=unit_rows(1)))
    assert len(found) == 1
    assert "cosine" in found[0]


def test_one_row_of_the_probe_is_enough_to_differ():
    other = unit_rows(0)
    other[1] = -other[1]
    assert replace(GEMMA, probe=unit_rows(0)).differences(replace(GEMMA, probe=other))


def test_names_decide_while_a_probe_is_missing():
    assert replace(GEMMA, probe=unit_rows(0)).differences(replace(GEMMA, model="x")) != []


def test_the_embedder_of_the_tests_keeps_the_protocol():
    embedder = HashEmbedder()
    vectors = embedder.embed(["one two", "two", ""], Task.DOCUMENT, ["", "one", ""])
    assert vectors.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[1])  # the same bag of words
    assert embedder.contract.differences(HashEmbedder().contract) == []


def test_a_models_own_prompts_win_and_its_family_fills_in():
    made = prompts.templates({"document": "title: none | text: ", "STS": "alike: "}, gemma=True)
    assert made == dict(GEMMA_PROMPTS) | {"similarity": "alike: {text}"}


def test_a_model_of_another_family_uses_the_prompts_it_has():
    made = prompts.templates({"query": "query: ", "passage": "passage: "})
    assert made["query"] == made["question_answering"] == made["code"] == "query: {text}"
    assert (made["document"], made["document_untitled"]) == ("passage: {title}\n{text}", "passage: {text}")
    assert made["clustering"] == "{text}"
    assert prompts.templates({}) == dict(MINILM_PROMPTS)
