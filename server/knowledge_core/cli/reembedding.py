"""`kcore reembed`: move a collection to another model."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import Usage, command, connected, show_as
from knowledge_core.cli.waiting import Interrupts, code_of, end_of

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "reembed", "move a collection to another model, from the text that is stored",
        "kcore reembed default --model google/embeddinggemma-2\nkcore reembed notes --model all-MiniLM-L6-v2\n"
        "kcore reembed notes --model google/embeddinggemma-300m --dimensions 256\n"
        "kcore reembed notes --model remote --no-wait\nkcore reembed notes --cancel", connected(_reembed),
    )  # fmt: skip
    made.description = (made.description or "") + (
        "\n\nSearches go on with the old vectors until all are made; then all change at once. Ctrl-C cancels the job; the "
        "same\ncommand goes on where it was, and so does the job itself after the process or the machine stopped."
    )
    made.add_argument("collection", metavar="COLLECTION")
    made.add_argument(
        "--model", metavar="NAME", help="a model's name or folder, auto, or remote (the configured endpoint)"
    )
    made.add_argument("--dimensions", type=int, metavar="N", help="shorter vectors, where the model has them")
    made.add_argument("--no-wait", action="store_true", help="return at once; `kcore status` shows the job")
    made.add_argument("--cancel", action="store_true", help="stop an unfinished move, and drop what it made")


async def _reembed(connection: Connection, arguments: argparse.Namespace) -> int:
    if arguments.cancel:
        result = await connection.ask("reembed", collection=arguments.collection, cancel=True)
        text = "Cancelled; what it had made is dropped." if result["cancelled"] else "There was nothing to cancel."
        show_as(arguments, result, text)
        return 0
    if not arguments.model:
        raise Usage("say which model: --model NAME (`kcore models` lists those that are here), or --cancel.")
    model = _absolute(arguments.model)
    print(f"kcore: loading {model} ...", file=sys.stderr)
    given = {"collection": arguments.collection, "model": model, "dimensions": arguments.dimensions}
    if arguments.no_wait:
        started = await connection.ask("reembed", **given)
        show_as(
            arguments, started, f"Job {started['job']} re-embeds {arguments.collection!r}; `kcore status` shows it."
        )
        return 0
    with Interrupts() as interrupts:
        started = await connection.ask("reembed", **given)
        answer = await end_of(connection, started["job"], interrupts)
    cancelled = answer.structure["state"] == "cancelled"
    kept = " What was made is kept: the same command goes on there, and --cancel drops it." if cancelled else ""
    show_as(arguments, answer.structure, answer.text + kept)
    return code_of(answer)


def _absolute(model: str) -> str:
    """Return the full path of a model's folder, since the owner works in another folder; a model's name stays as it is."""
    return os.path.abspath(os.path.expanduser(model)) if model.startswith((".", "~", os.sep)) else model
