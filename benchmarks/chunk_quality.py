"""Where chunks end, and how many tokens they have, over the files of given folders.

    python -m benchmarks.chunk_quality FOLDER ... [--against CHECKOUT] [--size 256] [--only md rst] [--most 300]
        [--sample 60 --out chunks.md]

Every file is read and cut by the product; with --against also by the code of another checkout (its `server` folder), in a
process of its own. Shown per format: the share of chunks, in per cent, that end in a heading, in a colon, inside a row of a
table, inside a sentence, inside an item of a list, or that have no letter or digit; the tokens of a chunk. The last chunk
of a document ends with the document and is not judged. Where a chunk ends is told from the text around that place, by rules
written for this and not by those that cut.

A token is here up to six letters of a word, or one other mark: about as many as a WordPiece vocabulary gives, without a model.

--sample: writes that many chunks with their titles, drawn from all formats alike, for reading by eye; with --against those
of both at places where they differ.
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
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.report import table

_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")
_WORDED = re.compile(r"[^\W_]")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)]|#\.)[ \t]")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+:.])\1{2,}[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?(?:`{3,}|~{3,})", re.MULTILINE)
_SENTENCE_END = re.compile(r"""[.!?…:;。！？｡؟।॥][*_`"'”’»)\]』」）]*(?:\[[\w ]{1,8}\])*$""")
_PROSE = frozenset(
    {"markdown", "rst", "text", "html", "pdf", "docx", "odt", "pptx", "odp", "epub", "rtf", "email", "mhtml"}
)

ENDS = ("heading", "colon", "row", "sentence", "item", "no word")
# Runs in the other checkout's process: reads the names of files, writes one line of JSON a file.
_CUT = """
import json, re, sys
from pathlib import Path
try:
    from knowledge_core.ingestion.cutting.chunking import chunk
except ImportError:
    from knowledge_core.ingestion.chunking import chunk
from knowledge_core.ingestion.readers import Unreadable, read_file
TOKEN = re.compile(sys.argv[2])
count = lambda texts: [len(TOKEN.findall(text)) for text in texts]
for name in sys.stdin.read().split(chr(0)):
    try:
        read = read_file(Path(name), document_id=name, limit=20_000_000)
    except Unreadable:
        continue
    cut = chunk(read, count, size=int(sys.argv[1]))
    print(json.dumps({"file": name, "format": read.metadata.get("format"), "text": read.text, "title": read.title,
                      "chunks": [[c.span.start, c.span.end, list(c.heading)] for c in cut]}))
"""


@dataclass(frozen=True)
class Cut:
    """One file as one checkout cuts it. chunks: start, end, heading path."""

    file: str
    format: str
    text: str
    title: str
    chunks: Sequence[tuple[int, int, Sequence[str]]]

    @cached_property
    def fences(self) -> Sequence[int]:
        return (
            [found.start() for found in _FENCE.finditer(self.text)]
            if self.format not in ("rst", "text", "code")
            else []
        )

    def ends(self, number: int) -> set[str]:
        """Say what is wrong with the end of a chunk, in words of `ENDS`."""
        start, end, _ = self.chunks[number]
        found = set() if _WORDED.search(self.text, start, end) else {"no word"}
        if number + 1 == len(self.chunks):
            return found
        after = self.chunks[number + 1][0]
        fenced = bisect_left(self.fences, end) % 2 == 1
        last = self.text[start:end].split("\n")[-3:]
        if self.text.endswith((":", "："), start, end) and not fenced and self.format in _PROSE:
            found.add("colon")
        if not fenced and self._heading(last):
            found.add("heading")
        if not fenced:
            found |= self._inside(end, after)
        return found

    def _heading(self, last: Sequence[str]) -> bool:
        if self.format in ("text", "code", "pdf") or self.format not in _PROSE:
            return False
        if self.format != "rst" and _HEADING.match(last[-1]):
            return True
        under = _UNDERLINE.match(last[-1])
        if not under or len(last) < 2 or not last[-2].strip() or last[-2][0] in " \t|+-*>" or "|" in last[-2]:
            return False
        alone = len(last) < 3 or not last[-3].strip() or _UNDERLINE.match(last[-3]) is not None
        return alone and (self.format == "rst" or under[1] in "=-") and len(last[-2]) <= len(last[-1]) + 80

    def _inside(self, end: int, after: int) -> set[str]:
        between = self.text[end:after]
        line_start = self.text.rfind("\n", 0, end) + 1
        line = self.text[line_start:after].split("\n", 1)[0]
        follows = self.text[after : after + 200].split("\n", 1)[0]
        indented = self.text[self.text.rfind("\n", 0, after) + 1 : after]
        if "\n" not in between and (line.lstrip().startswith("|") or self.format in ("csv", "tsv", "xlsx", "ods")):
            return {"row"}
        found = set()
        begun = line if _ITEM.match(line) else self._item_above(line_start)
        if (
            begun
            and not _ITEM.match(follows)
            and ("\n" not in between or len(indented) > len(begun) - len(begun.lstrip()))
        ):
            found.add("item")
        prose = not line.startswith(("    ", "\t", "|", "+", "<")) and self.format in _PROSE
        if prose and between.count("\n") < 2 and not _SENTENCE_END.search(self.text[max(0, end - 20) : end]):
            new_line = "\n" in between and (
                _ITEM.match(follows) or _HEADING.match(follows) or not follows[:1].islower()
            )
            found |= set() if new_line else {"sentence"}
        return found

    def _item_above(self, line_start: int) -> str:
        for line in reversed(self.text[max(0, line_start - 2000) : line_start].split("\n")[:-1]):
            if _ITEM.match(line):
                return line
            if line.strip() and not line.startswith(" "):
                break
        return ""


def cut_by(checkout: Path, files: Sequence[Path], size: int) -> dict[str, Cut]:
    """Return the files as a checkout reads and cuts them, by name; those that it cannot read are left out."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "server")}
    names = "\0".join(map(str, files))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as lines:
        command = [sys.executable, "-c", _CUT, str(size), _TOKEN.pattern]
        subprocess.run(command, input=names, stdout=lines, env=environment, check=True, encoding="utf-8")
        lines.seek(0)
        return {(one := Cut(**json.loads(line))).file: one for line in lines}


def files_in(folders: Sequence[Path], only: Sequence[str], most: int) -> list[Path]:
    """Return the files of the folders, at most so many of each suffix, drawn by a fixed seed."""
    by_suffix: dict[str, list[Path]] = defaultdict(list)
    for folder in folders:
        for path in sorted(folder.rglob("*") if folder.is_dir() else [folder]):
            suffix = path.suffix.lower().lstrip(".")
            if path.is_file() and not path.is_symlink() and (suffix in only or not only):
                by_suffix[suffix].append(path.absolute())
    draw = random.Random(1)
    return [path for paths in by_suffix.values() for path in sorted(draw.sample(paths, min(most, len(paths))))]


def judged(cuts: Mapping[str, Cut]) -> dict[str, list[float]]:
    """Return, per format and for all, what `COLUMNS` says."""
    wrong: dict[str, list[set[str]]] = defaultdict(list)
    tokens: dict[str, list[int]] = defaultdict(list)
    for one in cuts.values():
        for number, (start, end, _) in enumerate(one.chunks):
            for group in (one.format, "all"):
                wrong[group].append(one.ends(number))
                tokens[group].append(len(_TOKEN.findall(one.text[start:end])))
    return {
        group: [
            len(all_),
            *(100 * sum(end in each for each in all_) / len(all_) for end in ENDS),
            *np.percentile(tokens[group], [10, 50, 90]).tolist(),
        ]
        for group, all_ in sorted(wrong.items(), key=lambda entry: (entry[0] == "all", entry[0]))
    }


COLUMNS = ("format", "", "chunks", *(f"{end} %" for end in ENDS), "p10", "median", "p90")


def report(found: Mapping[str, Mapping[str, Cut]]) -> str:
    """Return the table of all formats, a row a checkout, over the files that every one of them reads."""
    common = set.intersection(*(set(cuts) for cuts in found.values()))
    numbers = {of: judged({name: cuts[name] for name in common}) for of, cuts in found.items()}
    formats = list(next(iter(numbers.values())))
    rows = [
        [format, of, f"{per[format][0]:,.0f}", *(f"{x:.2f}" for x in per[format][1:7]), *(f"{x:.0f}" for x in per[format][7:])]
        for format in formats for of, per in numbers.items() if format in per
    ]  # fmt: skip
    read = ", ".join(f"{len(cuts)} by {of}" for of, cuts in found.items())
    return f"Files: {len(common)} in common; {read}.\n\n{table(COLUMNS, rows)}"


def drawn(found: Mapping[str, Mapping[str, Cut]], count: int) -> Iterator[str]:
    """Yield places of the texts with the chunk that each checkout has there, as Markdown; formats take turns.

    With several checkouts, places where their chunks differ.
    """
    draw = random.Random(7)
    newest, *others = found.values()
    by_format: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for one in newest.values():
        known = [{chunk[:2] for chunk in map(tuple, cuts[one.file].chunks)} for cuts in others if one.file in cuts]
        starts = [start for start, end, _ in one.chunks if not known or any((start, end) not in each for each in known)]
        by_format[one.format] += [(one.file, start) for start in starts]
    formats = sorted(format for format in by_format if by_format[format])
    for number in range(count):
        file, start = draw.choice(by_format[formats[number % len(formats)]])
        for of, cuts in found.items():
            other = cuts.get(file)
            for begin, end, heading in other.chunks if other else ():
                if begin <= start < end and other:
                    title = " > ".join([other.title, *heading])
                    follows = other.text[end : end + 80].strip().split("\n")[0]
                    yield f"## {number + 1} {of}: {file} [{begin}:{end}]\n{title}\n\n{other.text[begin:end]}\n"
                    yield f"(then: {follows})\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--size", type=int, default=256, help="tokens of a chunk with its title")
    parser.add_argument("--only", nargs="+", default=[], help="suffixes, without the dot")
    parser.add_argument("--most", type=int, default=300, help="files of each suffix")
    parser.add_argument("--sample", type=int, default=0, help="chunks to write for reading by eye")
    parser.add_argument("--out", type=Path, default=Path("chunks.md"))
    arguments = parser.parse_args()
    files = files_in(arguments.folders, arguments.only, arguments.most)
    checkouts = {"now": Path(__file__).parents[1], **({"against": arguments.against} if arguments.against else {})}
    found = {of: cut_by(checkout, files, arguments.size) for of, checkout in checkouts.items()}
    print(report(found))
    if arguments.sample:
        arguments.out.write_text("\n".join(drawn(found, arguments.sample)), encoding="utf-8")


if __name__ == "__main__":
    main()
