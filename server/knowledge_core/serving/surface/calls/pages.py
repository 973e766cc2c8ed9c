"""What one answer holds: whole items, the same ones as text and as structure, and an end that is never cut.

A host shows its model the text, or the structure, or both (docs/clients.md), so both stop after the same item, and
what goes on there (the cursor) and what must be known of the whole (counts, notices) stands behind the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import TypeVar

from pydantic import BaseModel

TEXT_CAP = 20_000  # bytes of a tool's text block; the least of the limits that clients are known to have
STRUCTURE_CAP = 48_000  # characters of JSON; Claude Code moves a result of more than 50,000 out of the model's sight
END = 4_000  # of each, kept for the counts, the notices and the cursor
ROOM_OF_NOTICES = 2_000  # bytes
LONGEST_NOTICE = 700  # characters

_Item = TypeVar("_Item", bound=BaseModel)


class Room:
    """What an answer has left for its items. Ask item by item, in order, until one gets none.

    The first always gets in, so that every page moves on: the fields of an item must be bounded where it is made.
    text: bytes. structure: characters of JSON.
    """

    def __init__(self, text: int = TEXT_CAP - END, structure: int = STRUCTURE_CAP - END) -> None:
        self._text, self._structure, self._any = text, structure, False

    def takes(self, text: str, structure: BaseModel) -> bool:
        """Say whether an item still fits, as text and as structure, and take its share."""
        self._text -= len(text.encode("utf-8", "replace")) + len("\n\n")
        self._structure -= len(structure.model_dump_json()) + len(",")
        fits = not self._any or (self._text >= 0 and self._structure >= 0)
        self._any = True
        return fits


def whole(items: Iterable[_Item], rendered: Callable[[_Item], str], room: Room) -> list[_Item]:
    """Return the first items, as many as there is room for."""
    return list(takewhile(lambda item: room.takes(rendered(item), item), items))


def brief(text: str, most: int) -> str:
    """Return a text of `most` characters at most; what was cut is marked.

    >>> brief("a long title", 7)
    'a long…'
    """
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def listed(names: Sequence[str], most: int) -> str:
    """Return names in one line of about `most` characters, and how many more there are.

    >>> listed(["a.md", "b.md", "c.md"], 10)
    'a.md, b.md and 1 more'
    """
    shown: list[str] = []
    left = most
    for name in names:
        left -= len(name) + len(", ")
        if shown and left < -len(", "):
            break
        shown.append(brief(name, most))
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def told(notices: Iterable[str]) -> list[str]:
    """Return notices, each once, as many as an answer's end has room for, and at last how many more there are."""
    distinct = list(dict.fromkeys(notices))
    shown: list[str] = []
    left = ROOM_OF_NOTICES
    for notice in distinct:
        notice = brief(notice, LONGEST_NOTICE)
        left -= len(notice.encode("utf-8", "replace"))
        if shown and left < 0:
            return [*shown, f"{len(distinct) - len(shown)} more notices like these are left out."]
        shown.append(notice)
    return shown


def ending(notices: Sequence[str], cursor: str | None) -> list[str]:
    """Return the last lines of a text block: what is to be known of the whole, and what reads on, last."""
    return [*notices, *([f'[more: cursor="{cursor}"]'] if cursor else [])]
