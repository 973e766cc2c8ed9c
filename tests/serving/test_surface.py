"""The surface as a client sees it: the list of tools, and what a wrong call is told."""

from __future__ import annotations

import json

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

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
    assert size < 17_500, size
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
