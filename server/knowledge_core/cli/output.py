"""What all commands share: common options, the connection, the progress line, and the two forms of output."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from knowledge_core.language.printable import one_line, printable
from knowledge_core.paths import data_directory

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from knowledge_core.serving.client import Answer, Connection

Command = Callable[["Connection", argparse.Namespace], Awaitable[int]]


class Usage(Exception):
    """The command was called in a wrong way that the parser cannot see: exit code 2."""


def full_path(text: str) -> str:
    """Return the absolute form of a path on the command line, since the owner works in another folder.

    Raises:
        argparse.ArgumentTypeError: it is empty, as the value of an unset variable is. It would mean the current folder,
            which nobody asked to read.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty (an unset variable?); write . for the current folder")
    return os.path.abspath(os.path.expanduser(text))


def file_name(text: str) -> str:
    """Return a file name on the command line as it was given, "-" included.

    Raises:
        argparse.ArgumentTypeError: it is empty. It would count as not given, and the command would do something else.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the file's name is empty (an unset variable?)")
    return text


def command(
    commands: Any, name: str, help: str, example: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add one command with the options that all commands have, and return its parser.

    help: one line, for the list of commands. example: command lines, for the end of the command's own help.
    """
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog="examples:\n" + "\n".join("  " + line for line in example.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = made.add_argument_group("common options")
    common.add_argument(
        "--home",
        type=full_path,
        metavar="DIR",
        help="data directory (default: $KNOWLEDGE_CORE_HOME, ~/.knowledge-core)",
    )
    common.add_argument(
        "--config",
        type=full_path,
        metavar="FILE",
        help="configuration file (default: config.yaml in the data directory)",
    )
    common.add_argument(
        "--in-process", action="store_true", help="do the work in this process instead of the shared owner process"
    )
    common.add_argument("--json", action="store_true", help="print the structured result")
    made.set_defaults(run=run)
    return made


def connected(run: Command) -> Callable[[argparse.Namespace], int]:
    """Return a command that opens a connection and runs on it; see `connection_of`."""

    def with_connection(arguments: argparse.Namespace) -> int:
        import anyio

        async def inner() -> int:
            async with connection_of(arguments) as connection:
                return await run(connection, arguments)

        return unwrapped(anyio.run, inner)

    return with_connection


def connection_of(arguments: argparse.Namespace) -> AbstractAsyncContextManager[Connection]:
    """Return a connection for a command: to the owner, or within this process where no owner can run."""
    from knowledge_core.serving.client import in_process, to_owner
    from knowledge_core.serving.pipe.dialling import OwnerImpossible, connect

    home = data_directory(arguments.home)
    if not arguments.in_process:
        try:
            link = connect(home, arguments.config, "cli")
            for difference in link.differences(home):
                print(f"kcore: {difference}", file=sys.stderr)
            return to_owner(link)
        except OwnerImpossible as impossible:
            print(f"kcore: {impossible}; working in this process.", file=sys.stderr)
    return in_process(home, arguments.config, f"kcore {arguments.command} --in-process")


def unwrapped(call: Callable[..., int], *arguments: Any) -> int:
    """Call a function; where it raises a group of one error, as task groups do, raise that error itself."""
    try:
        return call(*arguments)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


def show(arguments: argparse.Namespace, answer: Answer) -> int:
    """Print a tool's answer as text or JSON, as the arguments say, and return exit code 0."""
    show_as(arguments, answer.structure, answer.text)
    return 0


async def all_pages(
    connection: Connection,
    tool: str,
    given: dict[str, Any],
    items: str,
    *,
    heads: int,
    first: Answer | None = None,
) -> Answer:
    """Call a tool until no cursor is left, and return all pages as one answer.

    Args:
        connection: to call on.
        tool: its name.
        given: its arguments, without a cursor.
        items: the name of the list in the structure that continues from page to page.
        heads: the number of lines at the beginning of each page's text that are shown once.
        first: the first page, where it was fetched already.
    """
    from knowledge_core.serving.client import Answer

    answer = first or await connection.call(tool, given)
    structure, text = answer.structure, _without_cursor(answer.text)
    while cursor := answer.structure.get("cursor"):
        answer = await connection.call(tool, {**given, "cursor": cursor})
        structure = {**answer.structure, items: [*structure[items], *answer.structure[items]]}
        text = "\n".join([text, *_without_cursor(answer.text).splitlines()[heads:]])
    return Answer(text, structure)


def _without_cursor(text: str) -> str:
    return text[: text.rindex("\n[more:")] if text.rpartition("\n")[2].startswith("[more:") else text


def show_as(arguments: argparse.Namespace, structure: Any, text: str) -> None:
    """Print `structure` as JSON where --json was given, else `text`."""
    print(json.dumps(structure, ensure_ascii=False, indent=2) if arguments.json else printable(text))


class ProgressLine:
    """One line on stderr that each report overwrites; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._shown = False
        self._last = 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, done: float, total: float | None, message: str) -> None:
        now = time.monotonic()
        if not self._terminal or (now - self._last < 0.1 and done != total):
            return
        self._last = now
        share = f"{100 * done / total:3.0f} % " if total else ""
        # \x1b[K clears what a longer line before it has left.
        print(f"\r{share}{one_line(message)}"[:110] + "\x1b[K", end="", file=sys.stderr, flush=True)
        self._shown = True

    def __enter__(self) -> ProgressLine:
        return self

    def clear(self) -> None:
        """Clear the line, so that another one can be printed."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        self.clear()
