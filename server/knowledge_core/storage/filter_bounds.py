"""How deep and how large a filter may be: to be checked before anything looks through it, whoever that is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from knowledge_core.errors import InvalidFilter

DEEPEST = 8
# Objects and lists within each other; what is deeper is refused before it is looked through.
_DEEPEST_VALUE = 4 * DEEPEST
LARGEST = 64_000  # characters of the filter as JSON


def check_bounds(filter: Mapping[str, Any] | None) -> None:
    """Refuse what is too deep or too large to be looked through, or no JSON; to be called before anything else.

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
