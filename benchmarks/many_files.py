"""A folder of very many small files, and one large file of each format: time and memory.

    python -m benchmarks.many_files [--files 100000] [--megabytes 50] [--only FORMAT ...] [--json FILE]

First `kcore index` twice over a folder of small Markdown notes (40 words each, 500 a folder), with an owner of its own: seconds
per 10,000 files, and the owner's memory after each pass. --files 0 leaves that out. Then a file of each format, one unit
repeated until it has --megabytes (of a ZIP package, its main part has), read by a process of its own: seconds, MB/s of the
file, and the highest memory of that process, its 30 MB at rest included. Memory on Linux and macOS.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import machine, table, write_json

WORDS = 40  # of a note
DOCS = Path(__file__).parents[1] / "docs"  # whose words the notes are made of
PER_FOLDER = 500
SENTENCE = "The committee moved the budget for the northern bridge to the third quarter, after a long debate. "
# Of each format: what stands before, the unit that is repeated, and what stands after.
TEXTS = {
    "md": ("", f"## Section\n\n{SENTENCE * 3}\n\n- first\n- second\n\n| name | sum |\n|---|---|\n| bridge | 12 |\n\n", ""),
    "txt": ("", SENTENCE + "\n\n", ""),
    "csv": ("name,quarter,sum\n", '"the northern bridge",3,12500.75\n', ""),
    "json": ("[", '{"name": "the northern bridge", "quarter": 3, "sum": [1, 2.5]},\n', "{}]"),
    "html": ("<html><body><main>", f"<h2>Section</h2><p>{SENTENCE * 3}</p><ul><li>first</ul>\n", "</main></body></html>"),
    "xml": ("<report>", f"<entry><title>Bridge</title><para>{SENTENCE * 3}</para></entry>\n", "</report>"),
    "rtf": (r"{\rtf1\ansi ", SENTENCE * 3 + "\\par\n", "}"),
    "srt": ("", "1\n00:00:01,000 --> 00:00:03,000\nThe committee moved the budget.\n\n", ""),
    "mbox": ("", f"From a@b.c Mon Jan  1 00:00:00 2024\nFrom: a@b.c\nSubject: Bridge\n\n{SENTENCE * 3}\n\n", ""),
    "svg": ('<svg xmlns="http://www.w3.org/2000/svg">', '<text x="1">northern bridge</text><path d="M1 1L2 2"/>\n', "</svg>"),
    "ipynb": ('{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [',
              json.dumps({"cell_type": "markdown", "metadata": {}, "source": SENTENCE * 3}) + ",\n",
              '{"cell_type": "markdown", "metadata": {}, "source": "end"}]}'),
}  # fmt: skip
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_T = "urn:oasis:names:tc:opendocument:xmlns:"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_TYPE = "application/vnd.openxmlformats-officedocument."


def _package(main: str, kind: str) -> dict[str, str]:
    return {
        "[Content_Types].xml": f'<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats'
        f'-package.relationships+xml"/><Override PartName="/{main}" ContentType="{_TYPE}{kind}.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" '
        f'Target="{main}"/></Relationships>',
    }


# Of each package: its other parts, the name of the large one, and as above.
PACKAGES = {
    "docx": (_package("word/document.xml", "wordprocessingml.document"), "word/document.xml",
             f'<w:document xmlns:w="{_W}"><w:body>', f"<w:p><w:r><w:t>{SENTENCE * 3}</w:t></w:r></w:p>",
             "</w:body></w:document>"),
    "xlsx": ({**_package("xl/workbook.xml", "spreadsheetml.sheet"),
              "xl/workbook.xml": f'<workbook xmlns="{_S}" xmlns:r="{_OFFICE}"><sheets><sheet name="Sums" sheetId="1" '
              'r:id="r1"/></sheets></workbook>',
              "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" '
              f'Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'},
             "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{_S}"><sheetData>',
             '<row><c t="inlineStr"><is><t>northern bridge</t></is></c><c><v>12500.75</v></c></row>',
             "</sheetData></worksheet>"),
    "odt": ({"mimetype": "application/vnd.oasis.opendocument.text"}, "content.xml",
            f'<office:document-content xmlns:office="{_T}office:1.0" xmlns:text="{_T}text:1.0"><office:body><office:text>',
            f"<text:p>{SENTENCE * 3}</text:p>", "</office:text></office:body></office:document-content>"),
    "epub": ({"mimetype": "application/epub+zip",
              "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
              '<rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
              "a.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest><item id="a" '
              'href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>'},
             "a.xhtml", '<html xmlns="http://www.w3.org/1999/xhtml"><body>', f"<h2>Part</h2><p>{SENTENCE * 3}</p>",
             "</body></html>"),
}  # fmt: skip
READING = """
import json, resource, sys, time
from pathlib import Path
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.ingestion.readers import read_file

file, begun = Path(sys.argv[1]), time.perf_counter()
try:
    outcome = f"{len(read_file(file, document_id=file.name, limit=2**31).text) / 1e6:.1f} M characters"
except KnowledgeCoreError as error:
    outcome = str(error)
seconds = time.perf_counter() - begun
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([seconds, most / 1e6, outcome]))
"""


def pieces(before: str, unit: str, after: str, size: int) -> Iterator[bytes]:
    """Yield a text of about `size` bytes in pieces."""
    yield before.encode()
    block = (unit * (1 + 1_000_000 // len(unit))).encode()
    for _ in range(max(1, size // len(block))):
        yield block
    yield after.encode()


def make(file: Path, size: int) -> None:
    """Write one large file of the format that its suffix says."""
    name = file.suffix[1:]
    if name in TEXTS:
        with file.open("wb") as out:
            out.writelines(pieces(*TEXTS[name], size))
        return
    others, main, *parts = PACKAGES[name]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        for path, content in others.items():  # type: ignore[attr-defined]
            package.writestr(path, content)
        with package.open(str(main), "w", force_zip64=True) as out:
            out.writelines(pieces(*parts, size))  # type: ignore[arg-type]


def large(names: list[str], megabytes: int) -> list[list[object]]:
    """Read a large file of each format, and return a row for each."""
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "reading.py"
        program.write_text(READING, encoding="utf-8")
        for name in names:
            file = Path(folder) / f"large.{name}"
            make(file, megabytes * 1_000_000)
            done = subprocess.run([sys.executable, str(program), str(file)], capture_output=True, text=True)
            if done.returncode:
                rows.append([name, "", "", "", done.stderr.strip()[-100:]])
                continue
            seconds, most, outcome = json.loads(done.stdout)
            rows.append([name, f"{seconds:.1f}", f"{megabytes / seconds:.1f}", f"{most:.0f}", outcome])
            file.unlink()
            print(*rows[-1], file=sys.stderr, flush=True)
    return rows


def many(count: int) -> list[list[object]]:
    """Index a folder of small notes twice, and return a row for each pass."""
    draw = random.Random(1)
    pages = (page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))
    words = sorted({word for page in pages for word in re.findall(r"[a-z]{2,}", page)})
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes").resolve()
        for number in range(count):
            place = notes / f"{number // PER_FOLDER:04}"
            place.mkdir(parents=True, exist_ok=True)
            text = f"# Note {number}\n\n{' '.join(draw.choices(words, k=WORDS))}\n"
            (place / f"{number}.md").write_text(text, encoding="utf-8")
        environment = {**os.environ, "KNOWLEDGE_CORE_HOME": str(Path(folder, "data"))}
        rows: list[list[object]] = []
        try:
            for name in ("first", "second"):
                begun = time.perf_counter()
                _kcore(environment, "index", str(notes), "--collection", "notes")
                seconds = time.perf_counter() - begun
                rows.append([name, f"{seconds:.0f}", f"{seconds / count * 10_000:.1f}", _memory(environment)])
                print(*rows[-1], file=sys.stderr, flush=True)
        finally:
            _kcore(environment, "stop")
    return rows


def _kcore(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "knowledge_core.cli.main", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def _memory(environment: dict[str, str]) -> str:
    """Return the owner's resident memory and its highest, in MB; "" where the system does not say."""
    owner = json.loads(_kcore(environment, "status", "--json")).get("owner") or {}
    try:
        lines = Path(f"/proc/{owner['pid']}/status").read_text(encoding="utf-8").splitlines()
    except (OSError, KeyError):
        return ""
    kept = {line.split(":")[0]: int(line.split()[1]) / 1e3 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return f"{kept['VmRSS']:.0f} (highest {kept['VmHWM']:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=50, help="of a large file; 0: none")
    parser.add_argument("--only", nargs="+", choices=[*TEXTS, *PACKAGES], default=[*TEXTS, *PACKAGES], metavar="FORMAT")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    passes = many(arguments.files) if arguments.files else []
    files = large(arguments.only, arguments.megabytes) if arguments.megabytes else []
    print(machine())
    if passes:
        print(f"\n{arguments.files} files\n\n" + table(["pass", "s", "s per 10,000", "owner's memory, MB"], passes))
    if files:
        print("\n" + table(["format", "s", "MB/s", "highest memory, MB", "outcome"], files))
    write_json(arguments.json, {"passes": passes, "files": files})


if __name__ == "__main__":
    main()
