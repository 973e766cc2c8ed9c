"""`kcore setup CLIENT`: put our entry into a client's configuration, or take it out with --undo.

Rules kept here:
- the change is shown first, and the old file is kept as a backup;
- a file that gets the HTTP door's token is readable by its owner only, and lies in no repository: what lies in one is
  shared sooner or later. The change is shown without the token.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from knowledge_core.cli.clients.clients_config import (
    CLIENTS,
    ClientKind,
    config_snippet,
    entry,
    find,
    http_entry,
    with_entry,
    without_entry,
)
from knowledge_core.cli.output import Usage, command, connection_of, full_path, show_as, unwrapped
from knowledge_core.errors import InvalidInput, StorageError
from knowledge_core.files import replacing
from knowledge_core.paths import data_directory

PRIVATE = 0o600  # the permissions of a file that holds a token
_TOKEN = re.compile(r"kcore_[\w-]{16,}")
_REPOSITORIES = (".git", ".hg", ".jj", ".svn")  # what the top folder of one holds


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "setup", "write the configuration of an MCP client, so that it launches kcore",
        "kcore setup claude-desktop --root ~/notes\nkcore setup cursor --print\nkcore setup claude-code --undo\n"
        "kcore setup claude-code --http", _setup,
    )  # fmt: skip
    made.add_argument("client", choices=list(CLIENTS), metavar="CLIENT", help=", ".join(CLIENTS))
    made.add_argument(
        "--root", action="append", type=full_path, metavar="PATH", help="a folder that the client's agent may index"
    )
    made.add_argument(
        "--http", action="store_true",
        help="let it connect to `kcore serve --http`, with the token of that door, instead of launching kcore",
    )  # fmt: skip
    made.add_argument("--port", type=int, metavar="N", help="of the HTTP door (default 8321)")
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
    client = CLIENTS[arguments.client]
    if arguments.port is not None and not arguments.http:
        raise Usage("--port is for --http.")
    if arguments.print and arguments.undo:
        raise Usage("--print shows the lines of our entry, --undo takes it out: choose one.")
    printing = arguments.print or not client.editable
    if printing and arguments.undo:
        raise Usage(f"take the entry out of {client.where} by hand: {client.title}'s file is not ours to edit.")
    ours = _entry(arguments, client, printing)
    if printing:
        _show_lines(arguments, client, config_snippet(client, ours))
        if not arguments.print:
            _allow(arguments)  # the person puts the lines in by hand; nothing is asked here
        return 0
    return _edit(arguments, client, ours)


def _entry(arguments: argparse.Namespace, client: ClientKind, printing: bool) -> Mapping[str, Any]:
    """Return our entry; with --http its token is made first, if there is none.

    Raises:
        InvalidInput: --http, and the client cannot send a header, or its file is shared with others.
    """
    if not arguments.http or arguments.undo:
        return entry(client, launch_command(arguments))
    from knowledge_core.serving.http import PORT
    from knowledge_core.serving.http.tokens import TokenStore

    url = f"http://127.0.0.1:{PORT if arguments.port is None else arguments.port}/mcp"
    http_entry(client, url, "")  # refuses before a token is made
    if not printing and (repository := _repository_of(find(client))):
        raise InvalidInput(
            f"{find(client)} lies in the repository {repository}, and a token must not get into a project's files: what "
            "lies there is shared. Leave out --http, or see the lines with --print and keep the token elsewhere."
        )
    opened = TokenStore(data_directory(arguments.home)).open()
    if opened.notice:
        print(f"kcore setup: {opened.notice}", file=sys.stderr)
    return http_entry(client, url, opened.token)


def _repository_of(file: Path) -> Path | None:
    """Return the top folder of the repository that a file lies in; None if it lies in none."""
    # A symbolic link into a repository of settings is followed: that is where the token would go.
    parents = Path(os.path.realpath(file)).parents
    return next((each for each in parents if any((each / name).exists() for name in _REPOSITORIES)), None)


def _show_lines(arguments: argparse.Namespace, client: ClientKind, lines: str) -> None:
    show_as(
        arguments,
        {"client": client.name, "file": str(find(client)), "lines": lines},
        f"{client.title}: put this into {find(client)}, beside what is there:\n\n{lines}",
    )


def _edit(arguments: argparse.Namespace, client: ClientKind, ours: Mapping[str, Any]) -> int:
    file = find(client)
    before = read(file)
    try:
        after = without_entry(client, before) if arguments.undo else with_entry(client, before, ours)
    except InvalidInput as error:
        print(f"kcore setup: {file} was left as it is: {error}.", file=sys.stderr)
        _show_lines(arguments, client, config_snippet(client, ours))
        return 1
    private = arguments.http and not arguments.undo
    if after == before:
        state = "has no entry of ours" if arguments.undo else "is set up already"
        if private:
            _close(file)
        allowed = _allow(arguments)
        show_as(
            arguments, {"client": client.name, "file": str(file), "changed": False}, f"{client.title} {state}.{allowed}"
        )
        return 0
    change = _change(file, before, after)
    if not arguments.yes:
        _ask(change, arguments.root or ())
    allowed = _allow(arguments)
    backup = write(file, after, private=private)
    done = "Took our entry out of" if arguments.undo else "Set up"
    kept = f" The former file is {backup}." if backup else ""
    if backup and arguments.undo and _holds_token(backup):
        kept += " It holds the HTTP door's token: delete it, or `kcore serve --http --new-token` makes that worthless."
    running = " Keep `kcore serve --http` running: it does not launch it." if private else ""
    show_as(
        arguments,
        {"client": client.name, "file": str(file), "changed": True, "backup": backup and str(backup)},
        # Whoever was asked has seen the change.
        f"{change + chr(10) if arguments.yes else ''}{done} {client.title}.{allowed}{kept} Restart it to take effect.{running}",
    )
    return 0


def _change(file: Path, before: str, after: str) -> str:
    """Return the difference for a person to look at, without tokens: what is on a screen is read by others, too."""
    old, new = before.splitlines(True), after.splitlines(True)
    return _TOKEN.sub("kcore_...", "".join(difflib.unified_diff(old, new, str(file), f"{file} (new)", n=2)))


def _close(file: Path) -> None:
    """Take a file's permissions from everybody but its owner."""
    if os.name != "nt":  # there the profile folder's access list guards it
        try:
            os.chmod(file, PRIVATE)
        except OSError as error:
            raise StorageError(f"{file} cannot be kept from other users ({error.strerror}).") from error


def _ask(change: str, roots: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise Usage("say --yes to write the change, or --print to see the lines.")
    print(change)
    and_allow = f", and allow agents to index {', '.join(roots)}" if roots else ""
    if input(f"Write this{and_allow}? [y/N] ").strip().lower() not in ("y", "yes"):
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


def write(file: Path, text: str, *, private: bool = False) -> Path | None:
    """Replace a client's configuration, whole or not at all, and return the backup; None where there was no file.

    private: only its owner may read it from now on; else it keeps its permissions.

    Raises:
        StorageError: the disk refused; the old file is as it was.
    """
    file = Path(os.path.realpath(file))  # a symbolic link stays, and its target is replaced
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        backup = _backup(file) if file.exists() else None
        mode = stat.S_IMODE(backup.stat().st_mode) if backup is not None else None
        with replacing(file, mode=PRIVATE if private else mode, suffix=".kcore-new") as new:
            new.write(text.replace("\n", os.linesep).encode())
    except OSError as error:
        raise StorageError(f"{file} cannot be written ({error.strerror}).") from error
    return backup


def _backup(file: Path) -> Path:
    """Copy a file, with its permissions and times, to a free name beside it; a copy that fails is removed.

    A copy that holds a token is readable by its owner only, whatever the file was.
    """
    backup = _free(file)
    try:
        os.close(os.open(backup, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))  # closed before its first byte
        shutil.copy2(file, backup)
        if _holds_token(backup):
            _close(backup)
    except BaseException:
        backup.unlink(missing_ok=True)
        raise
    return backup


def _holds_token(file: Path) -> bool:
    return _TOKEN.search(file.read_text(encoding="utf-8", errors="replace")) is not None


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


def _allow(arguments: argparse.Namespace) -> str:
    """Allow the folders that were named, and return a sentence that says so; "" where none is to be allowed."""
    if not arguments.root or arguments.undo:
        return ""
    import anyio

    async def record() -> int:
        async with connection_of(arguments) as connection:
            await connection.ask("roots", add=arguments.root)
        return 0

    unwrapped(anyio.run, record)
    return f" Agents may index {', '.join(arguments.root)}."
