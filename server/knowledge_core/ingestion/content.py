"""What a file holds, by its first bytes, and which format of the table that is. Names only help."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from knowledge_core.ingestion import formats
from knowledge_core.ingestion.cutting.csv_dialect import dialect_of
from knowledge_core.ingestion.format_table import FORMATS, Content, Format
from knowledge_core.ingestion.reading.archive import Archive
from knowledge_core.ingestion.reading.legacy.compound import Compound
from knowledge_core.ingestion.unreadable import Unreadable

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the containers of Microsoft's older formats, and of encrypted newer ones
# Stream at the top of such a container -> its format.
_STREAMS = {
    "worddocument": "doc",
    "powerpoint document": "ppt",
    "__properties_version1.0": "msg",
    "workbook": "xlsx",
    "book": "xlsx",
}
_BEFORE_COMMENTS = re.compile(r"\s*(?:<\?xml[^>]{0,200}>\s*)?", re.I)
_LONGEST_COMMENT = 2000  # characters of a comment before a page's first tag
_SPACE = re.compile(r"\s*")
_HTML_TAG = re.compile(r"<(?:!doctype\s+html|html)\b", re.I)
# The first tag of an XML text, after its declarations and comments.
_ROOT = re.compile(
    r"[\ufeff\s]*(?:<\?[^>]{0,2000}\?>\s*|<!--(?:(?!-->).){0,5000}-->\s*|<![A-Z][^\[>]{0,2000}(?:\[[^\]]{0,20000}\]\s*)?>\s*){0,50}"
    r"<(?:[\w.-]{1,100}:)?([\w.-]{1,100})[^>]{0,5000}",
    re.S,
)
_DECLARATION = re.compile(r"[\ufeff\s]{0,99}<\?xml\s[^<>]{0,200}\?>")
_RSS_1 = re.compile(r"purl\.org/rss/|netscape\.com/rdf/simple")
_HTML_PART = re.compile(r"\s*<(?:head|meta|style|body|table|div|b)\b", re.I)
_RTF_WITHIN = 100  # bytes, in which white space may stand before the first bracket
_PDF_WITHIN = 1024  # bytes, in which the header must begin (ISO 32000-1, annex H.3, note 13)
BY_SUFFIX: Mapping[str, Format] = {suffix: each for each in FORMATS for suffix in each.suffixes.split()}
BY_NAME: Mapping[str, Format] = {each.name: each for each in FORMATS}
# The main part of a package, as its content types call it; that of a template or with macros has another middle.
_PACKAGES = {"wordprocessingml": "docx", "ms-word": "docx", "presentationml": "pptx", "ms-powerpoint": "pptx",
             "spreadsheetml": "xlsx", "ms-excel": "xlsx"}  # fmt: skip
_ARCHIVES_OF_EXCEL = frozenset(BY_NAME["xlsx"].suffixes.split()) - {".xls", ".xlt"}
_MIMETYPES = {"text": "odt", "presentation": "odp", "spreadsheet": "ods"}


# The first line of a message or mailbox, and the fields by which a message's head is known.
_MAIL_BEGINS = re.compile(rb"\s{0,99}(?:From [^\n]{1,200}\d{4}|[!-9;-~]{1,60}:[ \t])")
_MAIL_FIELDS = re.compile(
    rb"^(from|to|date|message-id|received|return-path|subject|mime-version|delivered-to|content-type):[ \t]+([^\r\n]{0,200})",
    re.I | re.M,
)
_MAIL_HEAD = 8_000  # bytes in which they are looked for
_MAIL_FIELDS_AT_LEAST = 4


def content_of(data: bytes, path: PurePath) -> Content:
    """Return what a file's bytes are. "text" also where they are neither text nor anything known."""
    if data.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    if data.startswith(_OLE):
        return "ole"
    if data[:_RTF_WITHIN].removeprefix(codecs.BOM_UTF8).lstrip().startswith(rb"{\rtf"):
        return "rtf"
    at = data[:_PDF_WITHIN].find(b"%PDF-")
    named = path.suffix.lower() == ".pdf"
    # Junk before the header is usual in files that are called .pdf; a note that speaks of "%PDF-" is no PDF.
    if at == 0 or (at > 0 and (named or not data[:at].isascii() or b"\0" in data[:at])):
        return "pdf"
    return "mail" if _is_mail(data, path) else "text"


def _is_mail(data: bytes, path: PurePath) -> bool:
    """Say whether bytes are e-mail: by the name or, where the name says nothing of texts, by a message's head."""
    by_suffix = BY_SUFFIX.get(path.suffix.lower())
    if by_suffix and by_suffix.content == "mail":
        return True
    known = path.suffix.lower() in formats.KNOWN_SUFFIXES or formats.language(path)
    if known and not _of_office(by_suffix):
        return False
    fields = _fields_of_mail(data)
    telling = len(fields.keys() - {b"content-type"}) >= _MAIL_FIELDS_AT_LEAST and b"from" in fields
    return telling or _is_saved_page(fields)


def _fields_of_mail(data: bytes) -> Mapping[bytes, bytes]:
    """Return the fields of a message's head that tell what it is, by their names; none where the bytes are no message."""
    if not _MAIL_BEGINS.match(data):
        return {}
    head = re.split(rb"\r?\n\r?\n", data[:_MAIL_HEAD].lstrip(), maxsplit=1)[0]
    return {name.lower(): value.lower() for name, value in _MAIL_FIELDS.findall(head)}


def _is_saved_page(fields: Mapping[bytes, bytes]) -> bool:
    """Say whether a message was sent to nobody and holds a page with its pictures: so browsers and Word save pages."""
    sent = fields.keys() & {b"to", b"received", b"delivered-to"}
    related = fields.get(b"content-type", b"").startswith(b"multipart/related")
    return related and b"mime-version" in fields and not sent


def _of_office(by_suffix: Format | None) -> bool:
    """Say whether a name promises a format of office programs that was there before those in archives, or a workbook.

    Many programs call a page, a table or a text so, because an office program then opens it; and other programs have
    given texts of their own the same names: templates of translations (.pot), graphs (.dot), definitions (.msg).
    """
    return by_suffix is not None and (by_suffix.content in ("ole", "rtf") or by_suffix is BY_NAME["xlsx"])


def format_of(data: bytes, path: PurePath, name: str) -> Format | None:
    """Return the format of a file with a reader that takes bytes; None where it is text, or nothing that is read.

    name: the file's name in messages.

    Raises:
        Unreadable: "encrypted", or "damaged" where it is not what its name says.
    """
    content = content_of(data, path)
    by_suffix = BY_SUFFIX.get(path.suffix.lower())
    if found := _of_content(content, data, by_suffix, name):
        return found
    promised = by_suffix is not None and by_suffix.content != "text"
    may_be_text = content == "text" and _of_office(by_suffix) and path.suffix.lower() not in _ARCHIVES_OF_EXCEL
    if promised and not may_be_text:
        raise Unreadable("damaged", f"{name} does not begin like a {path.suffix[1:].upper()} file. Save it anew.")
    return None


def _of_content(content: Content, data: bytes, by_suffix: Format | None, name: str) -> Format | None:
    if content == "zip":
        return _of_archive(data, name) or (by_suffix if by_suffix and by_suffix.content == "zip" else None)
    if content == "ole":
        return _of_ole(data, by_suffix, name)
    if content in ("pdf", "rtf"):
        return BY_NAME[content]
    if content == "mail":
        if by_suffix and by_suffix.content == "mail":
            return by_suffix
        return BY_NAME["mhtml" if _is_saved_page(_fields_of_mail(data)) else "email"]
    return None


def _of_archive(data: bytes, name: str) -> Format | None:
    """Return the format of an archive by what it says of itself; None where that is nothing, or it is damaged."""
    try:
        archive = Archive(data, name)
        if "[Content_Types].xml" in archive:
            return _of_package(archive.read("[Content_Types].xml").decode("utf-8", "replace"))
        if "META-INF/container.xml" in archive:
            return BY_NAME["epub"]
        kind = archive.read("mimetype").decode("ascii", "replace").strip() if "mimetype" in archive else ""
    except Unreadable:
        return None
    found = re.match(r"application/vnd\.oasis\.opendocument\.(text|presentation|spreadsheet)", kind)
    return BY_NAME[_MIMETYPES[found[1]]] if found else BY_NAME["epub"] if kind == "application/epub+zip" else None


def _of_package(types: str) -> Format | None:
    """Return the format of an Office Open XML package by the content type of its main part."""
    found = re.search(
        r"(wordprocessingml|presentationml|spreadsheetml|ms-word|ms-powerpoint|ms-excel)[\w.-]*\.main\+xml", types
    )
    found = found or re.search(r"(ms-excel)\.sheet\.binary[\w.]*\.main", types)
    return BY_NAME[_PACKAGES[found[1]]] if found else None


def _of_ole(data: bytes, by_suffix: Format | None, name: str) -> Format | None:
    """Return the format of a container of streams by the streams at its top; by its name where it is damaged."""
    try:
        streams = {stream.lower() for stream in Compound(data, name).names}
    except Unreadable:
        if by_suffix is not None and by_suffix.content == "ole":
            raise
        streams = set()
    if "encryptedpackage" in streams:
        raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.")
    found = next((BY_NAME[format] for stream, format in _STREAMS.items() if stream in streams), None)
    return found or (by_suffix if by_suffix is BY_NAME["xlsx"] else None)  # whose reader says what is wrong


def text_format_of(text: str, path: PurePath) -> Format | None:
    """Return the format of a decoded text that has a reader; None where it is read as it is."""
    by_suffix = BY_SUFFIX.get(path.suffix.lower())
    if by_suffix and by_suffix.content == "text" and by_suffix is not BY_NAME["xml"]:
        return by_suffix
    if by_suffix is BY_NAME["xlsx"]:
        return _of_so_called_workbook(text)
    known = formats.language(path) or path.suffix.lower() in formats.PROSE.keys() | formats.LINES.keys()
    if not known and _begins_like_html(text):
        return BY_NAME["html"]
    declared = (by_suffix is None or _of_office(by_suffix)) and _DECLARATION.match(text)
    if known or not (by_suffix is BY_NAME["xml"] or declared):
        return None
    root = _ROOT.match(text)
    if root and root[1] == "mxfile":
        return BY_NAME["canvas"]
    if root and (root[1] in ("rss", "feed") or (root[1] == "RDF" and _RSS_1.search(root[0]))):
        return BY_NAME["feed"]
    return BY_NAME["svg" if root and root[1] == "svg" else "xml"]


def _of_so_called_workbook(text: str) -> Format | None:
    """Return the format of a text that is called .xls: a page, a table, XML; None where it is none of them."""
    if _begins_like_html(text) or _HTML_PART.match(text):
        return BY_NAME["html"]
    if text.lstrip().startswith("<?xml"):
        return BY_NAME["xml"]
    return BY_NAME["csv"] if dialect_of(text).delimiter else None


def _begins_like_html(text: str) -> bool:
    """Say whether a text begins with the first tag of an HTML page, after an XML declaration and comments at most."""
    at = _end_of(_BEFORE_COMMENTS, text, 0)
    while text.startswith("<!--", at):
        closed = text.find("-->", at + 4, at + 4 + _LONGEST_COMMENT + 3)
        if closed < 0:
            return False
        at = _end_of(_SPACE, text, closed + 3)
    return _HTML_TAG.match(text, at) is not None


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def reader_of(format: Format) -> Any:
    """Return the function of a format's reader, imported now."""
    import importlib

    module, function = format.reader.split(":")
    return getattr(importlib.import_module(f"knowledge_core.ingestion.reading.{module}"), function)
