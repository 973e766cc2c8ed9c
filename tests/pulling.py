"""`kcore pull` as tests call it: in this process or in one of its own, from the model hub of `model_hub`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from knowledge_core.cli.main import main
from knowledge_core.embedding.models.hub_cache import PARTIAL
from knowledge_core.embedding.models.models import GEMMA_NAMES
from model_hub import ModelHub, sha256
from owner_processes import KCORE, environment

GEMMA_2, GEMMA_1 = GEMMA_NAMES
BIG = "model.safetensors"
TOKEN = "hf_thisIsTheTokenOfATest"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def pull(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["pull", *argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert TOKEN not in out + err
    return code, out, err


def pulling(home: Path, *argv: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [*KCORE, "pull", *argv],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment(home),
    )  # fmt: skip


def digest(hub: ModelHub, name: str = BIG) -> str:
    """Return the end of the address at which the store has a file."""
    return sha256(hub.repositories[GEMMA_2].files[name])


def partials(cache: Path) -> list[Path]:
    return sorted(cache.rglob(f"*{PARTIAL}"))
