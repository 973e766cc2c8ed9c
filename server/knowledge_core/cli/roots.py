"""`kcore roots`: the folders that agents may read."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import command, connected, full_path, show_as

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "roots", "show, add or remove the folders that may be indexed",
        "kcore roots\nkcore roots add ~/notes\nkcore roots remove ~/notes", connected(_roots),
    )  # fmt: skip
    made.add_argument("action", nargs="?", choices=["list", "add", "remove"], default="list")
    made.add_argument("paths", nargs="*", type=full_path, metavar="PATH")


async def _roots(connection: Connection, arguments: argparse.Namespace) -> int:
    given = {} if arguments.action == "list" else {arguments.action: arguments.paths}
    result = await connection.ask("roots", **given)
    listed = "\n".join(result["roots"])
    none = "No folder may be indexed yet. Allow one with: kcore roots add PATH"
    show_as(arguments, result, listed or none)
    return 0
