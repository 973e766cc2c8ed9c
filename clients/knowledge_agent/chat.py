"""The chat on a terminal: read a line, answer it, keep the conversation. Ctrl-C stops an answer, not the chat."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from knowledge_agent.agent import Agent
from knowledge_agent.errors import AgentError
from knowledge_agent.rendering import Renderer, printable, source_lines, where
from knowledge_agent.types import Answer

HELP = "/sources of the last answer · /reset the conversation · /save FILE · /quit (or Ctrl-D) · Ctrl-C stops an answer"


async def chat(agent: Agent, model: str, read: Callable[[str], str] = input) -> int:
    """Chat until the input ends or the user quits. model: its name, to be shown. Returns the exit code, 0."""
    renderer = Renderer()
    renderer.remark(HELP)
    answers: list[tuple[str, Answer]] = []
    while True:
        try:
            with _interrupts(signal.default_int_handler):
                line = (await asyncio.sleep(0, read("> "))).strip()
        except EOFError:
            renderer.remark("")
            return 0
        except KeyboardInterrupt:
            renderer.remark("\n(Ctrl-D or /quit leaves.)")
            continue
        if line in ("/quit", "/exit"):
            return 0
        if line.startswith("/"):
            _command(line, agent, answers, renderer)
        elif line:
            answer = await _answered(agent, line, renderer)
            if answer is not None:
                renderer.finish(answer, model)
                answers.append((line, answer))


async def _answered(agent: Agent, question: str, renderer: Renderer) -> Answer | None:
    """Return an answer; None where it failed or was stopped, and the user has been told so."""
    asking = asyncio.ensure_future(agent.ask(question, renderer.hear))
    loop = asyncio.get_running_loop()
    try:
        with _interrupts(lambda *_: loop.call_soon_threadsafe(asking.cancel)):
            return await asking
    except AgentError as error:
        renderer.remark(f"knowledge-agent: {error}")
    except asyncio.CancelledError:
        if not asking.cancelled():
            raise
        renderer.remark("(stopped)")
    return None


def _command(line: str, agent: Agent, answers: list[tuple[str, Answer]], renderer: Renderer) -> None:
    word, _, rest = line.partition(" ")
    if word == "/reset":
        agent.reset()
        answers.clear()
        renderer.remark("(The conversation is forgotten.)")
    elif word == "/sources":
        _show_sources(answers, renderer)
    elif word == "/save":
        _save(rest.strip(), answers, renderer)
    else:
        renderer.remark(HELP)


def _show_sources(answers: list[tuple[str, Answer]], renderer: Renderer) -> None:
    if not answers or not answers[-1][1].sources:
        renderer.remark("(The last answer cites no source.)" if answers else "(Nothing was answered yet.)")
        return
    for source in answers[-1][1].sources:
        renderer.remark(f"[{source.number}] {where(source)}\n{source.text}\n")


def _save(name: str, answers: list[tuple[str, Answer]], renderer: Renderer) -> None:
    if not name:
        renderer.remark("Name a file: /save conversation.md")
        return
    try:
        with Path(name).expanduser().open("x", encoding="utf-8") as file:
            file.write(as_markdown(answers))
    except OSError as error:
        reason = "it exists already" if isinstance(error, FileExistsError) else error.strerror
        renderer.remark(f"{name} was not written: {reason}.")
        return
    renderer.remark(f"Saved to {name}.")


def as_markdown(answers: list[tuple[str, Answer]]) -> str:
    """Return a conversation as Markdown, each answer with its sources.

    Images become text: a document may have smuggled one into the answer, and whoever opens the file would fetch it.
    """
    parts = []
    for question, answer in answers:
        parts.append(f"## {question}\n\n{answer.text}\n" + "\n".join(source_lines(answer)))
    return printable("\n\n".join(parts) + "\n").replace("![", "!\\[").replace("<img", "&lt;img")


@contextlib.contextmanager
def _interrupts(handler: Any) -> Iterator[None]:
    """Let Ctrl-C call `handler` within the block; asyncio's own handler would end the program."""
    try:
        before = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread, which Ctrl-C does not reach
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def prompt_reader() -> Callable[[str], str]:
    """Return `input`, with line editing and history where the platform has them."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  importing it adds both to `input`
    return input
