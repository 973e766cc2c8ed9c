"""`kcore serve --http`: the owner's HTTP door, which is open for as long as this command runs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from knowledge_core.cli.output import connection_of, unwrapped
from knowledge_core.errors import OwnerUnavailable

LOOK_EVERY = 2.0  # seconds between two checks that the owner still runs
_OPEN_TO_ALL = (
    "kcore serve: opened with --no-token: every program and every user of this machine can read, search and delete through "
    "this door."
)


def add_http_options(serve: argparse.ArgumentParser) -> None:
    """Add the options of `kcore serve` that are about the door."""
    serve.add_argument("--http", action="store_true", help="open the HTTP door of the owner instead, until Ctrl-C")
    serve.add_argument("--port", type=int, metavar="N", help="of the HTTP door (default 8321; 0: a free one)")
    serve.add_argument("--host", metavar="ADDRESS", help="of the HTTP door; loopback only (default 127.0.0.1)")
    tokens = serve.add_mutually_exclusive_group()
    tokens.add_argument(
        "--new-token",
        action="store_true",
        help="replace the token that the HTTP door asks for; the old one ends at once",
    )
    tokens.add_argument(
        "--no-token", action="store_true", help="ask for no token: whoever can reach the port can use the HTTP door"
    )


def http_options_given(arguments: argparse.Namespace) -> bool:
    """Say whether an option was given that is for --http only."""
    return arguments.port is not None or arguments.host is not None or bool(arguments.new_token or arguments.no_token)


def serve_http(arguments: argparse.Namespace, home: Path) -> int:
    """Open the door and keep it open until interrupted; where the owner ends, start the next one and open its door."""
    import anyio

    wanted = {name: value for name in ("host", "port") if (value := getattr(arguments, name)) is not None}
    wanted |= {"token": not arguments.no_token, "new_token": arguments.new_token}
    if arguments.in_process:
        return unwrapped(anyio.run, _alone, arguments, home, wanted)
    opened: list[int] = []
    while True:
        try:
            return unwrapped(anyio.run, _beside_the_owner, arguments, wanted, opened)
        except OwnerUnavailable:
            if not opened:
                raise  # the door never was open
            time.sleep(LOOK_EVERY)
            print("kcore serve: the owner has ended; opening the door of the next one.", file=sys.stderr)


async def _beside_the_owner(arguments: argparse.Namespace, wanted: dict[str, Any], ports: list[int]) -> int:
    """Keep the door open for as long as the owner runs. ports: gets the one where it was opened."""
    import anyio

    async with connection_of(arguments) as connection:
        opened = await connection.ask("http", **wanted)
        _tell(arguments, opened)
        if opened["by_another"]:
            return 0
        wanted["new_token"] = False  # it was replaced; the door of another owner opens with the one that was shown
        wanted["port"] = int(opened["url"].rpartition(":")[2].partition("/")[0])  # the next owner opens the same port
        ports.append(wanted["port"])
        while True:
            await anyio.sleep(LOOK_EVERY)
            await connection.ask("owner")


async def _alone(arguments: argparse.Namespace, home: Path, wanted: dict[str, Any]) -> int:
    import anyio
    import anyio.to_thread

    from knowledge_core.config import load_config
    from knowledge_core.engine import Engine
    from knowledge_core.recorded_jobs.resuming import resume_jobs
    from knowledge_core.serving.http import PORT
    from knowledge_core.serving.http.doors import Doors

    config = load_config(home, arguments.config)
    engine = Engine(home, config, command="kcore serve --http --in-process", config_file=arguments.config)
    try:
        resume_jobs(engine)
        async with anyio.create_task_group() as tasks:
            doors = Doors(engine)
            tasks.start_soon(doors.run)
            host, port = wanted.get("host", "127.0.0.1"), wanted.get("port", PORT)
            opened = await doors.open(host, port, token=wanted["token"], new_token=wanted["new_token"])
            _tell(arguments, asdict(opened))
            await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(engine.close)
    return 0


def _must_send(opened: dict[str, Any]) -> str:
    if opened["by_another"] and opened["notice"]:  # the door that is open asks for none
        return "Once a door asks for a token, clients must send this header:"
    return "Clients must send this header:"


def _tell(arguments: argparse.Namespace, opened: dict[str, Any]) -> None:
    header = f"Authorization: Bearer {opened['token']}" if opened["token"] else None
    if opened["notice"]:
        print(f"kcore serve: {opened['notice']}", file=sys.stderr)
    if header is None:
        print(_OPEN_TO_ALL, file=sys.stderr)
    lines = [
        f"Replaced the token of the HTTP door, which another command keeps open at {opened['url']}."
        if opened["by_another"]
        else f"Serving MCP over HTTP at {opened['url']} (Ctrl-C closes the door)."
    ]
    if header is not None:
        lines += [
            f"{_must_send(opened)}  {header}",
            f"The token lies in {opened['token_file']}, which only you can read. `kcore setup CLIENT --http` gives it to a "
            "client, `kcore serve --http --new-token` replaces it.",
        ]
        if arguments.new_token:
            lines.append("Clients that have the former one need this one: `kcore setup CLIENT --http` again.")
    print(json.dumps({**opened, "header": header}) if arguments.json else "\n".join(lines), flush=True)
