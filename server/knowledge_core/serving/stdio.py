"""`kcore serve --in-process`: MCP on stdin and stdout, the data directory held until the client leaves.

For sandboxes that refuse sockets or end child processes, where no shared owner can run, and for whoever asks for it.

stdout carries the protocol and nothing else: what a library prints goes to stderr. Nothing slow happens before the
first answer: the model is loaded when it is first needed.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
from mcp.server.stdio import stdio_server

from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.recorded_jobs.resuming import resume_jobs
from knowledge_core.serving.connection_state import ConnectionState, current_connection
from knowledge_core.serving.owner.watchdog import answer, tell_of_former_end, watched
from knowledge_core.serving.surface.application import application

log = logging.getLogger(__name__)


def serve_stdio(home: Path, config: Config, why: str, roots: Sequence[str] = ()) -> None:
    """Serve until stdin ends. why: the reason why this process serves alone, for stderr and for `notices`.

    Raises:
        DataDirectoryHeld, StorageError: see `paths.OwnerLock`.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    engine = Engine(home, config, command="kcore serve --in-process")
    notice = f"This server runs in its client's process ({why}): no other client can use its collections meanwhile."
    engine.notices.append(notice)
    log.info("serving %s. %s", home, notice)
    for root in roots:
        try:
            engine.roots.add(Path(root))
        except KnowledgeCoreError as error:
            log.warning("%s", error)
    tell_of_former_end(engine)
    resume_jobs(engine)
    try:
        with watched(home, config.owner.unresponsive_seconds, lambda: bool(engine.jobs.running())) as beat:
            anyio.run(_serve, engine, beat)
    finally:
        engine.close()


async def _serve(engine: Engine, beat: Callable[[], None]) -> None:
    server = application(engine).low_level()
    current_connection.set(ConnectionState("stdio", "host"))
    async with stdio_server() as (incoming, outgoing), anyio.create_task_group() as tasks:
        # Inside: the transport has taken the real stdout, and what anything else prints must not follow it there.
        with contextlib.redirect_stdout(sys.stderr):
            tasks.start_soon(answer, beat, engine.config.owner.unresponsive_seconds)
            await server.run(incoming, outgoing, server.create_initialization_options())
            tasks.cancel_scope.cancel()
