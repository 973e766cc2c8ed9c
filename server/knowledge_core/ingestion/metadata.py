"""What a document's metadata may hold: scalars and lists of scalars, within bounds.

One rule, applied in two ways: of what a file says about itself, all that fits is taken (`from_file`); what a caller
gives is taken as a whole or refused (`from_caller`).
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping

from knowledge_core.errors import InvalidInput, quoted
from knowledge_core.types import MetadataValue

MOST_FIELDS = 64
MOST_BYTES = 16_384  # of all metadata of a document, as JSON
MOST_NAME = 100  # characters
RESERVED = frozenset({"id", "title", "uri", "source"})  # in a filter, these names mean the document's own fields
_OWN = frozenset(
    {"format", "language", "pages", "pages_without_text"}
)  # set by the readers; a file cannot overrule them
_LARGEST = 2**63 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def from_file(found: Mapping[str, object], own: Mapping[str, MetadataValue]) -> dict[str, MetadataValue]:
    """Return `own`, then as much of `found` as fits: dates as ISO text, anything nested as JSON text.

    A name in `found` that is reserved, or used by `own` or the readers, gets the prefix "file_".
    """
    result = dict(own)
    room = MOST_BYTES - len(json.dumps(result))
    for name, value in found.items():
        key = _CONTROL.sub(" ", str(name)).strip()
        key = f"file_{key}" if key in RESERVED | _OWN | own.keys() else key
        try:
            plain = _tags(value) if key in ("tags", "keywords") else _plain(value)
            size = len(json.dumps({key: plain}))
        except (TypeError, ValueError):  # a nested name that is a date; a number of thousands of digits
            continue
        if plain is None or not 1 <= len(key) <= MOST_NAME or key.startswith("$") or len(result) >= MOST_FIELDS:
            continue
        if size <= room:
            room -= size
            result[key] = plain
    return result


def from_caller(given: Mapping[str, object], where: str) -> dict[str, MetadataValue]:
    """Return a caller's metadata unchanged.

    where: the beginning of an error message, as "Document 'x'".

    Raises:
        InvalidInput: a name or value cannot be kept, or there is too much of them.
    """
    result: dict[str, MetadataValue] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not 1 <= len(name) <= MOST_NAME or _CONTROL.search(name):
            raise InvalidInput(f"{where}: a metadata name must be text of 1 to {MOST_NAME} printable characters.")
        if name in RESERVED or name.startswith("$"):
            raise InvalidInput(
                f"{where}: metadata may not be named {quoted(name)} (reserved: {', '.join(sorted(RESERVED))}, and names "
                "that begin with $). Rename it."
            )
        result[name] = _checked(value, f"{where}: metadata {quoted(name)}")
    if len(result) > MOST_FIELDS:
        raise InvalidInput(f"{where}: {len(result)} metadata fields; at most {MOST_FIELDS}.")
    size = len(json.dumps(result, ensure_ascii=False).encode("utf-8"))
    if size > MOST_BYTES:
        raise InvalidInput(f"{where}: the metadata has {size} bytes as JSON; at most {MOST_BYTES}.")
    return result


def _checked(value: object, where: str) -> MetadataValue:
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, (list, tuple)) for item in value):
            raise InvalidInput(f"{where} mixes kinds: a list holds either text or numbers, no lists.")
        items = [_checked(item, where) for item in value]
        if all(isinstance(item, str) for item in items):
            return [item for item in items if isinstance(item, str)]
        numbers = [item for item in items if isinstance(item, (int, float)) and not isinstance(item, bool)]
        if len(numbers) == len(items):
            return _numbers(numbers)
        raise InvalidInput(f"{where} mixes kinds: a list holds either text or numbers.")
    if isinstance(value, str):
        if re.search(r"[\x00\ud800-\udfff]", value):
            raise InvalidInput(f"{where} holds a NUL or half a surrogate pair. Remove it.")
        return value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise InvalidInput(
        f"{where} is {_kind(value)}: it must be text, a finite number of at most 64 bits, true, false, null, or a "
        "list of texts or of numbers. Dates go in as ISO text, 2026-01-31."
    )


def _kind(value: object) -> str:
    if isinstance(value, (int, float)):
        return "a number out of range"
    return "an object" if isinstance(value, Mapping) else f"of type {type(value).__name__}"


def _numbers(numbers: list[int | float]) -> MetadataValue:
    whole = [number for number in numbers if isinstance(number, int)]
    return whole if len(whole) == len(numbers) else [float(number) for number in numbers]


def _plain(value: object) -> MetadataValue:
    """Turn any value that YAML can hold into one that metadata can; None where nothing is left."""
    if isinstance(value, str):
        return re.sub(r"[\x00\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", value.strip()) or None
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if abs(value) <= _LARGEST else str(value)  # NaN compares false and becomes text too
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        numbers = [item for item in items if isinstance(item, (int, float)) and not isinstance(item, bool)]
        if numbers and len(numbers) == len(items):
            return _numbers(numbers)
        return [item if isinstance(item, str) else json.dumps(item) for item in items if item is not None] or None
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, Mapping) and value else None


def _tags(value: object) -> MetadataValue:
    """Return tags as a list of texts; they may be written as one text with commas."""
    items = value if isinstance(value, list) else str(value or "").split(",")
    return [text for item in items if (text := str(item).strip())] or None
