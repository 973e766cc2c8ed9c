"""`kcore setup CLIENT`: put our entry into a client's configuration, or take it out with --undo.

The change is shown first, and the old file is kept as a backup.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.clients.clients_config import (
    CLIENTS,
    ClientKind,
    config_snippet,
    find,
    with_entry,
    without_entry,
)
from knowledge_core.cli.output import Usage, command, connection_of, full_path, show_as, unwrapped
from knowledge_core.errors import InvalidInput, StorageError
from knowledge_core.files import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "setup", "write the configuration of an MCP client, so that it launches kcore",
        "kcore setup claude-desktop --root ~/notes\nkcore setup cursor --print\nkcore setup claude-code --undo", _setup,
    )  # fmt: skip
    made.add_argument("client", choices=list(CLIENTS), metavar="CLIENT", help=", ".join(CLIENTS))
    made.add_argument(
        "--root", action="append", type=full_path, metavar="PATH", help="a folder that the client's agent may index"
    )
    made.add_argument("--print", action="store_true", help="only print the lines, change nothing")
    made.add_argument("--undo", action="store_true", help="take our entry out again")
    made.add_argument("--yes", action="store_true", help="do not ask")


def launch_command(arguments: argparse.Namespace) -> list[str]:
    """Return the command for a client to launch, with full paths, since clients do not have this shell's PATH."""
    here = os.path.abspath(sys.argv[0])
    kcore = here if Path(here).stem in ("kcore", "knowledge-core") else shutil.which("kcore")
    made = [kcore, "serve"] if kcore else [sys.executable, "-m", "knowledge_core.cli.main", "serve"]
    for option in ("home", "config"):
        value = getattr(arguments, option)
        if value is not None:
            made += [f"--{option}", value]
    return made


def _setup(arguments: argparse.Namespace) -> int:
    client, launched = CLIENTS[arguments.client], launch_command(arguments)
    if arguments.root and not arguments.undo and not arguments.print:
        _allow(arguments)
    lines = config_snippet(client, launched)
    if arguments.print or not client.editable:
        if arguments.undo:
            raise Usage(f"take the entry out of {client.where} by hand: {client.title}'s file is not ours to edit.")
        _show_lines(arguments, client, lines)
        return 0
    return _edit(arguments, client, launched, lines)


def _show_lines(arguments: argparse.Namespace, client: ClientKind, lines: str) -> None:
    show_as(
        arguments,
        {"client": client.name, "file": str(find(client)), "lines": lines},
        f"{client.title}: put this into {find(client)}, beside what is there:\n\n{lines}",
    )


def _edit(arguments: argparse.Namespace, client: ClientKind, launched: Sequence[str], lines: str) -> int:
    file = find(client)
    before = read(file)
    try:
        after = without_entry(client, before) if arguments.undo else with_entry(client, before, launched)
    except InvalidInput as error:
        print(f"kcore setup: {file} was left as it is: {error}.", file=sys.stderr)
        _show_lines(arguments, client, lines)
        return 1
    if after == before:
        state = "has no entry of ours" if arguments.undo else "is set up already"
        show_as(arguments, {"client": client.name, "file": str(file), "changed": False}, f"{client.title} {state}.")
        return 0
    change = "".join(
        difflib.unified_diff(before.splitlines(True), after.splitlines(True), str(file), f"{file} (new)", n=2)
    )
    if not arguments.yes:
        _ask(change)
    backup = write(file, after)
    done = "Took our entry out of" if arguments.undo else "Set up"
    kept = f" The former file is {backup}." if backup else ""
    show_as(
        arguments,
        {"client": client.name, "file": str(file), "changed": True, "backup": backup and str(backup)},
        f"{change}\n{done} {client.title}.{kept} Restart it to take effect.",
    )
    return 0


def _ask(change: str) -> None:
    if not sys.stdin.isatty():
        raise Usage("say --yes to write the change, or --print to see the lines.")
    print(change)
    if input("Write this? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Usage("nothing was changed.")


def read(file: Path) -> str:
    """Return the text of a client's configuration; "" where there is no file yet.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{file} cannot be read ({error}).") from error


def write(file: Path, text: str) -> Path | None:
    """Replace a client's configuration, whole or not at all, and return the backup; None where there was no file.

    Raises:
        StorageError: the disk refused; the old file is as it was.
    """
    file = Path(os.path.realpath(file))  # a symbolic link stays, and its target is replaced
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        backup = _backup(file) if file.exists() else None
        mode = stat.S_IMODE(backup.stat().st_mode) if backup is not None else None
        with replacing(file, mode=mode, suffix=".kcore-new") as new:
            new.write(text.replace("\n", os.linesep).encode())
    except OSError as error:
        raise StorageError(f"{file} cannot be written ({error.strerror}).") from error
    return backup


def _backup(file: Path) -> Path:
    """Copy a file, with its permissions and times, to a free name beside it; a copy that fails is removed."""
    backup = _free(file)
    try:
        shutil.copy2(file, backup)
    except OSError:
        backup.unlink(missing_ok=True)
        raise
    return backup


def _free(file: Path) -> Path:
    names = (file.with_name(f"{file.name}.before-kcore{number or ''}") for number in range(10_000))
    return next(name for name in names if not name.exists())


def undo_everywhere() -> list[str]:
    """Take our entry out of the configuration of every client that has one; return the titles of these clients."""
    undone = []
    for client in CLIENTS.values():
        if client.editable:
            file = find(client)
            try:
                before = read(file)
                after = without_entry(client, before)
            except (InvalidInput, StorageError):
                continue  # a file that we cannot read is not ours to mend
            if after != before:
                write(file, after)
                undone.append(client.title)
    return undone


def _allow(arguments: argparse.Namespace) -> None:
    import anyio

    async def record() -> int:
        async with connection_of(arguments) as connection:
            await connection.ask("roots", add=arguments.root)
        return 0

    unwrapped(anyio.run, record)
