"""What a note or a page of documentation is called: by its front matter, else by the heading that it begins with.

A heading further down names a section, not the note: twelve daily notes would all be called "Grateful for".
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

_LONGEST_LINE = 2000  # characters; a longer line is no heading
_LONGEST_BLOCK = 5000  # characters of centred HTML above a title
_MOST_LINES = 400  # above the heading; after that many a text has begun
_ATX = re.compile(r" {0,3}#(?!#)(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*\Z")
_SETEXT = re.compile(r" {0,3}={2,}[ \t]*\Z")
_NO_HEADING = re.compile(r"[ \t]*(?:[-*+>|#=]|\d{1,9}[.)][ \t]|`{3}|~{3})|(?: {4}|\t)")
_H1 = re.compile(
    r"[ \t]*(?:<(?!h1\b)[^<>\n]{0,500}>[ \t]*){0,5}<h1\b[^>]{0,500}>(.{0,2000}?)</h1>", re.DOTALL | re.IGNORECASE
)
# What may stand above a title: pictures, badges (pictures in links), tags of HTML, tags of notes, definitions of links.
_PICTURE = r"!\[[^\[\]\n]*\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\[\]\n]*\])"
_DECORATION = re.compile(
    rf"(?:\[[ \t]*(?:{_PICTURE}[ \t]*)+\](?:\([^()\n]*\)|\[[^\[\]\n]*\])|{_PICTURE}|<[^<>\n]*>|#[\w/-]+|[ \t,|·•])+\Z"
)
_ABOVE = re.compile(
    r" {0,3}\[[^\[\]\n]+\]:[ \t]"  # a link's definition
    r"|[^\W\d_][\w -]{0,39}::[ \t]"  # a field
    r"|(?:\{[%{].*[%}]\}|:::.*|\[TOC\]|\[\[_TOC_\]\]|\([^()\n]+\)=)[ \t]*\Z"  # of templates and directives, a label of MyST
    r"|[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})\Z"  # a rule
)
# A line of links, as to other languages or to the source: nothing but links, bold words, attributes and separators.
_ROW_OF_LINKS = re.compile(
    r"(?=[^\n]{0,1000}\][(\[])"
    r"(?:!?\[[^\[\]\n]*\](?:\([^()\n]*\)|\[[^\[\]\n]*\])|\*\*[^*\n]{1,40}\*\*|\{[^{}\n]*\}|[ \t|/,·•–—-])+\Z"
)
_CENTRED = re.compile(r"[ \t]*<(p|div|center)\b[^<>\n]*\b(?:align|center)\b[^<>\n]*>|[ \t]*<(center)>", re.IGNORECASE)
_PANDOC = re.compile(r"%[ \t]+(\S.*)\Z")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\[\]]*\])")
_CODE = re.compile(r"(`+)(.+?)\1")
_TAG, _ATTRIBUTES, _ESCAPE = (
    re.compile(r"</?[A-Za-z][^<>]*>"),
    re.compile(r"[ \t]*\{[#.:][^{}]*\}\s*\Z"),
    re.compile(r"\\([^A-Za-z0-9\s])"),
)
_EMPHASIS = re.compile(r"\*+|~~|==|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)")
_TEMPLATE = re.compile(r"\{\{.*\}\}\Z|<%.*%>\Z|\{%.*%\}\Z", re.DOTALL)
_RST_LINE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*\Z")
_RST_ABOVE = re.compile(r"\.\.(?:[ \t]|\Z)|:[\w -]{1,60}:(?:[ \t]|\Z)")
_RST_TITLE = re.compile(r"\.\.[ \t]+title:[ \t]+(\S.*)\Z")
_ROLE = re.compile(r":[\w:.+-]{1,40}:(?=`)")
_TARGET = re.compile(r"`([^`<>]+?)[ \t]*<[^<>`]*>`_{0,2}|`([^`]+)`_{0,2}|\|([^|\s]+)\|")


def stated_title(value: object) -> str:
    """Return the title that a field of the front matter states; "" for none, and for what a template left there."""
    while isinstance(value, list) and value:
        value = value[0]
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return "" if _TEMPLATE.match(text) else text


def leading_heading(text: str, start: int) -> str:
    """Return the first-level heading that a Markdown text begins with, without markup; "" where it begins otherwise.

    start: where the front matter ends. Above the heading there may be comments, pictures, badges, tags, fields.
    """
    at = start
    for _ in range(_MOST_LINES):
        if at >= len(text):
            return ""
        end = _line_end(text, at)
        line = text[at:end] if end - at <= _LONGEST_LINE else ""
        if text.startswith("<!--", len(line) - len(line.lstrip()) + at):
            closed = text.find("-->", at)
            if closed < 0:
                return ""
            at = closed + 3
        elif at == start and (found := _PANDOC.match(line)):
            return heading_text(found[1])
        elif (found := _CENTRED.match(line)) and not _H1.search(text, at, end):
            closed = _closed(text, end, (found[1] or found[2]).lower())
            if heading := _H1.search(text, at, closed):
                at = heading.start()
                if name := heading_text(heading[1]):
                    return name
            at = closed
        elif found := _H1.match(text, at):
            if name := heading_text(found[1]):
                return name
            at = found.end()
        elif found := _ATX.match(line):
            if name := heading_text(found[1] or ""):
                return name
            at = end + 1
        elif (not line.strip() and end - at <= _LONGEST_LINE) or _is_above(line):
            at = end + 1
        else:
            below = text[end + 1 : min(_line_end(text, end + 1), end + _LONGEST_LINE)]
            return heading_text(line) if _SETEXT.match(below) and not _NO_HEADING.match(line) else ""
    return ""


def _is_above(line: str) -> bool:
    """Say whether a line may stand above a title."""
    return bool(_DECORATION.match(line) or _ABOVE.match(line) or _ROW_OF_LINKS.match(line))


def _closed(text: str, at: int, tag: str) -> int:
    """Return where the HTML block ends that a tag opens: after its end tag, at most some lines further down."""
    end = text[at : at + _LONGEST_BLOCK].lower().find(f"</{tag}>")
    return at + end + len(tag) + 3 if end >= 0 else at


def heading_text(line: str) -> str:
    """Return a heading of Markdown without its markup.

    >>> heading_text("The *real* [one](a.html) &amp; `x_y` {#id}")
    'The real one & x_y'
    """
    kept: list[str] = []
    line, at = _ATTRIBUTES.sub("", line), 0
    for code in _CODE.finditer(line):
        kept += [_without_markup(line[at : code.start()]), code[2]]
        at = code.end()
    return " ".join("".join([*kept, _without_markup(line[at:])]).split())


def _without_markup(text: str) -> str:
    plain = _EMPHASIS.sub("", _TAG.sub("", _LINK.sub(_link_text, _LINK.sub(_link_text, text))))
    return html.unescape(_ESCAPE.sub(r"\1", plain))


def _link_text(found: re.Match[str]) -> str:
    return "" if found[0].startswith("!") else found[1]


def rst_title(text: str) -> str:
    """Return the title that a reStructuredText begins with; "" where it begins otherwise.

    Above it there may be comments, directives, targets and fields, each with the indented lines below it.
    """
    lines = _lines(text)
    above = ""
    for line in lines:
        if stated := _RST_TITLE.match(line):
            return " ".join(stated[1].split())
        if not line.strip() or (above and line[0].isspace()):
            continue
        if _RST_ABOVE.match(line):
            above = line
        elif _RST_LINE.match(line):
            name, under = next(lines, ""), next(lines, "")
            return _rst_text(name) if under[:1] == line[0] and _RST_LINE.match(under) else ""
        else:
            under = next(lines, "")
            is_title = (
                not line[0].isspace() and _RST_LINE.match(under) and len(under.rstrip()) + 2 >= len(line.rstrip())
            )
            return _rst_text(line) if is_title else ""
    return ""


def _rst_text(line: str) -> str:
    shown = _TARGET.sub(lambda found: found[1] or found[2] or found[3] or "", _ROLE.sub("", line.strip()))
    return " ".join(_ESCAPE.sub(r"\1", shown.replace("``", "").replace("**", "")).split())


def _lines(text: str) -> Iterator[str]:
    at = 0
    for _ in range(_MOST_LINES):
        if at >= len(text):
            return
        end = _line_end(text, at)
        yield text[at : min(end, at + _LONGEST_LINE)]
        at = end + 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
