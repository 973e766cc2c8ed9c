"""A model that was exchanged behind its name embeds nothing for a collection of the former one, whoever asks first."""

from __future__ import annotations

from dataclasses import replace

import anyio
import numpy as np
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.contract import SAME
from knowledge_core.engine import Engine
from knowledge_core.errors import ContractMismatch
from knowledge_core.serving.surface.application import application
from knowledge_core.types import Task
from mcp_text import NOTES, text_of

pytestmark = pytest.mark.anyio


class Exchanged(HashEmbedder):
    """Another model of the same name and dimensions: every vector lies elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.contract = replace(self.static_contract, probe=np.roll(self.contract.probe, 1, axis=1))

    def embed(self, texts, task, titles=None):
        return np.roll(super().embed(texts, task, titles), 1, axis=1)


@pytest.fixture
def exchanged(home):
    """An engine whose model is another one than that which its collection was embedded with."""

    def opened(embedder):
        return Engine(home, Config(), make_embedder=lambda model, dimensions: embedder)

    async def filled() -> None:
        with opened(HashEmbedder()) as engine:
            async with Client(application(engine)) as client:
                assert not (await client.call_tool("index", {"documents": NOTES})).is_error

    anyio.run(filled)
    embedder = Exchanged()
    with opened(embedder) as engine:
        yield engine, embedder


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("embed", {"texts": ["bread"], "collection": "default"}),
        ("search", {"query": "bread"}),
        ("search", {"query": "bread", "mode": "semantic"}),
        ("search", {"like": {"texts": ["bread"]}}),
        ("search", {"like": {"ids": ["bread"]}, "unlike": {"texts": ["solar"]}}),
        ("classify", {"labels": [{"name": "food"}, {"name": "energy"}], "collection": "default"}),
        ("cluster", {"query": "bread"}),
        ("index", {"documents": [{"id": "new", "text": "A new text."}]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
async def test_no_tool_embeds_with_it(exchanged, tool, arguments):
    engine, embedder = exchanged
    async with Client(application(engine)) as client:
        answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    assert "was embedded under another contract" in text_of(answer)
    assert "kcore reembed default" in text_of(answer)
    assert embedder.embedded == []


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search", {"query": "bread", "mode": "lexical"}),
        ("search", {"like": {"ids": ["bread"]}}),
        ("cluster", {}),
        ("embed", {"texts": ["bread"]}),
    ],
)
async def test_what_needs_no_vector_of_it_for_the_collection_is_answered(exchanged, tool, arguments):
    engine, _ = exchanged
    async with Client(application(engine)) as client:
        answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, text_of(answer)


def test_an_embedder_of_a_collection_compares_at_its_first_vector_and_is_light_until_then(exchanged):
    engine, _ = exchanged
    embedder = engine.embedder_of(engine.collection("default"))
    assert embedder.static_contract.model == "hash"  # what is known without the model is told without it
    assert embedder.count_tokens(["one two"]) == [2]
    with pytest.raises(ContractMismatch, match=f"{SAME} is the least"):
        embedder.embed(["bread"], Task.QUERY)
    with pytest.raises(ContractMismatch):
        embedder.contract  # noqa: B018  # compares


def test_a_collection_that_no_model_was_loaded_for_takes_the_probe_of_the_first(home):
    embedder = HashEmbedder()
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:
        collection = engine.collection_or_new("new")
        assert collection.contract.probe is None
        engine.embedder_of(collection).embed(["bread"], Task.QUERY)
        assert np.array_equal(collection.contract.probe, embedder.contract.probe)
