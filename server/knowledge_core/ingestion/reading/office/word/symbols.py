"""Characters of fonts that have their own: `w:sym` names a font and a place in it."""

from __future__ import annotations

from collections.abc import Mapping

_PRIVATE = 0xF000  # where Word keeps the characters of such a font
# Symbol: its Greek letters and signs stand where other fonts have Latin letters (Unicode's table for Adobe Symbol).
_LOWER = dict(zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True))
_UPPER = dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True))
_SIGNS = {
    0x22: "∀", 0x24: "∃", 0x27: "∋", 0x2A: "∗", 0x2D: "−", 0x40: "≅", 0x5C: "∴", 0x5E: "⊥", 0x7E: "∼", 0xA3: "≤",
    0xA5: "∞", 0xAB: "↔", 0xAC: "←", 0xAD: "↑", 0xAE: "→", 0xAF: "↓", 0xB0: "°", 0xB1: "±", 0xB3: "≥", 0xB4: "×",
    0xB6: "∂", 0xB7: "•", 0xB8: "÷", 0xB9: "≠", 0xBA: "≡", 0xBB: "≈", 0xBC: "…", 0xC5: "⊕", 0xC6: "∅", 0xC7: "∩",
    0xC8: "∪", 0xC9: "⊃", 0xCC: "⊂", 0xCD: "⊆", 0xCE: "∈", 0xCF: "∉", 0xD1: "∇", 0xD2: "®", 0xD3: "©", 0xD4: "™",
    0xD5: "∏", 0xD6: "√", 0xD7: "⋅", 0xD8: "¬", 0xD9: "∧", 0xDA: "∨", 0xDB: "⇔", 0xDC: "⇐", 0xDE: "⇒", 0xE5: "∑",
    0xF2: "∫",
}  # fmt: skip
_SYMBOL: Mapping[int, str] = {**_LOWER, **_UPPER, **_SIGNS}
_WINGDINGS: Mapping[int, str] = {
    0x28: "☎", 0x2A: "✉", 0x4A: "☺", 0x4C: "☹", 0x6C: "●", 0x6E: "■", 0x6F: "□", 0x71: "❑", 0x76: "❖", 0xA7: "▪",
    0xA8: "☐", 0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xF0: "⇨", 0xFB: "✗", 0xFC: "✓",
    0xFD: "☒", 0xFE: "☑",
}  # fmt: skip
_FONTS = {"symbol": _SYMBOL, "wingdings": _WINGDINGS}


def symbol(font: str, code: str) -> str:
    """Return the character of a `w:sym`; "" for one that no other font has.

    code: in hexadecimal: "F061".
    """
    try:
        place = int(code[:6], 16)
    except ValueError:
        return ""
    within = place - _PRIVATE if _PRIVATE <= place < _PRIVATE + 0x100 else place
    known = _FONTS.get(font.strip().lower())
    if known is not None and within < 0x100:
        return known.get(within, chr(within) if known is _SYMBOL and 0x20 <= within < 0x7F else "")
    usual = 0x20 <= place < 0xD800 or 0xF900 <= place < 0x110000
    return chr(place) if usual else ""
