"""What the trials of engines and precisions found, kept in one file: a trial takes seconds, its outcome rarely changes.

Rules kept here:
- an outcome counts only for the same model files, the same libraries and the same processor; where one of them may have
  changed, the trial is run again;
- a file that cannot be read or written costs a trial, never an error.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from knowledge_core import __version__
from knowledge_core.embedding.local.local_embedder import PRECISIONS
from knowledge_core.embedding.models.model_folder import Model, files_state
from knowledge_core.errors import StorageError
from knowledge_core.files import replace_file

log = logging.getLogger(__name__)

KEPT: Final = 32  # newest outcomes in the file: a few models in a few precisions, before and after an update
_LIBRARIES: Final = ("torch", "transformers", "sentence-transformers", "tokenizers", "onnxruntime")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one trial.

    runner: the kind of runner that was chosen.
    precision: the precision that was chosen: float32, bfloat16 or float16.
    reason: why, for people.
    tried: the kinds of runner that the trial knew for the model; the outcome says nothing of one that came later.
    """

    runner: str
    precision: str
    reason: str
    tried: tuple[str, ...] = ()

    def knows(self, kinds: Iterable[str]) -> bool:
        """Say whether the trial tried all of these kinds, or chose one of them."""
        return {*kinds} <= {self.runner, *self.tried}


class Verdicts:
    """The outcomes in a file, which only one process writes: the owner of the data directory.

    file: the file, which need not exist yet; None: nothing is remembered.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def of(self, model: Model, precision: str) -> Verdict | None:
        """Return the outcome for this model on this machine when this precision was asked for; None if there is none."""
        return _verdict(self._stored().get(_circumstances(model, precision)))

    def keep(self, model: Model, precision: str, verdict: Verdict) -> None:
        """Remember an outcome in place of the former one; log a warning where the file cannot be written."""
        if self._file is None:
            return
        name = _circumstances(model, precision)
        others = [(key, value) for key, value in self._stored().items() if key != name]
        content = dict([*others[1 - KEPT :], (name, asdict(verdict))])
        try:
            replace_file(self._file, [json.dumps(content, indent=1).encode()])
        except StorageError as error:
            log.warning("the choice of an engine cannot be remembered (%s): it is tried again next time", error)

    def _stored(self) -> dict[str, object]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8")) if self._file else {}
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _verdict(entry: object) -> Verdict | None:
    """Return an entry of the file as a verdict; None where it is none.

    Entries that were written before the kinds of runner had names say `packed: true` or `packed: false` instead; those
    that were written before further kinds could come do not say which were tried.
    """
    tried: object = entry.get("tried") if isinstance(entry, dict) else None
    match entry:
        case {
            "runner": str(runner),
            "precision": str(precision),
            "reason": str(reason),
        }:
            pass
        case {"packed": bool(packed), "precision": str(precision), "reason": str(reason)}:
            runner = "packed" if packed else "sentence-transformers"
        case _:
            return None
    if precision not in PRECISIONS or precision == "auto":
        return None
    return Verdict(runner, precision, reason, tuple(map(str, tried)) if isinstance(tried, list) else ())


def _circumstances(model: Model, precision: str) -> str:
    """Return a digest of all that an outcome depends on."""
    here = [__version__, *map(_version, _LIBRARIES), _processor(), os.cpu_count()]
    found = [*here, precision, model.max_length, str(model.folder), files_state(model.folder)]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """Return a description of this machine's processor that differs for one with other instructions."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            wanted = ("model name", "flags", "Features", "CPU part")
            described = {line for line in lines if line.startswith(wanted)}
    except OSError:
        described = set()
    return " ".join(
        [platform.machine(), platform.processor(), platform.release() * (not described), *sorted(described)]
    )
