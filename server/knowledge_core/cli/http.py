"""`kcore serve --http`: the owner's HTTP door, which is open for as long as this command runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from knowledge_core.cli.output import connection_of, unwrapped
from knowledge_core.errors import OwnerUnavailable

LOOK_EVERY = 2.0  # seconds between two checks that the owner still runs


def serve_http(arguments: argparse.Namespace, home: Path) -> int:
    """Open the door and keep it open until interrupted; where the owner ends, start the next one and open its door."""
    import anyio

    wanted = {name: value for name in ("host", "port") if (value := getattr(arguments, name)) is not None}
    if arguments.in_process:
        return unwrapped(anyio.run, _alone, arguments, home, wanted)
    while True:
        try:
            return unwrapped(anyio.run, _beside_the_owner, arguments, wanted)
        except OwnerUnavailable as gone:
            if "port" not in wanted:
                raise  # the door never was open
            print(f"kcore serve: {gone} Opening the door of the next owner.", file=sys.stderr)


async def _beside_the_owner(arguments: argparse.Namespace, wanted: dict[str, Any]) -> int:
    import anyio

    async with connection_of(arguments) as connection:
        opened = await connection.ask("http", **wanted)
        _tell(arguments, opened)
        wanted["port"] = int(opened["url"].rpartition(":")[2].partition("/")[0])  # the next owner opens the same port
        while True:
            await anyio.sleep(LOOK_EVERY)
            await connection.ask("owner")


async def _alone(arguments: argparse.Namespace, home: Path, wanted: dict[str, Any]) -> int:
    import anyio
    import anyio.to_thread

    from knowledge_core.config import load_config
    from knowledge_core.engine import Engine
    from knowledge_core.recorded_jobs.resuming import resume_jobs
    from knowledge_core.serving.http.doors import PORT, Doors

    engine = Engine(home, load_config(home, arguments.config), command="kcore serve --http --in-process")
    try:
        resume_jobs(engine)
        async with anyio.create_task_group() as tasks:
            doors = Doors(engine)
            tasks.start_soon(doors.run)
            url = await doors.open(wanted.get("host", "127.0.0.1"), wanted.get("port", PORT))
            _tell(arguments, {"url": url})
            await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(engine.close)
    return 0


def _tell(arguments: argparse.Namespace, opened: dict[str, Any]) -> None:
    text = f"Serving MCP over HTTP at {opened['url']} (Ctrl-C closes the door)."
    print(json.dumps(opened) if arguments.json else text, flush=True)
