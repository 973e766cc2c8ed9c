"""`kcore doctor`: verify everything that is stored, and that the models work."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import ProgressLine, Usage, command, connected, show_as

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "doctor", "verify everything that is stored, and that the model works",
        "kcore doctor\nkcore doctor --deep\nkcore doctor --repair\nkcore doctor --accept notes\nkcore doctor --set-aside notes",
        connected(_doctor),
    )  # fmt: skip
    made.add_argument("--collection", metavar="NAME", help="only this one")
    made.add_argument(
        "--repair",
        action="store_true",
        help="rebuild derived indexes from the record, and read damaged documents again",
    )
    made.add_argument(
        "--deep", action="store_true", help="compare all texts with their checksums, not a sample of 1,000"
    )
    made.add_argument(
        "--accept", metavar="NAME", help="go on with what is there of a collection whose record lost something"
    )
    made.add_argument(
        "--set-aside", metavar="NAME", help="move a collection out of the way, into set-aside/ of the data directory"
    )


async def _doctor(connection: Connection, arguments: argparse.Namespace) -> int:
    if arguments.accept or arguments.set_aside:
        return await _decide(connection, arguments)
    with ProgressLine() as line:
        result = await connection.ask(
            "doctor", line, collection=arguments.collection,
            repair=arguments.repair or None, deep=arguments.deep or None,
        )  # fmt: skip
    model = result["model"]
    reports = [
        ("data directory", result["data_directory"]),
        ("model", model),
        *((each["collection"], each) for each in result["collections"]),
    ]
    lines = [f"{name}: {each['level']}: {each['what']}" for name, report in reports for each in report["findings"]]
    lines.append(_verdict(result))
    show_as(arguments, result, "\n".join(lines))
    return 0 if result["clean"] else 1


async def _decide(connection: Connection, arguments: argparse.Namespace) -> int:
    """Do what a person decided about one collection."""
    if arguments.accept and arguments.set_aside:
        raise Usage("Give --accept or --set-aside, not both.")
    if arguments.accept:
        result = await connection.ask("accept_losses", collection=arguments.accept)
        told = [f"No longer told: {each}" for each in result["accepted"]]
        show_as(arguments, result, "\n".join(told) or f"{arguments.accept} has lost nothing that is known.")
        return 0
    name = arguments.set_aside
    result = await connection.ask("set_aside", collection=name)
    show_as(
        arguments, result,
        f"{name} lies in {result['folder']} now, and the name is free. To bring it back: kcore stop, and move that folder to "
        f"collections/{name}.",
    )  # fmt: skip
    return 0


def _verdict(result: dict[str, Any]) -> str:
    """Return the last line: how everything is, and what to do next."""
    found = [each for report in (result["data_directory"], *result["collections"]) for each in report["findings"]]
    levels = {each["level"] for each in found}
    if any(each["repairable"] for each in found if each["level"] == "damaged"):
        return "Something is damaged. Try: kcore doctor --repair"
    if "damaged" in levels:
        return "Something is damaged that no repair can rebuild: do what is said of it above."
    if not result["model"]["works"]:
        return "No model works, so nothing can be embedded. Do what is said of the model above, then: kcore doctor"
    if "unavailable" in levels:
        return "What is stored is sound, but a collection's model does not work: do what is said of it above."
    if any(each["level"] == "warning" for each in result["model"]["findings"]):
        return "What is stored is sound and the model in use works, but a better one is broken: do what is said of it above."
    if "warning" in levels:
        return "What is stored is sound and the model works, but something else is wrong: do what is said of it above."
    return "All is well."
