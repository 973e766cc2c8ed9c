"""Collections that an endpoint embeds, through the tools: pinned, found again, never mixed with another model's."""

from __future__ import annotations

import pytest
from mcp.client import Client

from embedding_endpoint import embedding_endpoint, hashed
from knowledge_core.config import Config
from knowledge_core.embedding.remote import endpoint as http
from knowledge_core.engine import Engine
from knowledge_core.errors import ContractMismatch
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.private import PrivateRequests

pytestmark = pytest.mark.anyio

DOCUMENTS = [{"id": name, "text": f"The {name} opens in the morning."} for name in ("library", "museum", "harbour")]


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    with embedding_endpoint() as served:
        yield served


def opened(home, endpoint, **remote):
    settings = {"url": endpoint.url, "model": "some-model", "dimensions": 8, "timeout_seconds": 1.0} | remote
    return Engine(home, Config.model_validate({"embedding": {"model": "remote", "remote": settings}}), command="test")


async def call(engine, tool, **arguments):
    async with Client(application(engine, for_cli=True)) as client:
        result = await client.call_tool(tool, arguments)
    return result.is_error, result.content[0].text, result.structured_content


async def test_a_collection_is_pinned_to_the_endpoints_model_and_found_again(home, endpoint):
    with opened(home, endpoint) as engine:
        assert not (await call(engine, "index", documents=DOCUMENTS))[0]
        assert engine.collection("default").contract.model == "remote:some-model"
    # Another model is configured by now: what is pinned counts for what is there.
    with opened(home, endpoint, model="another-model") as engine:
        error, text, found = await call(engine, "search", query="harbour")
        assert not error, text
        assert len(found["hits"]) == 3
    assert {request["model"] for request in endpoint.requests} == {"some-model"}


async def test_what_was_embedded_is_never_sent_again(home, endpoint):
    with opened(home, endpoint) as engine:
        for text in ("The library opens.", "The library opens.", "The library shuts."):
            await call(
                engine, "index", documents=[{"id": "a", "text": text}, {"id": "b", "text": "The library opens."}]
            )
    sent = [text for text in endpoint.texts() if text.startswith("The library")]
    assert sorted(sent) == ["The library opens.", "The library shuts."]


async def test_another_model_behind_the_name_stores_nothing_and_finds_nothing_wrong(home, endpoint):
    with opened(home, endpoint) as engine:
        await call(engine, "index", documents=DOCUMENTS)
        endpoint.model = hashed(8, salt="another")
        error, text, _ = await call(engine, "index", documents=[{"id": "new", "text": "A new one."}])
        assert error
        assert "its model was exchanged" in text
        for mode in ("hybrid", "semantic"):  # asked again, and still refused: never vectors of two models together
            error, text, _ = await call(engine, "search", query="harbour", mode=mode)
            assert error
            assert "another contract" in text
        error, text, found = await call(engine, "search", query="harbour", mode="lexical")
        assert not error, text
        assert found["hits"][0]["document"] == "harbour"
        assert found["coverage"] == {"documents": 3, "known": 3}
    with opened(home, endpoint) as engine:  # nor by a process that never saw the former model
        error, text, _ = await call(engine, "search", query="harbour")
        assert error
        assert "another contract" in text


@pytest.mark.parametrize("began", ["before", "while"], ids=["began-before", "began-while-it-was-another"])
async def test_the_former_model_brought_back_is_enough(home, endpoint, began):
    """Nobody has to end the process, whether it has seen the former model before or not."""
    with opened(home, endpoint) as engine:
        await call(engine, "index", documents=DOCUMENTS)
        (first, *_), former = (await call(engine, "search", query="harbour"))[2]["hits"], endpoint.model
    with opened(home, endpoint) as engine:
        if began == "before":
            assert not (await call(engine, "search", query="a museum"))[0]
        endpoint.model = hashed(8, salt="another")
        assert (await call(engine, "index", documents=[{"id": "new", "text": "A new one."}]))[0]
        for tool, asked in (
            ("search", {"query": "harbour"}),
            ("embed", {"texts": ["x", "y"], "collection": "default"}),
        ):
            error, text, _ = await call(engine, tool, **asked)
            assert error, text
        assert not (await call(engine, "embed", texts=["harbour"], task="query"))[
            0
        ]  # of no collection: this model's, remembered
        endpoint.model = former
        error, text, found = await call(engine, "search", query="harbour")
        assert not error, text
        assert found["hits"][0] == first  # by the former model's vector, not by what was remembered of the other one
        error, text, _ = await call(engine, "index", documents=[{"id": "new", "text": "A new one."}])
        assert not error, text


@pytest.mark.parametrize("door", ["tool", "command"])
async def test_the_first_embedding_with_a_collections_model_is_compared_too(home, endpoint, door):
    """By a process that has not loaded that model yet: nothing has compared it before."""
    with opened(home, endpoint) as engine:
        await call(engine, "index", documents=DOCUMENTS)
    endpoint.model = hashed(8, salt="another")
    with opened(home, endpoint) as engine:
        if door == "tool":
            error, text, _ = await call(engine, "embed", texts=["harbour", "museum"], collection="default")
            assert error
            assert "another contract" in text
        else:
            with pytest.raises(ContractMismatch, match="another contract"):
                PrivateRequests(engine, {})._vectors(["harbour"], collection="default")
    endpoint.model = hashed(8)
    with opened(home, endpoint) as engine:
        error, text, found = await call(engine, "embed", texts=["harbour", "harbour"], collection="default")
        assert not error, text
        assert found["similarity"][0][1] == 1.0


async def test_without_the_endpoint_words_still_find_and_the_error_says_so(home):
    with embedding_endpoint() as endpoint, opened(home, endpoint) as engine:
        await call(engine, "index", documents=DOCUMENTS)
    with opened(home, endpoint) as engine:
        error, text, _ = await call(engine, "search", query="harbour")
        assert error
        assert "cannot be reached" in text
        assert 'mode="lexical"' in text
        error, text, found = await call(engine, "search", query="harbour", mode="lexical")
        assert not error, text
        assert found["hits"][0]["document"] == "harbour"


async def test_without_an_address_the_error_says_where_to_put_it(home):
    with Engine(home, Config.model_validate({"embedding": {"model": "remote"}}), command="test") as engine:
        error, text, _ = await call(engine, "index", documents=DOCUMENTS)
    assert error
    assert "embedding.remote.url" in text


async def test_a_user_is_told_when_texts_leave_this_machine(home, endpoint):
    with opened(home, endpoint) as engine:
        assert engine.embedders.notice() == ""
    with opened(home, endpoint, url="https://models.example/v1") as engine:
        assert "models.example" in engine.embedders.notice()
        assert "leave this machine" in engine.embedders.notice()


async def test_models_names_the_endpoints_model_as_the_one_in_use(home, endpoint):
    with opened(home, endpoint) as engine:
        assert PrivateRequests(engine, {})._models()["resolved"] == {"model": "remote:some-model", "notice": ""}
        assert endpoint.requests == []  # to say so needs no request
