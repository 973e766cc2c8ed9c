"""What stands above a note's text about it: front matter in YAML (`---`), TOML (`+++`) or JSON, or lines "Title: x".

Values are those of YAML 1.2's core schema, whose texts stay what was written: `NO`, `12:30`, `1_000` and dates are text, and
so is a number with leading zeros. Where a block is no sound YAML or TOML, its lines that read "key: value" still count.
Front matter stays in the document's text, so that line numbers are the file's own.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import tomllib
from collections.abc import Iterator

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is ten times faster, but needs libyaml
_LONGEST = 65_536  # characters; a longer block is no front matter
_DEEPEST = 16  # lists and mappings within each other
_MOST_ITEMS, _LONGEST_TEXT = 500, 4000  # of a field of a damaged block: lists and texts are put together line by line
_LONGEST_NUMBER = 400  # characters; the largest float has 309 digits
_BLOCK = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TOML = re.compile(r"\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_JSON = re.compile(r";;;[ \t]*\n(.*?)^;;;[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_AFTER_JSON = re.compile(r"[ \t]*\n\s*(?=\S)")
# MultiMarkdown's metadata, as Pelican and MkDocs have it. Only with a title first: any letter may begin with "Re: ...".
_HEAD = re.compile(r"title:[ \t]+\S[^\n]*\n(?:[A-Za-z][\w -]{0,40}:[^\n]*\n|[ \t]+\S[^\n]*\n)*(?=\n)", re.IGNORECASE)
_NOTHING = re.compile(r"(?:\s|#[^\n]*)*\Z")  # white space and comments

AS_WRITTEN = frozenset({"title", "tags", "tag", "keywords", "aliases", "alias"})
"""Fields whose values are always text, as they were written: a title may be 1984 or 1.10, a tag 2026."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE"})
# As in YAML 1.2's core schema, but without leading zeros: 01234 is a code of post or of a product.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")

_KEY = r"""(?P<key>[^\s:=#*>|`!&%@{}\[\]"'-][^:=\n]{0,98}?|"[^"\n]{1,98}"|'[^'\n]{1,98}')"""
_YAML_LINE = re.compile(_KEY + r"[ \t]*:(?:[ \t]+(?P<value>.*))?\Z")
_TOML_LINE = re.compile(_KEY + r"[ \t]*=[ \t]*(?P<value>.*)\Z")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)\Z")
_QUOTED = re.compile(r"""(["'])(.*)\1\Z""")


def front_matter(text: str) -> tuple[dict[str, object], int]:
    """Return the fields of the front matter and where it ends; ({}, 0) where there is none.

    The values are texts, numbers, true, false and null, and lists and mappings of these.
    """
    for pattern, read in ((_BLOCK, _of_yaml), (_TOML, _of_toml), (_JSON, _of_json)):
        if found := pattern.match(text, 0, _LONGEST):
            fields = read(found[1])
            return (fields, found.end()) if fields or _NOTHING.match(found[1]) else ({}, 0)
    if text.startswith("{"):
        return _of_json_head(text)
    head = _HEAD.match(text, 0, _LONGEST)
    if not head:
        return {}, 0
    return {name.lower(): value for name, value in _by_lines(head[0], _YAML_LINE).items()}, head.end()


def value_of(text: str) -> object:
    """Return what a plain scalar of YAML 1.2's core schema is.

    >>> [value_of(text) for text in ("7", "1.5", "true", "01234", "NO", "12:30", "2026-01-31")]
    [7, 1.5, True, '01234', 'NO', '12:30', '2026-01-31']
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) > _LONGEST_NUMBER or text[0] not in "+-.0123456789":  # to parse one takes time quadratic in its digits
        return text
    if _INTEGER.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if _FLOAT.match(text) and math.isfinite(number := float(text)):
        return number
    return text


class _Refused(Exception):
    """The block holds what is not followed: an alias, a tag, deep nesting, a key that is no scalar."""


def _of_yaml(block: str) -> dict[str, object]:
    try:
        loaded = _built(yaml.parse(block, Loader=_LOADER))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, _Refused):
        return _by_lines(block, _YAML_LINE)
    return loaded if isinstance(loaded, dict) else {}


def _built(events: Iterator[yaml.Event]) -> object:
    """Return the value that YAML's events tell, without recursion; nothing of it is larger than the text it is from.

    Raises:
        _Refused: as above.
    """
    root: list[object] = []
    containers: list[list[object] | dict[str, object]] = [root]
    keys: list[str | None] = [None]  # for each open mapping, the key whose value comes next
    field = ""  # of the outermost mapping
    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise _Refused
        if isinstance(event, yaml.CollectionEndEvent):
            containers.pop()
            keys.pop()
        if not isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            continue
        parent = containers[-1]
        if isinstance(parent, dict) and keys[-1] is None:
            keys[-1] = key = _key(event)
            field = key if len(containers) == 2 else field
            continue
        value = _begun(event, as_written=field.lower() in AS_WRITTEN)
        if isinstance(parent, dict):
            parent[keys[-1] or ""], keys[-1] = value, None
        else:
            parent.append(value)
        if isinstance(value, (list, dict)):
            containers.append(value)
            keys.append(None)
            if len(containers) > _DEEPEST:
                raise _Refused
    return root[0] if root else None


def _key(event: yaml.Event) -> str:
    if not isinstance(event, yaml.ScalarEvent):  # as of "title: {{title}}", which a template left
        raise _Refused
    return str(event.value)


def _begun(event: yaml.Event, *, as_written: bool) -> object:
    """Return a scalar's value, or an empty list or mapping."""
    if isinstance(event, yaml.ScalarEvent):
        plain = bool(event.implicit[0]) and not (as_written and event.value not in _NULL)
        return value_of(event.value) if plain else event.value
    return [] if isinstance(event, yaml.SequenceStartEvent) else {}


def _of_toml(block: str) -> dict[str, object]:
    try:
        fields = tomllib.loads(block)
    except (ValueError, RecursionError):
        return _by_lines(block, _TOML_LINE)
    return {name: _plain(value, as_written=name.lower() in AS_WRITTEN) for name, value in fields.items()}


def _plain(value: object, *, as_written: bool = False) -> object:
    """Return a value of TOML with its dates as texts, as far as the first level of a list."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item, as_written=as_written) for item in value if not isinstance(item, list)] or value
    return json.dumps(value) if as_written and isinstance(value, (bool, int, float)) else value


def _of_json(block: str) -> dict[str, object]:
    try:
        fields = json.loads(block if block.lstrip().startswith("{") else f"{{{block}}}")
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _of_json_head(text: str) -> tuple[dict[str, object], int]:
    """Return the JSON object at the beginning of a text, as Hugo has it; nothing where no text follows it."""
    try:
        fields, end = json.JSONDecoder().raw_decode(text[:_LONGEST])
    except (ValueError, RecursionError):
        return {}, 0
    after = _AFTER_JSON.match(text, end)
    return (fields, after.end()) if fields and after else ({}, 0)


def _by_lines(block: str, pattern: re.Pattern[str]) -> dict[str, object]:
    """Return what the lines of a damaged block say, each by itself; nothing where most of them are no fields.

    Below a field without a value stand the items of its list; an indented line goes on with the text above it.
    """
    fields: dict[str, object] = {}
    name, lines, understood = "", 0, 0
    for line in block.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        lines += 1
        if found := pattern.match(line):
            name = _unquoted(found["key"].strip())
            fields[name] = _line_value(found["value"] or "", as_written=name.lower() in AS_WRITTEN)
        elif not name:
            return {}
        elif item := _ITEM.match(line):
            earlier = fields[name]
            items = earlier if isinstance(earlier, list) else [] if earlier is None else [earlier]
            fields[name] = [*items, _line_value(item[1], as_written=True)] if len(items) < _MOST_ITEMS else items
        elif line[0].isspace():
            fields[name] = " ".join(str(part) for part in (fields[name], line.strip()) if part is not None)[
                :_LONGEST_TEXT
            ]
        else:
            continue
        understood += 1
    return fields if understood * 2 > lines else {}


def _line_value(text: str, *, as_written: bool) -> object:
    text = text.strip()[:_LONGEST_TEXT]
    if text.startswith("[") and text.endswith("]") and not text.startswith("[["):
        return [_unquoted(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    if as_written and text not in _NULL:
        return _unquoted(text)
    return text[1:-1] if _QUOTED.match(text) else value_of(text)


def _unquoted(text: str) -> str:
    return text[1:-1] if _QUOTED.match(text) else text
