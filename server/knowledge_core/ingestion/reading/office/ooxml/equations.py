"""Equations of Office (OMML, ISO/IEC 29500-1 chapter 22) as a line of text: a^2, (a)/(b), sqrt(x), ∑_(i=1)^n."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.package import A, M, W

_DEEPEST = 60  # elements within each other; deeper ones are read as their letters alone
_LETTERS = range(0x1D400, 0x1D800)  # of mathematical alphabets, which nobody types: they are read as plain ones
_INVISIBLE = {0x2061: " ", 0x2062: None, 0x2063: ",", 0x2064: None}  # applied to, times, comma, plus
_PROPERTIES = frozenset({"rPr", "ctrlPr"})
_Parts = Mapping[str, Sequence[str]]


def equation(element: etree._Element) -> str:
    """Return an `m:oMath` as text."""
    frames: list[list[tuple[str, str]]] = [[]]
    walk = etree.iterwalk(element, events=("start", "end"), tag=f"{M}*")
    for event, each in walk:
        if event == "start":
            frames.append([])
            if len(frames) > _DEEPEST:
                return _letters(element)
            continue
        name = each.tag[len(M) :]
        inner = frames.pop()
        frames[-1].append((name, _text(name, each, inner)))
    return " ".join(_joined(frames[0]).split())


def _joined(parts: Sequence[tuple[str, str]]) -> str:
    """Return parts behind each other, with a space where a script would run into the next letter: x^k a."""
    joined = ""
    after_script = False
    for name, text in parts:
        apart = after_script and joined[-1:].isalnum() and text[:1].isalnum()
        joined += f" {text}" if apart else text
        after_script = _RULES.get(name) is _scripts
    return joined


def _letters(element: etree._Element) -> str:
    return " ".join("".join(_plain(each.text or "") for each in element.iter(f"{M}t")).split())


def _plain(text: str) -> str:
    if text.isascii():
        return text
    text = text.translate(_INVISIBLE)
    return "".join(unicodedata.normalize("NFKC", each) if ord(each) in _LETTERS else each for each in text)


def _text(name: str, element: etree._Element, inner: Sequence[tuple[str, str]]) -> str:
    if name == "t":
        return _plain(element.text or "")
    if name.endswith("Pr") or name in _PROPERTIES:
        return ""
    if name == "r" and not inner:
        return "".join(each.text or "" for each in element.iter(f"{W}t", f"{A}t"))
    rule = _RULES.get(name)
    if rule is None:
        return _joined(inner)
    parts: dict[str, list[str]] = {}
    for each, text in inner:
        parts.setdefault(each, []).append(text)
    return rule(element, parts)


def _one(parts: _Parts, name: str) -> str:
    return "".join(parts.get(name, ())).strip()


def _enclosed(text: str) -> str:
    """Return a text in parentheses, which it may have already."""
    if text[:1] == "(" and text[-1:] == ")":
        depth = 0
        for at, each in enumerate(text):
            depth += (each == "(") - (each == ")")
            if not depth:
                return text if at == len(text) - 1 else f"({text})"
    return f"({text})"


def _grouped(text: str) -> str:
    """Return a text as one operand: enclosed unless it is a single character, a number or a name."""
    return text if len(text) <= 1 or text.isalnum() else _enclosed(text)


def _set_to(element: etree._Element, path: str, otherwise: str) -> str:
    found = element.find("/".join(M + each for each in path.split("/")))
    return otherwise if found is None else found.get(f"{M}val", "")


def _fraction(element: etree._Element, parts: _Parts) -> str:
    between = " over " if _set_to(element, "fPr/type", "bar") == "noBar" else ""
    top, bottom = _one(parts, "num"), _one(parts, "den")
    return f"({top}{between}{bottom})" if between else f"{_enclosed(top)}/{_enclosed(bottom)}"


def _scripts(_: etree._Element, parts: _Parts) -> str:
    below, above = _one(parts, "sub"), _one(parts, "sup")
    base = _one(parts, "e")
    base = _enclosed(base) if "/" in base else base  # a fraction is raised as a whole
    return base + (f"_{_grouped(below)}" if below else "") + (f"^{_grouped(above)}" if above else "")


def _before(_: etree._Element, parts: _Parts) -> str:
    return f"_{_grouped(_one(parts, 'sub'))}^{_grouped(_one(parts, 'sup'))} {_one(parts, 'e')}"


def _root(_: etree._Element, parts: _Parts) -> str:
    degree = _one(parts, "deg")
    return f"root({degree}, {_one(parts, 'e')})" if degree else f"sqrt({_one(parts, 'e')})"


def _large(element: etree._Element, parts: _Parts) -> str:
    sign = _set_to(element, "naryPr/chr", "∫")
    below, above = _one(parts, "sub"), _one(parts, "sup")
    limits = (f"_{_grouped(below)}" if below else "") + (f"^{_grouped(above)}" if above else "")
    return f"{sign}{limits} {_one(parts, 'e')}"


def _delimited(element: etree._Element, parts: _Parts) -> str:
    begin, between, end = (
        _set_to(element, f"dPr/{name}", sign) for name, sign in (("begChr", "("), ("sepChr", "|"), ("endChr", ")"))
    )
    inner = between.join(text.strip() for text in parts.get("e", ()))
    return _enclosed(inner) if (begin, end) == ("(", ")") else begin + inner + end


def _applied(_: etree._Element, parts: _Parts) -> str:
    return f"{_one(parts, 'fName')} {_one(parts, 'e')}"


def _limit(_: etree._Element, parts: _Parts) -> str:
    return f"{_one(parts, 'e')}_{_grouped(_one(parts, 'lim'))}"


def _rows(_: etree._Element, parts: _Parts) -> str:
    return "; ".join(text.strip() for text in (*parts.get("mr", ()), *parts.get("e", ())))


def _cells(_: etree._Element, parts: _Parts) -> str:
    return ", ".join(text.strip() for text in parts.get("e", ()))


def _accent(element: etree._Element, parts: _Parts) -> str:
    return _one(parts, "e") + _set_to(element, "accPr/chr", "\u0302")


_RULES: Mapping[str, Callable[[etree._Element, _Parts], str]] = {
    "f": _fraction, "sSup": _scripts, "sSub": _scripts, "sSubSup": _scripts, "sPre": _before, "rad": _root,
    "nary": _large, "d": _delimited, "func": _applied, "limLow": _limit, "limUpp": _limit, "m": _rows, "mr": _cells,
    "eqArr": _rows, "acc": _accent,
}  # fmt: skip
