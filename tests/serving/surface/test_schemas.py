"""Every host can read the tools' schemas: no reference, no union, one type for each property, in both eras."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from knowledge_core.serving.surface.schemas import plain

pytestmark = pytest.mark.anyio

KNOWN_WORDS = {
    "type", "properties", "items", "required", "enum", "description", "default", "minimum", "maximum",
    "additionalProperties",
}  # fmt: skip
TYPES = {"object", "array", "string", "integer", "number", "boolean"}


def parts(schema: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk a schema: itself and all that is in it."""
    yield where, schema
    for name, inner in schema.get("properties", {}).items():
        yield from parts(inner, f"{where}.{name}")
    if "items" in schema:
        yield from parts(schema["items"], f"{where}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from parts(schema["additionalProperties"], f"{where}.*")


async def test_schemas_are_made_of_words_that_every_host_knows(connect, era):
    async with connect(era) as client:
        listed = (await client.list_tools()).tools
    assert listed
    for tool in listed:
        for schema, label in ((tool.input_schema, "takes"), (tool.output_schema, "gives")):
            for where, part in parts(schema, f"{tool.name} {label}"):
                assert set(part) <= KNOWN_WORDS, (where, part)
                assert part["type"] in TYPES, where
                assert (part["type"] == "array") == ("items" in part), where
                assert all(isinstance(value, str) for value in part.get("enum", [])), where
                assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in part.get("properties", {})), where
                assert part.get("additionalProperties", False) is False, where


async def test_the_names_inside_of_objects_stand_where_they_are_used(connect, era):
    async with connect(era) as client:
        taken = {tool.name: tool.input_schema["properties"] for tool in (await client.list_tools()).tools}
    assert (
        set(taken["search"]["like"]["properties"]) == set(taken["search"]["unlike"]["properties"]) == {"ids", "texts"}
    )
    assert set(taken["index"]["documents"]["items"]["properties"]) == {"id", "text", "title", "uri", "metadata"}
    assert set(taken["classify"]["labels"]["items"]["properties"]) == {"name", "description", "examples"}
    assert taken["index"]["documents"]["items"]["required"] == ["id", "text"]


async def test_the_eras_list_the_same_and_say_what_is_to_be_loaded_always(connect):
    lists = []
    for era in ("legacy", "2026-07-28"):
        async with connect(era) as client:
            listed = (await client.list_tools()).tools
            lists.append([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed])
    assert lists[0] == lists[1]
    always = {"anthropic/alwaysLoad": True}
    assert [tool["name"] for tool in lists[0] if tool.get("_meta") == always] == ["search", "list_collections"]
    assert [tool["name"] for tool in lists[0] if "_meta" in tool] == ["search", "list_collections"]


def test_a_property_of_several_types_cannot_be_published():
    class Several(BaseModel):
        value: int | str

    with pytest.raises(ValueError, match="several types"):
        plain(Several.model_json_schema())


def test_what_pydantic_says_of_anything_at_all_and_of_one_constant_is_said_in_plain_words():
    from typing import Any, Literal

    made = create_model(
        "Made", anything=(Any, None), one=(Literal["x"], "x"), title=(str | None, None), many=(list, [])
    )
    assert plain(made.model_json_schema())["properties"] == {
        "anything": {"type": "object"},
        "one": {"type": "string", "enum": ["x"], "default": "x"},
        "title": {"type": "string"},
        "many": {"type": "array", "items": {"type": "object"}},
    }
