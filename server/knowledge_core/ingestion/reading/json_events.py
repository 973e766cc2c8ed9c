"""JSON text to events, without recursion and without a tree: 100,000 levels and 50 MB cost time and memory in proportion."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from knowledge_core.ingestion.decoding import clean_text

_FLAT_UP_TO = 2_000  # characters of a list of scalars that is one value
_NUMBERS_SHOWN = 16  # of a list of numbers; of a longer one the first eight
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_SCALAR = rf"(?:{_STRING}|-?\d[\d.eE+-]*|true|false|null)"
_KEY = re.compile(rf"\s*({_STRING})\s*:\s*", re.DOTALL)
_VALUE = re.compile(rf"\s*({_SCALAR}|[{{\[])", re.DOTALL)
_NEXT = re.compile(r"\s*([,\]}])")
_EMPTY = re.compile(r"\s*(\})")
_NONE = ""  # what null and {} say
_CLOSED = re.compile(r"\s*([\]}])")
_FLAT = re.compile(rf"\[\s*(?:{_SCALAR}(?:\s*,\s*{_SCALAR})*\s*)?\]", re.DOTALL)
_SCALARS = re.compile(_SCALAR, re.DOTALL)
_NUMERIC = re.compile(r"\[[\s\d.,eE+\-\[\]]*")
_NUMBER = re.compile(r"-?\d[\d.eE+-]*")
_BRACKETS = re.compile(r"[\[\]]")


class NotJson(ValueError):
    """The text is no JSON. at: where that shows."""

    def __init__(self, at: int) -> None:
        super().__init__(f"no JSON at character {at}")
        self.at = at


class Event(NamedTuple):
    """kind: a member's or item's value that is a scalar, or a list of scalars; or that an object or list begins or ends.

    key: the name of the member whose value this is or begins; None for an item of a list, and at the top.
    text: the value as people read it: escapes decoded, numbers as they are written, long lists of numbers cut; "" for null
        and what is empty.
    at: where an object or list begins.
    """

    kind: Literal["value", "object", "list", "end"]
    key: str | None = None
    text: str = ""
    at: int = 0


def events(text: str, at: int = 0, end: int | None = None) -> Iterator[Event]:
    """Yield what one JSON value at text[at:end] consists of, in its order.

    Raises:
        NotJson: it is none, or something follows it. What was yielded before is right as far as it goes.
    """
    return _Reader(text, at, len(text) if end is None else end).events()


def decoded(string: str) -> str:
    """Return what a JSON string says, given with its quotes."""
    if "\\" not in string:
        return string[1:-1]
    try:
        return clean_text(str(json.loads(string, strict=False)))
    except ValueError:  # an escape that there is not
        return string[1:-1]


class _Reader:
    def __init__(self, text: str, at: int, end: int) -> None:
        self._text, self._at, self._end = text, at, end
        self._numeric: dict[int, int] = {}  # where lists of numbers begin and end, in the latest run of them
        self._looked_until = at

    def events(self) -> Iterator[Event]:
        open_lists: list[bool] = []  # of each open container, whether it is a list
        key: str | None = None
        while True:
            event = self._value(key)
            yield event
            bracket = ""
            if event.kind != "value":
                open_lists.append(event.kind == "list")
                bracket = self._taken(_CLOSED, "")
            elif open_lists:
                bracket = self._taken(_NEXT)
            while bracket and bracket != ",":
                if open_lists.pop() != (bracket == "]"):
                    raise NotJson(self._at)
                yield Event("end")
                bracket = self._taken(_NEXT) if open_lists else ""
            if not open_lists:
                break
            key = None if open_lists[-1] else decoded(self._taken(_KEY))
        if self._text[self._at : self._end].strip():
            raise NotJson(self._at)

    def _taken(self, pattern: re.Pattern[str], otherwise: str | None = None) -> str:
        """Return what is next in the text, and go behind it."""
        found = pattern.match(self._text, self._at, self._end)
        if found:
            self._at = found.end()
            return found[1]
        if otherwise is None:
            raise NotJson(self._at)
        return otherwise

    def _value(self, key: str | None) -> Event:
        value = self._taken(_VALUE)
        if value == "{":
            at = self._at - 1
            return Event("value", key, _NONE) if self._taken(_EMPTY, "") else Event("object", key, "", at)
        if value == "[":
            return self._list(key, self._at - 1)
        return Event("value", key, _scalar(value))

    def _list(self, key: str | None, at: int) -> Event:
        if flat := _FLAT.match(self._text, at, min(self._end, at + _FLAT_UP_TO)):
            self._at = flat.end()
            items = [item for item in _SCALARS.findall(flat[0]) if item != "null"]
            if len(items) <= _NUMBERS_SHOWN or not all(_NUMBER.fullmatch(item) for item in items):
                return Event("value", key, ", ".join(map(_scalar, items)))
            return Event("value", key, _numbers(flat[0]))
        if stop := self._numbers_end(at):
            self._at = stop
            return Event("value", key, _numbers(self._text[at:stop]))
        return Event("list", key, at=at)

    def _numbers_end(self, at: int) -> int:
        """Return where a list of numbers, or of such lists, ends; 0 where something else is in it."""
        if at >= self._looked_until:
            run = _NUMERIC.match(self._text, at, self._end)
            self._looked_until = run.end() if run else at + 1
            self._numeric, opened = {}, []
            for bracket in _BRACKETS.finditer(self._text, at, self._looked_until):
                if bracket[0] == "[":
                    opened.append(bracket.start())
                elif opened:
                    self._numeric[opened.pop()] = bracket.end()
                else:
                    break
        return self._numeric.get(at, 0)


def _scalar(value: str) -> str:
    if value == "null":
        return _NONE
    return decoded(value) if value.startswith('"') else value


def _numbers(written: str) -> str:
    """Return numbers with commas between; of many the first eight and how many there are."""
    count = written.count(",") + 1
    shown = [found[0] for _, found in zip(range(min(count, _NUMBERS_SHOWN)), _NUMBER.finditer(written), strict=False)]
    if count <= _NUMBERS_SHOWN:
        return ", ".join(shown)
    return f"{', '.join(shown[: _NUMBERS_SHOWN // 2])}, … ({count} numbers)"
