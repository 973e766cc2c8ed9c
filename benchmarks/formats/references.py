"""What a file's words and headings are, by programs and libraries that are not ours.

pandoc for documents, pdftotext for PDF, LibreOffice for older documents and presentations, `peers` (openpyxl, xlrd, pyxlsb,
odfpy, python-pptx, extract-msg) for sheets, slides and Outlook's messages, the standard library for the rest. A page of HTML
is compared with the Markdown that its package has for the same page.
"""

from __future__ import annotations

import csv
import email
import email.policy
import html
import io
import json
import mailbox
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from html.parser import HTMLParser
from pathlib import Path
from threading import Timer
from typing import Any
from xml.etree import ElementTree

from benchmarks.formats import peers

MOST_SECONDS = 60.0  # for one file
OLE = b"\xd0\xcf\x11\xe0"
PANDOC = {"docx": "docx", "odt": "odt", "epub": "epub", "rtf": "rtf", "ipynb": "ipynb", "rst": "rst", "md": "gfm"}
WITH_TITLES = ("docx", "odt", "rst")  # what pandoc takes as metadata stands in their text
SHOWN = ("title", "subtitle", "author", "date", "abstract")
PEERS = {
    "xlsx": "openpyxl",
    "xls": "xlrd",
    "xlsb": "pyxlsb",
    "ods": "odfpy",
    "odp": "odfpy",
    "pptx": "python-pptx",
    "msg": "extract-msg",
}


@dataclass(frozen=True)
class Reference:
    """What a file holds. tables: the words of its tables; headings: in the order of the file."""

    text: str
    headings: Sequence[str] = ()
    tables: str = ""
    ms: float = 0.0


class NoReference(Exception):
    """There is nothing to compare this file with; the message says why."""


@dataclass
class Peers:
    """The process of other people's libraries. A file that takes longer than `MOST_SECONDS` ends it; then it is begun anew."""

    python: str
    has: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        """Start the process, and learn which libraries it has."""
        self.process = subprocess.Popen([self.python, peers.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, encoding="utf-8")  # fmt: skip
        self.has = json.loads(self._line() or "{}")

    def ask(self, way: str, file: Path) -> Reference:
        """Return what a library makes of a file.

        Raises:
            NoReference: it is not installed, or fails, or takes too long.
        """
        if self.process is None:
            self.begin()
        if way not in self.has:
            raise NoReference(f"{way} is not installed in {self.python}")
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"way": way, "file": str(file)}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self._line() or "null")
        if answer is None:
            self.end()
            raise NoReference(f"{way}: ended, or longer than {MOST_SECONDS:.0f} s")
        if "error" in answer:
            raise NoReference(f"{way}: {answer['error'].splitlines()[0][:100]}")
        return Reference(answer["text"], answer["headings"], "", answer["ms"])

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _line(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        timer = Timer(MOST_SECONDS, self.process.kill)
        timer.start()
        try:
            return self.process.stdout.readline()
        finally:
            timer.cancel()


def reference(format: str, file: Path, expected: Path | None, others: Peers) -> Reference:
    """Return what the file holds.

    Raises:
        NoReference: there is nothing to compare it with.
    """
    try:
        if expected is not None:
            return by_pandoc("gfm+yaml_metadata_block", expected)
        if format == "epub":
            return by_pages(file)
        if format in PANDOC:
            return by_pandoc(PANDOC[format], file)
        if format in PEERS:
            return others.ask(PEERS[format], file)
        return by_libreoffice(file, others) if format in ("doc", "ppt") else BY_HAND[format](file)
    except (
        ValueError,
        LookupError,
        ElementTree.ParseError,
        csv.Error,
        zipfile.BadZipFile,
        OSError,
        RecursionError,
    ) as error:
        raise NoReference(f"{type(error).__name__}: {str(error)[:100]}") from error


def _output(command: Sequence[str]) -> str:
    if not (program := shutil.which(command[0])):
        raise NoReference(f"{command[0]} is not installed")
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        raise NoReference(f"{command[0]}: longer than {MOST_SECONDS:.0f} s") from None
    if done.returncode:
        raise NoReference(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[:100]}")
    return done.stdout.decode("utf-8", "replace")


# -- pandoc ------------------------------------------------------------------------------------------------------------


def by_pandoc(format: str, file: Path) -> Reference:
    """Return the words, headings and tables of a document as pandoc reads it."""
    tree = json.loads(_output(["pandoc", "--sandbox", "-f", format, "-t", "json", str(file)]))
    headings: list[Any] = []
    tables: list[Any] = []
    shown = [tree["meta"][name] for name in SHOWN if format in WITH_TITLES and name in tree["meta"]]
    text = _inlines([shown, tree["blocks"]], headings, tables)
    headings += [tree["meta"]["title"]] if shown and "title" in tree["meta"] else []
    return Reference(text, [name for each in headings if (name := _inlines(each).strip())],
                     "\n".join(map(_inlines, tables)))  # fmt: skip


def _inlines(content: Any, headings: list[Any] | None = None, tables: list[Any] | None = None) -> str:
    """Return the text in a part of pandoc's tree; its headings and tables are added to the lists."""
    said: list[str] = []
    waiting: list[Any] = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += reversed(part)
            continue
        if isinstance(part, str) and part == "\n":
            said.append(part)
        kind, inside = (part.get("t"), part.get("c")) if isinstance(part, dict) else (None, None)
        if kind == "Str":
            said.append(inside)
        elif kind in ("Space", "SoftBreak", "LineBreak"):
            said.append(" ")
        elif kind in ("Code", "CodeBlock"):
            waiting += ["\n", {"t": "Str", "c": inside[1]}]
        elif kind == "Math":
            said.append(re.sub(r"\\[A-Za-z]+", " ", inside[1]))
        elif kind in ("Link", "Image", "Span", "Quoted", "Cite"):
            waiting.append(inside[1])
        elif kind not in ("RawBlock", "RawInline") and inside is not None:
            if kind == "Header" and headings is not None:
                headings.append(inside[2])
            if kind == "Table" and tables is not None:
                tables.append(inside)
                inside = _inlines(inside, headings)  # tables in it are parts of it
                waiting.append({"t": "Str", "c": inside})
            else:
                waiting += ["\n", inside]
    return "".join(said)


def by_pages(file: Path) -> Reference:
    """Return a book as pandoc reads it or, where pandoc cannot, the text of its pages."""
    try:
        return by_pandoc("epub", file)
    except NoReference:
        with zipfile.ZipFile(file) as book:
            pages = [name for name in book.namelist() if name.lower().endswith((".html", ".xhtml", ".htm"))]
            return Reference("\n".join(_text_of_html(book.read(name).decode("utf-8", "replace")) for name in pages))


# -- by other programs, and by the standard library --------------------------------------------------------------------


def by_pdftotext(file: Path) -> Reference:
    """Return the pages' own text; a word that is hyphenated at a line's end is one word."""
    text = _output(["pdftotext", "-enc", "UTF-8", str(file), "-"])
    return Reference(re.sub(r"(?<=[a-zäöüß])[-\u2010\u00ad]\n(?=[a-zäöüß])", "", text))


def by_libreoffice(file: Path, others: Peers) -> Reference:
    """Return an older document's text as LibreOffice converts it: presentations by way of OpenDocument and odfpy."""
    slides = file.suffix.lower() == ".ppt"
    with tempfile.TemporaryDirectory() as folder:
        profile = f"-env:UserInstallation=file://{folder}/profile"
        wanted = "odp" if slides else "txt:Text (encoded):UTF8"
        _output(["soffice", profile, "--headless", "--convert-to", wanted, "--outdir", folder, str(file)])
        made = [each for each in Path(folder).iterdir() if each.is_file()]
        if not made:
            raise NoReference("soffice: no output")
        return others.ask("odfpy", made[0]) if slides else Reference(made[0].read_text(encoding="utf-8-sig"))


def by_csv(file: Path) -> Reference:
    """Return the cells of a table; the delimiter is sniffed."""
    text = _decoded(file.read_bytes())
    try:
        dialect: Any = csv.Sniffer().sniff(text[:20_000], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    return Reference("\n".join(cell for row in csv.reader(io.StringIO(text, newline=""), dialect) for cell in row))


def by_json(file: Path) -> Reference:
    """Return the keys and the values."""
    text, said = _decoded(file.read_bytes()), list[str]()
    try:
        waiting: list[Any] = [json.loads(text)]
    except ValueError:
        waiting = [json.loads(line) for line in text.splitlines() if line.strip()]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            said += map(str, part)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
        elif part is not None:
            said.append(part if isinstance(part, str) else json.dumps(part))
    return Reference("\n".join(said))


def by_element_tree(file: Path) -> Reference:
    """Return the text of every element."""
    return Reference("\n".join(ElementTree.fromstring(file.read_bytes()).itertext()))


def by_svg(file: Path) -> Reference:
    """Return title, description and labels."""
    root, wanted = ElementTree.fromstring(file.read_bytes()), ("title", "desc", "text")
    return Reference("\n".join("".join(each.itertext()) for each in root.iter() if _local(each) in wanted))


def by_feed(file: Path) -> Reference:
    """Return titles and texts of the feed and its entries; HTML in them as its text."""
    said = []
    for each in ElementTree.fromstring(file.read_bytes()).iter():
        if _local(each) in ("title", "subtitle", "summary", "content", "description", "encoded"):
            said.append(_text_of_html("".join(each.itertext())))
    longest = sorted(set(said), key=len, reverse=True)  # a summary may be the beginning of the content
    return Reference("\n".join(part for at, part in enumerate(longest)
                               if not any(part in longer for longer in longest[:at])))  # fmt: skip


def by_subtitles(file: Path) -> Reference:
    """Return what is spoken: no times, numbers, marks, notes, styles."""
    said = []
    for cue in re.split(r"\n\s*\n", _decoded(file.read_bytes()).replace("\r\n", "\n")):
        lines = cue.strip().splitlines()
        times = next((at for at, line in enumerate(lines) if "-->" in line), None)
        said += lines[times + 1 :] if times is not None else []
    return Reference(html.unescape(re.sub(r"<[^>\n]*>|\{\\[^}]*\}", "", "\n".join(said))))


def by_email(file: Path) -> Reference:
    """Return the subject, the people and the texts of a message; of alternatives the plain one."""
    data = file.read_bytes()
    if data.startswith(OLE):
        raise NoReference("an Outlook message by another name")
    return Reference(_message(email.message_from_bytes(data, policy=email.policy.default)))


def by_mailbox(file: Path) -> Reference:
    """Return the same of every message of a mailbox."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(file, folder)
        box = mailbox.mbox(copy, create=False)
        raw = [box.get_bytes(key) for key in box.keys()]  # noqa: SIM118 (it iterates over messages)
        box.close()
    return Reference("\n".join(_message(email.message_from_bytes(one, policy=email.policy.default)) for one in raw))


def _message(message: Message) -> str:
    said = [str(message[name] or "") for name in ("subject", "from", "to", "cc")]
    waiting = [message]
    while waiting:
        part = waiting.pop(0)
        if part.is_multipart():
            inside: Any = part.get_payload()
            plain = [each for each in inside if each.get_content_type() == "text/plain"]
            chosen = plain[:1] or inside[-1:] if part.get_content_type() == "multipart/alternative" else inside
            waiting = [*chosen, *waiting]
        elif part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment":
            said.append(_part(part))
    return "\n".join(said)


def _part(part: Message) -> str:
    try:
        assert isinstance(part, EmailMessage)
        text = str(part.get_content())
    except (LookupError, ValueError, AssertionError):
        payload = part.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return _text_of_html(text) if part.get_content_subtype() == "html" else text


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("script", "style", "title")
        if tag in ("p", "br", "div", "td", "th", "li", "tr", "h1", "h2", "h3", "h4", "pre", "img"):
            self.said.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = max(0, self.hidden - (tag in ("script", "style", "title")))

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.said.append(data)


def _text_of_html(text: str) -> str:
    parser = _Texts()
    parser.feed(text)
    parser.close()
    return "".join(parser.said).strip()


def _local(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _decoded(data: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("cp1252", "replace")


BY_HAND: dict[str, Callable[[Path], Reference]] = {
    "pdf": by_pdftotext, "csv": by_csv, "json": by_json, "xml": by_element_tree, "svg": by_svg,
    "feed": by_feed, "srt": by_subtitles, "vtt": by_subtitles, "eml": by_email, "mbox": by_mailbox,
}  # fmt: skip
