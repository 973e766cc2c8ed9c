"""While the model is loading: an agent's search answers by words and says so, a person's command waits."""

from __future__ import annotations

import threading

import anyio
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.surface import application as serving
from mcp_text import NOTES, text_of

pytestmark = pytest.mark.anyio


class SlowlyLoaded:
    """An embedder whose model a test lets load."""

    def __init__(self) -> None:
        self._inner = HashEmbedder()
        self.static_contract = self._inner.static_contract
        self.engine, self.sizes = self._inner.engine, self._inner.sizes
        self.loaded = False
        self.wanted, self.gate = threading.Event(), threading.Event()

    @property
    def contract(self):
        self.wanted.set()
        assert self.gate.wait(30)
        self.loaded = True
        return self._inner.contract

    def embed(self, texts, task, titles=None):
        assert self.contract
        return self._inner.embed(texts, task, titles)

    def count_tokens(self, texts):
        return self._inner.count_tokens(texts)


@pytest.fixture
def slow(home, monkeypatch):
    monkeypatch.setattr(serving, "PATIENCE", 0.1)
    with Engine(home, Config(), make_embedder=lambda model, dimensions: HashEmbedder()) as engine:

        async def index() -> None:
            async with Client(serving.application(engine)) as client:
                assert not (await client.call_tool("index", {"documents": NOTES})).is_error

        anyio.run(index)
    embedder = SlowlyLoaded()
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:
        yield engine, embedder
        embedder.gate.set()


async def test_an_agents_search_answers_by_words_with_a_notice_and_by_meaning_once_the_model_is_there(slow):
    engine, embedder = slow
    async with Client(serving.application(engine)) as client:
        first = await client.call_tool("search", {"query": "sunlight electricity", "explain": True})
        assert first.structured_content["hits"][0]["document"] == "solar"
        assert any("by words alone" in notice for notice in first.structured_content["notices"])
        assert "by words alone" in text_of(first)
        assert "cursor" not in first.structured_content

        embedder.gate.set()
        while not embedder.loaded:
            await anyio.sleep(0.01)
        second = await client.call_tool("search", {"query": "sunlight electricity", "explain": True})
        assert "dense" in second.structured_content["hits"][0]["parts"]
        assert not second.structured_content["notices"]


async def test_a_persons_command_and_a_search_by_meaning_alone_wait_for_the_model(slow):
    engine, embedder = slow
    for options, arguments in (({"for_cli": True}, {}), ({}, {"mode": "semantic"})):
        embedder.loaded = False
        embedder.gate.clear()
        async with Client(serving.application(engine, **options)) as client, anyio.create_task_group() as tasks:

            async def let_load() -> None:
                await anyio.sleep(0.4)
                embedder.gate.set()

            tasks.start_soon(let_load)
            found = await client.call_tool("search", {"query": "sunlight", "explain": True, **arguments})
            assert "dense" in found.structured_content["hits"][0]["parts"]


async def test_the_models_of_the_collections_are_loaded_in_the_background_when_the_first_client_comes(slow):
    engine, embedder = slow
    engine.preload()
    assert embedder.wanted.wait(10)


async def test_a_model_that_cannot_be_loaded_is_an_error_of_the_search_that_needs_it(slow, monkeypatch):
    from knowledge_core.errors import ModelUnavailable

    engine, _ = slow

    def broken(self):
        raise ModelUnavailable("hash is on this machine but cannot be loaded: its files are damaged.")

    monkeypatch.setattr(SlowlyLoaded, "contract", property(broken))
    monkeypatch.setattr(SlowlyLoaded, "embed", broken_embed)
    async with Client(serving.application(engine)) as client:
        refused = await client.call_tool("search", {"query": "sunlight"})
        assert refused.is_error
        assert "its files are damaged" in text_of(refused)


def broken_embed(self, texts, task, titles=None):
    return self.contract
