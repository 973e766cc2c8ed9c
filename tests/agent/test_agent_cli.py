"""The command `knowledge-agent`, in this process, on the real server with a scripted model."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import sys

import pytest

from knowledge_agent import Agent
from knowledge_agent.chat import chat
from knowledge_agent.cli import main, parser
from knowledge_agent.rendering import printable
from scripted_endpoint import Call, Fail, Say

QUESTION = "What does a solar panel do?"
SERVE = shlex.join([sys.executable, "-m", "knowledge_core.cli.main", "serve"])
QUOTED = 'It makes power: "turns sunlight into electricity" [1].'


@pytest.fixture
def run(library, endpoint, monkeypatch, capsys):
    """Run the command; return its exit code and what it printed."""
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", str(library))

    def command(*argv: str, api: str = "openai", script=()) -> tuple[int, str, str]:
        endpoint.script = list(script)
        code = main(["--api", api, "--model", "scripted", "--server-command", SERVE, *argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_an_answer_is_printed_with_its_sources_and_what_it_took(run):
    code, out, err = run("--pipeline", "--prices", "3,15", QUESTION, script=[Say(QUOTED)])
    assert code == 0
    assert out.splitlines() == [
        QUOTED, "", "Sources", "[1] Solar panels — file:///notes/solar.md, lines 1-5",
        "    lines 3: “turns sunlight into electricity”",
    ]  # fmt: skip
    assert "scripted, pipeline: 1 reply, 100 tokens in, 40 of them cached, 20 out, at most 0.0006 at" in err


def test_tool_calls_are_shown_beside_the_answer(run):
    code, out, err = run(QUESTION, api="anthropic", script=[
        Call("search", {"query": "sun"}, saying="Looking."), Say("Power.", cites="turns sunlight")])  # fmt: skip
    assert (code, out.splitlines()[:2]) == (0, ["Looking.", "Power. [1]"])
    assert '· search(query="sun")' in err


def test_scripts_get_one_object(run):
    code, out, _ = run("--json", "--pipeline", "--collection", "notes", QUESTION, script=[Say(QUOTED)])
    said = json.loads(out)
    assert (code, said["answer"], said["grounded"], said["cost"]) == (0, QUOTED, True, None)
    (source,) = said["sources"]
    assert source["quotes"] == [{"text": "turns sunlight into electricity", "lines": "3", "verified": True}]
    assert (source["document"], source["collection"]) == ("notes/solar.md", "notes")


@pytest.mark.parametrize(
    ("argv", "script", "said"),
    [
        ([QUESTION], [Fail(401)], "OPENAI_API_KEY"),
        (["--pipeline", QUESTION], [Say("Half", ended="max_tokens")], "was cut at 4096 tokens"),
        (["--max-cost", "1", QUESTION], [], "--max-cost needs --prices"),
        (["--pipeline", " "], [], "The question is empty"),
        (["--summarise", "book:x"], [], "document:ID, collection:NAME or cluster:ID"),
        (["--summarise", "document:nowhere", "--collection", "notes"], [], "nowhere"),
    ],
)
def test_failures_end_in_a_message_and_exit_code_1(run, argv, script, said):
    code, _, err = run(*argv, script=script)
    assert code == 1
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("argv", [["--limit", "0", "x"], ["--prices", "3", "x"], ["--api", "other"], ["--json"]])
def test_wrong_usage_is_exit_code_2(run, argv, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    try:
        code = run(*argv)[0]
    except SystemExit as ended:
        code = ended.code
    assert code == 2


def test_a_question_comes_from_a_pipe_too(run, monkeypatch, endpoint):
    monkeypatch.setattr(sys, "stdin", io.StringIO(QUESTION + "\n"))
    code, out, _ = run("--pipeline", script=[Say("Power [1].")])
    assert (code, out.startswith("Power [1].")) == (0, True)
    assert endpoint.requests[0]["messages"][-1]["content"].endswith(QUESTION)


def test_the_examples_of_the_help_text_are_commands():
    for line in parser().epilog.splitlines():
        if line.startswith("  knowledge-agent"):
            parser().parse_args(shlex.split(line.partition("|")[0])[1:])


def test_nothing_that_is_printed_steers_the_terminal():
    assert printable("a\x1b]52;c;x\x07\u202eb\r\n\tc\x9b") == "a]52;c;xb\n\tc"


@pytest.mark.anyio
async def test_a_chat_goes_on_shows_sources_saves_and_forgets(agent, endpoint, tmp_path, capsys):
    saved = tmp_path / "talk.md"
    said = QUOTED + " ![x](https://evil.example/?q=1)"
    endpoint.script = [Call("search", {"query": "sun"}), Say(said), Fail(400, "no"), Say("Again.")]
    lines = [
        QUESTION,
        "/sources",
        f"/save {saved}",
        f"/save {saved}",
        "",
        "fails?",
        "/reset",
        "/sources",
        "more?",
        "/x",
    ]
    async with agent(collections=["notes"]) as made:
        assert await chat(made, "scripted", typed(lines)) == 0
    captured = capsys.readouterr()
    assert "A solar panel turns sunlight into electricity.\n\nIt needs no fuel" in captured.err
    assert "Saved to" in captured.err
    assert "it exists already" in captured.err
    assert "answered 400: " in captured.err
    assert "(Nothing was answered yet.)" in captured.err
    assert saved.read_text().startswith(f"## {QUESTION}\n\n{QUOTED} !\\[x](")
    assert [each["content"] for each in endpoint.requests[-1]["messages"][1:]] == ["more?"]


@pytest.mark.anyio
async def test_interrupting_stops_the_answer_and_keeps_the_chat(agent, endpoint, capsys):
    def think(request):
        if "slow?" in str(request["messages"][-1]):
            os.kill(os.getpid(), signal.SIGINT)
            endpoint_waits.wait(0.3)
        return Say("Here still.")

    import threading

    endpoint_waits = threading.Event()
    endpoint.think = think
    async with agent() as made:
        assert await chat(made, "scripted", typed(["slow?", "there?"])) == 0
    captured = capsys.readouterr()
    assert "(stopped)" in captured.err
    assert captured.out == "Here still.\n"


def typed(lines: list[str]):
    """Read these lines as if they were typed, then the end of input."""
    left = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return read


def test_the_agent_is_importable_without_a_key():
    assert Agent.connect
