"""The text in the parts of a message: each passage once, in order, with the names of what is not read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own
from lxml import html as lxml_html

from knowledge_core.ingestion.decoding import clean_text, decode_as
from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.reading.html_text import write
from knowledge_core.ingestion.reading.literal import literal
from knowledge_core.ingestion.reading.mail.headers import decoded
from knowledge_core.ingestion.reading.mail.mime import Part

_MOST_NAMES = 200  # of attachments
_ATTACHED = word_set("message/rfc822 message/global message/news")
_AS_TEXT = word_set(
    "text/plain text/rfc822-headers message/delivery-status message/disposition-notification message/feedback-report"
)
_SEALED = word_set("application/pkcs7-mime application/x-pkcs7-mime")
_TEXTS = _AS_TEXT | word_set("text/html text/calendar text/enriched text/richtext application/xhtml+xml")
_ENRICHED = re.compile(r"<(param)>.*?</param>|<(?:<)|</?[a-zA-Z-]{1,60}>", re.S)
_PGP = re.compile(r"\s*-----BEGIN PGP MESSAGE-----")
_QUOTES = re.compile(r">*")
_LITTLE = 5  # times as many words in the HTML: the plain text says only that there is HTML
_CALENDAR = {
    "SUMMARY": "Summary", "DTSTART": "Start", "DTEND": "End", "DUE": "Due", "LOCATION": "Location",
    "ORGANIZER": "Organizer", "ATTENDEE": "Attendee", "DESCRIPTION": "Description", "STATUS": "Status",
    "RRULE": "Repeats",
}  # fmt: skip
_MOST_EVENTS_LINES = 2_000


@dataclass
class Body:
    """What was found in a message so far.

    texts: passages of Markdown, or messages attached, in their order.
    attachments: names of parts that are not read.
    sealed: a part is encrypted.
    """

    texts: list[str | Part] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    sealed: bool = False


def body_of(part: Part) -> Body:
    """Return what is in a part. Goes down by recursion, at most `mime.DEEPEST` levels."""
    body = Body()
    _gather(part, body)
    return body


def _gather(part: Part, body: Body) -> None:
    kind = part.kind
    if kind == "multipart/encrypted" or kind == "application/pgp-encrypted":
        body.sealed = True
    elif kind.startswith("multipart/") and (children := list(part.parts())):
        for child in _wanted(kind, part, children, body):
            _gather(child, body)
    elif kind in _ATTACHED:
        body.texts += list(part.parts())
    elif kind in _SEALED and str(part.head.get_param("smime-type", "")).lower() != "signed-data":
        body.sealed = True
    elif _is_attachment(part, kind):
        if len(body.attachments) < _MOST_NAMES:
            body.attachments.append(_file_name(part) or f"unnamed ({kind})")
    else:
        text = _text(part, kind)
        if _PGP.match(text):
            body.sealed = True
        elif text.strip():
            body.texts.append(text)


def _wanted(kind: str, part: Part, children: list[Part], body: Body) -> list[Part]:
    """Return the children of a multipart to read: of alternatives the best one, of a page its root."""
    if kind == "multipart/alternative":
        return _best(children)
    if kind == "multipart/signed":
        return children[:1]
    if kind == "multipart/related":
        start = str(part.head.get_param("start", "") or "")
        root = next(
            (each for each in children if start and str(each.head.get("Content-ID", "")).strip() == start), children[0]
        )
        others = [each for each in children if each is not root and not each.head.get("Content-ID")]
        return [root, *others]
    return children


def _best(children: list[Part]) -> list[Part]:
    """Return the alternative to read: plain text, unless it says next to nothing of what the HTML says."""
    plain = next((each for each in children if each.kind == "text/plain"), None)
    rich = [each for each in children if each.kind in ("text/html", "multipart/related", "multipart/mixed")]
    calendar = [each for each in children if each.kind == "text/calendar"]
    rest = [each for each in children if each.kind in _TEXTS or each.kind.startswith("multipart/")]
    if plain is None or not rich:
        chosen = plain or (rich or rest or children)[-1]
        return [chosen, *(each for each in calendar if each is not chosen)]
    words = len(_text(plain, plain.kind).split())
    if words * _LITTLE < sum(len(text.split()) for text in body_of(rich[-1]).texts if isinstance(text, str)):
        return [rich[-1], *calendar]
    names = [each for each in rich if each.kind == "multipart/mixed"]  # attachments in one alternative only
    return [plain, *calendar, *(child for each in names for child in each.parts() if _is_attachment(child, child.kind))]


def _is_attachment(part: Part, kind: str) -> bool:
    if kind.startswith("multipart/"):
        return False
    return kind not in _TEXTS or part.head.get_content_disposition() == "attachment"


def _file_name(part: Part) -> str:
    try:
        return decoded(part.head.get_filename("") or "")
    except (ValueError, LookupError, TypeError):
        return ""


def _text(part: Part, kind: str) -> str:
    if kind.startswith("multipart/"):
        kind = "text/plain"  # a multipart without parts
    data = part.body()
    try:
        charset = part.head.get_param("charset", "") or ""
        label = charset[2] if isinstance(charset, tuple) else str(charset)
    except (ValueError, LookupError):
        label = ""
    text = clean_text(decode_as(data, label))
    if kind in ("text/html", "application/xhtml+xml"):
        return whole_page(text)
    if kind == "text/calendar":
        return calendar_lines(text)
    if kind in ("text/enriched", "text/richtext"):
        text = _ENRICHED.sub(lambda found: "<" if found[0] == "<<" else "", text)
    if str(part.head.get_param("format", "")).lower() == "flowed":
        text = flowed(text, delete_space=str(part.head.get_param("delsp", "")).lower() == "yes")
    return tidy(literal(text))


def tidy(text: str) -> str:
    """Return a text without spaces at line ends, and with one empty line where there are several."""
    lines = [line.rstrip() for line in text.split("\n")]
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def whole_page(text: str) -> str:
    """Return all the text of an HTML message: what looks like navigation in a page is content in a letter."""
    parser = lxml_html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        page = lxml_html.document_fromstring(text.encode("utf-8"), parser=parser)
    except etree.ParserError:  # nothing but white space or comments
        return ""
    body = page.find("body")
    return clean_text(write(page if body is None else body))


def flowed(text: str, *, delete_space: bool) -> str:
    r"""Return a text of format=flowed with its lines joined to paragraphs (RFC 3676).

    delete_space: the space that marks a line as joined is no part of the text.

    >>> flowed("One \nline.\n> a \n> quote", delete_space=False)
    'One line.\n> a quote'
    """
    result: list[str] = []
    open_depth = -1  # quote depth of the paragraph that goes on; -1 where none does
    for line in text.split("\n"):
        found = _QUOTES.match(line)
        depth = found.end() if found else 0
        rest = line[depth:].removeprefix(" ")
        flows = rest.endswith(" ") and rest != "-- "
        part = rest[:-1] if flows and delete_space else rest
        if depth == open_depth and rest != "-- ":
            result.append(part)
        else:
            result.append(("\n" if result else "") + (">" * depth + " " if depth else "") + part)
        open_depth = depth if flows else -1
    return "".join(result)


def calendar_lines(text: str) -> str:
    """Return what an invitation says, one line a property: "Summary: ...". RFC 5545; folded lines are joined."""
    lines: list[str] = []
    for line in re.sub(r"\n[ \t]", "", text).split("\n"):
        found = re.match(r"([A-Za-z-]{1,40})((?:;[^:\"]{0,200}(?:\"[^\"]{0,500}\")?){0,20}):(.*)", line)
        if line.strip().upper() == "BEGIN:VEVENT" and lines:
            lines.append("")
        if not found or not (name := _CALENDAR.get(found[1].upper())) or len(lines) >= _MOST_EVENTS_LINES:
            continue
        value = re.sub(r"\\([nN,;\\])", lambda escape: " " if escape[1] in "nN" else escape[1], found[3]).strip()
        if name in ("Organizer", "Attendee"):
            common = re.search(r";CN=(?:\"([^\"]*)\"|([^;]*))", found[2], re.I)
            value = " ".join(
                filter(None, [(common[1] or common[2]) if common else "", re.sub("(?i)^mailto:", "", value)])
            )
        elif name in ("Start", "End", "Due"):
            value = re.sub(r"^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d)?(Z?)$", _when, value)
        if value:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _when(found: re.Match[str]) -> str:
    day = f"{found[1]}-{found[2]}-{found[3]}"
    return f"{day} {found[4]}:{found[5]}{' UTC' if found[6] else ''}" if found[4] else day
