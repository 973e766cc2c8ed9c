"""`kcore`: arguments in, text or JSON out. It decides nothing: every command is a call of the server.

Only the standard library and light modules are imported before a command runs, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import os
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
    roots,
)
from knowledge_core.cli.clients import setup
from knowledge_core.cli.output import Usage
from knowledge_core.errors import KnowledgeCoreError

DESCRIPTION = "The local, private semantic engine for AI agents: index, search, cluster and classify your documents."
EXAMPLES = """\
examples:
  kcore index ~/notes                       make a folder searchable (again and again: only changes cost)
  kcore search "how do refunds work"        find passages by meaning and by words
  kcore cluster                             show the topics of a collection
  kcore serve                               what MCP clients launch; see `kcore demo` for the lines to connect them
  kcore doctor                              verify everything that is stored, and the model
  kcore status                              what runs, what is stored, who is connected

The data directory is --home, else $KNOWLEDGE_CORE_HOME, else ~/.knowledge-core.
exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="kcore", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"kcore {__version__}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for family in (content, grouping, embed, model_list, pull, reembedding, owner, setup, roots, doctor, demo):
        family.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Set before a model library is imported: none may use the network.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except Usage as error:
        print(f"kcore {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KnowledgeCoreError as error:
        print(f"kcore: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("kcore: interrupted; what was acknowledged stays", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has closed the pipe. Without another stdout, Python complains while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
