"""What one answer holds: whole items, the same ones as text and as structure, and an end that is never cut.

A host shows its model the text, or the structure, or both (docs/clients.md). So both stop after the same item, and the
last item is followed by what concerns the whole answer: counts, notices, and the cursor that asks for the next page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, takewhile
from typing import TypeVar

from pydantic import BaseModel

from knowledge_core.language.printable import printable
from knowledge_core.near_names import brief

TEXT_CAP = 20_000  # bytes of a tool's text block: the lowest limit that a client is known to have
DEFAULT_CAP = 8 * 1024  # bytes of the text block of a call that asks for no more than it must
STRUCTURE_CAP = 48_000  # characters of JSON; Claude Code moves a result of more than 50,000 out of the model's sight
END = 4_000  # bytes of the text, and characters of the structure, kept for the counts, the notices and the cursor
END_OF_DEFAULT = 2_900  # bytes kept of a default answer for the same: all notices, a line of counts and the cursor
ROOM_OF_NOTICES = 2_000  # bytes of all notices of an answer
LONGEST_NOTICE = 700  # characters
ROOM_OF_STALE = 300  # characters of the text, for ids of stale documents
ROOM_OF_ALL_STALE = 1_500  # characters of the structure, for the same

_Item = TypeVar("_Item", bound=BaseModel)


class Room:
    """The space that an answer has left for its items. Ask item by item, in order, until one does not fit.

    The first item always fits, so that every page moves on; the fields of an item must be bounded where it is made.
    text: bytes. structure: characters of JSON.
    """

    def __init__(self, text: int = TEXT_CAP - END, structure: int = STRUCTURE_CAP - END) -> None:
        self._text, self._structure, self._any = text, structure, False

    def takes(self, text: str, structure: BaseModel) -> bool:
        """Return whether an item still fits, as text and as structure, and subtract what it takes."""
        self._text -= len(printable(text).encode()) + len("\n\n")
        self._structure -= len(structure.model_dump_json()) + len(",")
        fits = not self._any or (self._text >= 0 and self._structure >= 0)
        self._any = True
        return fits


def default_room() -> Room:
    """Return the space for the items of an answer that stays below `DEFAULT_CAP`; the rest is a cursor away."""
    return Room(DEFAULT_CAP - END_OF_DEFAULT)


def fitting(items: Iterable[_Item], rendered: Callable[[_Item], str], room: Room) -> list[_Item]:
    """Return the first items, as many as there is room for; items after those are not made."""
    return list(takewhile(lambda item: room.takes(rendered(item), item), items))


def bounded_notices(notices: Iterable[str]) -> list[str]:
    """Return notices, each once, as many as an answer's end has room for, and last a notice of how many are left out."""
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


def bounded_ids(ids: Sequence[str]) -> list[str]:
    """Return the ids of changed documents that an answer's end has room for; the first is always among them."""
    ends = accumulate(len(json.dumps(id, ensure_ascii=False)) for id in ids)
    return [id for place, (id, end) in enumerate(zip(ids, ends, strict=True)) if place == 0 or end <= ROOM_OF_ALL_STALE]


def ending(notices: Sequence[str], cursor: str | None) -> list[str]:
    """Return the last lines of a text block: the notices, then the cursor of the next page."""
    return [*notices, *([f'[more: cursor="{cursor}"]'] if cursor else [])]
