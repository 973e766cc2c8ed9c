"""`kcore doctor`: verify everything that is stored, and that the models work."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import command, connected, show_as

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "doctor", "verify everything that is stored, and that the model works",
        "kcore doctor\nkcore doctor --repair", connected(_doctor),
    )  # fmt: skip
    made.add_argument("--collection", metavar="NAME", help="only this one")
    made.add_argument("--repair", action="store_true", help="rebuild derived indexes from the record")


async def _doctor(connection: Connection, arguments: argparse.Namespace) -> int:
    result = await connection.ask("doctor", collection=arguments.collection, repair=arguments.repair or None)
    model = result["model"]
    reports = [
        ("data directory", result["home"]),
        ("model", model),
        *((each["collection"], each) for each in result["collections"]),
    ]
    lines = [f"{name}: {each['level']}: {each['what']}" for name, report in reports for each in report["findings"]]
    lines.append(_verdict(result))
    show_as(arguments, result, "\n".join(lines))
    return 0 if result["clean"] else 1


def _verdict(result: dict[str, Any]) -> str:
    """Return the last line: how everything is, and what to do next."""
    found = [each for report in result["collections"] for each in report["findings"]]
    levels = {each["level"] for each in found}
    if any(each["repairable"] for each in found if each["level"] == "damaged"):
        return "Something is damaged. Try: kcore doctor --repair"
    if "damaged" in levels:
        return "A record is damaged, which no repair can rebuild: do what is said of it above."
    if not result["model"]["works"]:
        return "No model works, so nothing can be embedded. Do what is said of the model above, then: kcore doctor"
    if "unavailable" in levels:
        return "What is stored is sound, but a collection's model does not work: do what is said of it above."
    if any(each["level"] == "warning" for each in result["model"]["findings"]):
        return "What is stored is sound and the model in use works, but a better one is broken: do what is said of it above."
    if "warning" in levels or result["home"]["findings"]:
        return "What is stored is sound and the model works, but something else is wrong: do what is said of it above."
    return "All is well."
