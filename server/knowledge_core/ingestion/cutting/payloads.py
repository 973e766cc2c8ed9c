"""Bytes that were written as letters into a text: pictures as `data:` URIs, runs of base64 or hexadecimal digits.

They are no words: a picture of 12 kB made over 50 chunks. A run must be long, without a space, and look like bytes: long
words, paths, addresses, rules of dashes, lists of checksums, sequences of few letters (as of genes) and decimal numbers do
not. Pure; takes time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge_core.types import Span

_DATA_URI = re.compile(  # a payload of less than 200 characters, as of a dot of one pixel, is not worth a cut
    r"\bdata:[a-z]{1,20}/[\w.+-]{1,80}(?:;[\w.+-]{1,40}(?:=[\w.+-]{1,60})?){0,4},[\w+/=%.~!*-]{200,}", re.ASCII
)
_RUN = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/_-]{256,}={0,2}", re.ASCII)  # the longest words of alphabets have under 200
# Base64 in lines, as in certificates and attachments (64 and 76 characters, RFC 7468 and 2045), also quoted in code.
_WRAPPED = re.compile(
    r"""^(?:[ \t>"'+]{0,16}[A-Za-z0-9+/]{40,255}={0,2}[ \t"'+,;\\]{0,8}\n){3,}"""
    r"""[ \t>"'+]{0,16}[A-Za-z0-9+/]{4,255}={0,2}(?![\w+/=-])""",
    re.MULTILINE | re.ASCII,
)
_BETWEEN = re.compile(r"[^A-Za-z0-9]+")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_NO_UPPER, _NO_DIGIT = re.compile(r"[^A-Z]+"), re.compile(r"[^0-9]+")
_CHANGE = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[a-z0-9])|[0-9](?=[A-Za-z])")
# Shares of a run's letters and digits. Measured on base64 of random bytes, texts, JSON and quiet sound: capitals .36 to .47,
# digits .12 to .16, changes of kind .34 to .65. Names in camel case have .13, .02 and .29.
_CAPITALS, _DIGITS, _CHANGES = 0.2, 0.05, 0.25
_HEX_LETTERS = 0.05  # hexadecimal digits that are no decimal number; random bytes have .38


def payloads(text: str) -> list[Span]:
    """Return where bytes written as letters stand in a text, in order, without overlaps."""
    spans: list[Span] = []
    for span in sorted(_found(text)):
        if spans and span.start < spans[-1].end:
            spans[-1] = Span(spans[-1].start, max(spans[-1].end, span.end))
        else:
            spans.append(span)
    return spans


def without_payloads(text: str) -> str:
    """Return the text with "[image]" or "[data]" for each payload. The number of lines stays the same."""
    parts: list[str] = []
    at = 0
    for span in payloads(text):
        mark = "[image]" if text.startswith("data:image/", span.start) else "[data]"
        parts += [text[at : span.start], mark, "\n" * text.count("\n", span.start, span.end)]
        at = span.end
    return "".join([*parts, text[at:]]) if parts else text


def _found(text: str) -> Iterator[Span]:
    if "data:" in text:
        yield from (Span(*found.span()) for found in _DATA_URI.finditer(text))
    for found in _RUN.finditer(text):
        letters = _BETWEEN.sub("", found[0])
        if _is_base64(letters) or _is_hex(letters, found[0]):
            yield Span(*found.span())
    for found in _WRAPPED.finditer(text):
        if _is_base64(_BETWEEN.sub("", found[0])):
            yield Span(*found.span())


def _is_base64(letters: str) -> bool:
    return bool(letters) and (
        len(_NO_UPPER.sub("", letters)) >= _CAPITALS * len(letters)
        and len(_NO_DIGIT.sub("", letters)) >= _DIGITS * len(letters)
        and len(_CHANGE.findall(letters)) >= _CHANGES * len(letters)
    )


def _is_hex(letters: str, run: str) -> bool:
    """Say whether a run is of hexadecimal digits alone, both letters and decimal digits."""
    if letters != run or not _HEX.fullmatch(run):
        return False
    digits = len(_NO_DIGIT.sub("", letters))
    return _DIGITS * len(run) <= digits <= (1 - _HEX_LETTERS) * len(run)
