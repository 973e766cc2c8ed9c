"""Code of a web page: its lines as they are shown, and the language that the page names."""

from __future__ import annotations

import re

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.formats import word_set

_NUMBERS = re.compile(
    r"(?:^|\s)(?:linenos?|linenodiv|line-?numbers?(?:-rows)?|gutter|rouge-gutter|lnt?|hljs-ln-numbers)(?:\s|$)"
)
_LINES = frozenset({"div", "p", "li", "tr"})
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language-|lang-|highlight-source-|highlight-text-|highlight-|brush:\s?|sourceCode\s+)([A-Za-z][\w+#]*)"
)
_NO_LANGUAGE = word_set("default none text plain plaintext txt notranslate code source wrapper block")
_SAME = {"python3": "python", "py": "python", "ipython3": "python", "pycon": "python", "js": "javascript", "sh": "bash"}


def code_lines(code: lxml_html.HtmlElement) -> str:
    """Return the lines of an element of code: `<br>` and blocks end lines, numbers of lines are left out."""
    parts: list[str] = []
    walk = etree.iterwalk(code, events=("start", "end"))
    skipped: lxml_html.HtmlElement | None = None
    for event, element in walk:
        tag = element.tag
        if event == "start":
            if _NUMBERS.search(element.get("class") or "") and element is not code:
                walk.skip_subtree()
                skipped = element
                continue
            if tag == "br":
                parts.append("\n")
            elif tag == "code" and element.getprevious() is not None and element.getprevious().tag == "code":
                _end_line(parts)
            text = element.text
        else:
            if tag in _LINES and element is not skipped:
                _end_line(parts)
            text = element.tail if element is not code else None
        if text:
            parts.append(text)
    return "".join(parts).replace("\xa0", " ")


def _end_line(parts: list[str]) -> None:
    if parts and not parts[-1].endswith("\n"):
        parts.append("\n")


def code_language(code: lxml_html.HtmlElement) -> str:
    """Return the language that an element of code, its only child, or the two elements around it name; "" for none."""
    around: list[lxml_html.HtmlElement] = [code, *([code[0]] if len(code) else [])]
    parent = code.getparent()
    for _ in range(2):
        if parent is not None:
            around.append(parent)
            parent = parent.getparent()
    for element in around:
        said = element.get("data-lang") or element.get("data-language") or ""
        found = re.fullmatch(r"[A-Za-z][\w+#]*", said) or _LANGUAGE.search(element.get("class") or "")
        if found:
            name = found[found.re.groups].lower()
            if name not in _NO_LANGUAGE and len(name) <= 20:
                return _SAME.get(name, name)
    return ""
