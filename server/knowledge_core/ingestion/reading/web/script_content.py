"""Pages that are empty until a script fills them: what they hold for whoever runs none."""

from __future__ import annotations

import json

from lxml import html as lxml_html  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.web.boilerplate import without_boilerplate, without_unseen
from knowledge_core.ingestion.reading.web.writing import write

_LITTLE = 0.2  # of the page's characters; with less beside what is called navigation, that is what the page is about
_MOST_VALUES = 10_000  # of a script's data that are looked at


def content_without_scripts(page: lxml_html.HtmlElement) -> str:
    """Return the text of `<noscript>` and `<template>`, and the article that the page gives as data; the tree is changed."""
    parts = [said for element in page.iter("script") if (said := _article(element))]
    for name in ("noscript", "template"):
        for element in list(page.iter(name)):
            element.tag = "div"
    body = page.find("body")
    body = page if body is None else body
    everything = write(body)
    without_unseen(page)
    without_boilerplate(page)
    content = write(body)
    shown = content if len(content) >= _LITTLE * len(everything) else everything
    return "\n\n".join(dict.fromkeys(part for part in (shown, *parts) if part.strip()))


def _article(script: lxml_html.HtmlElement) -> str:
    """Return the body of an article in a script's JSON-LD (schema.org); "" where there is none."""
    if (script.get("type") or "").strip().lower() != "application/ld+json":
        return ""
    try:
        waiting: list[object] = [json.loads(script.text or "")]
    except (ValueError, RecursionError):
        return ""
    for _ in range(_MOST_VALUES):
        if not waiting:
            break
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(said := value.get("articleBody") or value.get("reviewBody"), str):
                return said.strip()
            waiting.extend(reversed(list(value.values())[:100]))
        elif isinstance(value, list):
            waiting.extend(reversed(value[:100]))
    return ""
