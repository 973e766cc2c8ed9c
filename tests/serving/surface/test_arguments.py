"""Arguments are taken as hosts send them: a text as it is, null as left out, lists and objects also as JSON in a string."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.from_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.language.wording import words
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.arguments import as_meant
from mcp_text import NOTES, text_of

pytestmark = pytest.mark.anyio

LIKE_JSON = [
    '{"status": 429}', '["gateway", "429"]', "[429]", "429", "4.0", "-1e3", "null", "true", '"quoted"', "{}", "[]", " 1 ",
    "NaN", "[" * 5_000, "9" * 5_000,
]  # fmt: skip
REQUIRED: dict[str, dict[str, Any]] = {
    "search": {"query": "sunlight"},
    "index": {"documents": [{"id": "solar", "text": "Sunlight."}]},
    "embed": {"texts": ["sun", "bread"]},
    "cluster": {"texts": ["sun and light", "light and sun", "bread"]},
    "classify": {"texts": ["bread dough"], "labels": [{"name": "bread"}, {"name": "sun"}]},
    "get_document": {"id": "solar"},
    "list_collections": {},
    "list_documents": {},
    "delete": {"collection": "default", "filter": {"id": "solar"}, "dry_run": True},
    "job": {"id": "nope"},
}
CHANGES_FROM_CALL_TO_CALL = {"job", "seconds", "tokens", "indexed", "unchanged", "embedded", "reused", "chunks"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine for tests that leave it as it is: three notes, and a text for each that looks like JSON."""
    embedder = HashEmbedder()
    home = tmp_path_factory.mktemp("shared")
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:

        async def fill() -> None:
            async with Client(application(engine)) as client:
                await client.call_tool("index", {"documents": NOTES})

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


# -- a text stays the text that was sent -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", LIKE_JSON, ids=lambda text: text[:20])
@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
async def test_a_query_that_looks_like_json_is_searched_for_as_it_is(client, shared, text, mode):
    result = await client.call_tool("search", {"query": text, "mode": mode})
    assert not result.is_error, text_of(result)
    if mode == "hybrid" and words(text):
        embedded = shared.embedders.default()
        assert embedded.embed([text], "query") is not None  # the same string, from the memory of queries
    by_meaning = await client.call_tool("cluster", {"query": text, "k": 1})
    if not words(text):
        assert "query has no word" in text_of(by_meaning)
        return
    assert not by_meaning.is_error, text_of(by_meaning)
    assert by_meaning.structured_content["considered"] == 3


@pytest.mark.parametrize("text", [text for text in LIKE_JSON if len(text) < 100])
async def test_texts_titles_and_ids_that_look_like_json_are_stored_as_they_are(connect, text):
    async with connect() as client:
        document = {"id": text, "text": text, "title": text.strip(), "uri": text, "metadata": {"value": text}}
        result = await client.call_tool("index", {"documents": [document]})
        assert not result.is_error, text_of(result)
        read = (await client.call_tool("get_document", {"id": text})).structured_content
        assert {name: read[name] for name in document} == document
        found = await outcome(client, "search", {"like": {"texts": [text]}})
        assert [hit["document"] for hit in found["hits"]] == [text]
        deleted = await outcome(client, "delete", {"collection": "default", "ids": [text]})
        assert deleted["documents"] == [text]


@pytest.mark.parametrize("text", LIKE_JSON, ids=lambda text: text[:20])
@pytest.mark.parametrize(
    ("tool", "arguments", "name"),
    [
        ("search", {"query": "x"}, "cursor"),
        ("search", {"query": "x"}, "mode"),
        ("get_document", {}, "id"),
        ("get_document", {"id": "solar"}, "collection"),
        ("get_document", {"id": "solar"}, "lines"),
        ("get_document", {"id": "solar"}, "cursor"),
        ("list_documents", {}, "cursor"),
        ("list_collections", {}, "cursor"),
        ("classify", {"texts": ["x"], "labels": [{"name": "a"}]}, "cursor"),
        ("cluster", {"texts": ["x", "y"]}, "cursor"),
        ("classify", {"labels": [{"name": "a"}]}, "collection"),
        ("embed", {"texts": ["x"]}, "collection"),
        ("job", {}, "id"),
        ("job", {}, "cursor"),
    ],
)
async def test_a_name_or_cursor_that_looks_like_json_is_refused_as_the_text_that_it_is(
    client, tool, arguments, name, text
):
    result = await client.call_tool(tool, {**arguments, name: text})
    said = text_of(result)
    if name == "lines" and text.strip() in ("1", "429"):
        assert "Solar panels" in said or "lines 1 to 3" in said
        return
    assert result.is_error, said
    assert "wrong arguments" not in said or name == "mode"
    assert len(said) < 2_100


@pytest.mark.parametrize("name", ["429", "4.0", "null", "true", "NaN"])
async def test_a_collection_may_be_called_what_looks_like_json(connect, name):
    async with connect() as client:
        made = await outcome(client, "index", {"documents": [{"id": "a", "text": "x"}], "collection": name})
        assert made["collection"] == name
        found = await outcome(client, "search", {"query": "x", "collections": name})
        assert [hit["collection"] for hit in found["hits"]] == [name]


@pytest.mark.parametrize("value", [429, 4.5, True, False])
async def test_a_number_or_a_truth_value_for_a_text_is_taken_as_it_is_written(client, value):
    written = json.dumps(value)
    found = await outcome(client, "search", {"query": value, "mode": "lexical"})
    assert found == await outcome(client, "search", {"query": written, "mode": "lexical"})
    assert await outcome(client, "get_document", {"id": value}) == await outcome(
        client, "get_document", {"id": written}
    )
    embedded = await outcome(client, "embed", {"texts": [value, written]})
    assert embedded["similarity"] == [[1, 1], [1, 1]]


async def test_an_object_for_a_text_is_refused_by_name(client):
    given = {"query": {"status": 429}}
    assert "query: Input should be a valid string (found " in await outcome(client, "search", given)


async def test_half_a_surrogate_pair_in_a_label_is_no_character_of_it_as_in_texts(client):
    labels = [{"name": "sun \ud83c", "description": "\ud83c", "examples": ["sunlight \ud83c"]}, {"name": "bread"}]
    sorted_out = await outcome(client, "classify", {"texts": ["sunlight \ud83c"], "labels": labels})
    assert sorted_out["items"][0]["label"] == "sun \ufffd"


# -- lists and objects as hosts send them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "name", "value", "plain"),
    [
        ("search", {"query": "sunlight"}, "collections", '["default"]', ["default"]),
        ("search", {"query": "sunlight"}, "collections", "default", ["default"]),
        ("search", {"query": "sunlight"}, "filter", '{"id": "solar"}', {"id": "solar"}),
        ("search", {"query": "sunlight"}, "filter", "null", None),
        ("search", {}, "like", '{"ids": ["solar"]}', {"ids": ["solar"]}),
        ("search", {}, "like", {"ids": "solar"}, {"ids": ["solar"]}),
        ("search", {}, "like", {"texts": '["sun", "light"]'}, {"texts": ["sun", "light"]}),
        ("embed", {}, "texts", "just one", ["just one"]),
        ("embed", {}, "texts", "null", ["null"]),
        ("embed", {}, "texts", '{"a": 1}', ['{"a": 1}']),
        ("embed", {}, "texts", '["a", "b"]', ["a", "b"]),
        ("classify", {"texts": ["sun"]}, "labels", '[{"name": "a"}, {"name": "b"}]', [{"name": "a"}, {"name": "b"}]),
        ("classify", {"texts": ["sun"]}, "labels", ['{"name": "a"}', '{"name": "b"}'], [{"name": "a"}, {"name": "b"}]),
        ("classify", {"texts": ["sun"]}, "labels", {"name": "a"}, [{"name": "a"}]),
        ("classify", {"texts": ["sun"]}, "labels", [{"name": "a", "examples": "b"}], [{"name": "a", "examples": ["b"]}]),
        ("index", {}, "documents", '[{"id": "solar", "text": "x"}]', [{"id": "solar", "text": "x"}]),
        ("index", {}, "documents", {"id": "solar", "text": "x"}, [{"id": "solar", "text": "x"}]),
        ("index", {}, "paths", '["/nowhere/at/all"]', ["/nowhere/at/all"]),
        ("index", {}, "paths", "/nowhere/at/all", ["/nowhere/at/all"]),
        ("delete", {"collection": "default", "dry_run": True}, "ids", "solar", ["solar"]),
    ],
)  # fmt: skip
async def test_a_list_or_an_object_may_come_as_json_in_a_string_and_one_item_for_a_list(
    indexed, tool, arguments, name, value, plain
):
    wanted = await outcome(indexed, tool, {**arguments, **({} if plain is None else {name: plain})})
    assert await outcome(indexed, tool, {**arguments, name: value}) == wanted
    assert "wrong arguments" not in str(wanted)


# -- null means left out -----------------------------------------------------------------------------------------------


async def test_null_for_what_may_be_left_out_means_left_out_in_every_tool(shared, era):
    async with Client(application(shared), mode=era) as client:
        for tool in (await client.list_tools()).tools:
            given = REQUIRED[tool.name]
            wanted = await outcome(client, tool.name, given)
            optional = [name for name in tool.input_schema["properties"] if name not in given]
            for name in optional:
                assert await outcome(client, tool.name, {**given, name: None}) == wanted, (tool.name, name)
            assert await outcome(client, tool.name, {**given, **dict.fromkeys(optional)}) == wanted, tool.name


@pytest.mark.parametrize(
    ("tool", "plain", "nulls"),
    [
        (
            "index",
            {"documents": [{"id": "solar", "text": "x"}]},
            {"documents": [{"id": "solar", "text": "x", "title": None, "uri": None, "metadata": None}]},
        ),
        (
            "classify",
            {"texts": ["sun"], "labels": [{"name": "a"}]},
            {"texts": ["sun"], "labels": [{"name": "a", "description": None, "examples": None}]},
        ),
        ("search", {"like": {"ids": ["solar"]}}, {"like": {"ids": ["solar"], "texts": None}}),
        ("search", {"query": "sun"}, {"query": "sun", "like": {"ids": None, "texts": None}, "unlike": {"ids": None}}),
    ],
)
async def test_null_inside_of_an_object_means_left_out_too(indexed, tool, plain, nulls):
    assert await outcome(indexed, tool, nulls) == await outcome(indexed, tool, plain)


async def test_null_in_metadata_is_a_value(indexed):
    document = {"id": "n", "text": "x", "metadata": {"a": None, "b": 1}}
    assert not (await indexed.call_tool("index", {"documents": [document]})).is_error
    assert (await outcome(indexed, "get_document", {"id": "n"}))["metadata"]["b"] == 1
    text = text_of(await indexed.call_tool("list_documents", {}))
    assert "a=None; b=1" in text


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("get_document", {"id": None}, "Give the id of a document"),
        ("embed", {"texts": None}, "texts: "),
        ("embed", {"texts": [None]}, "texts.0: Input should be a valid string (found null)"),
        ("classify", {"texts": ["x"], "labels": None}, "labels: "),
        ("classify", {"texts": ["x"], "labels": [{"name": None}]}, "labels.0.name: "),
        ("classify", {"texts": ["x"], "labels": [{"name": "a", "examples": ["b", None]}]}, "labels.0.examples.1: "),
        ("index", {"documents": [{"id": "a", "text": None}]}, "documents.0.text: "),
        ("index", {"documents": [None]}, "documents.0: "),
        ("search", {"query": "x", "collections": ["default", None]}, "collections.1: "),
        ("delete", {"collection": None, "all": True}, "collection: "),
    ],
)
async def test_null_for_what_is_needed_is_refused_by_name(client, tool, arguments, words):
    said = await outcome(client, tool, arguments)
    assert isinstance(said, str)
    assert words in said


@pytest.mark.parametrize("no", [None, "null", False, "false"])
@pytest.mark.parametrize("what", [{"all": True}, {"filter": {"id": "solar"}}])
async def test_nothing_but_a_yes_is_taken_for_a_yes(client, what, no):
    said = await outcome(client, "delete", {"collection": "default", **what, "confirm": no})
    assert isinstance(said, str), said
    assert "confirm" in said


async def test_a_default_holds_where_null_was_sent(connect):
    documents = [{"id": "a", "text": "x"}]
    async with connect() as client:
        done = (await client.call_tool("index", {"documents": documents, "wait_seconds": None})).structured_content
        assert (done["state"], done["collection"]) == ("done", "default")


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(LIKE_JSON[:12])
VALUES = (
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from(["t", "l", "x"]), SCALARS, max_size=3)
)
SCHEMA = {
    "type": "object",
    "properties": {
        "t": {"type": "string"},
        "l": {"type": "array", "items": {"type": "string"}},
        "o": {"type": "object", "properties": {"t": {"type": "string"}, "l": {"type": "array", "items": {"type": "object"}}}},
        "n": {"type": "integer"},
    },
    "required": ["n"],
}  # fmt: skip


@given(st.dictionaries(st.sampled_from(["t", "l", "o", "n", "unknown"]), VALUES, max_size=4))
def test_whatever_is_sent_texts_are_kept_and_null_stays_only_where_something_is_needed(sent):
    meant = as_meant(sent, SCHEMA)
    assert set(meant) <= set(sent)
    assert {name for name, value in meant.items() if value is None} <= {"n"}
    if isinstance(sent.get("t"), str):
        assert meant["t"] == sent["t"]
    if isinstance(sent.get("l"), list):
        assert [each for each in meant["l"] if isinstance(each, str)] == [
            each if isinstance(each, str) else json.dumps(each) for each in sent["l"] if each is not None
        ]
