"""Whether a search takes a query's words as they were written: versions, options, identifiers, names, phrases, copies.

    python -m benchmarks.written_words [--json FILE] [--against FILE] [--missed]

The documents and queries of written_words.json were written for this. The documents lie as files in a temporary folder,
are indexed by the product with the reference's MiniLM, and every query is asked in the modes hybrid and lexical for ten
hits. Columns: the rank of the wanted document, and what stood first in its place.

A query is right if one of `first` is the first hit, and what else it says holds:
- once: at most one of these, which are copies of one text, is among the hits;
- also: this one is among the hits, too (nothing was filtered away);
- over: this one does not stand above the first, or is not there.

--against: a run's JSON file; its answers stand beside those of this run, and what changed is listed.
--missed: list only the queries that are not right in both modes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp.client import Client

from benchmarks.report import machine, table, write_json
from knowledge_core.config import Config
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application

TABLE = Path(__file__).with_suffix(".json")
MODEL = "all-MiniLM-L6-v2"
MODES = ("hybrid", "lexical")
LIMIT = 10
SHOWN = 40  # characters of a query in the table


@dataclass(frozen=True)
class Query:
    """What is asked, and what is to be found. once, also, over: see the module."""

    kind: str
    query: str
    first: tuple[str, ...]
    once: tuple[str, ...] = ()
    also: str = ""
    over: str = ""

    def named(self) -> set[str]:
        """Return every document that the query speaks of."""
        return {*self.first, *self.once, self.also, self.over} - {""}


@dataclass(frozen=True)
class Answer:
    """What one query found in one mode. rank: of the wanted document; 0 if it is not there. refused: by the search."""

    hits: tuple[str, ...]
    rank: int
    right: bool
    refused: str = ""

    def shown(self) -> str:
        """Return the rank, and a mark where something else is wrong."""
        if self.refused:
            return "refused"
        return f"{self.rank or '-'}{'' if self.right or self.rank != 1 else ' (but)'}"


def load() -> tuple[Mapping[str, str], list[Query]]:
    """Return the documents by path, and the queries."""
    content = json.loads(TABLE.read_text(encoding="utf-8"))
    queries = [
        Query(each["kind"], each["query"], *_several(each, "first", "once"), each.get("also", ""), each.get("over", ""))
        for each in content["queries"]
    ]
    return content["documents"], queries


def _several(entry: Mapping[str, Any], *fields: str) -> Iterator[tuple[str, ...]]:
    for field in fields:
        value = entry.get(field, ())
        yield (value,) if isinstance(value, str) else tuple(value)


def judged(query: Query, hits: Sequence[str]) -> Answer:
    """Return how right the hits are: documents, best first, each once.

    >>> judged(Query("", "", ("a",), also="b"), ["a", "c"])
    Answer(hits=('a', 'c'), rank=1, right=False, refused='')
    """
    rank = next((at for at, hit in enumerate(hits, 1) if hit in query.first), 0)
    right = rank == 1
    right = right and sum(hit in query.once for hit in hits) <= 1
    if query.also:
        right = right and query.also in hits
    if query.over:
        right = right and query.over not in hits[: rank - 1]
    return Answer(tuple(hits), rank, right)


async def ask(engine: Engine, folder: Path, queries: Sequence[Query]) -> list[dict[str, Answer]]:
    """Index the folder, and return for each query its answers by mode."""
    async with Client(application(engine)) as client:
        indexed = await client.call_tool("index", {"paths": [str(folder)], "wait_seconds": 600})
        assert not indexed.is_error, indexed.content
        for job in engine.jobs.running():
            job.wait(600)
        answers = []
        for query in queries:
            answers.append({mode: await _asked(client, query, mode, folder.name) for mode in MODES})
        return answers


async def _asked(client: Client, query: Query, mode: str, folder: str) -> Answer:
    result = await client.call_tool("search", {"query": query.query, "mode": mode, "limit": LIMIT})
    if result.is_error:
        return Answer((), 0, False, str(result.content[0].text))  # type: ignore[union-attr]
    found = [hit["document"].removeprefix(f"{folder}/") for hit in result.structured_content["hits"]]
    return judged(query, list(dict.fromkeys(found)))


def measured() -> tuple[list[Query], list[dict[str, Answer]]]:
    """Write the documents, index them, and ask all queries."""
    documents, queries = load()
    embedder = reference_embedder(resolve(MODEL))
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top).resolve() / "files"
        for name, text in documents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        with Engine(Path(top) / "home", Config(), make_embedder=lambda name, dimensions: embedder) as engine:
            engine.roots.add(folder)
            return queries, asyncio.run(ask(engine, folder, queries))


def report(
    queries: Sequence[Query], answers: Sequence[Mapping[str, Answer]], before: Mapping[str, Any] | None, *, missed: bool
) -> str:
    """Return the table of queries and that of kinds. before: what `written` made of another run."""
    earlier = {each["query"]: each for each in before["rows"]} if before else {}
    when = [*(["before"] if before else []), "now"] if before else [""]
    columns = ["kind", "query", "wanted", *(f"{mode} {each}".strip() for mode in MODES for each in when), "stood first"]
    rows = []
    for query, now in zip(queries, answers, strict=True):
        if missed and all(answer.right for answer in now.values()):
            continue
        ranks = []
        for mode in MODES:
            if before:
                ranks.append(earlier[query.query]["shown"][mode] if query.query in earlier else "")
            ranks.append(now[mode].shown())
        wrong = {now[mode].hits[0] for mode in MODES if now[mode].rank != 1 and now[mode].hits}
        rows.append([query.kind, _short(query.query), query.first[0], *ranks, ", ".join(sorted(wrong))])
    return "\n\n".join([table(columns, rows), table(*_sums(queries, answers, before))])


def _sums(
    queries: Sequence[Query], answers: Sequence[Mapping[str, Answer]], before: Mapping[str, Any] | None
) -> tuple[list[str], list[list[str]]]:
    """Return how many queries of each kind are right."""
    asked = Counter(query.kind for query in queries)
    columns, counts = ["kind", "queries"], []
    for mode in MODES:
        if before:
            columns.append(f"{mode} before")
            counts.append(Counter(each["kind"] for each in before["rows"] if each["right"][mode]))
        columns.append(f"{mode} now" if before else mode)
        counts.append(Counter(query.kind for query, each in zip(queries, answers, strict=True) if each[mode].right))
    rows = [[kind, str(asked[kind]), *(str(count[kind]) for count in counts)] for kind in asked]
    return columns, [*rows, ["all", str(len(queries)), *(str(count.total()) for count in counts)]]


def _short(query: str) -> str:
    line = " ".join(query.split()).replace("|", "\\|")
    return line if len(line) <= SHOWN else f"{line[: SHOWN // 2]} … {line[-SHOWN // 2 :]}"


def written(queries: Sequence[Query], answers: Sequence[Mapping[str, Answer]], commit: str) -> dict[str, Any]:
    """Return a run as it is kept."""
    rows = [
        {
            "kind": query.kind,
            "query": query.query,
            "shown": {mode: answer.shown() for mode, answer in each.items()},
            "right": {mode: answer.right for mode, answer in each.items()},
            "hits": {mode: list(answer.hits[:3]) for mode, answer in each.items()},
        }
        for query, each in zip(queries, answers, strict=True)
    ]
    return {"commit": commit, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--commit", default="", help="named in the JSON file")
    parser.add_argument("--against", type=Path, metavar="FILE", help="a run's JSON file, to stand beside this one")
    parser.add_argument("--missed", action="store_true", help="list only what is not right")
    arguments = parser.parse_args()
    before = json.loads(arguments.against.read_text(encoding="utf-8")) if arguments.against else None
    queries, answers = measured()
    print(f"{len(queries)} queries, {LIMIT} hits each, {MODEL}.\n{machine()}\n")
    print(report(queries, answers, before, missed=arguments.missed))
    write_json(arguments.json, written(queries, answers, arguments.commit))


if __name__ == "__main__":
    main()
