"""The commands that group and label texts: cluster, classify."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.content import parsed_filter
from knowledge_core.cli.output import Usage, all_pages, command, connected, file_name, show
from knowledge_core.cli.waiting import code_of, finished

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection


def add(commands: Any) -> None:
    """Add the commands of this family."""
    _add_cluster(commands)
    _add_classify(commands)


def lines_of(file: str) -> list[str]:
    """Return the lines of a file that are not blank; "-" is standard input."""
    try:
        if file == "-":
            return [line.strip() for line in sys.stdin if line.strip()]
        with open(file, encoding="utf-8") as lines:
            return [line.strip() for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{file} cannot be read: {error}.") from None


def _add_cluster(commands: Any) -> None:
    made = command(
        commands, "cluster", "show the topics of a collection, or its near-duplicates",
        "kcore cluster\nkcore cluster --k 12 --json\nkcore cluster --query refunds\n"
        "kcore cluster --mode duplicates --similarity 0.97\nkcore cluster --texts lines.txt", connected(_cluster),
    )  # fmt: skip
    made.add_argument("--collection", default="default", metavar="NAME")
    made.add_argument(
        "--texts", type=file_name, metavar="FILE", help="group the lines of a file instead (- for standard input)"
    )
    made.add_argument("--query", metavar="QUERY", help="only what a search for this finds")
    made.add_argument("--filter", metavar="JSON")
    made.add_argument("--mode", choices=["topics", "duplicates"], default="topics")
    made.add_argument("--k", type=int, metavar="N", help="number of topics (default: found from the data)")
    made.add_argument(
        "--similarity", type=float, metavar="X", help="least similarity of duplicates, above 0, at most 1"
    )
    made.add_argument("--limit", type=int, metavar="N", help="clusters shown at most")


async def _cluster(connection: Connection, arguments: argparse.Namespace) -> int:
    given: dict[str, Any] = {
        "query": arguments.query,
        "filter": parsed_filter(arguments.filter),
        "mode": arguments.mode,
        "k": arguments.k,
        "similarity": arguments.similarity,
        "limit": arguments.limit,
    }
    if arguments.texts:
        given["texts"] = lines_of(arguments.texts)
    else:
        given["collection"] = arguments.collection
    answer = await finished(connection, "cluster", given)
    if answer.structure["state"] == "done":
        answer = await all_pages(connection, "cluster", given, "clusters", heads=1, first=answer)
    show(arguments, answer)
    return code_of(answer)


def _add_classify(commands: Any) -> None:
    made = command(
        commands, "classify", "label texts or stored documents",
        'kcore classify --label refund --label "shipping:where is my parcel" --text "I want my money back"\n'
        "kcore classify --labels labels.json --collection default", connected(_classify),
    )  # fmt: skip
    made.add_argument("--label", action="append", metavar="NAME[:DESCRIPTION]", help="repeat for several")
    made.add_argument(
        "--labels", type=file_name, metavar="FILE", help='JSON list of {"name", "description", "examples"}'
    )
    made.add_argument("--text", action="append", metavar="TEXT", help="repeat for several")
    made.add_argument("--texts", type=file_name, metavar="FILE", help="the lines of a file (- for standard input)")
    made.add_argument("--collection", metavar="NAME", help="label its documents instead of texts")
    made.add_argument("--filter", metavar="JSON")
    made.add_argument("--multiple", action="store_true", help="all labels that fit, not only the best")


async def _classify(connection: Connection, arguments: argparse.Namespace) -> int:
    texts = list(arguments.text or []) + (lines_of(arguments.texts) if arguments.texts else [])
    if bool(texts) == bool(arguments.collection):
        raise Usage("give texts (--text, --texts) or --collection, one of them.")
    labels = [_label(each) for each in arguments.label or []]
    if arguments.labels:
        labels += _labels_from(arguments.labels)
    if not labels:
        raise Usage("give at least two labels with --label, or --labels FILE.")
    given = {
        "texts": texts or None,
        "collection": arguments.collection,
        "filter": parsed_filter(arguments.filter),
        "labels": labels,
        "multiple": arguments.multiple or None,
    }
    return show(arguments, await all_pages(connection, "classify", given, "items", heads=1))


def _label(text: str) -> dict[str, Any]:
    name, _, description = text.partition(":")
    return {"name": name.strip(), "description": description.strip()}


def _labels_from(file: str) -> list[dict[str, Any]]:
    try:
        with open(file, encoding="utf-8") as content:
            labels = json.load(content)
    except (OSError, ValueError) as error:
        raise Usage(f"--labels: {file} cannot be read as JSON: {error}.") from None
    if not isinstance(labels, list):
        raise Usage(f'--labels: {file} must hold a list of {{"name", "description", "examples"}}.')
    return [{"name": each} if isinstance(each, str) else each for each in labels]
