"""`kcore pull`: the one command that reaches for the network by itself. It runs in its own process, never in the owner."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import ProgressLine, command, show_as

if TYPE_CHECKING:
    from knowledge_core.embedding.pulling import Pulled
    from knowledge_core.types import Progress

DEFAULT = "google/embeddinggemma-2"  # reads longer texts, and needs no licence accepted


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "pull", "download a model from the Hugging Face hub, once",
        "kcore pull\nkcore pull google/embeddinggemma-300m\nkcore pull all-MiniLM-L6-v2 --json", _pull,
    )  # fmt: skip
    made.description = (made.description or "") + (
        f"\n\nWithout a name it takes {DEFAULT} (Apache-2.0, about 0.6 GB in bfloat16). google/embeddinggemma-300m asks you to "
        "accept its\nlicence on its page and to log in first (`hf auth login`, or HF_TOKEN). A download that was cut off goes "
        "on where it\nwas. HF_HOME, HF_ENDPOINT and HTTPS_PROXY are honoured."
    )
    made.add_argument("model", nargs="?", default=DEFAULT, metavar="MODEL")
    made.add_argument("--revision", default="main", metavar="NAME", help="a branch, a tag or a commit (default: main)")


def _pull(arguments: argparse.Namespace) -> int:
    # Set to "1" for every other command, and read once, when the hub's client is imported.
    os.environ["HF_HUB_OFFLINE"] = "0"
    from huggingface_hub import get_token

    from knowledge_core.embedding.pulling import pull

    def waiting() -> None:
        print(f"kcore: another run fetches {arguments.model}; waiting for it ...", file=sys.stderr)

    began = time.monotonic()
    try:
        with ProgressLine() as line:
            done = pull(
                arguments.model,
                revision=arguments.revision,
                token=get_token() or "",
                progress=_told(line, began),
                waiting=waiting,
            )
    except KeyboardInterrupt:
        print("kcore: interrupted; what was fetched stays, and the same command goes on from there", file=sys.stderr)
        return 130
    show_as(arguments, _structure(done), _text(done))
    return 0


def _told(line: ProgressLine, began: float) -> Any:
    first: list[int] = []

    def told(progress: Progress) -> None:
        if not first:
            first.append(progress.done)
        rate = (progress.done - first[0]) / max(time.monotonic() - began, 0.1)
        line(progress.done, progress.total, f"{progress.message}, {rate / 1e6:,.1f} MB/s")

    return told


def _structure(done: Pulled) -> dict[str, Any]:
    return {
        "model": done.model.name,
        "folder": str(done.model.folder),
        "commit": done.commit,
        "bytes": done.bytes,
        "fetched": done.fetched,
        "dimensions": done.model.dimensions,
        "max_length": done.model.max_length,
        "license": done.license,
    }


def _text(done: Pulled) -> str:
    model = done.model
    how = f"{done.fetched / 1e6:,.0f} MB fetched" if done.fetched else "it was here already, nothing was fetched"
    lines = [
        f"{model.name}: {done.bytes / 1e6:,.0f} MB in {model.folder} ({how}).",
        f"{model.dimensions} dimensions, reads {model.max_length} tokens of a text. Licence: {done.license or 'see its page'}.",
        "New collections use it, unless the configuration names another model; `kcore models` shows which. To move one that "
        f"is there: kcore reembed COLLECTION --model {model.name}",
    ]
    return "\n".join(lines)
