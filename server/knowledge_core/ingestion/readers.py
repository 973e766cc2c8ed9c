"""One file, or one text given in a call, to one Document.

Rules kept here:
- the size is checked before anything is read;
- the content decides what a file is, its name only helps;
- whatever is wrong with a file is an `Unreadable` with a reason, never another exception, save that it lies elsewhere;
- a secret is not read, and neither is the data directory, by whatever name they are reached;
- the same bytes under the same name give the same document;
- messages call a file by its document's id;
- nothing is fetched, nothing is executed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from knowledge_core.errors import Cancelled, InvalidInput, PathNotAllowed, quoted
from knowledge_core.ingestion import formats
from knowledge_core.ingestion.access.opening import final_path, opened_inside
from knowledge_core.ingestion.access.secret_files import refusal, secret_by_data, secret_by_name
from knowledge_core.ingestion.content import format_of, text_format_of
from knowledge_core.ingestion.cutting.payloads import without_payloads
from knowledge_core.ingestion.decoding import clean_text, decode
from knowledge_core.ingestion.metadata import from_caller, from_file
from knowledge_core.ingestion.parsing import Parse, parse
from knowledge_core.ingestion.reading import markdown
from knowledge_core.ingestion.reading.literal import begun_as_text
from knowledge_core.ingestion.reading.notes.titles import rst_title
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.unreadable import Reason, Unreadable, not_taken_apart
from knowledge_core.ingestion.walking.machine_made import made_by_content, made_by_name
from knowledge_core.paths import data_directory_around
from knowledge_core.types import Document

__all__ = ["INLINE_LIMIT", "READER_VERSION", "Reason", "Unreadable", "clean_text", "inline_document", "read_file",
           "refusal_by_name_and_size", "supported"]  # fmt: skip

READER_VERSION = 3
INLINE_LIMIT = 10_000_000  # bytes of UTF-8
LONGEST_ID = 500  # characters
LONGEST_TITLE = 500  # characters

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def supported(path: Path) -> bool:
    """Say whether a file of this name may hold text that can be read. False is certain, True is not."""
    return formats.refusal_by_name(path) is None


def refusal_by_name_and_size(path: Path, size: int, *, document_id: str, limit: int) -> Unreadable | None:
    """Return the reason to refuse a file that its name or size gives; None where its content decides.

    limit: bytes that the file may have at most.
    """
    if reason := formats.refusal_by_name(path):
        kind = formats.kind(path)
        advice = formats.SAVE_AS.get(kind, "Save it as text, Markdown, HTML or PDF.")
        advice = advice if reason == "unsupported" else "It holds no text."
        return Unreadable(reason, f"{document_id} is in a format that is not read ({kind}). {advice}")
    if size > limit:
        return Unreadable("too large", f"{document_id} has {size} bytes; at most {limit} are read.")
    return None


def read_file(
    path: Path,
    *,
    document_id: str,
    limit: int,
    roots: Sequence[Path] | None = None,
    secrets: bool = False,
    generated: bool = True,
    parse: Parse = parse,
) -> Document:
    """Read one file as a document.

    limit: bytes that the file may have at most.
    roots: in one of which the file must lie when it is opened; None: wherever it lies.
    secrets: a person allowed to read this file even if it is a secret.
    generated: it is wanted even if a program made it for programs.
    parse: runs the format's reader; by default here.

    Raises:
        PathNotAllowed: the path leads outside of the roots, or into a data directory, by now.
        Cancelled: from `parse`.
        Unreadable: for every other reason; its `reason` is for counting, its message for the report.
    """
    if refused := refusal_by_name_and_size(path, 0, document_id=document_id, limit=limit):
        raise refused
    if not generated and made_by_name(path):
        raise Unreadable("generated", f"{document_id} is made by a program, by its name.")
    data = _bytes(path, document_id, limit, roots, secrets)
    try:
        document = _document(path, document_id, data, secrets, generated, parse)
    except (Unreadable, Cancelled):
        raise
    except Exception as error:  # other people's parsers raise whatever they like
        raise not_taken_apart(document_id, error) from error
    if not document.text.strip():
        raise Unreadable("empty", f"{document_id} holds no text{_why_empty(document)}.")
    return document


def inline_document(
    id: str,
    text: str,
    title: str = "",
    uri: str = "",
    metadata: Mapping[str, object] | None = None,
    *,
    limit: int = INLINE_LIMIT,
) -> Document:
    """Make a document of a text given in a call; the text is read as a Markdown file is.

    Without a title in the call it is called as its front matter or its leading heading says; metadata of the call win over
    what the text says about itself.

    limit: bytes that the text may have at most, in UTF-8.

    Raises:
        InvalidInput: a value is not allowed; the message says which, and what would be right.
    """
    if not 1 <= len(id) <= LONGEST_ID or _CONTROL.search(id) or not id.strip():
        raise InvalidInput(
            f"A document id must have 1 to {LONGEST_ID} characters and no control characters; this one has {len(id)}."
        )
    where = f"Document {quoted(id)}"
    cleaned = clean_text(text)
    if not cleaned.strip():
        raise InvalidInput(f"{where} has no text.")
    size = len(cleaned.encode("utf-8"))
    if size > limit:
        raise InvalidInput(f"{where} has {size} bytes; at most {limit}. Split it, or index it as a file.")
    if len(title) > LONGEST_TITLE or _CONTROL.search(title):
        raise InvalidInput(f"{where}: a title has at most {LONGEST_TITLE} characters and no control characters.")
    if len(uri) > 2000 or _CONTROL.search(uri):
        raise InvalidInput(f"{where}: a uri has at most 2000 characters and no control characters.")
    fields = from_caller(metadata or {}, where)
    shown, own_title, found = markdown.read_parts(cleaned)
    if not shown.strip():
        shown = cleaned
    fields = from_file({name: value for name, value in found.items() if name not in fields}, fields)
    return Document(id, shown, title.strip() or _one_line(own_title), uri, fields, media_type="text/markdown")


def _bytes(path: Path, name: str, limit: int, roots: Sequence[Path] | None, secrets: bool) -> bytes:
    try:
        with opened_inside(path, roots) as file:
            about = os.fstat(file.fileno())
            _refuse_place(final_path(file, path), name, secrets)
            if not stat.S_ISREG(about.st_mode):
                raise Unreadable("unreadable", f"{name} is no regular file.")
            data = file.read(limit + 1) if about.st_size <= limit else b""
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Unreadable("unreadable", f"{name} cannot be opened: {why}.") from error
    if refused := refusal_by_name_and_size(path, max(about.st_size, len(data)), document_id=name, limit=limit):
        raise refused
    if not data:
        raise Unreadable("empty", f"{name} has no bytes.")
    if data.isspace():
        raise Unreadable("empty", f"{name} holds no text.")
    return data


def _refuse_place(path: Path, name: str, secrets: bool) -> None:
    """Refuse an opened file for where it lies. path: as the system says it, which no link in the way can change."""
    if data_directory_around(path) is not None:
        raise PathNotAllowed(f"{name} leads into a data directory of Knowledge Core by now; nothing of it was read.")
    if not secrets and (what := secret_by_name(path.parts)):
        raise Unreadable("secret", refusal(name, what))


def _document(path: Path, name: str, data: bytes, secrets: bool, generated: bool, parse: Parse) -> Document:
    if format := format_of(data, path, name):
        if format.content == "mail":  # text whose parts are decoded by its reader; a key may have its name
            text = decode(data)
            _refuse_secret(data, None if text is None else clean_text(text), name, secrets)
        return _made(path, name, parse(format, data, name))
    text = decode(data)
    if text is None:
        raise Unreadable("binary", f"{name} is no text.")
    text = clean_text(text)
    _refuse_secret(data, text, name, secrets)
    if not generated and made_by_content(text, path):
        raise Unreadable("generated", f"{name} is made by a program, by its content.")
    if format := text_format_of(text, path):
        return _made(path, name, parse(format, text, name))
    return _made(path, name, _plain(text, path))


def _refuse_secret(data: bytes, text: str | None, name: str, secrets: bool) -> None:
    if not secrets and (what := secret_by_data(data, text)):
        raise Unreadable("secret", refusal(name, what))


def _plain(text: str, path: Path) -> Parsed:
    """Return a text that needs no reader: source code, settings, prose without markup."""
    if language := formats.language(path) or _language_of_shebang(text):
        about = {"format": "code", "language": language}
        return Parsed(text, "", about, f"text/x-{language}", lines_of_file=True)
    suffix = path.suffix.lower()
    if media_type := formats.LINES.get(suffix):
        return Parsed(text, "", {"format": suffix[1:]}, media_type, lines_of_file=True)
    media_type = formats.PROSE.get(suffix, "text/plain")
    format = "text" if media_type == "text/plain" else "rst"
    title = rst_title(text) if format == "rst" else ""
    return Parsed(without_payloads(text), title, {"format": format}, media_type, lines_of_file=True)


def _made(path: Path, name: str, parsed: Parsed) -> Document:
    parsed = parsed if parsed.lines_of_file or parsed.metadata.get("format") == "ipynb" else begun_as_text(parsed)
    return Document(
        name, parsed.text, _one_line(parsed.title) or _name_as_title(path), path.absolute().as_uri(), parsed.metadata,
        parsed.media_type, parsed.pages, parsed.headings, parsed.lines_of_file,
    )  # fmt: skip


def _one_line(title: str) -> str:
    return " ".join(_CONTROL.sub(" ", title).split())[:LONGEST_TITLE].strip()


def _name_as_title(path: Path) -> str:
    """Return a file's name, without the suffix where that only says how the text was written down."""
    # A name may hold bytes that are no UTF-8; they are shown as escapes.
    shown = _CONTROL.sub(" ", path.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    suffix = path.suffix.lower()
    if suffix not in formats.WITHOUT_SUFFIX:
        return shown
    stem = shown[: -len(suffix)]
    return stem[: -len(".excalidraw")] if stem.lower().endswith(".excalidraw") else stem


def _language_of_shebang(text: str) -> str:
    found = re.match(r"#![^\n]{0,80}?\b(python|bash|sh|zsh|node|ruby|perl|php)[\d.]{0,20}\b", text)
    names = {"sh": "bash", "zsh": "bash", "node": "javascript"}
    return names.get(found[1], found[1]) if found else ""


def _why_empty(document: Document) -> str:
    return "; its pages are pictures, and there is no text recognition" if document.metadata.get("pages") else ""
