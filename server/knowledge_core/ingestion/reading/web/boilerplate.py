"""What stands on every page of a site: navigation, footers, banners of consent, bars of buttons."""

from __future__ import annotations

import re
from collections.abc import Callable

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.reading.web.unseen import is_hidden, is_never_seen

_MOST = 0.5  # of a page's characters; a part with more is what the page is about, whatever it is called
_ENOUGH = 2000  # characters beside it, with which a part of any size may be navigation
_TAKEN_OUT = "taken-out"
_SURE = word_set("nav footer aside")
_ROLES = word_set("navigation banner contentinfo search complementary menu menubar dialog alertdialog toolbar")
_NAMES = re.compile(
    r"(?:^|\s)(?!(?:has|with|without|no|hide|show)[-_])(?:"  # "has-sidebar" is what stands beside one
    r"(?:[\w-]*[-_])?(?:nav|navbar|navigation|navbox|breadcrumbs?|sidebar|side-bar|menu|footer|cookies?|consent|gdpr|"
    r"newsletter|subscribe|social|share|sharing|sharebar|pagination|pager|masthead|catlinks|related-?(?:posts|articles|links)?|"
    r"promo|sponsor(?:ed)?|advert(?:s|isement|isements|ising)?|tocframe|toolbar|dropdown|popup|modal|paywall|signup|login)"
    r"(?:[-_](?:bar|box|wrapper|container|links?|list|menu|inner|content|banner|notice|buttons?|widget|left|right|top|bottom|"
    r"header|footer|table|modal|overlay|\d+))*"
    r"|nav(?:header|footer|_header|_footer|_table)|sphinxsidebar(?:wrapper)?|printfooter|noprint|mw-jump-link|ads?|adsense|"
    r"skip-?links?|screen-reader-text|visually-hidden|sr-only|site-?header|page-?header|global-?header"
    r")(?:\s|$)",
    re.IGNORECASE,
)
_NEVER = word_set("html body main article h1 h2 h3 h4 h5 h6 p pre code a span em strong li td th tr tbody")


def without_boilerplate(page: lxml_html.HtmlElement) -> None:
    """Take out of a page's tree what its tags, roles and names call navigation and the like."""
    lengths: dict[lxml_html.HtmlElement, int] = {}
    total = 0
    open_since: list[tuple[lxml_html.HtmlElement, int]] = []
    for event, element in etree.iterwalk(page, events=("start", "end")):
        if event == "start":
            if _is_boilerplate(element):
                open_since.append((element, total))
            total += _signs(element.text)
        else:
            if open_since and open_since[-1][0] is element:
                lengths[element] = total - open_since.pop()[1]
            total += _signs(element.tail)
    _take_out(
        page,
        lambda element: (
            element in lengths and (lengths[element] <= _MOST * total or total - lengths[element] >= _ENOUGH)
        ),
    )


def without_unseen(page: lxml_html.HtmlElement) -> None:
    """Take out of a page's tree what nobody sees; where that is most of its text, a script shows it, and it stays."""
    _take_out(page, lambda element: is_never_seen(element.tag, element.attrib))
    hidden = sum(map(_length, _outermost(page, lambda element: is_hidden(element.attrib))))
    if hidden <= _MOST * _length(page):
        _take_out(page, lambda element: is_hidden(element.attrib))
        return
    for element in page.iter(etree.Element):
        for name in ("hidden", "aria-hidden", "style"):
            element.attrib.pop(name, None)


def _take_out(page: lxml_html.HtmlElement, says: Callable[[lxml_html.HtmlElement], bool]) -> None:
    for element in _outermost(page, says):
        if element is not page:
            element.tag = _TAKEN_OUT
    # Not `drop_tree`, which writes texts anew: lxml refuses the control characters that it reads.
    etree.strip_elements(page, _TAKEN_OUT, with_tail=False)


def _outermost(
    page: lxml_html.HtmlElement, says: Callable[[lxml_html.HtmlElement], bool]
) -> list[lxml_html.HtmlElement]:
    found: list[lxml_html.HtmlElement] = []
    walk = etree.iterwalk(page, events=("start",))
    for _, element in walk:
        if isinstance(element.tag, str) and says(element):
            walk.skip_subtree()
            found.append(element)
    return found


def _length(element: lxml_html.HtmlElement) -> int:
    return sum(map(_signs, element.itertext()))


def _signs(text: str | None) -> int:
    return len(text) if text and not text.isspace() else 0


def _is_boilerplate(element: lxml_html.HtmlElement) -> bool:
    tag = element.tag
    if tag in _NEVER:
        return False
    attributes = element.attrib
    if tag in _SURE or (attributes and attributes.get("role", "").lower() in _ROLES):
        return True
    return bool(attributes and _NAMES.search(f"{attributes.get('class', '')} {attributes.get('id', '')}"))
