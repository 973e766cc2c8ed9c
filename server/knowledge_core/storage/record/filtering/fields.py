"""One field of a document as a filter compares it, in SQL. Pure.

What a field is compared with is meant, not how it is stored: a number equals the text that writes it, and the beginning of
a date stands for the whole span, so that "2024-05" is all of May. Two texts are compared as texts else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge_core.errors import InvalidFilter, quoted
from knowledge_core.language.written_values import LONGEST_NUMBER, as_text, date_in, moment_in, number_in, written
from knowledge_core.near_names import did_you_mean, listed
from knowledge_core.storage.record.filtering.conditions import (
    NOTHING,
    AllowsNothing,
    Condition,
    Where,
    joined,
    negated,
)
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
_TIMES = ("modified", "indexed_at")
RANGES: Mapping[str, str] = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
LONGEST_LIST = 1_000  # values of $in and $nin
LONGEST_GLOB = 1_000  # characters; SQLite refuses 50,000

# Found by the decoded key, not by a JSON path: SQLite compares a path with the key as it is escaped in the JSON. Names with
# quotes, backslashes or (as Python escapes them) letters beyond ASCII would silently match nothing.
_ELEMENTS = (
    "(SELECT o.type, o.value, 0 AS listed FROM json_each(d.metadata) AS o WHERE o.key = ? AND o.type <> 'array' UNION ALL "
    "SELECT j.type, j.value, 1 FROM json_each(d.metadata) AS o, "
    "json_each(CASE o.type WHEN 'array' THEN o.value ELSE '[]' END) AS j WHERE o.key = ?)"
)


def _writes_number(text: str) -> str:
    """Return SQL that says whether a text writes a number: as `written_values.number_in`, for want of regular expressions."""
    return (
        f"{text} GLOB '[-0-9]*' AND {text} GLOB '*[0-9]' AND length({text}) <= {LONGEST_NUMBER} "
        f"AND substr({text}, 2) NOT GLOB '*[^0-9.]*' AND {text} NOT GLOB '-.*' AND {text} NOT GLOB '*.*.*' "
        f"AND {text} NOT GLOB '0[0-9]*' AND {text} NOT GLOB '-0[0-9]*'"
    )


KIND = (
    "CASE j.type WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number' WHEN 'true' THEN 'boolean' WHEN 'false' THEN 'boolean' "
    "WHEN 'null' THEN '' WHEN 'array' THEN CASE json_type(j.value, '$[0]') WHEN 'text' THEN 'text|written' "
    "WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number' ELSE '' END "
    f"ELSE CASE WHEN {_writes_number('j.value')} THEN 'written' ELSE 'text' END END"
)
"""SQL over `json_each AS j`: what a value can be compared with. "written": a text that writes a number; of lists, perhaps."""

_OF_TYPES = {
    "integer": "number", "real": "number", "true": "boolean", "false": "boolean", "null": "", "text": "text|written",
    "array": "text|written|number",
}  # fmt: skip
_SHOWN = {"text": "text", "number": "numbers", "boolean": "true or false", "written": "text"}
_NUMBER = "e.type IN ('integer', 'real') AND e.value"
_YEAR, _TWO = "[0-9]" * 4, "[0-9][0-9]"
_DAY = f"{_YEAR}-{_TWO}-{_TWO}"
_DATED = f"(e.value GLOB '{_YEAR}-{_TWO}' OR e.value GLOB '{_DAY}' OR e.value GLOB '{_DAY}[T ]{_TWO}*')"


def kinds_of(types: str) -> str:
    """Return the kinds, as `KIND`, that values of these JSON types can be of.

    >>> kinds_of("integer|text")
    'number|text|written'
    """
    return "|".join(filter(None, (_OF_TYPES.get(each, "") for each in types.split("|"))))


def _begins(length: int) -> str:
    """Return SQL for the first characters of a date that has more, and is written with a T before its time."""
    return f"substr(replace(e.value, ' ', 'T'), 1, {length})"


@dataclass(frozen=True)
class Field:
    """One field of a document. elements: an SQL table `e (type, value, listed)` of its elements; a scalar is one element.

    kinds: of its values, as `KIND`; empty where they are not known. unknown: what to say if no document has it.
    """

    name: str
    elements: str
    parameters: tuple[Any, ...]
    kinds: frozenset[str] = frozenset()
    unknown: str = ""

    @classmethod
    def named(cls, name: str, fields: Mapping[str, str]) -> Field:
        """Return a field by its name in a filter. fields: the metadata fields there are, and their kinds ("text|number")."""
        if name in BUILT_IN:
            column = _COLUMNS[name]
            return cls(name, f"(SELECT 'text' AS type, {column} AS value, 0 AS listed WHERE {column} IS NOT NULL)", ())
        inner = name.removeprefix("metadata.")
        kinds = frozenset(filter(None, fields.get(inner, "").split("|")))
        known = [*BUILT_IN, *fields]
        unknown = f"No document has a field {quoted(name)}.{did_you_mean(name, known)} There are: {listed(known)}."
        return cls(name, _ELEMENTS, (inner, inner), kinds, "" if inner in fields else unknown)

    def existing(self, where: Where) -> Condition:
        """Return the condition that the field has a value."""
        self._check_known(where)
        return self._any("e.type <> 'null'")

    def compared(self, operator: str, operand: Any, where: Where) -> Condition:
        """Return the condition that a value equals one of those given ($eq, $in), or lies on one side of one.

        Raises:
            AllowsNothing: no document can have such a value. InvalidFilter: the operator takes no such value.
        """
        operands = [operand]
        if operator == "$in":
            if not isinstance(operand, list) or len(operand) > LONGEST_LIST:
                raise InvalidFilter(
                    f"$in and $nin take a list of at most {LONGEST_LIST} values; found {quoted(operand)}."
                )
            operands = operand
        if None in operands and operator in RANGES:
            raise InvalidFilter(f"{operator} cannot compare with null; use $exists.")
        values = [self._operand(operator, each) for each in operands if each is not None]
        made = [self._side(operator, values[0])] if operator in RANGES else [self._among(values)] if values else []
        if None in operands:  # a document without the field is one of those asked for
            return joined("OR", [*made, negated(self.existing(where.negated()))])
        self._check_known(where)
        self._check_kinds(operator, values, where)
        return made[0] if made else NOTHING

    def holding(self, operator: str, operand: Any, where: Where) -> Condition:
        """Return the condition that a list has all of these values ($all), or one, or a text this part ($contains)."""
        if operator == "$all" or isinstance(operand, list):
            if not isinstance(operand, list) or not operand:
                raise InvalidFilter(f"$all takes a list of values that is not empty; found {quoted(operand)}.")
            return joined("AND", [self.compared("$eq", each, where) for each in operand])
        equal = self.compared("$eq", operand, where)
        if not isinstance(operand, str):
            return equal
        part = self._any("e.type = 'text' AND NOT e.listed AND instr(e.value, ?) > 0", self._spelled(operand))
        return joined("OR", [equal, part])

    def globbed(self, operand: Any, where: Where) -> Condition:
        """Return the condition that a text is matched by a pattern."""
        if not isinstance(operand, str) or len(operand) > LONGEST_GLOB:
            raise InvalidFilter(
                f'$glob takes a pattern like "docs/*" of at most {LONGEST_GLOB} characters; found {quoted(operand)}.'
            )
        if _open_bracket(operand):
            raise InvalidFilter(f"$glob {quoted(operand)} has a [ without its ]; [[] stands for the character itself.")
        self._check_known(where)
        self._check_kinds("$glob", [operand], where)
        # SQLite does not try a star again once a later one has failed: its time grows with pattern times value.
        return self._any("e.type = 'text' AND e.value GLOB ?", self._spelled(operand))

    def _any(self, condition: str, *parameters: Any) -> Condition:
        if self.unknown:
            return NOTHING
        return Condition(
            f"EXISTS (SELECT 1 FROM {self.elements} AS e WHERE {condition})", (*self.parameters, *parameters)
        )

    def _side(self, operator: str, operand: float | str) -> Condition:
        """Return the condition that a value lies on one side of a number or a text."""
        sign = RANGES[operator]
        if self.name in _TIMES:  # all in one form: "~" stands behind whatever follows the beginning
            return self._any(f"e.value {sign} ?", f"{operand}~" if operator in ("$gt", "$lte") else operand)
        if not isinstance(operand, str):
            text = f"e.type = 'text' AND {_writes_number('e.value')} AND CAST(e.value AS NUMERIC)"
            return self._any(f"({_NUMBER} {sign} ?) OR ({text} {sign} ?)", operand, operand)
        parts, parameters = [f"e.type = 'text' AND e.value {sign} ?"], [operand]
        if date := date_in(operand):
            longer = f"length(e.value) > {len(date)} AND {_DATED}"
            parts = [
                f"e.type = 'text' AND CASE WHEN {longer} THEN {_begins(len(date))} {sign} ? ELSE e.value {sign} ? END"
            ]
            parameters = [date, operand]
        if (number := number_in(operand)) is not None:
            return self._any(f"({parts[0]}) OR ({_NUMBER} {sign} ?)", *parameters, number)
        return self._any(parts[0], *parameters)

    def _among(self, values: Sequence[Any]) -> Condition:
        """Return the condition that a value equals one of these.

        One list per type, not one comparison per value: each comparison reads the document's metadata again.
        """
        truths = [each for each in values if isinstance(each, bool)]
        numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
        texts = [each for each in values if isinstance(each, str)]
        by_type: dict[str, list[Any]] = {
            "e.type IN ('true', 'false') AND e.value": truths,
            _NUMBER: [*numbers, *(n for text in texts if (n := number_in(text)) is not None and written(n) == text)],
            "e.type = 'text' AND e.value": [*texts, *map(written, numbers)],
        }
        for date in filter(None, map(date_in, texts)):
            longer = f"e.type = 'text' AND length(e.value) > {len(date)} AND {_DATED} AND {_begins(len(date))}"
            longer = f"substr(e.value, 1, {len(date)})" if self.name in _TIMES else longer
            by_type.setdefault(longer, []).append(date)
        lists = {value: each for value, each in by_type.items() if each}
        parts = [f"({value} IN (SELECT value FROM json_each(?)))" for value in lists]
        return self._any(" OR ".join(parts), *map(json.dumps, lists.values()))

    def _check_known(self, where: Where) -> None:
        if self.unknown and where.asserted:
            raise AllowsNothing(self.unknown)

    def _check_kinds(self, operator: str, values: Sequence[Any], where: Where) -> None:
        """Refuse values of a type that no value of the field has, where they are to let documents in."""
        if not (self.kinds and values and where.asserted) or any(
            _kinds(each, operator) & self.kinds for each in values
        ):
            return
        there = " and ".join(dict.fromkeys(_SHOWN[kind] for kind in sorted(self.kinds)))
        given = values[0]
        kind = "true or false" if isinstance(given, bool) else "a text" if isinstance(given, str) else "a number"
        remedy = f' Write a text, as "{as_text(given)}".' if kind == "a number" and "text" in self.kinds else ""
        raise AllowsNothing(
            f"{quoted(self.name)} holds {there} here; {operator} was given {kind}, {quoted(given)}.{remedy}"
        )

    def _operand(self, operator: str, operand: Any) -> Any:
        """Return a value as the field is compared with it; a time as the beginning of a UTC time."""
        if self.name in _TIMES:
            text = str(operand) if type(operand) is int else operand
            if not isinstance(text, str) or not (found := moment_in(text)):
                raise InvalidFilter(
                    f'{quoted(self.name)} is a time in UTC: compare it with "2024", "2024-05", "2024-05-12" or '
                    f'"2024-05-12T18:05:00Z"; found {quoted(operand)}.'
                )
            return found
        if isinstance(operand, bool) and operator in RANGES:
            raise InvalidFilter(f"{operator} cannot compare {quoted(self.name)} with {quoted(operand)}; use $eq.")
        if isinstance(operand, int) and abs(operand) >= 2**63:
            raise InvalidFilter(f"{quoted(operand)} is too large a number to compare {quoted(self.name)} with.")
        if isinstance(operand, str):
            return self._spelled(operand)
        if isinstance(operand, int | float):
            return operand
        several = " $in and $all take lists." if isinstance(operand, list) else ""
        raise InvalidFilter(
            f"{operator} compares {quoted(self.name)} with a text, a number or true/false; found {quoted(operand)}.{several}"
        )

    def _spelled(self, value: str) -> str:
        """Return what a caller compares the field with as the field is stored: ids are in Unicode's composed form."""
        return composed(value) if self.name in _COMPOSED else value


def _kinds(value: Any, operator: str) -> set[str]:
    """Return the kinds of values, as `KIND`, that one can equal, lie beside or match."""
    if isinstance(value, bool):
        return {"boolean"}
    if not isinstance(value, str):
        return {"number", "written"}
    return {"text", "written"} | ({"number"} if operator != "$glob" and number_in(value) is not None else set())


def _open_bracket(pattern: str) -> bool:
    """Say whether a set of characters is left open. A closing bracket right after the opening one belongs to the set."""
    at = pattern.find("[")
    while at >= 0:
        end = pattern.find("]", at + 2 + (pattern[at + 1 : at + 2] == "^"))
        if end < 0:
            return True
        at = pattern.find("[", end)
    return False
