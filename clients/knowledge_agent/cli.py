"""The command `knowledge-agent`: arguments in, an answer or a chat out. Decides nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from knowledge_agent.errors import AgentError, WrongSetup
from knowledge_agent.rendering import Renderer, as_json, printable
from knowledge_agent.types import Answer, Budget, Prices

EXAMPLES = """\
examples:
  knowledge-agent "What do my notes say about refunds?"
  knowledge-agent --pipeline --collection notes "What do my notes say about refunds?"
  knowledge-agent --api openai --base-url http://127.0.0.1:11434/v1 --model llama3.1
  knowledge-agent --summarise collection:notes
  knowledge-agent --json "What do my notes say about refunds?" | jq .sources

environment:
  ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, OPENAI_API_KEY, OPENAI_BASE_URL as their SDKs read them;
  KNOWLEDGE_AGENT_API and KNOWLEDGE_AGENT_MODEL instead of --api and --model;
  KNOWLEDGE_AGENT_TOKEN, the token that a --server asks for (`kcore serve --http` shows it).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code: 0, 1 (failed, or cut short), 2 (wrong usage), 130 (interrupted)."""
    arguments = parser().parse_args(argv)
    if arguments.question is None and not arguments.summarise and not sys.stdin.isatty():
        arguments.question = sys.stdin.read().strip() or None
    if arguments.json and not (arguments.question or arguments.summarise):
        print("knowledge-agent: --json needs a question.", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_run(arguments))
    except KeyboardInterrupt:
        return 130
    except AgentError as error:
        print(f"knowledge-agent: {printable(str(error))}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        prog="knowledge-agent",
        description="Answer questions from your own documents, with sources. Without a question: a chat.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("question", nargs="?", help="the question; without it, a chat (or the question from a pipe)")
    made.add_argument("--pipeline", action="store_true", help="search once, then answer; default: the model searches")
    made.add_argument(
        "--summarise", metavar="KIND:NAME", help="document:ID, collection:NAME or cluster:ID (of --collection)"
    )
    made.add_argument("--json", action="store_true", help="print one JSON object")
    _add_model(made.add_argument_group("model"))
    _add_server(made.add_argument_group("knowledge"))
    _add_budget(made.add_argument_group("budget of one question"))
    return made


def _add_model(group: Any) -> None:
    group.add_argument("--api", choices=("anthropic", "openai"), default=os.environ.get("KNOWLEDGE_AGENT_API"),
                       help="default: anthropic; openai is any OpenAI-compatible endpoint")  # fmt: skip
    group.add_argument("--model", default=os.environ.get("KNOWLEDGE_AGENT_MODEL"), help="default: one of the API's own")
    group.add_argument("--base-url", metavar="URL", help="of the endpoint, e.g. http://127.0.0.1:11434/v1 for Ollama")


def _add_server(group: Any) -> None:
    door = group.add_mutually_exclusive_group()
    door.add_argument("--server", metavar="URL", help="a server's HTTP door; default: start `kcore serve`")
    door.add_argument("--server-command", metavar="COMMAND", help="start this MCP server instead of `kcore serve`")
    group.add_argument("--collection", action="append", default=[], metavar="NAME", help="look only there (repeatable)")
    group.add_argument("--limit", type=_positive, default=8, help="hits of --pipeline (default 8)")
    group.add_argument("--allow-write", action="store_true",
                       help="let the model call tools that change or delete documents")  # fmt: skip


def _add_budget(group: Any) -> None:
    budget = Budget()
    for name, default, help in (
        ("steps", budget.steps, "replies of the model in all, at least 2"),
        ("tokens", budget.tokens, "input and output of all replies together; then one last reply"),
    ):
        group.add_argument(f"--max-{name}", type=_positive, default=default, metavar="N", help=f"{help} ({default})")
    group.add_argument("--max-seconds", type=float, default=budget.seconds, metavar="S", help=f"({budget.seconds:g})")
    group.add_argument("--max-cost", type=float, metavar="X", help="in the currency of --prices, which it needs")
    group.add_argument("--prices", type=_prices, metavar="IN,OUT",
                       help="of a million tokens in and out, to show what an answer cost")  # fmt: skip
    for name, default, help in (
        ("answer", budget.answer_tokens, "longest reply"),
        ("context", budget.context_tokens, "retrieved text in one request; lower it for models of a small context"),
        ("history", 4_000, "of the conversation that a question carries"),
    ):
        group.add_argument(f"--{name}-tokens", type=_positive, default=default, metavar="N", help=f"{help} ({default})")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return number


def _prices(text: str) -> Prices:
    try:
        given, got = (float(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be two numbers like 3,15") from None
    return Prices(given, got)


async def _run(arguments: argparse.Namespace) -> int:
    from knowledge_agent.agent import Agent, chat_model  # here, so that --help needs no SDK
    from knowledge_agent.chat import chat, prompt_reader
    from knowledge_agent.mcp_client import connected

    options = _options(arguments)
    model = chat_model(arguments.api or "anthropic", arguments.model, arguments.base_url)
    try:
        command = shlex.split(arguments.server_command) if arguments.server_command else None
        async with connected(arguments.server, command) as server:
            agent = Agent(model, server, **options)
            if arguments.question is None and not arguments.summarise:
                return await chat(agent, model.name, prompt_reader())
            return await _once(agent, arguments, model.name)
    finally:
        await model.close()


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.max_cost is not None and arguments.prices is None:
        raise WrongSetup("--max-cost needs --prices IN,OUT: what a million tokens in and out cost you.")
    budget = Budget(
        steps=max(arguments.max_steps, 2), tokens=arguments.max_tokens, seconds=arguments.max_seconds,
        cost=arguments.max_cost, answer_tokens=arguments.answer_tokens, context_tokens=arguments.context_tokens,
    )  # fmt: skip
    return {
        "pipeline": arguments.pipeline, "collections": arguments.collection, "limit": arguments.limit,
        "budget": budget, "prices": arguments.prices, "history_tokens": arguments.history_tokens,
        "allow_write": arguments.allow_write,
    }  # fmt: skip


async def _once(agent: Any, arguments: argparse.Namespace, model: str) -> int:
    renderer = Renderer()
    hear = (lambda event: None) if arguments.json else renderer.hear
    answer: Answer
    try:
        if arguments.summarise:
            kind, _, name = arguments.summarise.partition(":")
            answer = await agent.summarise(kind, name, hear)
        else:
            answer = await agent.ask(arguments.question, hear)
    except AgentError:
        renderer.end_line()
        raise
    if arguments.json:
        print(json.dumps(as_json(answer, model), ensure_ascii=False, indent=2))
    else:
        renderer.finish(answer, model)
    return 1 if answer.stopped else 0
