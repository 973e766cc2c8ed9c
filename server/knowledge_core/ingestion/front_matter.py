"""The YAML block at the head of a Markdown file. Damaged front matter is text like any other, never an error.

Front matter stays in the document's text, so that line numbers are the file's own and its words can be found.
"""

from __future__ import annotations

import re

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is ten times faster, but needs libyaml
_LONGEST = 65_536  # characters; a longer block is no front matter
_DEEPEST = 16  # lists and mappings within each other
_LONGEST_NUMBER = 400  # characters; the largest float has 309 digits
_BLOCK = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def front_matter(text: str) -> tuple[dict[str, object], int]:
    """Return the fields of the front matter and where it ends; ({}, 0) where there is none."""
    found = _BLOCK.match(text, 0, _LONGEST)
    if not found:
        return {}, 0
    try:
        if not _harmless(found[1]):
            return {}, 0
        fields = yaml.load(found[1], Loader=_LOADER)  # a safe loader, and `_harmless` found no tags
    except (
        yaml.YAMLError,
        ValueError,
        OverflowError,
        RecursionError,
    ):  # as a date 2026-13-45, or a far too long number
        return {}, 0
    if not isinstance(fields, dict) or not fields:
        return {}, 0
    return {str(name): value for name, value in fields.items()}, found.end()


def _harmless(block: str) -> bool:
    """Say whether the YAML stays small when loaded: no aliases, no tags, no deep nesting, no very long number."""
    depth = 0
    for event in yaml.parse(block, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            return False
        if isinstance(event, yaml.ScalarEvent) and _is_endless_number(event):
            return False
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return False
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return True


def _is_endless_number(event: yaml.ScalarEvent) -> bool:
    """Say whether a value may be a number of very many digits: to parse one takes time quadratic in their number."""
    value: str = event.value
    return len(value) > _LONGEST_NUMBER and bool(event.implicit[0]) and value[0] in "+-.0123456789" and " " not in value
