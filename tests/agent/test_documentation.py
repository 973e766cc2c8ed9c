"""docs/reference-agent.md is true: its lines are commands, its example runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from knowledge_agent.cli import parser
from scripted_endpoint import Say

REPOSITORY = Path(__file__).parents[2]
GUIDE = (REPOSITORY / "docs" / "reference-agent.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^knowledge-agent .*$", GUIDE + README, flags=re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_every_documented_line_is_a_command(line):
    parser().parse_args(shlex.split(line.partition("  #")[0])[1:])


def test_the_files_to_copy_from_are_there():
    for name in re.findall(r"`([\w/]+\.py)`", GUIDE):
        assert (REPOSITORY / "clients" / "knowledge_agent" / name).exists()


def test_the_example_of_the_library_runs_as_written(library, endpoint, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", str(library))
    endpoint.script = [Say("Power [1].")]
    program = example.replace("http://127.0.0.1:11434/v1", endpoint.base_url("openai"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines() == ["Power [1].", "[1] Solar panels, file:///notes/solar.md, lines 1-5"], (
        done.stderr
    )
