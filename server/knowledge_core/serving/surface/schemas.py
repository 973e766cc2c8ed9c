"""The schemas of tools as every host can read them. Pure: a JSON schema in, a plainer one out.

Hosts differ in what they drop or refuse: references, definitions, unions, constants, properties and arrays without a
type (docs/clients.md). So each property gets one type, each array the schema of its items, and each reference of
pydantic's is replaced by what it refers to. A schema is in every model's context: parts that no client needs are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NULL = {"type": "null"}
_SCHEMA_BELOW = ("items", "additionalProperties")


def plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema of pydantic's in its plainest form: no titles, and "a value or null" is the value's own schema.

    Raises:
        ValueError: a part of it allows several types; give that parameter one type.
    """
    return _plain(schema, schema.get("$defs", {}))


def outline(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client may rely on in a result: the names of its properties, and the type of each.

    No more, because a schema is in every model's context: a model sees what `hits` and `clusters` hold in the result itself.
    """
    return {"type": "object", "properties": {name: _kind(part) for name, part in plain(schema)["properties"].items()}}


def _kind(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": part["type"]} | ({"items": _kind(part["items"])} if part["type"] == "array" else {})


def _plain(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(schema) if isinstance(schema, Mapping) else {}  # `true`: any value
    if options := [each for each in kept.pop("anyOf", []) if each != _NULL]:
        if len(options) > 1:
            raise ValueError(f"one of several types: {options}")
        kept = options[0] | kept
    if reference := kept.pop("$ref", None):
        kept = definitions[reference.rpartition("/")[2]] | kept
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    kept.setdefault("type", "object")
    if kept["type"] == "array":
        kept.setdefault("items", {})
    if kept.get("additionalProperties") is True:  # the default of JSON schema
        del kept["additionalProperties"]
    if kept.get("default") in (None, "", [], {}):
        kept.pop("default", None)
    return {name: _part(name, part, definitions) for name, part in kept.items() if name not in ("title", "$defs")}


def _part(name: str, part: Any, definitions: Mapping[str, Any]) -> Any:
    if name == "properties":  # a property may itself be called "title"
        return {each: _plain(inner, definitions) for each, inner in part.items()}
    return _plain(part, definitions) if name in _SCHEMA_BELOW and part is not False else part
