"""Arguments as models name them, and documents that are looked for in the wrong place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.from_thread
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from mcp_text import NOTES, text_of

pytestmark = pytest.mark.anyio

CHANGES_FROM_CALL_TO_CALL = {"job", "seconds"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine for tests that leave it as it is: three notes, and `wiki` with one more document."""
    embedder = HashEmbedder()
    home = tmp_path_factory.mktemp("shared")
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:

        async def fill() -> None:
            async with Client(application(engine)) as client:
                notes = [{**each, "metadata": {"year": 2020 + place}} for place, each in enumerate(NOTES)]
                await client.call_tool("index", {"documents": notes})
                await client.call_tool(
                    "index", {"documents": [{"id": "d66", "text": "The tide turns."}], "collection": "wiki"}
                )

        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(fill)
        yield engine


@pytest.fixture
async def client(shared: Engine) -> AsyncIterator[Client]:
    async with Client(application(shared)) as made:
        yield made


async def outcome(client: Client, tool: str, arguments: dict[str, Any]) -> Any:
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        return text_of(result)
    return {name: value for name, value in result.structured_content.items() if name not in CHANGES_FROM_CALL_TO_CALL}


@pytest.mark.parametrize(
    ("tool", "written", "meant"),
    [
        ("search", {"q": "oven"}, {"query": "oven"}),
        ("search", {"text": "oven", "top_k": 1}, {"query": "oven", "limit": 1}),
        ("search", {"question": "oven", "k": 1}, {"query": "oven", "limit": 1}),
        ("search", {"queries": ["oven"]}, {"query": "oven"}),
        ("search", {"query": "oven", "n": 2}, {"query": "oven", "limit": 2}),
        ("search", {"query": "oven", "max_results": 2}, {"query": "oven", "limit": 2}),
        ("search", {"query": "oven", "numResults": 2}, {"query": "oven", "limit": 2}),
        ("search", {"query": None, "q": "oven", "max-tokens": 500}, {"query": "oven", "max_tokens": 500}),
        ("search", {"query": "oven", "collection": "default"}, {"query": "oven", "collections": ["default"]}),
        ("search", {"query": "oven", "where": {"id": "bread"}}, {"query": "oven", "filter": {"id": "bread"}}),
        ("search", {"like": {"id": "solar"}}, {"like": {"ids": ["solar"]}}),
        ("search", {"like": "solar"}, {"like": {"ids": ["solar"]}}),
        ("search", {"like": ["solar", "bread"]}, {"like": {"ids": ["solar", "bread"]}}),
        ("search", {"like": '["solar"]'}, {"like": {"ids": ["solar"]}}),
        ("search", {"like": "a hot oven"}, {"like": {"texts": ["a hot oven"]}}),
        ("search", {"like": ["solar", "a hot oven"]}, {"like": {"ids": ["solar"], "texts": ["a hot oven"]}}),
        ("search", {"like": ["solar"], "unlike": "bread"}, {"like": {"ids": ["solar"]}, "unlike": {"ids": ["bread"]}}),
        ("list_documents", {"collections": ["wiki"]}, {"collection": "wiki"}),
        ("list_documents", {"collection_name": "wiki"}, {"collection": "wiki"}),
        ("get_document", {"id": ["bread", "solar"]}, {"ids": ["bread", "solar"]}),
        ("get_document", {"document_ids": ["bread", "solar"]}, {"ids": ["bread", "solar"]}),
        ("get_document", {"id": ["bread"]}, {"ids": ["bread"]}),
        ("search", {"query": ["oven", "hot bread"]}, {"query": "oven", "queries": ["hot bread"]}),
        ("get_document", {"document_id": "bread"}, {"id": "bread"}),
        (
            "delete",
            {"collection": "default", "id": "bread", "dryRun": True},
            {"collection": "default", "ids": ["bread"], "dry_run": True},
        ),
        ("embed", {"text": "oven"}, {"texts": ["oven"]}),
        ("embed", {"input": ["oven", "sun"]}, {"texts": ["oven", "sun"]}),
        ("cluster", {"text": ["sun", "oven", "sea"], "k": 2}, {"texts": ["sun", "oven", "sea"], "k": 2}),
        ("classify", {"text": "oven", "label": ["a", "b"]}, {"texts": ["oven"], "labels": [{"name": "a"}, {"name": "b"}]}),
        ("classify", {"texts": ["oven"], "labels": "a"}, {"texts": ["oven"], "labels": [{"name": "a"}]}),
        ("classify", {"texts": ["oven"], "labels": '["a", "b"]'}, {"texts": ["oven"], "labels": [{"name": "a"}, {"name": "b"}]}),
        (
            "classify",
            {"texts": ["x"], "classes": [{"name": "a", "example": "b"}]},
            {"texts": ["x"], "labels": [{"name": "a", "examples": ["b"]}]},
        ),
    ],
)  # fmt: skip
async def test_an_argument_is_known_by_the_names_that_models_give_it(client, tool, written, meant):
    wanted = await outcome(client, tool, meant)
    assert not isinstance(wanted, str), wanted
    assert await outcome(client, tool, written) == wanted


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("search", {"query": "oven", "q": "sun"}, ["no argument 'q'", "Did you mean 'query'"]),
        ("search", {"q": "oven", "text": "sun"}, ["no argument 'q'", "Did you mean 'query'"]),
        ("search", {"query": "oven", "limit": 3, "top_k": 5}, ["no argument 'top_k'", "Did you mean 'limit'"]),
        ("search", {"query": "oven", "offset": 8}, ["no argument 'offset'", "Did you mean 'cursor'"]),
        ("search", {"query": "oven", "rerank": True}, ["no argument 'rerank'", "Its arguments: "]),
        ("cluster", {"texts": ["a", "b"], "n": 2}, ["no argument 'n'"]),
        ("cluster", {"threshold": 0.9}, ["Did you mean 'similarity'"]),
        ("list_documents", {"collections": ["default", "wiki"]}, ["no argument 'collections'", "Did you mean 'collection'"]),
        ("index", {"content": "text"}, ["Did you mean 'documents'"]),
        ("classify", {"texts": ["x"], "labels": [{"name": "a", "colour": "red"}]}, ["labels.0.colour"]),
        ("search", {"like": {"ids": ["solar"], "id": "bread"}}, ["like.id"]),
    ],
)  # fmt: skip
async def test_an_argument_that_could_mean_several_things_or_nothing_is_refused(client, tool, arguments, words):
    said = await outcome(client, tool, arguments)
    assert isinstance(said, str), said
    assert all(word in said for word in words), said


async def test_a_name_that_the_tool_has_is_never_taken_for_another(client):
    grouped = await outcome(client, "cluster", {"texts": ["sun", "oven", "sea"], "k": 3})
    assert (grouped["clusters_total"], grouped["considered"]) == (3, 3)


async def test_an_example_that_is_neither_id_nor_sentence_is_taken_as_a_text_and_that_is_told(client):
    found = await outcome(client, "search", {"like": "oven", "collections": ["default"]})
    assert found["hits"]
    assert "no document 'oven' here: it was taken as a text" in found["notices"][0]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search", {"like": {"ids": ["d66"]}, "collections": ["default"]}),
        ("search", {"like": {"ids": ["d66#0"]}, "collections": ["default"]}),
        ("search", {"like": {"ids": ["solar"]}, "unlike": {"ids": ["d66"]}, "collections": ["default"]}),
        ("search", {"query": "tide", "filter": {"id": "d66"}, "collections": ["default"]}),
        ("search", {"query": "tide", "filter": {"$or": [{"id": {"$in": ["d66"]}}]}, "collections": ["default"]}),
        ("search", {"like": "d66", "collections": ["default"]}),
        ("list_documents", {"filter": {"id": "d66"}}),
        ("classify", {"collection": "default", "filter": {"id": "d66"}, "labels": ["a"]}),
        ("delete", {"collection": "default", "ids": ["d66"]}),
        ("delete", {"collection": "default", "filter": {"id": "d66"}, "dry_run": True}),
    ],
)
async def test_a_document_of_another_collection_is_found_there(client, tool, arguments):
    result = await client.call_tool(tool, arguments)
    assert "is in 'wiki': name that collection" in text_of(result), text_of(result)


async def test_a_resource_of_another_collection_is_found_there(client):
    with pytest.raises(MCPError, match="'d66' is in 'wiki': name that collection"):
        await client.read_resource("knowledge://default/d66")


async def test_a_document_that_is_nowhere_is_said_to_be_nowhere(client):
    said = await outcome(client, "search", {"like": {"ids": ["d67"]}, "collections": ["default"]})
    assert "No document 'd67' in 'default'" in said
    assert "wiki" not in said


async def test_ids_that_are_given_as_texts_are_told(client):
    for tool, more in (("embed", {}), ("classify", {"labels": ["a"]})):
        text = text_of(await client.call_tool(tool, {"texts": ["solar", "d66"], **more}))
        assert "look like document ids ('solar' is a document of 'default')" in text
        said = text_of(await client.call_tool(tool, {"texts": ["solar", "a sentence of words"], **more}))
        assert "document ids" not in said
    said = await outcome(client, "classify", {"texts": ["a b"], "labels": [{"name": "a", "examples": ["d66"]}]})
    assert "'d66' is a document of 'wiki'" in said["notices"][0]


async def test_a_filter_on_a_field_to_come_works_and_a_slip_is_told(client):
    labelling = {"collection": "default", "labels": ["a"]}
    for tool, more, shown in (
        ("search", {"query": "oven"}, "hits"),
        ("list_documents", {}, "documents"),
        ("classify", labelling, "items"),
        ("cluster", {}, "clusters"),
    ):
        found = await outcome(client, tool, {**more, "filter": {"yaer": {"$ne": 2020}}})
        assert len(found[shown]) >= (1 if tool == "cluster" else 3)
        assert "No document has a field 'yaer'" in found["notices"][0], found
        assert "Did you mean 'year'?" in found["notices"][0]
    found = await outcome(client, "search", {"query": "oven", "filter": {"$not": {"year_of_birth": 2020}}})
    assert "Did you mean" not in found["notices"][0]


async def test_a_deletion_by_a_field_that_no_document_has_is_refused(client):
    filter = {"yaer": {"$ne": 2020}}
    said = await outcome(client, "delete", {"collection": "default", "filter": filter, "confirm": True})
    assert "No document has a field 'yaer'. Did you mean 'year'? There are: year. Nothing was deleted." in said
    assert (await outcome(client, "list_documents", {}))["total"] == 3
