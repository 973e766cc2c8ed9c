"""How deep and how large a filter may be: checked before any other code looks through the filter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from knowledge_core.errors import InvalidFilter

DEEPEST = 8  # filters within each other
_DEEPEST_VALUE = 4 * DEEPEST  # objects and lists within each other: room for every filter that is not too deep
LARGEST = 64_000  # characters of the filter as JSON


def check_bounds(filter: Mapping[str, Any] | None) -> None:
    """Refuse a filter that is too deep or too large to be looked through, or is no JSON.

    Raises:
        InvalidFilter: says which bound.
    """
    if _deeper_than(filter, _DEEPEST_VALUE):
        raise InvalidFilter(f"The filter is nested more than {DEEPEST} deep; write it flatter.")
    try:
        size = len(json.dumps(filter, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidFilter(f"The filter is not plain JSON: {error}.") from None
    if size > LARGEST:
        raise InvalidFilter(f"The filter is {size} characters long; {LARGEST} are the most.")


def _deeper_than(value: Any, depth: int) -> bool:
    if not isinstance(value, Mapping | list):
        return False
    return depth == 0 or any(
        _deeper_than(each, depth - 1) for each in (value.values() if isinstance(value, Mapping) else value)
    )
