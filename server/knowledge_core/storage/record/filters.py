"""From a caller's filter to one SQL condition over documents. Pure: values in, text and parameters out.

The operators are those that language models know from other stores. Everything a caller wrote becomes a parameter, never SQL.
A field is built in (`BUILT_IN`) or the name of a metadata field; `metadata.NAME` always means the latter.
A field that is a list matches when any of its elements does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge_core.errors import LONGEST_QUOTED, InvalidFilter, quoted
from knowledge_core.near_names import did_you_mean, listed
from knowledge_core.storage.filter_bounds import DEEPEST, check_bounds
from knowledge_core.types import composed

MODIFIED = (
    "CASE WHEN d.path IS NULL THEN d.indexed_at ELSE "
    "strftime('%Y-%m-%dT%H:%M:%SZ', d.mtime_ns / 1000000000, 'unixepoch') END"
)
"""SQL over `documents AS d`: when a document's file was last changed, or its text last given: ISO 8601, UTC."""

_COLUMNS = {
    "id": "d.id", "title": "d.title", "uri": "d.uri", "source": "d.source", "modified": MODIFIED, "indexed_at": "d.indexed_at",
}  # fmt: skip
BUILT_IN = tuple(_COLUMNS)
_COMPOSED = ("id", "source")
COMPARISONS = {"$eq": "=", "$ne": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
OPERATORS = (*COMPARISONS, "$in", "$nin", "$exists", "$glob", "$and", "$or", "$not")
LONGEST_LIST = 1_000  # values of $in and $nin
MOST = 256  # conditions; n conditions joined by AND nest n deep, and SQLite refuses 1,000
LONGEST_GLOB = 1_000  # characters; SQLite refuses 50,000


@dataclass(frozen=True)
class Condition:
    """An SQL expression over `documents AS d`, and its parameters in order."""

    sql: str
    parameters: tuple[Any, ...] = ()


EVERYTHING = Condition("1")


def parse(filter: Mapping[str, Any] | None, fields: Sequence[str]) -> Condition:
    """Return the condition of a filter; None and {} allow everything.

    fields: names of the metadata fields that there are.

    Raises:
        InvalidFilter: says which part is wrong, and which fields or operators there are.
    """
    if not filter:
        return EVERYTHING
    check_bounds(filter)
    if _conditions(filter) > MOST:
        raise InvalidFilter(f"The filter has more than {MOST} conditions; list values with $in instead of $or.")
    return _all_of(filter, fields, 1)


def _conditions(filter: Any) -> int:
    """Return how many comparisons a filter has, well-formed or not."""
    if isinstance(filter, Mapping):
        return sum(max(1, _conditions(value)) for value in filter.values())
    return sum(map(_conditions, filter)) if isinstance(filter, list) else 0


def _all_of(filter: Any, fields: Sequence[str], depth: int) -> Condition:
    if not isinstance(filter, Mapping):
        raise InvalidFilter(f'A filter is an object like {{"year": {{"$gte": 2020}}}}; found {quoted(filter)}.')
    if depth > DEEPEST:
        raise InvalidFilter(f"The filter is nested more than {DEEPEST} deep; write it flatter.")
    return _joined("AND", [_clause(name, value, fields, depth) for name, value in filter.items()])


def _clause(name: str, value: Any, fields: Sequence[str], depth: int) -> Condition:
    if name in ("$and", "$or"):
        if not isinstance(value, list) or not value:
            raise InvalidFilter(f"{name} takes a list of filters that is not empty; found {quoted(value)}.")
        return _joined(name[1:].upper(), [_all_of(each, fields, depth + 1) for each in value])
    if name == "$not":
        inner = _all_of(value, fields, depth + 1)
        return Condition(f"NOT ({inner.sql})", inner.parameters)
    if name.startswith("$"):
        raise InvalidFilter(_unknown_operator(name))
    field = _Field.named(name, fields)
    if not isinstance(value, Mapping):
        return field.compared("$eq", value)
    if not value:
        raise InvalidFilter(f'{quoted(name)} has no operator; write {{"{name[:LONGEST_QUOTED]}": {{"$eq": ...}}}}.')
    return _joined("AND", [_operation(field, operator, operand, depth) for operator, operand in value.items()])


def _operation(field: _Field, operator: str, operand: Any, depth: int) -> Condition:
    if operator in COMPARISONS:
        return field.compared(operator, operand)
    if operator in ("$in", "$nin"):
        return field.among(operator, operand)
    if operator == "$exists":
        if not isinstance(operand, bool):
            raise InvalidFilter(f"$exists takes true or false; found {quoted(operand)}.")
        return field.exists(operand)
    if operator == "$glob":
        if not isinstance(operand, str) or len(operand) > LONGEST_GLOB:
            raise InvalidFilter(
                f'$glob takes a pattern like "docs/*" of at most {LONGEST_GLOB} characters; found {quoted(operand)}.'
            )
        if _open_bracket(operand):
            raise InvalidFilter(f"$glob {quoted(operand)} has a [ without its ]; [[] stands for the character itself.")
        # SQLite does not try a star again once a later one has failed: its time grows with pattern times value.
        return field.any("e.type = 'text' AND e.value GLOB ?", field.spelled(operand))
    if operator == "$not":
        if not isinstance(operand, Mapping) or not operand:
            raise InvalidFilter(f'$not takes operators like {{"$gt": 5}}; found {quoted(operand)}.')
        if depth > DEEPEST:
            raise InvalidFilter(f"The filter is nested more than {DEEPEST} deep; write it flatter.")
        inner = _joined("AND", [_operation(field, each, value, depth + 1) for each, value in operand.items()])
        return Condition(f"NOT ({inner.sql})", inner.parameters)
    raise InvalidFilter(_unknown_operator(operator))


def _open_bracket(pattern: str) -> bool:
    """Say whether a set of characters is left open. A closing bracket right after the opening one belongs to the set."""
    at = pattern.find("[")
    while at >= 0:
        end = pattern.find("]", at + 2 + (pattern[at + 1 : at + 2] == "^"))
        if end < 0:
            return True
        at = pattern.find("[", end)
    return False


# Found by the decoded key, not by a JSON path: SQLite compares a path with the key as it is escaped in the JSON. Names with
# quotes, backslashes or (as Python escapes them) letters beyond ASCII would silently match nothing.
_ELEMENTS = (
    "(SELECT o.type, o.value FROM json_each(d.metadata) AS o WHERE o.key = ? AND o.type <> 'array' UNION ALL "
    "SELECT j.type, j.value FROM json_each(d.metadata) AS o, "
    "json_each(CASE o.type WHEN 'array' THEN o.value ELSE '[]' END) AS j WHERE o.key = ?)"
)


@dataclass(frozen=True)
class _Field:
    """One field of a document. elements: an SQL table `e (type, value)` of its elements; a scalar is one element."""

    name: str
    elements: str
    parameters: tuple[Any, ...]

    @classmethod
    def named(cls, name: str, fields: Sequence[str]) -> _Field:
        if name in BUILT_IN:
            column = _COLUMNS[name]
            return cls(name, f"(SELECT 'text' AS type, {column} AS value WHERE {column} IS NOT NULL)", ())
        inner = name.removeprefix("metadata.")
        if inner not in fields:
            raise InvalidFilter(_unknown_field(name, fields))
        return cls(name, _ELEMENTS, (inner, inner))

    def spelled(self, value: Any) -> Any:
        """Return what a caller compares the field with as the field is stored: ids are in Unicode's composed form."""
        return composed(value) if self.name in _COMPOSED and isinstance(value, str) else value

    def any(self, condition: str, *parameters: Any) -> Condition:
        return Condition(
            f"EXISTS (SELECT 1 FROM {self.elements} AS e WHERE {condition})", (*self.parameters, *parameters)
        )

    def exists(self, wanted: bool) -> Condition:
        found = self.any("e.type <> 'null'")
        return found if wanted else Condition(f"NOT ({found.sql})", found.parameters)

    def compared(self, operator: str, operand: Any) -> Condition:
        if operand is None:
            if operator not in ("$eq", "$ne"):
                raise InvalidFilter(f"{operator} cannot compare with null; use $exists.")
            return self.exists(operator == "$ne")
        types, value = _operand(self.name, operator, operand)
        found = self.any(f"e.type IN ({types}) AND e.value {COMPARISONS[operator]} ?", self.spelled(value))
        return Condition(f"NOT ({found.sql})", found.parameters) if operator == "$ne" else found

    def among(self, operator: str, operands: Any) -> Condition:
        if not isinstance(operands, list) or len(operands) > LONGEST_LIST:
            raise InvalidFilter(f"{operator} takes a list of at most {LONGEST_LIST} values; found {quoted(operands)}.")
        by_type: dict[str, list[Any]] = {}
        for operand in operands:
            if operand is not None:
                types, value = _operand(self.name, "$eq", operand)
                by_type.setdefault(types, []).append(self.spelled(value))
        # One list per type, not one comparison per value: each comparison reads the document's metadata again.
        parts = [
            self.any(f"e.type IN ({types}) AND e.value IN (SELECT value FROM json_each(?))", json.dumps(values))
            for types, values in by_type.items()
        ]
        if None in operands:
            parts.append(self.exists(False))
        found = _joined("OR", parts) if parts else Condition("0")
        return Condition(f"NOT ({found.sql})", found.parameters) if operator == "$nin" else found


def _operand(name: str, operator: str, operand: Any) -> tuple[str, Any]:
    """Return the JSON types that an operand compares with, as SQL, and the operand as an SQL value."""
    if isinstance(operand, bool):
        if operator not in ("$eq", "$ne"):
            raise InvalidFilter(f"{operator} cannot compare {quoted(name)} with {quoted(operand)}; use $eq.")
        return "'true', 'false'", int(operand)
    if isinstance(operand, int | float):
        if isinstance(operand, int) and abs(operand) >= 2**63:
            raise InvalidFilter(f"{quoted(operand)} is too large a number to compare {quoted(name)} with.")
        return "'integer', 'real'", operand
    if isinstance(operand, str):
        return "'text'", operand
    raise InvalidFilter(
        f"{operator} compares {quoted(name)} with a text, a number or true/false; found {quoted(operand)}."
    )


def _joined(word: str, conditions: Sequence[Condition]) -> Condition:
    if not conditions:
        return EVERYTHING
    sql = f" {word} ".join(f"({condition.sql})" for condition in conditions)
    return Condition(sql, tuple(value for condition in conditions for value in condition.parameters))


def _unknown_field(name: str, fields: Sequence[str]) -> str:
    known = [*BUILT_IN, *fields]
    return f"No document has a field {quoted(name)}.{did_you_mean(name, known)} There are: {listed(known)}."


def _unknown_operator(name: str) -> str:
    return f"Unknown operator {quoted(name)}.{did_you_mean(name, OPERATORS)} There are: {' '.join(OPERATORS)}."
