"""What the lexical index costs: time of a query, time to build, bytes on the disk. Two checkouts beside each other.

    python -m benchmarks.lexical_cost [--server FOLDER] [--against FOLDER] [--data FOLDER] [--mixed]
        [--chunks 10000 100000] [--queries 150] [--rounds 3] [--cache FOLDER] [--json FILE]

--server and --against: a checkout's folder `server`, each imported by a process of its own; --server is this checkout's
if left out. Both hold the same chunks, and each query is asked of one, then of the other, so that what else the machine
does meets both. Chunks are five real sentences, each chunk of a file with a name of its own. Sentences and questions come
from the packaged set, and those of --data (one folder a set, in BEIR's layout). --mixed: of ten chunks two are code (the
standard library's), and two of the sets in other languages, if --data has them. --cache keeps the built indexes
of each folder `server`: take another one after a change there.

A query is weighed and asked for 100 chunks, without its function words, as a search does. Of each query the least of
--rounds times counts; the table has the median and the 95th percentile over the queries.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from benchmarks.report import machine, write_json
from benchmarks.two_checkouts import (
    Child,
    Costs,
    add_sides,
    add_times,
    asked_in_turn,
    folder_of,
    is_of_its_checkout,
    report,
    serve,
    sides,
)

PACKAGED = "hotpotqa_small"
ENGLISH = ("scifact", "covidqa", "cranfield", "locomo")
OTHERS = ("xquad/de", "xquad/zh", "xquad/ar", "jsquad")
CHUNKS = (10_000, 100_000)
WINDOW = 4_096  # chunks of one commit: as many as the product hands on together
LIMIT = 100  # hits of a query: as many candidates as a search takes
SENTENCES = 5  # of a chunk
CODE_LINES = 24  # of a chunk of code
SHARES = {"english": 0.6, "code": 0.2, "others": 0.2}  # of --mixed


# -- material, in the process that measures ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Material:
    """What chunks are made of, by kind, and the questions."""

    parts: dict[str, list[str]]
    questions: list[str]

    @cached_property
    def text(self) -> str:
        """Return it as a child reads it."""
        return json.dumps({"parts": self.parts, "questions": self.questions}, sort_keys=True)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def material(data: Path | None, queries: int, *, mixed: bool) -> Material:
    """Return sentences and questions of the sets that are there; the same on every machine for the same sets."""
    from knowledge_core.verbs.evaluate import load_beir

    with as_file(files("knowledge_core.examples") / PACKAGED) as folder:
        sets = {"english": [load_beir(folder)], "others": []}
    for name in ENGLISH if data else ():
        if (data / name).is_dir():
            sets["english"].append(load_beir(data / name))
    for name in OTHERS if data and mixed else ():
        if (data / name).is_dir():
            sets["others"].append(load_beir(data / name))
    parts = {
        kind: [sentence for one in judged for each in one.documents for sentence in _sentences(each.text)]
        for kind, judged in sets.items()
    }
    if mixed:
        parts["code"] = _code()
    asked = [list(one.queries.values()) for judged in sets.values() for one in judged]
    each = -(-queries // len(asked))
    questions = [question for some in asked for question in random.Random(3).sample(some, min(each, len(some)))]
    return Material({kind: each for kind, each in parts.items() if each}, questions[:queries])


def _sentences(text: str) -> list[str]:
    found = re.split(r"(?<=[.!?])\s+|(?<=[。！？])", " ".join(text.split()))
    return [each for each in found if 10 < len(each) < 500]


def _code() -> list[str]:
    """Return pieces of the standard library's files."""
    pieces = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        pieces += ["\n".join(lines[at : at + CODE_LINES]) for at in range(0, len(lines), CODE_LINES)]
    return [piece for piece in pieces if len(piece) > 200]


def chunks(parts: dict[str, list[str]], begin: int, end: int) -> Iterator[tuple[int, str, str]]:
    """Yield number, text and the file's name of a range of chunks, the same in every process."""
    kinds = [kind for kind in SHARES if kind in parts]
    shares = [SHARES[kind] for kind in kinds]
    words = [word for word in " ".join(parts["english"][:200]).lower().split() if word.isalpha() and len(word) > 3]
    for number in range(begin, end):
        draw = random.Random(number)
        kind = draw.choices(kinds, shares)[0]
        some = parts[kind]
        text = draw.choice(some) if kind == "code" else " ".join(draw.choices(some, k=SENTENCES))
        suffix = "py" if kind == "code" else "md"
        yield number, text, f"{draw.choice(words)}/{'-'.join(draw.choices(words, k=2))}-{number}.{suffix}"


# -- one checkout, in a process of its own -----------------------------------------------------------------------------


def entries(some: Sequence[tuple[int, str, str]]) -> list[Any]:
    """Return what `LexicalIndex.apply` of this checkout takes for chunks: edit this where its entries change again.

    Number and text, and where entries have names the file's, too.
    """
    from knowledge_core.storage import values

    made = getattr(values, "LexicalText", None)
    return [(number, text) if made is None else made(number, text, name) for number, text, name in some]


class Side:
    """An index of one checkout, and what is asked of it."""

    def __init__(self, file: Path) -> None:
        from knowledge_core.language.lexical_query import weighed
        from knowledge_core.language.stop_words import without_stop_words
        from knowledge_core.storage.lexical_index import LexicalIndex

        is_of_its_checkout(LexicalIndex)
        content = json.loads(file.read_text(encoding="utf-8"))
        self._parts, self._questions = content["parts"], content["questions"]
        self._load, self._weighed, self._without = LexicalIndex.load, weighed, without_stop_words

    def build(self, folder: str, count: int) -> dict[str, float]:
        """Fill a folder; return seconds of wall and processor, and bytes."""
        wall = processor = 0.0
        index = self._load(Path(folder), tag="cost", record="cost")
        for begin in range(index.snapshot().count(), count, WINDOW):
            some = entries(list(chunks(self._parts, begin, min(begin + WINDOW, count))))
            began = time.perf_counter(), time.process_time()
            index.apply(begin // WINDOW + 1, some, [])
            wall += time.perf_counter() - began[0]
            processor += time.process_time() - began[1]
        self._snapshot = index.snapshot()
        assert self._snapshot.count() == count, f"{folder} holds {self._snapshot.count()} chunks"
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        return {"build s, wall": wall, "build s, processor": processor, "bytes": size}

    def ask(self, at: int) -> list[float]:
        """Ask one question; return milliseconds of wall and processor, and how many chunks came."""
        began = time.perf_counter(), time.process_time()
        query = self._weighed(self._without(self._questions[at]), [self._snapshot])
        found = self._snapshot.search(query, LIMIT)
        return [1e3 * (time.perf_counter() - began[0]), 1e3 * (time.process_time() - began[1]), len(found)]


# -- both, asked in turn -----------------------------------------------------------------------------------------------


def measured(servers: dict[str, Path], made: Material, count: int, rounds: int, cache: Path) -> Costs:
    """Return for each side what its index of `count` chunks costs."""
    file = cache / f"material-{made.digest}.json"
    file.write_text(made.text, encoding="utf-8")
    children = {side: Child("lexical_cost", server, str(file)) for side, server in servers.items()}
    try:
        costs: Costs = {}
        for side, child in children.items():
            folder = cache / f"words-{made.digest}-{count}-{folder_of(side, servers[side])}"
            costs[side] = child.call("build", str(folder), count)
        add_times(costs, asked_in_turn(children, len(made.questions), rounds), "query")
    finally:
        for child in children.values():
            child.close()
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sides(parser)
    parser.add_argument("--data", type=Path, help="folder with one folder a set")
    parser.add_argument("--mixed", action="store_true", help="code and other languages, too")
    parser.add_argument("--chunks", type=int, nargs="+", default=CHUNKS)
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="folder that keeps the indexes (default: none is kept)")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.child:
        serve(Side(Path(json.loads(arguments.child))))
        return
    servers = sides(arguments)
    made = material(arguments.data, arguments.queries, mixed=arguments.mixed)
    kept = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = arguments.cache or Path(folder)
        cache.mkdir(parents=True, exist_ok=True)
        print(f"{len(made.questions)} queries, {arguments.rounds} rounds, {', '.join(made.parts)}.\n{machine()}")
        for count in arguments.chunks:
            costs = kept[count] = measured(servers, made, count, arguments.rounds, cache)
            print(f"\n## {count:,} chunks\n\n{report(costs)}", flush=True)
    write_json(arguments.json, {"chunks": kept})


if __name__ == "__main__":
    main()
