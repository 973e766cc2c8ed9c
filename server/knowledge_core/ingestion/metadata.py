"""What may stand in a document's metadata: scalars and lists of scalars, within bounds.

Two attitudes to the same rule: what a file says about itself is taken as far as it fits (`from_file`); what a caller
gives is taken whole or refused (`from_caller`).
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping

from knowledge_core.errors import InvalidInput
from knowledge_core.types import MetadataValue

MOST_FIELDS = 64
MOST_BYTES = 16_384  # of the whole as JSON
MOST_NAME = 100  # characters
RESERVED = frozenset({"id", "title", "uri", "source"})  # a filter means the document's own when it names these
_OWN = frozenset({"format", "language", "pages"})  # what the readers say, which a file cannot overrule
_LARGEST = 2**63 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def from_file(found: Mapping[str, object], own: Mapping[str, MetadataValue]) -> dict[str, MetadataValue]:
    """Return `own` and, after it, what of `found` fits: dates as ISO text, anything nested as JSON text.

    A found name that is reserved, or that `own` or the readers use, gets "file_" before it.
    """
    result = dict(own)
    room = MOST_BYTES - len(json.dumps(result))
    for name, value in found.items():
        key = _CONTROL.sub(" ", str(name)).strip()
        key = f"file_{key}" if key in RESERVED | _OWN | own.keys() else key
        try:
            plain = _tags(value) if key in ("tags", "keywords") else _plain(value)
            size = len(json.dumps({key: plain}))
        except (TypeError, ValueError):  # a date as a name within; a number of thousands of digits
            continue
        if plain is None or not 1 <= len(key) <= MOST_NAME or key.startswith("$") or len(result) >= MOST_FIELDS:
            continue
        if size <= room:
            room -= size
            result[key] = plain
    return result


def from_caller(given: Mapping[str, object], where: str) -> dict[str, MetadataValue]:
    """Return the metadata as it is given.

    where: what the message begins with.

    Raises:
        InvalidInput: a name or value that cannot be kept, or too much of it.
    """
    result: dict[str, MetadataValue] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not 1 <= len(name) <= MOST_NAME or _CONTROL.search(name):
            raise InvalidInput(f"{where}: a metadata name must be text of 1 to {MOST_NAME} printable characters.")
        if name in RESERVED or name.startswith("$"):
            raise InvalidInput(
                f"{where}: metadata may not be named {name!r} (reserved: {', '.join(sorted(RESERVED))}, and names "
                "that begin with $). Rename it."
            )
        result[name] = _checked(value, f"{where}: metadata {name!r}")
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
    """Turn anything YAML can hold into what metadata can; None where nothing is left of it."""
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
    """Return tags as a list of texts, also where they are written as one text with commas."""
    items = value if isinstance(value, list) else str(value or "").split(",")
    return [text for item in items if (text := str(item).strip())] or None
