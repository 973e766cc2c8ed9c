"""What a note says in its front matter when it asks to be left out of the index."""

from __future__ import annotations

from collections.abc import Sequence


def says_no(value: object) -> bool:
    """Say whether a value of front matter is false, or a word by which people mean it."""
    return value is False or (isinstance(value, str) and value.strip().casefold() in {"false", "no", "off"})


def covered_tags(tags: Sequence[object], chosen: set[str]) -> list[str]:
    """Return those of a note's tags that are chosen, or lie below a chosen one as `private/diary` does below `private`."""
    folded = (str(tag).strip().lstrip("#").casefold() for tag in tags)
    return [tag for tag in folded if any(tag == each or tag.startswith(each + "/") for each in chosen)]
