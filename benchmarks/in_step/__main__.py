"""Is what is on disk what is found, while folders change at random and the owner is killed?

    python -m benchmarks.in_step [--files 10000] [--minutes 10] [--kills 5] [--seed 0] [--json FILE]

A vault of small notes in two folders is indexed by a person's `kcore index`, then watched by its owner, while a script edits,
creates, renames, moves (files and folders, within and between the two), swaps, saves by way of a temporary file, deletes,
restores, empties, blanks, makes binary, copies, touches, links, adds checkouts within, puts folders in the place of others and
mounts disks (where the system lets it), at random: one thing every 0.6 seconds at the end (100 changes in the last minute), more
before. The owner is killed with -9 at random times; the client's pipe starts the next. All the time a client asks for notes
whose text did not change, wherever they are by now: every one must be found. In the end, 10 seconds after the last change, the
index must hold the documents, with the texts, that a fresh index of the same folders holds; disks that were unmounted keep
theirs. A model behind an endpoint counts how often each text was embedded: a text that never left the disk, once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from benchmarks.in_step.counting_endpoint import DIMENSIONS, CountingEndpoint
from benchmarks.in_step.vault import Vault
from benchmarks.report import machine, percentile, table, write_json

KCORE = [sys.executable, "-m", "knowledge_core.cli.main"]
PAUSES = (0.05, 0.6)  # seconds between two changes: at first, and in the last minute
IN_STEP = 10.0  # seconds after the last change


def configured(home: Path, endpoint: CountingEndpoint) -> dict[str, str]:
    """Return the environment of a data directory that embeds by the endpoint."""
    home.mkdir()
    remote = f"{{url: '{endpoint.url}', model: m, prompts: none, dimensions: {DIMENSIONS}}}"
    (home / "config.yaml").write_text(f"embedding: {{model: remote, remote: {remote}}}\nowner: {{idle_minutes: 5}}\n")
    return {**os.environ, "KNOWLEDGE_CORE_HOME": str(home)}


def kcore(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([*KCORE, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"kcore {' '.join(arguments)}: {done.stdout[-500:]} {done.stderr[-500:]}")
    return done.stdout


def documents(home: Path) -> dict[str, str]:
    """Return the text of every document that is indexed, by id."""
    file = home / "collections" / "default" / "documents.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT id, text FROM documents WHERE unreadable = ''"))


def owner_of(home: Path) -> int | None:
    try:
        return int(json.loads((home / "owner.lock").read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


async def ask(session: ClientSession, vault: Vault, state: dict[str, Any]) -> None:
    """Ask for notes that did not change, until the changes end."""
    while not state["ended"]:
        token = vault.draw.choice(sorted(vault.steady))
        began = time.monotonic()
        try:
            found = await session.call_tool("search", {"query": token, "mode": "lexical", "limit": 3})
        except MCPError:  # a call under way when the owner was killed ends with an error, as it should
            state["refused"] += 1
            await asyncio.sleep(0.2)
            continue
        state["times"].append(time.monotonic() - began)
        if found.is_error:
            state["refused"] += 1
        elif not any(token in hit["snippet"] for hit in found.structured_content["hits"]) and token in vault.steady:
            state["lost"].append(token)
        await asyncio.sleep(0.05)


async def changes(vault: Vault, home: Path, minutes: float, kills: int, state: dict[str, Any]) -> None:
    began, last_minute = time.monotonic(), min(60.0, minutes * 60 / 2)
    moments = sorted(vault.draw.uniform(0.1, 0.9) * minutes * 60 for _ in range(kills))
    while (elapsed := time.monotonic() - began) < minutes * 60:
        if moments and elapsed > moments[0]:
            moments.pop(0)
            if pid := owner_of(home):
                os.kill(pid, signal.SIGKILL)
                state["kills"] += 1
        vault.change()
        await asyncio.sleep(PAUSES[elapsed > minutes * 60 - last_minute])


async def run(vault: Vault, home: Path, environment: dict[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    state: dict[str, Any] = {"ended": False, "times": [], "lost": [], "refused": 0, "kills": 0}
    server = StdioServerParameters(command=KCORE[0], args=[*KCORE[1:], "serve"], env=environment)
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        asking = asyncio.create_task(ask(session, vault, state))
        await changes(vault, home, arguments.minutes, arguments.kills, state)
        ended = time.monotonic()
        fresh = home.with_name("fresh")
        # A copy, as the fresh index takes longer than ten seconds; both are compared with the same folders.
        await asyncio.sleep(IN_STEP)
        state["found"] = documents(home)
        state["waited"] = time.monotonic() - ended
        state["ended"] = True
        await asking
        new = configured(fresh, CountingEndpoint())
        await asyncio.to_thread(kcore, new, "index", *map(str, vault.sources))
        state["expected"] = documents(fresh)
        kcore(new, "stop")
    return state


def judged(vault: Vault, state: dict[str, Any], endpoint: CountingEndpoint) -> dict[str, Any]:
    found, expected = state["found"], state["expected"]
    wrong = sorted(id for id in {*found, *expected} if found.get(id) != expected.get(id))
    twice = Counter({text: count for text, count in endpoint.counts.items() if count > 1 and "tok" in text})
    never_absent = [text for text in twice if not any(token and token in text for token in vault.absent)]
    return {
        "changes": sum(vault.done.values()), "of each": dict(sorted(vault.done.items())), "kills": state["kills"],
        "documents": len(expected), "not in step": wrong[:20], "wrong": len(wrong),
        "searches": len(state["times"]), "lost": len(state["lost"]), "refused": state["refused"],
        "search p50 ms": percentile(state["times"], 50), "search p95 ms": percentile(state["times"], 95),
        "texts embedded": len(endpoint.counts), "embedded twice": len(twice),
        "of these never gone from the disk": len(never_absent), "examples": never_absent[:5],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    mounts = sys.platform == "linux" and os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault(Path(os.path.realpath(folder)) / "vault", random.Random(arguments.seed), mounts)
        vault.fill(arguments.files)
        endpoint, home = CountingEndpoint(), Path(folder) / "home"
        environment = configured(home, endpoint)
        began = time.monotonic()
        kcore(environment, "index", *map(str, vault.sources))
        print(f"{arguments.files} files indexed in {time.monotonic() - began:.1f} s; {machine()}", flush=True)
        try:
            state = asyncio.run(run(vault, home, environment, arguments))
        finally:
            vault.unmount_all()
            kcore(environment, "stop")
        outcome = judged(vault, state, endpoint)
    print(table(["what", "value"], [[name, value] for name, value in outcome.items()]))
    if arguments.json:
        write_json(arguments.json, outcome)
    return 1 if outcome["wrong"] or outcome["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
