"""From a caller's filter to one SQL condition over documents. Pure: values in, text and parameters out.

The operators are those that language models know from other stores, in other spellings, too. Everything a caller wrote
becomes a parameter, never SQL. Rules kept here (docs/searching.md tells them to a reader):
- A field is built in (`BUILT_IN`) or the name of a metadata field; `metadata.NAME` always means the latter.
- A field that is a list matches when any of its elements does.
- A field that no document has is an error, and so is a value of a type that no value of the field has, where that part of
  the filter is to let documents in. What is true without the field ($ne, $nin, $exists: false, within $not) is none, nor
  is an alternative of an $or that has another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knowledge_core.errors import LONGEST_QUOTED, InvalidFilter, quoted
from knowledge_core.near_names import did_you_mean
from knowledge_core.storage.filter_bounds import check_bounds
from knowledge_core.storage.record.filtering.conditions import (
    EVERYTHING,
    AllowsNothing,
    Condition,
    Where,
    joined,
    negated,
)
from knowledge_core.storage.record.filtering.fields import BUILT_IN, MODIFIED, RANGES, Field

__all__ = ["BUILT_IN", "MODIFIED", "OPERATORS", "Condition", "parse", "unknown_fields"]

OPERATORS = ("$eq", "$ne", *RANGES, "$in", "$nin", "$exists", "$glob", "$contains", "$all", "$and", "$or", "$not")
_SPELLINGS = {
    "=": "$eq", "==": "$eq", "!=": "$ne", "<>": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte",
    "not_in": "$nin", "$not_in": "$nin", "$notIn": "$nin", "$any": "$in",
} | {each.removeprefix("$"): each for each in OPERATORS}  # fmt: skip
_INSTEAD = dict.fromkeys(
    ("$regex", "$like", "$ilike", "$match", "$startsWith", "$starts_with", "$endsWith", "$ends_with"),
    ' Use $glob, as "a*", or $contains.',
) | {"$between": ' Use {"$gte": ..., "$lte": ...}.', "$not_contains": ' Use {"$not": {"$contains": ...}}.'}
MOST = 256  # conditions; n conditions joined by AND nest n deep, and SQLite refuses 1,000

Fields = Mapping[str, str]


def parse(filter: Mapping[str, Any] | None, fields: Fields) -> Condition:
    """Return the condition of a filter; None and {} allow everything.

    fields: the metadata fields that there are, each with the kinds of its values ("text|number"; see `fields.KIND`).

    Raises:
        InvalidFilter: says which part is wrong, and which fields, operators or types there are.
    """
    if not filter:
        return EVERYTHING
    check_bounds(filter)
    if _conditions(filter) > MOST:
        raise InvalidFilter(f"The filter has more than {MOST} conditions; list values with $in instead of $or.")
    return _all_of(filter, fields, Where())


def unknown_fields(filter: Mapping[str, Any] | None, fields: Fields) -> list[str]:
    """Return the fields that a well-formed filter names and no document has, each once, in the filter's order."""
    names = dict.fromkeys(_named(filter))
    return [name for name in names if name not in BUILT_IN and name.removeprefix("metadata.") not in fields]


def named(filter: Mapping[str, Any] | None) -> list[str]:
    """Return the names of the metadata fields in a well-formed filter, sorted; built-in ones may be among them."""
    return sorted({name.removeprefix("metadata.") for name in _named(filter)})


def has_numbers(filter: Any) -> bool:
    """Say whether anything in a filter is compared with a number."""
    if isinstance(filter, Mapping):
        filter = list(filter.values())
    if isinstance(filter, list):
        return any(map(has_numbers, filter))
    return isinstance(filter, int | float) and not isinstance(filter, bool)


def _named(filter: Any) -> Iterator[str]:
    if isinstance(filter, Mapping):
        for name, value in filter.items():
            if name in ("$and", "$or", "$not"):
                yield from _named(value)
            else:
                yield name
    elif isinstance(filter, list):
        for each in filter:
            yield from _named(each)


def _conditions(filter: Any) -> int:
    """Return how many comparisons a filter has, well-formed or not. Those of $all and $contains are joined one by one."""
    if isinstance(filter, Mapping):
        return sum(
            len(value)
            if isinstance(value, list) and _SPELLINGS.get(name, name) in ("$all", "$contains")
            else max(1, _conditions(value))
            for name, value in filter.items()
        )
    return sum(map(_conditions, filter)) if isinstance(filter, list) else 0


def _all_of(filter: Any, fields: Fields, where: Where) -> Condition:
    if not isinstance(filter, Mapping):
        raise InvalidFilter(f'A filter is an object like {{"year": {{"$gte": 2020}}}}; found {quoted(filter)}.')
    return joined("AND", [_clause(name, value, fields, where) for name, value in filter.items()])


def _clause(name: str, value: Any, fields: Fields, where: Where) -> Condition:
    if name in ("$and", "$or"):
        return _several(name, value, fields, where)
    if name == "$not":
        return negated(_all_of(value, fields, where.inside().negated()))
    if name.startswith("$"):
        raise InvalidFilter(_unknown_operator(name))
    if isinstance(value, list):  # as models write "any of"
        value = {"$in": value}
    elif not isinstance(value, Mapping):
        value = {"$eq": value}
    if not value:
        raise InvalidFilter(f'{quoted(name)} has no operator; write {{"{name[:LONGEST_QUOTED]}": {{"$eq": ...}}}}.')
    field = Field.named(name, fields)
    return joined("AND", [_operation(field, operator, operand, fields, where) for operator, operand in value.items()])


def _several(name: str, filters: Any, fields: Fields, where: Where) -> Condition:
    """Return what $and or $or allows. An alternative that can allow nothing is passed over as long as another one can."""
    if not isinstance(filters, list) or not filters:
        raise InvalidFilter(f"{name} takes a list of filters that is not empty; found {quoted(filters)}.")
    found: list[Condition] = []
    refused: list[AllowsNothing] = []
    for each in filters:
        try:
            found.append(_all_of(each, fields, where.inside()))
        except AllowsNothing as error:
            if name == "$and" or not where.asserted:
                raise
            refused.append(error)
    if not found:
        raise refused[0]
    return joined(name[1:].upper(), found)


def _operation(field: Field, operator: str, operand: Any, fields: Fields, where: Where) -> Condition:
    operator = _SPELLINGS.get(operator, operator)
    if operator in ("$ne", "$nin"):
        return negated(field.compared({"$ne": "$eq", "$nin": "$in"}[operator], operand, where.negated()))
    if operator in ("$eq", "$in", *RANGES):
        return field.compared(operator, operand, where)
    if operator in ("$all", "$contains"):
        return field.holding(operator, operand, where)
    if operator == "$glob":
        return field.globbed(operand, where)
    if operator == "$exists":
        if not isinstance(operand, bool):
            raise InvalidFilter(f"$exists takes true or false; found {quoted(operand)}.")
        return field.existing(where) if operand else negated(field.existing(where.negated()))
    if operator == "$not":
        if not isinstance(operand, Mapping) or not operand:
            raise InvalidFilter(f'$not takes operators like {{"$gt": 5}}; found {quoted(operand)}.')
        return _clause("$not", {field.name: operand}, fields, where)
    if operator in ("$and", "$or"):
        several: Sequence[Any] = operand if isinstance(operand, list) else []
        return _several(operator, [{field.name: each} for each in several], fields, where)
    raise InvalidFilter(_unknown_operator(operator))


def _unknown_operator(name: str) -> str:
    instead = _INSTEAD.get(name) or did_you_mean(name, OPERATORS)
    return f"Unknown operator {quoted(name)}.{instead} There are: {' '.join(OPERATORS)}."
