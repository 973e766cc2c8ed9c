"""`kcore`: arguments in, text or JSON out. It decides nothing: every command is a call of the server.

Only the standard library and light modules are imported before a command runs, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
from collections.abc import Sequence

from knowledge_core import __version__
from knowledge_core.cli import (
    content,
    demo,
    doctor,
    embed,
    grouping,
    model_list,
    owner,
    pull,
    reembedding,
)
from knowledge_core.cli.backups import backup, restore
from knowledge_core.cli.clients import setup
from knowledge_core.cli.folders import roots, sources, watch
from knowledge_core.cli.output import Usage
from knowledge_core.cli.waiting import INTERRUPTED
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.language.printable import printable

DESCRIPTION = "The local, private semantic engine for AI agents: index, search, cluster and classify your documents."
EXAMPLES = """\
examples:
  kcore index ~/notes                       make a folder searchable (again and again: only changes cost)
  kcore sync                                bring all that was indexed in step with its folders, once
  kcore search "how do refunds work"        find passages by meaning and by words
  kcore cluster                             show the topics of a collection
  kcore serve                               what MCP clients launch; see `kcore demo` for the lines to connect them
  kcore doctor                              verify everything that is stored, and the model
  kcore status                              what runs, what is stored, who is connected

The data directory is --home, else $KNOWLEDGE_CORE_HOME, else ~/.knowledge-core.
exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted
"""
_INTERRUPTED = "kcore: interrupted; what was acknowledged stays\n"


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="kcore", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"kcore {__version__}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for family in (
        content,
        grouping,
        embed,
        model_list,
        pull,
        reembedding,
        owner,
        setup,
        roots,
        sources,
        watch,
        doctor,
        backup,
        restore,
        demo,
    ):
        family.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    argv: None where the command is the whole process; then Ctrl-C during Python's own exit is quiet, too.
    """
    # Set before a model library is imported: none may use the network.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    arguments = parser().parse_args(argv)
    try:
        code = _code_of(arguments)
    except KeyboardInterrupt:
        if argv is None:
            _quit_at_ctrl_c("")
        sys.stderr.write(_INTERRUPTED)
        return INTERRUPTED
    if argv is None:
        _quit_at_ctrl_c(_INTERRUPTED)
    return code


def _code_of(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments)
    except Usage as error:
        print(f"kcore {arguments.command}: {printable(str(error))}", file=sys.stderr)
        return 2
    except KnowledgeCoreError as error:
        print(f"kcore: {printable(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader (`| head`) has closed the pipe. Without another stdout, Python complains while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _quit_at_ctrl_c(message: str) -> None:
    """From here on, let Ctrl-C end this process at once and without a traceback.

    message: what stderr says then; "" where it has been said.

    The command has ended, but Python's exit waits for threads, and an interrupted command may leave one that closes the
    engine, which takes as long as the present batch. Ending the process there loses nothing that was acknowledged.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        return  # a script put this command into the background

    def quit_now(*_: object) -> None:
        os.write(2, message.encode())
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, quit_now)
    # After the last thread, Python takes its signal handlers away, and Ctrl-C would end the process by a signal.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
