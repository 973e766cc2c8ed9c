"""What a page says about itself: its title without the site's name, author, dates, tags, language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.reading.properties import language

_FIELDS = {
    "author": "author",
    "article:author": "author",
    "dc.creator": "author",
    "article:published_time": "date",
    "date": "date",
    "dc.date": "date",
    "dcterms.date": "date",
    "article:modified_time": "modified",
    "dcterms.modified": "modified",
    "description": "description",
    "og:description": "description",
    "keywords": "tags",
}
_OF_SITE = ("og:site_name", "application-name")
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_PARTS = re.compile(r"\s+(?:[|·•–—»«/:>]|::|-|--)\s+|\s*[|»«]\s*")
_HEADINGS = 20  # first-level headings that are compared with the title


def facts_of(page: lxml_html.HtmlElement) -> dict[str, str]:
    """Return author, dates, description and tags, as far as the page gives them."""
    result: dict[str, str] = {}
    for attributes in _meta(page):
        name = _FIELDS.get(_name(attributes))
        content = " ".join((attributes.get("content") or "").split())
        if name and content and name not in result and not (name == "author" and _ADDRESS.fullmatch(content)):
            result[name] = content[:1000]
    return result


def language_of(page: lxml_html.HtmlElement) -> str:
    """Return the language that a page names, as "de-AT"; "" for none."""
    said = [
        page.get("lang") or "",
        page.get("{http://www.w3.org/XML/1998/namespace}lang") or page.get("xml:lang") or "",
    ]
    for attributes in _meta(page):
        if attributes.get("http-equiv", "").lower() == "content-language" or _name(attributes) == "og:locale":
            said.append(attributes.get("content") or "")
    return next(filter(None, map(language, said)), "")


def title_of(page: lxml_html.HtmlElement) -> str:
    """Return the title, without the name of the site where the page tells what that is; "" without one."""
    title, headings = _written(page)
    shared = {name: " ".join((each.get("content") or "").split()) for each in _meta(page) if (name := _name(each))}
    title = title or shared.get("og:title", "") or next(iter(headings), "")
    return _without_site(title, [shared.get(name, "") for name in _OF_SITE], [shared.get("og:title", ""), *headings])


def _without_site(title: str, sites: Sequence[str], names: Sequence[str]) -> str:
    """Return the part of a title that is the page's own.

    sites: what the site may be called; names: what else the page is called.

    >>> _without_site("Boil eggs - Cooking | Acme", ["Acme"], [])
    'Boil eggs - Cooking'
    >>> _without_site("Boil eggs - Acme", [], ["Boil eggs"])
    'Boil eggs'
    >>> _without_site("Eggs - or not", [], ["Something else"])
    'Eggs - or not'
    """
    cuts = list(_PARTS.finditer(title))
    known = {key for name in names if (key := _key(name))}
    for cut in cuts:
        if _key(title[: cut.start()]) in known:
            return title[: cut.start()].strip()
    for cut in reversed(cuts):
        if _key(title[cut.end() :]) in known:
            return title[cut.end() :].strip()
    for site in filter(None, map(_key, sites)):
        if cuts and _key(title[cuts[-1].end() :]) == site:
            return title[: cuts[-1].start()].strip()
        if cuts and _key(title[: cuts[0].start()]) == site:
            return title[cuts[0].end() :].strip()
    return title


def _key(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def _name(attributes: Mapping[str, str]) -> str:
    return (attributes.get("name") or attributes.get("property") or "").strip().lower()


def _meta(page: lxml_html.HtmlElement) -> list[Mapping[str, str]]:
    return [element.attrib for element in page.iter("meta")]


def _written(page: lxml_html.HtmlElement) -> tuple[str, list[str]]:
    """Return the text of the first `title` with words in it, and those of the first first-level headings."""
    title = ""
    headings: list[str] = []
    drawings = 0  # open <svg> elements: a title in them names a shape
    walk = etree.iterwalk(page, events=("start", "end"), tag=("svg", "title", "h1"))
    for event, element in walk:
        if element.tag == "svg":
            drawings += 1 if event == "start" else -1
        elif event == "start" and not (element.tag == "title" and (drawings or title)) and len(headings) < _HEADINGS:
            text = " ".join("".join(element.itertext()).replace("¶", " ").split())
            if element.tag == "title":
                title = text
            elif text:
                headings.append(text[:500])
            walk.skip_subtree()  # its children's words are in it
    return title, headings
