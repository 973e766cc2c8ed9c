"""What becomes of a download that the network or the disk spoils: `kcore pull` beside `huggingface_hub`'s snapshot_download.

Both fetch the same tiny EmbeddingGemma 2 from the model hub of the tests (`tests/model_hub.py`), which does one thing wrong
per row; each in a process of its own, over plain HTTP (the library without Xet, which needs the real hub's own store). Per
row: the exit, whether the weights that are then used are right, and the bytes of weights that were sent per byte of them.

    python -m benchmarks.pulling
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

MODEL, WEIGHTS = "google/embeddinggemma-2", "model.safetensors"
LIBRARY = "import sys, huggingface_hub; huggingface_hub.snapshot_download(sys.argv[1])"
OURS = "import sys; from knowledge_core.cli.main import main; sys.exit(main(['pull', sys.argv[1]]))"
PATIENCE = 120  # seconds for one download
Case = Callable[["_Case"], "subprocess.CompletedProcess[str]"]

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


@dataclass
class _Case:
    """One client, one hub and one empty cache."""

    code: str
    hub: Any
    cache: Path

    @property
    def digest(self) -> str:
        from model_hub import sha256

        return sha256(self.weights)

    @property
    def weights(self) -> bytes:
        content: bytes = self.hub.repositories[MODEL].files[WEIGHTS]
        return content

    def start(self) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "HF_ENDPOINT": self.hub.url, "HF_HUB_CACHE": str(self.cache), "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0", "HF_HOME": str(self.cache / "home"), "KNOWLEDGE_CORE_HOME": str(self.cache / "data"),
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-c", self.code, MODEL], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self) -> subprocess.CompletedProcess[str]:
        process = self.start()
        said, _ = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess([], process.returncode, said)

    def misbehave(self, **what: Any) -> None:
        from model_hub import Misbehave

        self.hub.script.append(Misbehave(self.digest, at="store", **what))

    def found(self) -> bytes | None:
        """Return the weights under their name in the cache; None where there are none."""
        path = next(self.cache.glob(f"models--*/snapshots/*/{WEIGHTS}"), None)
        return None if path is None else path.read_bytes()


def _nothing(case: _Case) -> subprocess.CompletedProcess[str]:
    return case.run()


def _one_bit(case: _Case) -> subprocess.CompletedProcess[str]:
    case.misbehave(flip=True)
    return case.run()


def _cut(case: _Case) -> subprocess.CompletedProcess[str]:
    case.misbehave(cut=len(case.weights) // 2)
    return case.run()


def _busy(case: _Case) -> subprocess.CompletedProcess[str]:
    for _ in range(2):
        case.misbehave(status=503)
    return case.run()


def _killed(case: _Case) -> subprocess.CompletedProcess[str]:
    stalled, never = threading.Event(), threading.Event()  # what would go to a dead process must not be counted as sent
    case.misbehave(cut=len(case.weights) // 2, stall=stalled, go=never)
    process = case.start()
    stalled.wait(PATIENCE)
    time.sleep(0.5)  # what was sent is on the disk
    process.kill()
    process.wait()
    return case.run()


def _damaged(case: _Case) -> subprocess.CompletedProcess[str]:
    case.run()
    path = next(case.cache.glob(f"models--*/snapshots/*/{WEIGHTS}")).resolve()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return case.run()


CASES: dict[str, Case] = {
    "nothing goes wrong": _nothing,
    "one bit arrives wrong": _one_bit,
    "the connection is cut in the middle": _cut,
    "the store answers 503 twice": _busy,
    "the process is killed in the middle, and run again": _killed,
    "one bit is wrong on the disk, and it is run again": _damaged,
}


def main() -> None:
    from tiny_gemma2 import make_tiny_gemma2

    rows = ["| what goes wrong | client | exit | weights | sent |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        make_tiny_gemma2(Path(folder) / "model")
        for what, case in CASES.items():
            for client, code in (("kcore pull", OURS), ("snapshot_download", LIBRARY)):
                rows.append(_row(what, client, code, case, Path(folder)))
                print(rows[-1], file=sys.stderr, flush=True)
    print("\n".join(rows))


def _row(what: str, client: str, code: str, case: Case, folder: Path) -> str:
    from model_hub import model_hub

    with _tree_listed(), model_hub() as hub, tempfile.TemporaryDirectory() as cache:
        hub.add(MODEL, folder / "model")
        made = _Case(code, hub, Path(cache))
        ended = case(made)
        found = made.found()
        state = "none" if found is None else "right" if found == made.weights else "**wrong**"
        return f"| {what} | {client} | {ended.returncode} | {state} | {hub.sent(WEIGHTS) / len(made.weights):.2f} |"


@contextmanager
def _tree_listed() -> Any:
    """Let the hub of the tests answer the address by which the library lists a repository, too."""
    import model_hub

    parts, listed = model_hub._parts, model_hub._Hub.list

    def with_tree(path: str) -> tuple[str, str, str, str]:
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path)
        return ("list", found[1], found[2], "") if found else parts(path)

    def answer(handler: Any, name: str, repository: Any, commit: str) -> None:
        if "/tree/" not in handler.path:
            return listed(handler, name, repository, commit)
        entries = []
        for file, content in repository.files.items():
            entry = {"type": "file", "path": file, "size": len(content), "oid": model_hub.git_sha1(content)}
            if file.endswith(model_hub.LARGE):
                entry["lfs"] = {"oid": model_hub.sha256(content), "size": len(content), "pointerSize": 135}
            entries.append(entry)
        handler.answer(200, json.dumps(entries).encode(), {"content-type": "application/json"})
        return None

    with mock.patch.object(model_hub, "_parts", with_tree), mock.patch.object(model_hub._Hub, "list", answer):
        yield


if __name__ == "__main__":
    main()
