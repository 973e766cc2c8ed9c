"""Whether code is found by what it does: functions asked by the docstrings that were taken out of them.

    python -m benchmarks.code_search [--packages email http ...] [--javascript FOLDER] [--functions 300]
        [--chunks 6000] [--cache FOLDER] [--json FILE] [--against FILE]

Python: files of the standard library and of packages that are installed beside this one, none of them chosen by its
results. JavaScript: a folder of sources with JSDoc, such as `src` of mathjs. Files are drawn until there are about
--chunks chunks. The docstrings of all their functions and classes (JavaScript: all JSDoc) are taken out; then the
product reads and cuts what is left. Asked is the first sentence of the docstrings of --functions functions, drawn.

MRR@10 and recall@10: a hit is right if its lines hold the line that defines the function. Vectors are MiniLM's, kept in
the folder of --cache. --against: a run's JSON file, to stand beside this one; "better" and "worse" count queries, by rank.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import machine, table, write_json
from benchmarks.retrieval_quality import CACHE, MODEL, CachedEmbedder, Cut, fill, product
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.ingestion.readers import read_file
from knowledge_core.ingestion.unreadable import Unreadable
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.types import Document, Task, no_progress
from knowledge_core.verbs.calibrate import calibrate
from knowledge_core.verbs.evaluate import Judged
from knowledge_core.verbs.search import Mode, Searched, SearchRequest, search

# Of the standard library those with many documented functions; networkx and click are of other hands.
PACKAGES = (
    "asyncio", "concurrent", "email", "http", "importlib", "json", "logging", "unittest", "urllib", "xml", "argparse",
    "ast", "calendar", "configparser", "difflib", "fractions", "gettext", "heapq", "inspect", "ipaddress", "locale",
    "mailbox", "pathlib", "random", "shutil", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap",
    "threading", "tokenize", "traceback", "typing", "zipfile", "networkx", "click",
)  # fmt: skip
MODES: tuple[Mode, ...] = ("lexical", "semantic", "hybrid")
TOP = 10
LARGEST = 200_000  # bytes of a file
WORDS = 5  # that a first sentence must have
LINES = 4  # that a function must have without its docstring
SEED = 1
JSDOC = re.compile(r"^[ \t]*/\*\*(?:(?!\*/).)*\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
DEFINES = re.compile(r"\s*(?:[\w$.]+\s*=|(?:export|async|static|function|const|class|get|set|return)\b|[\w$]+\s*\()")


@dataclass(frozen=True)
class Function:
    """What is asked, and the line (from 1, docstrings taken out) of the file that answers."""

    query: str
    file: str
    line: int


@dataclass(frozen=True)
class Source:
    """A file without docstrings, and the functions that had one."""

    name: str
    text: str
    functions: tuple[Function, ...]


# -- taking docstrings out ---------------------------------------------------------------------------------------------


def first_sentence(docstring: str) -> str:
    """Return the first sentence in one line; "" where there is none that says much.

    >>> first_sentence("Return the shortest path between two nodes. It is a list.")
    'Return the shortest path between two nodes.'
    """
    paragraph = " ".join(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0].split())
    sentence = re.split(r"(?<=[.!?])\s", paragraph, maxsplit=1)[0]
    return sentence if len(re.findall(r"[^\W\d_]{2,}", sentence)) >= WORDS else ""


def python(name: str, text: str) -> Source:
    """Take out the docstrings of functions and classes.

    >>> python("a.py", 'def f(a):\\n    "Say which of the numbers is best."\\n    b = a\\n    c = b\\n    return c\\n')
    Source(name='a.py', text='def f(a):\\n    b = a\\n    c = b\\n    return c\\n', functions=(Function(query='Say which of the \
numbers is best.', file='a.py', line=1),))
    """
    lines: list[str | None] = list(text.splitlines(keepends=True))
    asked: list[tuple[str, int]] = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        docstring = ast.get_docstring(node)
        if docstring is None:
            continue
        at, end = node.body[0], node.body[0].end_lineno or 0
        if at.lineno == node.lineno or any(other.lineno == end for other in node.body[1:2]):
            continue  # all on one line
        alone = len(node.body) == 1
        lines[at.lineno - 1 : end] = [f"{' ' * at.col_offset}...\n" if alone else None, *[None] * (end - at.lineno)]
        length = (node.end_lineno or 0) - node.lineno + 1 - (end - at.lineno + 1)
        if not isinstance(node, ast.ClassDef) and length >= LINES and not node.name.startswith("__"):
            asked.append((first_sentence(docstring), node.lineno))
    return _source(name, lines, asked)


def javascript(name: str, text: str) -> Source:
    """Take out all JSDoc; asked is what stood before a line that defines something."""
    lines: list[str | None] = list(text.splitlines(keepends=True))
    asked: list[tuple[str, int]] = []
    for found in JSDOC.finditer(text):
        first = text.count("\n", 0, found.start())
        last = text.count("\n", 0, found.end())  # the line after the comment, from 0
        lines[first:last] = [None] * (last - first)
        said = re.sub(r"^[ \t]*\*[ \t]?", "", found[0].strip()[3:-2], flags=re.MULTILINE)
        follows = text[found.end() :].split("\n", 1)[0]
        if DEFINES.match(follows):
            asked.append((first_sentence(said.split("\n@")[0]), last + 1))
    return _source(name, lines, asked)


def _source(name: str, lines: Sequence[str | None], asked: Sequence[tuple[str, int]]) -> Source:
    """lines: None where one was taken out. asked: queries, and the lines that define, as the lines were."""
    functions = tuple(
        Function(query, name, sum(each is not None for each in lines[:line])) for query, line in asked if query
    )
    return Source(name, "".join(each for each in lines if each is not None), functions)


# -- what there is -----------------------------------------------------------------------------------------------------


def python_files(packages: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield names and paths of the packages' files, without tests; a package that is not here is left out."""
    for package in packages:
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            continue
        top = Path(found.origin)
        for path in sorted(top.parent.rglob("*.py")) if found.submodule_search_locations else [top]:
            inside = path.relative_to(top.parent.parent if found.submodule_search_locations else top.parent)
            if not {"tests", "test", "idle_test"} & set(inside.parts):
                yield inside.as_posix(), path


def javascript_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield names and paths of a folder's sources, without what repeats their documentation."""
    for path in sorted([*folder.rglob("*.js"), *folder.rglob("*.ts")]):
        inside = path.relative_to(folder)
        if not re.search(r"docs|test|\.min\.|\.d\.ts$", inside.as_posix(), re.IGNORECASE):
            yield inside.as_posix(), path


def sources(files: Sequence[tuple[str, Path]], strip: Callable[[str, str], Source]) -> Iterator[Source]:
    """Yield the files in a drawn order, as far as they can be read and are of a usual size."""
    for name, path in random.Random(SEED).sample(files, len(files)):
        text = path.read_text(encoding="utf-8", errors="replace")
        if len(text) <= LARGEST and text.strip():
            yield strip(name, text)


def collected(some: Iterator[Source], cut: Cut, most: int) -> tuple[list[Document], list[Function]]:
    """Read sources as the product does until they make `most` chunks; return documents and what can be asked.

    A sentence that stands in two places is not asked.
    """
    documents: list[Document] = []
    functions: list[Function] = []
    chunks = 0
    with tempfile.TemporaryDirectory() as top:
        for source in some:
            path = Path(top) / source.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source.text, encoding="utf-8")
            try:
                document = read_file(path, document_id=source.name, limit=10 * LARGEST)
            except Unreadable:
                continue
            chunks += len(cut(document))
            documents.append(document)
            functions += source.functions
            if chunks >= most:
                break
    times: dict[str, int] = {}
    for function in functions:
        times[function.query] = times.get(function.query, 0) + 1
    return documents, [function for function in functions if times[function.query] == 1]


# -- measuring ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """ranks: by mode, of each function, 0 where it is not among the ten."""

    documents: int
    chunks: int
    ranks: Mapping[str, Mapping[str, int]]


def measure(documents: Sequence[Document], functions: Sequence[Function], embedder: Embedder) -> Measured:
    """Index the documents, and ask for each function in each mode."""
    embedder.embed([function.query for function in functions], Task.QUERY)
    with tempfile.TemporaryDirectory() as folder:
        collection = create_collection(Path(folder) / "code", "code", embedder.contract)
        chunks = fill(collection, Judged(tuple(documents), {}, {}), embedder, product(embedder))
        calibrate(collection, embedder, no_progress)
        with collection.view() as view:
            over = [Searched("code", view, embedder)]
            ranks = {mode: {function.query: _rank(over, function, mode) for function in functions} for mode in MODES}
        collection.close()
    return Measured(len(documents), chunks, ranks)


def _rank(over: Sequence[Searched], function: Function, mode: Mode) -> int:
    hits = search(over, SearchRequest(query=function.query, limit=TOP, mode=mode)).hits
    for rank, hit in enumerate(hits, 1):
        if hit.document == function.file and hit.lines.first <= function.line <= hit.lines.last:
            return rank
    return 0


def scores(ranks: Mapping[str, int]) -> tuple[float, float]:
    """Return MRR@10 and recall@10.

    >>> scores({"a": 1, "b": 4, "c": 0, "d": 0})
    (0.3125, 0.5)
    """
    found = [rank for rank in ranks.values() if rank]
    return sum(1 / rank for rank in found) / len(ranks), len(found) / len(ranks)


def report(measured: Mapping[str, Measured], before: Mapping[str, Any] | None) -> str:
    """Return a row a language and mode. before: "languages" of another run."""
    columns = ["language", "documents", "chunks", "functions", "mode", "MRR@10", "recall@10"]
    rows = []
    for language, one in measured.items():
        for mode, ranks in one.ranks.items():
            mrr, recall = scores(ranks)
            row = [language, one.documents, one.chunks, len(ranks), mode, f"{mrr:.3f}", f"{recall:.3f}"]
            if before is not None:
                row += _beside(ranks, before.get(language, {}).get(mode, {}))
            rows.append(row)
    beside = ["MRR@10 before", "recall@10 before", "better", "worse"] if before is not None else []
    return table([*columns, *beside], rows)


def _beside(now: Mapping[str, int], before: Mapping[str, int]) -> list[str]:
    both = {query: (rank or TOP + 1, before[query] or TOP + 1) for query, rank in now.items() if query in before}
    if len(both) < len(now):
        return ["asked others", "", "", ""]
    mrr, recall = scores({query: before[query] for query in now})
    better, worse = sum(a < b for a, b in both.values()), sum(a > b for a, b in both.values())
    return [f"{mrr:.3f}", f"{recall:.3f}", str(better), str(worse)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", nargs="*", default=PACKAGES)
    parser.add_argument("--javascript", type=Path, metavar="FOLDER")
    parser.add_argument("--functions", type=int, default=300)
    parser.add_argument("--chunks", type=int, default=6_000)
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder for vectors (default {CACHE})")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--against", type=Path, metavar="FILE", help="a run's JSON file")
    arguments = parser.parse_args()
    before = json.loads(arguments.against.read_text(encoding="utf-8"))["languages"] if arguments.against else None
    languages = {"Python": sources(list(python_files(arguments.packages)), python)} if arguments.packages else {}
    if arguments.javascript:
        languages["JavaScript"] = sources(list(javascript_files(arguments.javascript)), javascript)
    model = reference_embedder(resolve(MODEL))
    measured = {}
    for language, some in languages.items():
        embedder = CachedEmbedder(model, arguments.cache / f"code_search_{language}.npz")
        documents, functions = collected(some, product(embedder), arguments.chunks)
        asked = random.Random(SEED).sample(functions, min(arguments.functions, len(functions)))
        measured[language] = measure(documents, asked, embedder)
        print(f"{language}: {len(functions)} functions with a docstring in {len(documents)} files", flush=True)
    print(
        f"\nFunctions asked by the docstrings that were taken out, {MODEL}.\n{machine()}\n\n{report(measured, before)}"
    )
    write_json(arguments.json, {"languages": {language: one.ranks for language, one in measured.items()}})


if __name__ == "__main__":
    main()
