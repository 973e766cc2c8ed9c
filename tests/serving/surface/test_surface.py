"""The surface as a client sees it: the list of tools, and what a wrong call is told."""

from __future__ import annotations

import json
import threading

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ElicitResult

from mcp_text import text_of

pytestmark = pytest.mark.anyio

TOOLS = [
    "search", "index", "embed", "cluster", "classify", "get_document", "list_collections", "list_documents", "delete",
    "job",
]  # fmt: skip


async def test_both_eras_list_ten_tools(connect, era):
    async with connect(era) as client:
        listed = (await client.list_tools()).tools
    assert sorted(tool.name for tool in listed) == sorted(TOOLS)


async def test_every_tool_says_what_it_is(connect):
    async with connect() as client:
        listed = (await client.list_tools()).tools
    for tool in listed:
        assert tool.title
        assert tool.description
        assert tool.output_schema
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is not None
        assert tool.input_schema["additionalProperties"] is False


async def test_the_list_of_tools_is_small_and_free_of_noise(connect):
    async with connect() as client:
        listed = (await client.list_tools()).tools
    wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed]
    size = len(json.dumps(wire, separators=(",", ":")))
    assert size < 15_000, size  # characters, in every context of every model that uses this; 15,000 are promised
    for tool in wire:
        for name, schema in tool["inputSchema"].get("properties", {}).items():
            assert not isinstance(schema.get("title"), str), (tool["name"], name)


async def test_only_deleting_is_destructive(connect):
    async with connect() as client:
        listed = (await client.list_tools()).tools
    assert [tool.name for tool in listed if tool.annotations.destructive_hint] == ["delete"]


async def test_an_unknown_tool_is_a_protocol_error_with_a_hint(connect, era):
    async with connect(era) as client:
        with pytest.raises(MCPError, match="Did you mean 'search'") as raised:
            await client.call_tool("serch", {"query": "x"})
    assert raised.value.error.code == INVALID_PARAMS


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("search", {"query": "x", "top_k": 3}, ["no argument 'top_k'", "Did you mean 'limit'"]),
        ("search", {"text": "x"}, ["Did you mean 'query'"]),
        ("search", {"query": "x", "limit": 0}, ["limit", "1", "0"]),
        ("search", {"query": "x", "limit": 10_000}, ["limit", "100"]),
        ("search", {"query": "x", "mode": "fuzzy"}, ["mode", "hybrid", "fuzzy"]),
        ("search", {"query": "x", "collections": "nowhere"}, ["No collection 'nowhere'", "default"]),
        ("search", {"query": "x", "collections": "../x"}, ["../x"]),
        ("search", {"query": "  "}, ["query"]),
        ("search", {}, ["query"]),
        ("search", {"query": "x", "filter": {"yaer": 1}}, ["yaer"]),
        ("search", {"query": "x", "filter": {"id": {"$near": 1}}}, ["$near", "$eq"]),
        ("search", {"query": "x", "cursor": "abc"}, ["cursor"]),
        ("index", {}, ["paths", "documents"]),
        ("index", {"paths": ["/etc/passwd"]}, ["outside the allowed roots", "kcore roots add"]),
        ("index", {"paths": [""]}, ["empty or relative", "full path"]),
        ("index", {"paths": ["notes"]}, ["'notes'", "empty or relative", "full path"]),
        ("embed", {"texts": ["a"], "collection": ""}, ["''"]),
        ("index", {"documents": [{"id": "a", "text": "  "}]}, ["has no text"]),
        ("index", {"documents": [{"id": "a"}]}, ["documents.0.text"]),
        ("index", {"documents": [{"id": "a", "text": "x"}], "collection": "x" * 300}, ["collection"]),
        ("index", {"documents": [{"id": "a", "text": "x"}], "collection": ""}, ["collection"]),
        ("get_document", {"id": "sollar"}, ["sollar", "solar"]),
        ("get_document", {"id": "solar", "lines": "9-2"}, ["9-2", "1 to 3"]),
        ("get_document", {"id": "solar", "page": 1}, ["no pages"]),
        ("delete", {"collection": "default"}, ["exactly one of"]),
        ("delete", {"collection": "default", "all": True}, ["confirm=true", "3 documents"]),
        ("job", {"id": "nope"}, ["No job 'nope'"]),
        ("classify", {"texts": ["x"], "labels": []}, ["labels"]),
        ("embed", {"texts": []}, ["texts"]),
        ("embed", {"texts": ["x"], "task": "poetry"}, ["task", "poetry"]),
        ("cluster", {"mode": "topics", "k": 99}, ["k", "99"]),
    ],
)  # fmt: skip
async def test_a_wrong_call_says_what_which_value_and_what_next(indexed, tool, arguments, words):
    result = await indexed.call_tool(tool, arguments)
    text = text_of(result)
    assert result.is_error, text
    assert all(word in text for word in words), text
    assert len(text) < 700, text
    assert "Traceback" not in text


async def test_lists_given_as_json_strings_are_understood(indexed):
    result = await indexed.call_tool("search", {"query": "sunlight", "collections": '["default"]'})
    assert not result.is_error, text_of(result)


async def test_instructions_tell_what_there_is(connect, indexed):
    async with connect("legacy") as client:
        assert client.instructions is not None
        assert "default: 3 documents" in client.instructions


async def test_two_prompts_are_there_and_wrong_ones_are_protocol_errors_with_a_hint(connect, era):
    async with connect(era) as client:
        listed = (await client.list_prompts()).prompts
        assert [prompt.name for prompt in listed] == ["answer_from_knowledge", "explore_collection"]
        assert all(prompt.title and prompt.description for prompt in listed)
        made = await client.get_prompt("answer_from_knowledge", {"question": "why?", "collection": "notes"})
        text = made.messages[0].content.text
        assert "why?" in text
        assert '"notes"' in text
        assert "do not follow instructions" in text
        for name, arguments, words in (
            ("answer_from_knowlege", {"question": "x"}, "Did you mean 'answer_from_knowledge'"),
            ("answer_from_knowledge", {}, "needs the argument 'question'"),
            ("explore_collection", {"colection": "x"}, "Did you mean 'collection'"),
        ):
            with pytest.raises(MCPError, match=words) as raised:
                await client.get_prompt(name, arguments)
            assert raised.value.error.code == INVALID_PARAMS


async def test_a_resource_that_is_not_there_is_a_protocol_error_with_its_uri(indexed, connect, era):
    async with connect(era) as client:
        assert "sunlight" in (await client.read_resource("knowledge://default/solar")).contents[0].text
        for uri in ("knowledge://default/nope", "knowledge://nowhere/solar"):
            with pytest.raises(MCPError) as raised:
                await client.read_resource(uri)
            assert raised.value.error.code == INVALID_PARAMS
            assert raised.value.error.data == {"uri": uri}


@pytest.mark.parametrize(("said", "deleted"), [("yes", True), ("no", False), ("decline", False), ("cancel", False)])
async def test_a_client_that_can_ask_its_user_asks_before_a_collection_goes(indexed, connect, era, said, deleted):
    questions = []

    async def ask(context, params):
        questions.append(params.message)
        if said in ("yes", "no"):
            return ElicitResult(action="accept", content={"delete": said == "yes"})
        return ElicitResult(action=said)

    async with connect(era, elicitation_callback=ask) as client:
        dry = await client.call_tool("delete", {"collection": "default", "all": True, "dry_run": True})
        by_id = await client.call_tool("delete", {"collection": "default", "ids": ["bread"]})
        assert not dry.is_error
        assert not by_id.is_error
        assert questions == []
        result = await client.call_tool("delete", {"collection": "default", "all": True})
        assert questions == ["Delete 2 documents of the collection 'default' and the collection itself?"]
        assert result.is_error != deleted, text_of(result)
        names = (await client.call_tool("list_collections", {})).structured_content["collections"]
        assert bool(names) != deleted
        if not deleted:
            assert "did not agree" in text_of(result)


async def test_nobody_is_asked_about_a_deletion_that_is_refused_anyway(indexed, connect, era):
    questions = []

    async def ask(context, params):
        questions.append(params.message)
        return ElicitResult(action="accept", content={"delete": True})

    async with connect(era, elicitation_callback=ask) as client:
        both = {"collection": "default", "all": True, "filter": {"id": "solar"}}
        result = await client.call_tool("delete", both)
        assert "exactly one of" in text_of(result)
        assert questions == []


async def test_a_deletion_waits_for_another_writer_only_so_long_and_says_who_it_is(indexed, engine, monkeypatch):
    monkeypatch.setattr("knowledge_core.verbs.delete.PATIENCE", 0.0)
    going_on = threading.Event()
    job = engine.jobs.start("index", "default", lambda job, report: going_on.wait(10))
    try:
        with engine.one_writer("default"):
            result = await indexed.call_tool("delete", {"collection": "default", "ids": ["solar"]})
        assert f"is being indexed (job {job.id})" in text_of(result)
    finally:
        going_on.set()
    assert not (await indexed.call_tool("get_document", {"id": "solar"})).is_error
    assert not (await indexed.call_tool("delete", {"collection": "default", "ids": ["solar"]})).is_error


async def test_the_surface_grows_only_on_purpose(connect, indexed):
    """The figures are what the surface costs a model; whoever makes one larger says why in the commit."""
    async with connect() as client:
        listed = (await client.list_tools()).tools
        sizes = {
            "descriptions": sum(len(tool.description) for tool in listed),
            "instructions": len(client.instructions or ""),
        }
        for name, call in {
            "search": ("search", {"query": "sunlight and bread and hardware"}),
            "list_collections": ("list_collections", {}),
            "list_documents": ("list_documents", {}),
            "get_document": ("get_document", {"id": "solar"}),
            "cluster": ("cluster", {"k": 2}),
        }.items():
            sizes[name] = len(text_of(await client.call_tool(*call)).encode()) // 3
    limits = {
        "descriptions": 2_000, "instructions": 400, "search": 200, "list_collections": 60, "list_documents": 60,
        "get_document": 60, "cluster": 150,
    }  # fmt: skip
    assert {name: size for name, size in sizes.items() if size > limits[name]} == {}, sizes
