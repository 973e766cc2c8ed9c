"""`kcore roots`: the folders that agents may read."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.folders.asking import agreed, in_a_terminal, said_yes
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
        "--delete-documents", action="store_true", help="remove: what was indexed of it leaves the index, too"
    )
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
        lines += await _stays(connection, arguments, removed)
    show_as(arguments, result, "\n".join(lines))
    return 0


async def _stays(connection: Connection, arguments: argparse.Namespace, root: str) -> list[str]:
    """Return what stays of a root that was removed, or what was deleted of it where that is wanted."""
    below = (await connection.ask("below", folder=root))["below"]
    count = sum(each["documents"] for each in below)
    if not count:
        return []
    delete = arguments.delete_documents
    if not delete and not arguments.yes and in_a_terminal():
        delete = said_yes(f"{count} documents of {one_line(root)} are indexed. Delete them from the index, too? [y/N] ")
    if delete:
        await connection.ask("below", folder=root, delete=True)
        return [f"Deleted {count} documents of {one_line(root)} from the index; the files stay."]
    again = f"kcore roots add {one_line(root)} and kcore roots remove {one_line(root)} --delete-documents"
    return [
        f"{count} documents of {one_line(root)} stay indexed and are found, as they were. To take them out: {again}"
    ]
