"""What a file holds, by its first bytes, and which format of the table that is. Names only help."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from knowledge_core.ingestion import formats
from knowledge_core.ingestion.format_table import FORMATS, Content, Format
from knowledge_core.ingestion.reading.archive import Archive
from knowledge_core.ingestion.unreadable import Unreadable

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the containers of Microsoft's older formats, and of encrypted newer ones
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_WORKBOOK, _WORD = "Workbook".encode("utf-16-le"), "WordDocument".encode("utf-16-le")
_BEFORE_COMMENTS = re.compile(r"\s*(?:<\?xml[^>]{0,200}>\s*)?", re.I)
_LONGEST_COMMENT = 2000  # characters of a comment before a page's first tag
_SPACE = re.compile(r"\s*")
_HTML_TAG = re.compile(r"<(?:!doctype\s+html|html)\b", re.I)
_PDF_WITHIN = 1024  # bytes, in which the header must begin (ISO 32000-1, annex H.3, note 13)
BY_SUFFIX: Mapping[str, Format] = {suffix: each for each in FORMATS for suffix in each.suffixes.split()}
BY_NAME: Mapping[str, Format] = {each.name: each for each in FORMATS}
# The main part of a package, as its content types call it; that of a template or with macros has another middle.
_PACKAGES = {"wordprocessingml": "docx", "ms-word": "docx", "presentationml": "pptx", "ms-powerpoint": "pptx",
             "spreadsheetml": "xlsx", "ms-excel": "xlsx"}  # fmt: skip
_MIMETYPES = {"text": "odt", "presentation": "odp", "spreadsheet": "ods"}


def content_of(data: bytes, path: PurePath) -> Content:
    """Return what a file's bytes are. "text" also where they are neither text nor anything known."""
    if data.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    if data.startswith(_OLE):
        return "ole"
    if data.lstrip()[:5] == rb"{\rtf":
        return "rtf"
    at = data[:_PDF_WITHIN].find(b"%PDF-")
    named = path.suffix.lower() == ".pdf"
    # Junk before the header is usual in files that are called .pdf; a note that speaks of "%PDF-" is no PDF.
    return "pdf" if at == 0 or (at > 0 and (named or not data[:at].isascii() or b"\0" in data[:at])) else "text"


def format_of(data: bytes, path: PurePath, name: str) -> Format | None:
    """Return the format of a file with a reader that takes bytes; None where it is text, or nothing that is read.

    name: the file's name in messages.

    Raises:
        Unreadable: "encrypted", or "damaged" where it is not what its name says.
    """
    content = content_of(data, path)
    by_suffix = BY_SUFFIX.get(path.suffix.lower())
    if content == "zip":
        return _of_archive(data, by_suffix, name)
    if content == "ole":
        return _of_ole(data, by_suffix, name)
    if content in ("pdf", "rtf"):
        return BY_NAME[content]
    # Many programs call a page or a table of text ".xls", because a spreadsheet then opens it.
    if by_suffix and by_suffix.content != "text" and path.suffix.lower() not in (".xls", ".rtf"):
        raise Unreadable("damaged", f"{name} does not begin like a {path.suffix[1:].upper()} file. Save it anew.")
    return None


def _of_archive(data: bytes, by_suffix: Format | None, name: str) -> Format | None:
    try:
        archive = Archive(data, name)
        if "[Content_Types].xml" in archive:
            return _of_package(archive.read("[Content_Types].xml").decode("utf-8", "replace")) or by_suffix
        kind = archive.read("mimetype").decode("ascii", "replace").strip()
    except Unreadable:
        return by_suffix  # its reader says what is wrong
    if kind == "application/epub+zip" or "META-INF/container.xml" in archive:
        return BY_NAME["epub"]
    found = re.match(r"application/vnd\.oasis\.opendocument\.(text|presentation|spreadsheet)", kind)
    return BY_NAME[_MIMETYPES[found[1]]] if found else by_suffix


def _of_package(types: str) -> Format | None:
    """Return the format of an Office Open XML package by the content type of its main part."""
    found = re.search(
        r"(wordprocessingml|presentationml|spreadsheetml|ms-word|ms-powerpoint|ms-excel)[\w.-]*\.main\+xml", types
    )
    found = found or re.search(r"(ms-excel)\.sheet\.binary[\w.]*\.main", types)
    return BY_NAME[_PACKAGES[found[1]]] if found else None


def _of_ole(data: bytes, by_suffix: Format | None, name: str) -> Format | None:
    if _ENCRYPTED_PACKAGE in data:
        raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.")
    workbook = by_suffix is BY_NAME["xlsx"] or (_WORKBOOK in data and _WORD not in data)
    return BY_NAME["xlsx"] if workbook else None


def text_format_of(text: str, path: PurePath) -> Format | None:
    """Return the format of a decoded text that has a reader; None where it is read as it is."""
    by_suffix = BY_SUFFIX.get(path.suffix.lower())
    if by_suffix and by_suffix.content == "text" and by_suffix is not BY_NAME["xml"]:
        return by_suffix
    known = formats.language(path) or path.suffix.lower() in formats.PROSE.keys() | formats.LINES.keys()
    if not known and _begins_like_html(text):
        return BY_NAME["html"]
    return by_suffix if by_suffix and by_suffix.content == "text" else None


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
