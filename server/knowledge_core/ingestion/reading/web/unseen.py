"""What of a web page nobody sees, and what is no part of what it says: scripts, hidden parts, controls, marks of links."""

from __future__ import annotations

import re
from collections.abc import Mapping

from knowledge_core.ingestion.formats import word_set

# `del` is what its author took back.
_UNSEEN = word_set(
    "script style noscript template svg iframe object select textarea title link meta rp del datalist map canvas audio video"
)
_NO_DISPLAY = re.compile(r"(?:^|[;\s])(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
# The "¶" beside a heading, "[edit]", and what is meant for a screen reader alone.
_MARKS = re.compile(
    r"(?:^|\s)(?:headerlink|permalink|anchorjs-link|anchor-link|heading-anchor|header-anchor|hash-link|mw-editsection|"
    r"editsection|copybtn|copy-button|skip-link|skip-to-content|skiplink)(?:\s|$)"
)
_MARKED = word_set("a span button sup")
_DECORATION = re.compile(
    r"(?:image|img|logo|icon|photo|picture|avatar|spacer|bullet|\W|\d)*|\S*\.(?:png|jpe?g|gif|svg|webp|avif)",
    re.IGNORECASE,
)
_TEX = re.compile("math/tex", re.IGNORECASE)


def is_unseen(tag: object, attributes: Mapping[str, str]) -> bool:
    """Say whether an element, and all in it, is left out."""
    return is_never_seen(tag, attributes) or is_hidden(attributes)


def is_never_seen(tag: object, attributes: Mapping[str, str]) -> bool:
    """Say whether an element is no text for readers, whatever a script does."""
    if tag in _UNSEEN:
        return not (tag == "script" and _TEX.match(attributes.get("type", "")))
    return bool(attributes and tag in _MARKED and _MARKS.search(attributes.get("class", "")))


def is_hidden(attributes: Mapping[str, str]) -> bool:
    """Say whether an element is hidden by its attributes; a script may show it."""
    if not attributes:
        return False
    if attributes.get("hidden", "until-found").lower() != "until-found" or attributes.get("aria-hidden") == "true":
        return True
    return bool(_NO_DISPLAY.search(attributes.get("style", "")))


def alternative(attributes: Mapping[str, str]) -> str:
    """Return the text that stands for a picture; "" where it decorates."""
    said = " ".join(attributes.get("alt", "").split())
    return "" if _DECORATION.fullmatch(said) or attributes.get("role") == "presentation" else said[:1000]
