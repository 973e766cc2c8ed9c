"""`kcore demo`: index, search, cluster and measure a real collection, and print the lines that connect a client.

All of it uses the same tools as a client. Running it again takes seconds and changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import ProgressLine, command, connected
from knowledge_core.cli.waiting import code_of, finished
from knowledge_core.language.printable import printable

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection
    from knowledge_core.verbs.evaluate import Judged

COLLECTION = "demo"
QUESTIONS = (
    "Which demons appear in the folklore of Sri Lanka?",
    "a dice game about fighting monsters",
    "airports in the state of New York",
)
CUT = 10  # of nDCG@10 and recall@10


def add(commands: Any) -> None:
    """Add the command."""
    command(
        commands, "demo", "index a real collection that ships with the package, search it, measure it",
        "kcore demo\nkcore delete --collection demo --all --yes", connected(_demo),
    )  # fmt: skip


async def _demo(connection: Connection, arguments: argparse.Namespace) -> int:
    out = _Out(quiet=arguments.json)
    from importlib.resources import as_file, files

    from knowledge_core.verbs.evaluate import load_beir

    with as_file(files("knowledge_core.examples") / "hotpotqa_small") as folder:
        judged = load_beir(folder)
    corpus = [{"id": each.id, "title": each.title, "text": each.text} for each in judged.documents]
    out(
        f"Indexing {len(corpus)} paragraphs of Wikipedia (HotpotQA sample, CC BY-SA 4.0) into collection {COLLECTION!r}."
    )
    indexed = await finished(connection, "index", {"documents": corpus, "collection": COLLECTION})
    if code_of(indexed):
        return code_of(indexed)
    out(indexed.text + "\n")
    for question in QUESTIONS:
        out(f"> kcore search {question!r} --collection {COLLECTION} --limit 2")
        answer = await connection.call("search", {"query": question, "collections": [COLLECTION], "limit": 2})
        out(answer.text + "\n")
    out(f"> kcore cluster --collection {COLLECTION} --limit 8")
    topics = await finished(connection, "cluster", {"collection": COLLECTION, "limit": 8})
    out(topics.text + "\n")
    quality = await _measure(connection, judged)
    model = await _model(connection)
    out(_quality_line(quality, model, indexed.structure))
    notice = (await connection.ask("models"))["resolved"]["notice"]
    if notice:
        out(notice)
    out("\n" + _connect_lines())
    if arguments.json:
        print(
            json.dumps({"index": indexed.structure, "clusters": topics.structure, "quality": quality, "model": model})
        )
    return 0


class _Out:
    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        if not self._quiet:
            print(printable(text), flush=True)


async def _measure(connection: Connection, judged: Judged) -> dict[str, float]:
    """Return the means of nDCG@10 and recall@10 over all judged questions, and the median milliseconds per search."""
    from knowledge_core.verbs.evaluate import ndcg, recall

    gains, found, seconds = [], [], []
    with ProgressLine() as line:
        for number, (id, grades) in enumerate(judged.judgements.items(), start=1):
            began = time.perf_counter()
            given = {"query": judged.queries[id], "collections": [COLLECTION], "limit": CUT, "max_tokens": 6000}
            answer = await connection.call("search", given)
            seconds.append(time.perf_counter() - began)
            ranked = [hit["document"] for hit in answer.structure["hits"]]
            gains.append(ndcg(ranked, grades, CUT))
            found.append(recall(ranked, grades, CUT))
            line(number, len(judged.judgements), "measuring retrieval quality")
    count = len(gains)
    return {
        "queries": count,
        "ndcg@10": round(sum(gains) / count, 4),
        "recall@10": round(sum(found) / count, 4),
        "search_ms": round(1e3 * sorted(seconds)[count // 2], 1),
    }


async def _model(connection: Connection) -> str:
    listed = await connection.call("list_collections", {})
    return str(next(each["model"] for each in listed.structure["collections"] if each["name"] == COLLECTION))


def _quality_line(quality: dict[str, float], model: str, indexed: dict[str, Any]) -> str:
    speed = f", {indexed['tokens'] / indexed['seconds']:,.0f} tokens/s indexing" if indexed["tokens"] else ""
    return (
        f"Measured with {model} on {quality['queries']} judged questions: nDCG@10 {quality['ndcg@10']:.3f}, "
        f"recall@10 {quality['recall@10']:.3f}, {quality['search_ms']:.0f} ms a search (median, query embedding included)"
        f"{speed}."
    )


def _connect_lines() -> str:
    # Clients do not share this shell's PATH: the full path of the command that runs now.
    kcore = os.path.abspath(sys.argv[0]) if Path(sys.argv[0]).stem == "kcore" else shutil.which("kcore") or "kcore"
    return (
        "Next: index your own documents\n"
        f"  {kcore} index ~/Documents\n\n"
        "Connect a client (it shows the change and asks; claude-desktop, claude-code, cursor, vscode and more)\n"
        f"  {kcore} setup claude-desktop\n"
        f"  claude mcp add knowledge-core -- {kcore} serve\n\n"
        "The owner process that answered here stays in the background for the next call, and ends by itself when nobody\n"
        f"needs it for a while; `{kcore} stop` ends it now."
    )
