"""`kcore roots`: the folders that agents may read."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.folders.asking import agreed
from knowledge_core.cli.output import command, connected, full_path, show_as
from knowledge_core.language.printable import one_line

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
    made.add_argument(
        "--yes", action="store_true", help="add: open a home folder, or a folder above others, without asking"
    )


async def _roots(connection: Connection, arguments: argparse.Namespace) -> int:
    if arguments.action == "add":
        await agreed(connection, arguments.paths, yes=arguments.yes)
    given = {} if arguments.action == "list" else {arguments.action: arguments.paths}
    result = await connection.ask("roots", **given)
    lines = list(result["roots"]) or ["No folder may be indexed yet. Allow one with: kcore roots add PATH"]
    for removed in result["removed"]:
        sources = (await connection.ask("sources"))["sources"]
        inside = [each for each in sources if is_below(each["path"], removed) and each["documents"]]
        lines += [
            f"{each['documents']} documents of {one_line(each['path'])} stay indexed and are found; `kcore sources remove "
            f"{one_line(each['name'])} --delete-documents` takes them out."
            for each in inside
        ]
    show_as(arguments, result, "\n".join(lines))
    return 0


def is_below(path: str, folder: str) -> bool:
    """Say whether a path is a folder, or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
