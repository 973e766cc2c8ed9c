"""`kcore pull`: the one command that uses the network by itself, in its own process and never in the owner's."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import ProgressLine, Usage, command, show_as
from knowledge_core.paths import data_directory

if TYPE_CHECKING:
    from knowledge_core.embedding.hub.pulling import Pulled
    from knowledge_core.types import Progress

RATE_SECONDS = 5.0  # over which the rate is measured
DEFAULT = "google/embeddinggemma-2"  # the first of embedding.models.GEMMA_NAMES, which --help must not import


def add(commands: Any) -> None:
    """Add the command."""
    pull = command(
        commands, "pull", "download an embedding model from the Hugging Face hub into its cache on this machine",
        "kcore pull\nkcore pull google/embeddinggemma-300m\nkcore pull all-MiniLM-L6-v2 --json\n"
        "kcore pull intfloat/multilingual-e5-small --revision main", _pull,
    )  # fmt: skip
    pull.description = (pull.description or "") + (
        f"\n\nWithout a name it takes {DEFAULT} (Apache-2.0, 1.5 GB, of which the text part is used).\n"
        "google/embeddinggemma-300m asks you to accept its licence on its page and to log in first\n"
        "(`hf auth login`, or HF_TOKEN). A download that was cut off goes on where it was, and what was damaged on the\n"
        "disk since is fetched again. HF_HUB_CACHE, HF_HOME, HF_ENDPOINT and HTTPS_PROXY are honoured. Certificates are\n"
        "checked against the system's store, or against SSL_CERT_FILE (also REQUESTS_CA_BUNDLE) where that is set."
    )
    pull.add_argument("model", nargs="?", default=DEFAULT, metavar="MODEL", help=f"hub id (default: {DEFAULT})")
    pull.add_argument("--revision", default="main", metavar="REV", help="branch, tag or commit (default: main)")


def _pull(arguments: argparse.Namespace) -> int:
    from knowledge_core.config import load_config
    from knowledge_core.embedding.hub.pulling import pull
    from knowledge_core.errors import InvalidInput

    config = load_config(
        data_directory(arguments.home), arguments.config
    )  # a wrong configuration is an error before the download
    try:
        with ProgressLine() as line:
            meter = _Meter(line)
            pulled = pull(arguments.model, arguments.revision, progress=meter, say=meter.say)
    except InvalidInput as error:
        raise Usage(str(error)) from error
    except KeyboardInterrupt:
        again = f"kcore pull {arguments.model}" + (
            "" if arguments.revision == "main" else f" --revision {arguments.revision}"
        )
        print(f"kcore: interrupted; what was fetched stays, and `{again}` goes on from there", file=sys.stderr)
        return 130
    models_folder = config.embedding.folder_of_models(data_directory(arguments.home))
    notices, following = _outlook(pulled, config.embedding.model, models_folder)
    show_as(arguments, _structure(pulled, notices, following), _text(pulled, notices, following))
    return 0


def _outlook(pulled: Pulled, configured: str, models_folder: Path) -> tuple[list[str], list[str]]:
    """Return notices about the model that was fetched, and sentences about what a person may do next."""
    from knowledge_core.embedding.models.models import resolve
    from knowledge_core.errors import ModelUnavailable

    name, notices = pulled.model.name, [pulled.notice] if pulled.notice else []
    found = resolve(name, models_folder=models_folder)
    if found.folder != pulled.model.folder:
        notices.append(
            f"By the name {name}, another copy is used: {found.folder}. To use this one, put its folder into "
            "embedding.model in the configuration."
        )
    try:
        used = resolve(configured, models_folder=models_folder).name if configured != "remote" else configured
    except ModelUnavailable:
        used = configured
    new = (
        "New collections use it."
        if used == name
        else f"New collections use {used}; for this one, set embedding.model: {name} in the configuration."
    )
    return notices, [new, f"To move a collection that is there: kcore reembed COLLECTION --model {name}"]


def _structure(pulled: Pulled, notices: list[str], following: list[str]) -> dict[str, Any]:
    return {
        "model": pulled.model.name,
        "repository": pulled.repository,
        "revision": pulled.revision,
        "commit": pulled.commit,
        "folder": str(pulled.model.folder),
        "bytes": pulled.size,
        "used_bytes": pulled.used,
        "received_bytes": pulled.received,
        "already_complete": not pulled.received,
        "dimensions": pulled.model.dimensions,
        "max_length": pulled.model.max_length,
        "licence": pulled.licence or None,
        "notices": notices,
        "next": following,
    }


def _text(pulled: Pulled, notices: list[str], following: list[str]) -> str:
    from knowledge_core.embedding.hub.pulling import readable

    where = f"{readable(pulled.size)} in {pulled.model.folder}"
    first = (
        f"{pulled.model.name} is complete: {where} ({readable(pulled.received)} fetched now)."
        if pulled.received
        else f"{pulled.model.name} was complete already: {where}. Nothing was fetched."
    )
    part = (
        [f"Of that, {readable(pulled.used)} are used: the parts for pictures and sound lie in the same file."]
        if pulled.used < pulled.size
        else []
    )
    licence = [f"Licence: {pulled.licence}"] if pulled.licence else []
    reads = f"{pulled.model.dimensions} dimensions, reads {pulled.model.max_length} tokens of a text."
    return "\n".join([first, *part, reads, *licence, *notices, *following])


class _Meter:
    """Turns reports of progress into the line on the terminal: share, bytes, rate, file."""

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._seen: deque[tuple[float, int]] = deque()

    def __call__(self, progress: Progress) -> None:
        from knowledge_core.embedding.hub.pulling import readable

        now = time.monotonic()
        self._seen.append((now, progress.done))
        while now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        rate = max(progress.done - before, 0) / (now - since) if now > since else 0.0
        said = f"{readable(progress.done)} of {readable(progress.total)}, {rate / 1e6:.1f} MB/s, {progress.message}"
        self._line(progress.done, progress.total, said)

    def say(self, sentence: str) -> None:
        self._line.clear()
        print(f"kcore: {sentence}", file=sys.stderr, flush=True)
