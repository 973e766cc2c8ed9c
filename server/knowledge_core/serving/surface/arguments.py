"""From arguments as hosts send them to arguments as they are meant, and the messages for wrong ones. Pure.

Hosts and models fill in every argument of a schema with null, write lists and objects as JSON in a string, send one text
where a list is wanted, and name arguments as other tools do. What is meant follows from the schema, and from nothing else:
- a text stays the text that was sent, also if it looks like JSON;
- a list or an object may come as JSON in a string, and a single item in place of a list of one;
- a number or boolean in place of a text becomes its JSON form;
- a text in place of an object is the one text that the object needs (a label's name);
- null for an argument that may be left out means left out, also inside objects; any other null stays, and is refused by name;
- a name that the tool does not have stands for one that it has (`KNOWN_AS`, singular and plural, another case) where that one
  is not given as well and no other name could mean it; a name that stands for nothing is refused, never dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from knowledge_core.errors import LONGEST_QUOTED, quoted
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import brief, did_you_mean

KNOWN_AS: Mapping[str, Sequence[str]] = {
    # Names that models carry over from other search tools, and what they mean where a tool has it, likeliest first.
    "top_k": ("limit",), "k": ("limit",), "n": ("limit",), "topk": ("limit",), "n_results": ("limit",),
    "max_results": ("limit",), "num_results": ("limit",), "count": ("limit",), "size": ("limit",), "page_size": ("limit",),
    "text": ("query", "texts"), "q": ("query",), "question": ("query",), "search": ("query",), "query_text": ("query",),
    "queries": ("query",), "input": ("texts",), "inputs": ("texts",), "collection_name": ("collection", "collections"),
    "collection_names": ("collections",), "index_name": ("collection", "collections"),
    "namespace": ("collection", "collections"), "document": ("id", "ids"), "document_id": ("id", "ids"),
    "document_ids": ("ids", "id"), "doc_id": ("id", "ids"), "doc_ids": ("ids", "id"), "job_id": ("id",),
    "file": ("paths",), "files": ("paths",), "folder": ("paths",), "where": ("filter",), "filters": ("filter",),
    "num_clusters": ("k",), "n_clusters": ("k",), "categories": ("labels",), "classes": ("labels",), "page_token": ("cursor",),
    "content": ("text",), "body": ("text",), "url": ("uri",),
}  # fmt: skip
SUGGESTED: Mapping[str, str] = {
    # The same where a value means something else there, so that the argument is named and not taken.
    "content": "documents", "timeout": "wait_seconds", "threshold": "similarity", "min_similarity": "similarity",
    "offset": "cursor", "index": "collection",
}  # fmt: skip
_PLURALS = {"query": "queries"}
_NUMBERS_OF_CLUSTERS = frozenset(("top_k", "n", "count", "size"))  # beside `k`, they may mean that
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|-")


def as_named(given: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an object under the names that its schema has, as far as each can mean one of them only.

    >>> as_named({"q": "tides", "topK": 3}, {"properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}})
    {'query': 'tides', 'limit': 3}
    """
    properties = schema.get("properties", {})
    meant = {name: _name_meant(name, properties) for name in given if name not in properties}
    # A list where one text is wanted, and its plural takes a list: an id of several documents, a query of several wordings.
    meant |= {
        name: _PLURALS.get(name, f"{name}s")
        for name, value in given.items()
        if isinstance(value, list)
        and properties.get(name, {}).get("type") == "string"
        and properties.get(_PLURALS.get(name, f"{name}s"), {}).get("type") == "array"
    }
    taken = [name for name in meant.values() if name]
    named: dict[str, Any] = {}
    for name, value in given.items():
        other = meant.get(name)
        if not other or taken.count(other) > 1 or given.get(other) is not None:
            named.setdefault(name, value)
            continue
        if properties[other].get("type") == "array":
            named[other] = value
            continue
        single = _only(value)
        named[name if isinstance(single, list) else other] = single
    return named


def _name_meant(name: str, properties: Mapping[str, Any]) -> str | None:
    """Return the argument that an unknown name stands for; None if there is none."""
    plain = _HUMP.sub("_", name[:LONGEST_QUOTED]).lower()
    if "k" in properties and plain in _NUMBERS_OF_CLUSTERS:
        return None
    singular, plural = plain.removesuffix("s"), f"{plain}s"
    candidates = (plain, plural, singular, *KNOWN_AS.get(plain, ()))
    return next((each for each in candidates if each in properties), None)


def _only(value: Any) -> Any:
    """Return the item of a list of one, also where the list is JSON in a string; any other value as it is."""
    listed = _parsed(value, list, {}) if isinstance(value, str) and value.lstrip().startswith("[") else value
    if not isinstance(listed, list):
        return value
    return listed[0] if len(listed) == 1 else listed


def as_meant(given: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an object as they are meant. schema: the object's, made by `schemas.plain`.

    >>> as_meant({"query": "[429]", "limit": None}, {"properties": {"query": {"type": "string"}, "limit": {}}})
    {'query': '[429]'}
    """
    properties, required = schema.get("properties", {}), schema.get("required", ())
    meant = {name: _meant(value, properties.get(name, {})) for name, value in given.items()}
    return {name: value for name, value in meant.items() if value is not None or name in required}


def _meant(value: Any, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "string":
        return _written(value) if isinstance(value, bool | int | float) else value
    if kind == "array":
        listed = _listed(value, schema["items"])
        return [_meant(each, schema["items"]) for each in listed] if isinstance(listed, list) else listed
    if kind == "object":
        parsed = _parsed(value, dict | list, {}) if isinstance(value, str) else value
        if isinstance(parsed, str | list) and "properties" in schema:
            parsed = _object(parsed, schema)
        return _members(parsed, schema) if isinstance(parsed, dict) and "properties" in schema else parsed
    return value


def _object(value: str | list[Any], schema: Mapping[str, Any]) -> Any:
    """Return the object that a text, or a list of texts, stands for; the value itself if it can stand for none.

    Where an object has both ids and texts, each text may be either: it is put in both places, and whoever knows the ids
    decides (`request.Examples`).
    """
    required = schema.get("required", [])
    if isinstance(value, str) and len(required) == 1:
        return {required[0]: value}
    texts = [value] if isinstance(value, str) else value
    if {"ids", "texts"} <= set(schema["properties"]) and texts and all(isinstance(each, str) for each in texts):
        return {"ids": texts, "texts": texts}
    return value


def _members(given: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an object as it is meant; None if each of its members means left out."""
    meant = as_meant(as_named(given, schema), schema)
    return None if given and not meant else meant


def _listed(value: Any, items: Mapping[str, Any]) -> Any:
    """Return the list that is meant; the value itself if it cannot mean a list."""
    if isinstance(value, str):
        value = _parsed(value, list | dict, items)
    alone = str | bool | int | float if items.get("type") == "string" else dict
    if len(items.get("required", ())) == 1:
        alone = str | dict
    return [value] if isinstance(value, alone) else value


def _parsed(text: str, wanted: Any, items: Mapping[str, Any]) -> Any:
    """Return the value of JSON in a string, if it is of a wanted type; else the string.

    wanted: a type, or a union of types. items: schema of a wanted list's items. "null" is None, save for a list of texts.
    """
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text
    of_texts = items.get("type") == "string"
    if isinstance(parsed, dict) and of_texts:
        return text
    return parsed if isinstance(parsed, wanted) or (parsed is None and not of_texts) else text


def _written(value: float) -> Any:
    try:
        return json.dumps(value)
    except ValueError:  # an integer with more digits than Python writes: pydantic refuses it
        return value


def unknown_argument(tool: str, given: Mapping[str, object], known: list[str]) -> str:
    """Return the message for the first argument that the tool does not have, with a likely one that it has; "" if none."""
    for name in given:
        if name not in known:
            meant = SUGGESTED.get(name) or _name_meant(name, dict.fromkeys(known))
            hint = f" Did you mean {meant!r}?" if meant in known else did_you_mean(name[:LONGEST_QUOTED], known)
            there_are = ", ".join(known) or "none"
            return f"{tool} has no argument {quoted(name)}.{hint} Its arguments: {there_are}."
    return ""


def wrong_arguments(tool: str, error: ValidationError) -> str:
    """Return one clean line about the first wrong arguments, three at most."""
    problems = []
    for each in error.errors()[:3]:
        # Without the names of a union's members: "documents.0.id", not "documents.list[...].0.id".
        where = ".".join(map(str, filter(_is_place, each["loc"])))
        found = "" if each["type"] == "missing" else f" (found {_shown(each['input'])})"
        problems.append(f"{where}: {each['msg']}{found}")
    return f"{tool} was called with wrong arguments. {'; '.join(dict.fromkeys(problems))}."


def _shown(value: object) -> str:
    try:
        shown = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        shown = f"a value of type {type(value).__name__}"
    return one_line(brief(shown, LONGEST_QUOTED))


def _is_place(part: object) -> bool:
    return isinstance(part, int) or (str(part).isidentifier() and len(str(part)) <= LONGEST_QUOTED)
