"""Formulas of MathML as one line that can be read: (a+b)/c, x^2, sqrt(y)."""

from __future__ import annotations

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

_LEFT_OUT = frozenset({"annotation", "annotation-xml"})
_SIGNS = {"mfrac": "/", "msup": "^", "msub": "_", "mover": "^", "munder": "_"}
_BOTH = frozenset({"msubsup", "munderover"})
_LONGEST = 10_000  # characters; a longer one is cut


def formula(math: etree._Element) -> str:
    """Return the formula below an element. Not recursive, because a stranger's formula may nest deep."""
    written: list[list[str]] = [[]]  # the parts of each open element
    walk = etree.iterwalk(math, events=("start", "end"))
    room = _LONGEST
    for event, element in walk:
        name = etree.QName(element).localname
        if event == "start":
            if name in _LEFT_OUT:
                walk.skip_subtree()
            written.append([" ".join((element.text or "").split())])
            continue
        parts = [part for part in written.pop() if part]
        whole = "" if name in _LEFT_OUT else _written(name, parts)[: max(0, room)]
        room -= len(whole) if len(element) == 0 else 0
        written[-1].append(whole)
    return " ".join("".join(written[0]).split())[:_LONGEST]


def _written(name: str, parts: list[str]) -> str:
    if name in _SIGNS and len(parts) == 2:
        return _SIGNS[name].join(_grouped(part) for part in parts)
    if name in _BOTH and len(parts) == 3:
        return f"{_grouped(parts[0])}_{_grouped(parts[1])}^{_grouped(parts[2])}"
    if name == "msqrt":
        return f"sqrt({''.join(parts)})"
    if name == "mroot" and len(parts) == 2:
        return f"root({parts[0]}, {parts[1]})"
    if name == "mtr":
        return ", ".join(parts) + "; "
    if name == "mo":
        sign = "".join(parts)
        return f" {sign} " if sign.isalpha() or sign in ("=", "<", ">", "≤", "≥", "≠", "→", "∈", "≈") else sign
    return "".join(parts)


def _grouped(part: str) -> str:
    part = part.strip()
    return part if len(part) == 1 or part.isalnum() or (part[:1] == "(" and part[-1:] == ")") else f"({part})"
