"""Run clients that others wrote against `kcore serve` and its HTTP door, each in an environment of its own.

    python -m tests.interop [--only NAME ...] [--work DIR]

Every script under clients/ connects over stdio and over HTTP, lists the tools, indexes, searches and reads an error.
Environments are made by pip and npm below `build/interop` (or DIR) and kept; what cannot be installed here is said, and
counts neither way. Prints a table; exit code 1 if a client that could be installed failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
KCORE = [sys.executable, "-m", "knowledge_core.cli.main"]
DOCUMENTS = [
    {"id": "a", "text": "A solar panel turns sunlight into electricity."},
    {"id": "b", "text": "Knead the dough and bake the loaf."},
]


@dataclass(frozen=True)
class Peer:
    """One client. packages: for pip or npm. script: below clients/; None: `command` is the whole check."""

    name: str
    packages: tuple[str, ...]
    script: str | None = None
    npm: bool = False


PEERS = (
    Peer("MCP Python SDK 1", ("mcp<2",), "mcp_v1.py"),
    Peer("MCP Python SDK 2", ("mcp>=2.3,<3",), "mcp_v2.py"),
    Peer("fastmcp", ("fastmcp",), "fastmcp_client.py"),
    Peer("pydantic-ai, scripted agent", ("pydantic-ai-slim[mcp]",), "pydantic_ai_agent.py"),
    Peer("openai-agents", ("openai-agents",), "openai_agents.py"),
    Peer("llama-index", ("llama-index-tools-mcp",), "llama_index_tools.py"),
    Peer("langchain-mcp-adapters", ("langchain-mcp-adapters", "mcp<2"), "langchain_adapters.py"),
    Peer("MCP TypeScript SDK", ("@modelcontextprotocol/sdk",), "typescript_sdk.mjs", npm=True),
    Peer("MCP Inspector", ("@modelcontextprotocol/inspector", "node@22"), npm=True),
    Peer("Claude Code", ("@anthropic-ai/claude-code", "node@22"), npm=True),
)


def environment_of(peer: Peer, work: Path) -> Path | str:
    """Return the folder of a client's programs, installed if need be; a string says why that is impossible."""
    folder = work / "".join(letter if letter.isalnum() else "-" for letter in peer.name)
    programs = folder / "node_modules" / ".bin" if peer.npm else folder / ("Scripts" if os.name == "nt" else "bin")
    if (folder / ".ready").exists():
        return programs
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if peer.npm:
        if shutil.which("npm") is None:
            return "there is no npm here"
        (folder / "package.json").write_text("{}")
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", *peer.packages]
    else:
        venv.create(folder, with_pip=True)
        command = [str(programs / "python"), "-m", "pip", "install", "--quiet", *peer.packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"cannot be installed here: {(done.stderr or done.stdout).strip().splitlines()[-1][:100]}"
    (folder / ".ready").touch()
    return programs


def checked(peer: Peer, programs: Path, told: dict[str, object], home: str) -> str:
    """Run a client's check and return what went wrong, "" if nothing."""
    environment = {**os.environ, "KCORE_INTEROP": json.dumps(told), "KNOWLEDGE_CORE_HOME": home}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    environment["DISABLE_TELEMETRY"] = environment["DISABLE_AUTOUPDATER"] = "1"
    if peer.script is None:
        command, expected = _command(peer, programs, told, home)
    elif peer.npm:
        copied = programs.parents[1] / peer.script  # beside its node_modules, where Node looks for them
        shutil.copy(HERE / "clients" / peer.script, copied)
        command, expected = ["node", str(copied)], "ok"
    else:
        command, expected = [str(programs / "python"), str(HERE / "clients" / peer.script)], ""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=180, check=False, cwd=home,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "no end within 180 s"
    if done.returncode or expected not in done.stdout:
        return ((done.stderr or done.stdout).strip().splitlines() or ["it said nothing"])[-1][:150]
    return ""


def _command(peer: Peer, programs: Path, told: dict[str, object], home: str) -> tuple[list[str], str]:
    stdio = [str(each) for each in told["stdio"]]  # type: ignore[union-attr, attr-defined]
    if peer.name == "MCP Inspector":
        return [str(programs / "mcp-inspector"), "--cli", *stdio, "--method", "tools/list"], '"search"'
    # Claude Code: its own handshake with a configured server; no model is called.
    configuration = {"mcpServers": {"knowledge-core": {"command": stdio[0], "args": stdio[1:]}}}
    (Path(home) / ".claude.json").write_text(json.dumps(configuration))
    return ["env", f"HOME={home}", str(programs / "claude"), "mcp", "list"], "Connected"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="those whose name holds one of these words")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "build" / "interop", metavar="DIR")
    arguments = parser.parse_args()
    rows, good = [], True
    with tempfile.TemporaryDirectory() as scratch:
        home, folder = Path(scratch) / "home", Path(scratch) / "folder"
        home.mkdir()
        folder.mkdir()
        (folder / "solar.md").write_text("# Solar\n\nA solar panel turns sunlight into electricity.\n")
        (folder / "bread.md").write_text("# Bread\n\nKnead the dough and bake the loaf.\n")
        (home / "config.yaml").write_text(json.dumps({"roots": [str(folder)]}))
        door = subprocess.Popen(
            [*KCORE, "serve", "--http", "--port", "0", "--json", "--home", str(home)], stdout=subprocess.PIPE, text=True
        )
        try:
            opened = json.loads(door.stdout.readline())  # type: ignore[union-attr]
            told = {
                "stdio": [*KCORE, "serve", "--home", str(home)],
                "url": opened["url"],
                "headers": {"Authorization": f"Bearer {opened['token']}"},
                "documents": DOCUMENTS,
                "query": "energy from the sun",
                "folder": str(folder),
            }
            for peer in PEERS:
                if arguments.only and not any(word.lower() in peer.name.lower() for word in arguments.only):
                    continue
                programs = environment_of(peer, arguments.work)
                wrong = "" if isinstance(programs, str) else checked(peer, programs, told, str(home))
                good = good and not wrong
                rows.append((peer.name, f"not run: {programs}" if isinstance(programs, str) else wrong or "passed"))
                print(f"| {rows[-1][0]} | {rows[-1][1]} |", flush=True)
        finally:
            door.terminate()
            door.wait(30)
            subprocess.run([*KCORE, "stop", "--home", str(home)], check=False, stdout=subprocess.DEVNULL)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
