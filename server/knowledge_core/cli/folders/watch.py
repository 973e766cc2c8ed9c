"""`kcore watch`: hold an owner, and say what it takes in."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import Usage, command, connected
from knowledge_core.language.printable import one_line, printable
from knowledge_core.near_names import listed

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection

LOOK_EVERY = 1.0  # seconds
NAMED = 3  # documents per line


def add(commands: Any) -> None:
    """Add the command."""
    command(
        commands, "watch", "keep the index in step with the folders until Ctrl-C, and say what changes",
        "kcore watch\nkcore watch --json", connected(_watch),
    )  # fmt: skip


async def _watch(connection: Connection, arguments: argparse.Namespace) -> int:
    import anyio

    status = await connection.ask("status")
    if status["owner"] is None:
        raise Usage(
            "there is no owner process, which watches. Without --in-process one is started where that is possible."
        )
    now = await connection.ask("watching")
    if not now["on"]:
        raise Usage("`indexing.watch` is false in the configuration.")
    wanted = {each["path"] for each in (await connection.ask("sources"))["sources"] if each["watch"]}
    while not wanted <= {
        each["path"] for each in now["sources"]
    }:  # an owner that has just begun takes them up one by one
        await anyio.sleep(0.1)
        now = await connection.ask("watching")
    _say(arguments, {"sources": now["sources"]}, *map(_source, now["sources"] or [None]))
    last = max((each["number"] for each in now["events"]), default=0)
    while True:
        await anyio.sleep(LOOK_EVERY)
        for each in (await connection.ask("watching", after=last))["events"]:
            last = each["number"]
            _say(arguments, each, _event(each))


def _source(source: dict[str, Any] | None) -> str:
    if source is None:
        return "No folder is watched yet. Index one with: kcore index PATH"
    state = (
        ", which is gone" if source["gone"] else f", from time to time: {source['polled']}" if source["polled"] else ""
    )
    return f"Watching {one_line(source['path'])} ({source['collection']}){state}"


def _event(event: dict[str, Any]) -> str:
    counts = [f"{event[what]} {what}" for what in ("indexed", "moved", "removed", "failed") if event[what]]
    names = [one_line(each) for each in event["documents"]]
    more = ", ..." if sum(event[what] for what in ("indexed", "moved", "removed")) > len(names[:NAMED]) else ""
    clock = time.strftime("%H:%M:%S", time.localtime(event["time"]))
    return f"{clock} {event['collection']}: {', '.join(counts)} ({listed(names[:NAMED])}{more})"


def _say(arguments: argparse.Namespace, structure: Any, *lines: str) -> None:
    text = json.dumps(structure, ensure_ascii=False) if arguments.json else printable("\n".join(lines))
    print(text, flush=True)
