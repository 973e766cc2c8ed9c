"""From arguments as hosts send them to arguments as they are meant, and the messages for wrong ones. Pure.

Hosts and models fill in every argument of a schema with null, write lists and objects as JSON in a string, and send one
text where a list is wanted. What is meant follows from the type in the schema, and from nothing else:
- a text stays the text that was sent, also if it looks like JSON;
- a list or an object may come as JSON in a string, and a single item in place of a list of one;
- a number or boolean in place of a text becomes its JSON form;
- null for an argument that may be left out means left out, also inside objects; any other null stays, and is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from knowledge_core.errors import LONGEST_QUOTED, quoted
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import brief, did_you_mean

SYNONYMS: Mapping[str, str] = {
    # Names that models carry over from other search tools; used only if the tool has the argument on the right.
    "top_k": "limit", "k": "limit", "n": "limit", "n_results": "limit", "max_results": "limit", "num_results": "limit",
    "count": "limit", "size": "limit", "text": "query", "q": "query", "question": "query", "input": "texts",
    "collection_name": "collection", "namespace": "collection", "index": "collection", "index_name": "collection",
    "document": "id", "document_id": "id", "doc_id": "id", "path": "paths", "file": "paths", "folder": "paths",
    "where": "filter", "filters": "filter", "content": "documents", "job_id": "id", "timeout": "wait_seconds",
    "num_clusters": "k", "n_clusters": "k", "threshold": "similarity", "min_similarity": "similarity",
    "categories": "labels", "classes": "labels", "page_token": "cursor", "offset": "cursor",
}  # fmt: skip


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
        parsed = _parsed(value, dict, {}) if isinstance(value, str) else value
        return _members(parsed, schema) if isinstance(parsed, dict) and "properties" in schema else parsed
    return value


def _members(given: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an object as it is meant; None if each of its members means left out."""
    meant = as_meant(given, schema)
    return None if given and not meant else meant


def _listed(value: Any, items: Mapping[str, Any]) -> Any:
    """Return the list that is meant; the value itself if it cannot mean a list."""
    if isinstance(value, str):
        value = _parsed(value, list | dict, items)
    alone = str | bool | int | float if items.get("type") == "string" else dict
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
            meant = SYNONYMS.get(name, "")
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
