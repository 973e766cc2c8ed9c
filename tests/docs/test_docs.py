"""The documentation is true: its commands run, its tables say what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from knowledge_core.cli.main import main, parser
from tiny_gemma import make_tiny_gemma

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
MODELS = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
GUIDE = (REPOSITORY / "docs" / "embedding-and-generation.md").read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """The `kcore` lines of all code blocks, without prompts and comments."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.removeprefix("$ ").split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("kcore ")]


@pytest.mark.parametrize("line", commands(README) + commands(GUIDE) + commands(MODELS))
def test_every_documented_command_is_one(line):
    if "|" not in line:
        parser().parse_args(shlex.split(line)[1:])


def test_the_commands_of_the_readme_run_as_written(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "solar.md").write_text(
        "---\ntags: [energy]\n---\n# Solar\n\nBattery chemistry decides how a refund works.\n"
    )
    (notes / "bread.md").write_text("# Bread\n\nKnead the dough.\n")
    (tmp_path / "questions.txt").write_text("How do refunds work?\n")
    monkeypatch.chdir(tmp_path)
    for line in commands(README):
        words = shlex.split(line, comments=True)[1:]
        if words[0] in ("demo", "serve", "setup", "pull"):
            continue
        if words[0] == "reembed":
            words[-1] = str(make_tiny_gemma(tmp_path / "gemma"))
        if "--like" in words:
            words += ["--collection", "notes"]
        assert main(words) == 0, (line, capsys.readouterr())
    assert "Solar" in capsys.readouterr().out


@pytest.mark.slow
def test_the_claims_about_embedding_are_what_the_commands_print(capsys):
    blocks = re.findall(r"```console\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        line, *printed = block.strip().splitlines()
        assert main(shlex.split(line.removeprefix("$ "))[1:]) == 0
        out = capsys.readouterr().out.strip().splitlines()
        assert printed, f"the guide does not show what `{line}` prints"
        for shown, real in zip(printed, out, strict=True):
            # Numbers may differ in the last digit between processors.
            numbers = [float(each) for each in re.findall(r"\d\.\d+", shown)]
            assert numbers == pytest.approx([float(each) for each in re.findall(r"\d\.\d+", real)], abs=0.005)
            assert re.sub(r"\d\.\d+", "x", shown) == re.sub(r"\d\.\d+", "x", real)


def test_every_command_is_in_the_readme():
    actions = next(action for action in parser()._actions if hasattr(action, "choices") and action.choices)
    listed = README[README.index("The same from a shell") :]
    assert all(name in listed for name in actions.choices)


def test_ci_runs_the_readmes_test_command():
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text()
    assert "make test" in README
