"""The commands about the engine itself: roots, doctor, demo."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from knowledge_core.cli import demo
from knowledge_core.cli.output import command, connected, full_path, show_as

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection


def add(commands: Any) -> None:
    """Add the commands of this family."""
    roots = command(
        commands, "roots", "show, add or remove the folders that may be indexed",
        "kcore roots\nkcore roots add ~/notes\nkcore roots remove ~/notes", connected(_roots),
    )  # fmt: skip
    roots.add_argument("action", nargs="?", choices=["list", "add", "remove"], default="list")
    roots.add_argument("paths", nargs="*", type=full_path, metavar="PATH")
    doctor = command(
        commands, "doctor", "verify everything that is stored, and that the model works",
        "kcore doctor\nkcore doctor --repair", connected(_doctor),
    )  # fmt: skip
    doctor.add_argument("--collection", metavar="NAME", help="only this one")
    doctor.add_argument("--repair", action="store_true", help="make derived indexes anew from the record")
    demo.add(commands)


async def _roots(connection: Connection, arguments: argparse.Namespace) -> int:
    given = {} if arguments.action == "list" else {arguments.action: arguments.paths}
    result = await connection.ask("roots", **given)
    listed = "\n".join(result["roots"])
    none = "No folder may be indexed yet. Allow one with: kcore roots add PATH"
    show_as(arguments, result, listed or none)
    return 0


async def _doctor(connection: Connection, arguments: argparse.Namespace) -> int:
    result = await connection.ask("doctor", collection=arguments.collection, repair=arguments.repair or None)
    model = result["model"]
    reports = [("model", model), *((each["collection"], each) for each in result["collections"])]
    lines = [f"{name}: {each['level']}: {each['what']}" for name, report in reports for each in report["findings"]]
    lines.append(_verdict(result))
    show_as(arguments, result, "\n".join(lines))
    return 0 if result["clean"] else 1


def _verdict(result: dict[str, Any]) -> str:
    """Return the line that says how everything is, and what to do."""
    levels = {each["level"] for report in result["collections"] for each in report["findings"]}
    if "damaged" in levels:
        return "Something is damaged. Try: kcore doctor --repair"
    if not result["model"]["works"]:
        return "No model works, so nothing can be embedded. Do what is said of the model above, then: kcore doctor"
    if "unavailable" in levels:
        return "What is stored is sound, but a collection's model does not work: do what is said of it above."
    if any(each["level"] == "warning" for each in result["model"]["findings"]):
        return "What is stored is sound and the model in use works, but a better one is broken: do what is said of it above."
    if "warning" in levels:
        return "What is stored is sound and the model works, but something else is wrong: do what is said of it above."
    return "All is well."
