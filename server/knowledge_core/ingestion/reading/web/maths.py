"""Formulas of a web page (MathML) as text: the TeX that they carry, else their signs in reading order."""

from __future__ import annotations

import itertools
import re

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

_BETWEEN = {"mfrac": "/", "msup": "^", "msub": "_", "munder": "_", "mover": "^", "mroot": " root "}
_SUB_SUP = frozenset({"msubsup", "munderover"})
_TEX = re.compile("tex", re.IGNORECASE)
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what lxml reads, but does not write
_STYLE = re.compile(r"^\{\\(?:displaystyle|textstyle) (.*)\}$", re.DOTALL)


def formula(element: lxml_html.HtmlElement) -> str:
    """Return a `math` element as text, TeX between dollar signs where the page gives it.

    >>> formula(lxml_html.fragment_fromstring("<math><msup><mi>x</mi><mn>2</mn></msup><mo>=</mo><mn>9</mn></math>"))
    'x^2=9'
    """
    for each in element.iter("annotation"):
        said = "".join(each.itertext()).strip()
        if said and _TEX.search(each.get("encoding", "")):
            return tex(said)
    if said := (element.get("alttext") or "").strip():
        return tex(said)
    return _signs(element)


def tex(said: str) -> str:
    """Return a formula in TeX between dollar signs, on one line, without Wikipedia's wrapping."""
    plain = " ".join(said.split())
    wrapped = _STYLE.match(plain)
    return f"${(wrapped[1] if wrapped else plain).strip('$ ')}$"


def write_out_formulas(page: lxml_html.HtmlElement) -> None:
    """Put text in the place of a page's formulas: finding the main content loses what is no HTML, and pictures."""
    around: set[lxml_html.HtmlElement] = set()  # elements with a formula in them: a picture there shows the same
    for element in list(page.iter("math", "img", "script")):
        alt = " ".join((element.get("alt") or "").split())
        if element.tag == "math":
            said = formula(element)
            around.update(itertools.islice(element.iterancestors(), 2))
        elif element.tag == "img" and alt and element.getparent() in around:
            said = ""
        elif _STYLE.match(alt):
            said = tex(alt)
        elif element.tag == "script" and _TEX.search(element.get("type", "")):
            said = tex("".join(element.itertext()))
        else:
            continue
        element.clear(keep_tail=True)
        element.tag, element.text = "span", f" {_NO_TEXT.sub(' ', said)} "


def _signs(root: lxml_html.HtmlElement) -> str:
    parts: list[str] = []
    places: list[int] = []  # of each open element, how many children it had so far
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        if event == "end":
            places.pop()
            parts.append(")" if _is_group(element) else "")
            continue
        parent = element.getparent() if element is not root else None
        if parent is not None and places:
            if places[-1]:
                sign = ("", "_", "^")[min(places[-1], 2)] if parent.tag in _SUB_SUP else _BETWEEN.get(parent.tag, "")
                parts.append(" " if parent.tag == "mtr" else sign)
            places[-1] += 1
        places.append(0)
        parts.append("√(" if element.tag == "msqrt" else "(" if _is_group(element) else "")
        parts.append("".join((element.text or "").split()) if element.tag != "mtext" else element.text or "")
    return " ".join("".join(parts).split())


def _is_group(element: lxml_html.HtmlElement) -> bool:
    """Say whether an element needs brackets to be read as one: more than one sign below a fraction, a power, a root."""
    if element.tag == "msqrt":
        return True
    parent = element.getparent()
    binds = parent is not None and (parent.tag in _BETWEEN or parent.tag in _SUB_SUP)
    return bool(binds and element.tag == "mrow" and len(element) > 1)
