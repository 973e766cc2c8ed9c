"""`kcore serve --in-process`: MCP on stdin and stdout, the data directory held until the client leaves.

For sandboxes that refuse sockets or end child processes, where no shared owner can run, and for whoever asks for it.

stdout carries the protocol and nothing else: what a library prints goes to stderr. Nothing slow happens before the
first answer: the model is loaded when it is first needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.recorded_jobs.resuming import resume_jobs
from knowledge_core.serving.connection_state import ConnectionState, current_connection
from knowledge_core.serving.logs import log_to_stderr
from knowledge_core.serving.message_streams import Incoming, MessageSocket, Outgoing
from knowledge_core.serving.owner.watchdog import answer, tell_of_former_end, watched
from knowledge_core.serving.pipe.lines import CHUNK
from knowledge_core.serving.surface.application import application
from knowledge_core.watching.host_roots import HostRoots
from knowledge_core.watching.watching import Watching

log = logging.getLogger(__name__)

LAST_ANSWERS = 2.0  # seconds that a client may take to read them once it has closed stdin


def serve_stdio(
    home: Path, config: Config, why: str, roots: Sequence[str] = (), *, config_file: str | None = None
) -> None:
    """Serve until stdin ends.

    why: the reason why this process serves alone, for stderr and for `notices`. config_file: the value of `--config`.

    Raises:
        DataDirectoryHeld, StorageError: see `paths.OwnerLock`.
    """
    log_to_stderr(logging.INFO)
    engine = Engine(home, config, command="kcore serve --in-process", config_file=config_file)
    notice = f"This server runs in its client's process ({why}): no other client can use its collections meanwhile."
    engine.notices.append(notice)
    log.info("serving %s. %s", home, notice)
    allowed = []
    for root in roots:
        try:
            allowed.append(str(engine.roots.add(Path(root))))
        except KnowledgeCoreError as error:
            log.warning("%s", error)
    tell_of_former_end(engine)
    resume_jobs(engine)
    HostRoots(engine).named(allowed, os.getcwd())
    watching = Watching(engine)
    watching.start()
    try:
        with watched(home, config.owner.unresponsive_seconds, lambda: bool(engine.jobs.running())) as beat:
            anyio.run(_serve, engine, beat)
    finally:
        watching.stop()
        engine.close()


async def _serve(engine: Engine, beat: Callable[[], None]) -> None:
    server = application(engine).low_level()
    current_connection.set(ConnectionState("stdio", "host"))
    async with _stdin_and_stdout() as (incoming, outgoing), anyio.create_task_group() as tasks:
        # Inside: the transport has taken the real stdout, and what anything else prints must not follow it there.
        with contextlib.redirect_stdout(sys.stderr):
            tasks.start_soon(answer, beat, engine.config.owner.unresponsive_seconds)
            await server.run(incoming, outgoing, server.create_initialization_options())
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _stdin_and_stdout() -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """Yield the message streams over stdin and stdout, by the rules of the owner's socket: a pair of sockets is between.

    Two threads forward the bytes. What else is written to stdout meanwhile, also by a library's own code, goes to stderr.
    """
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(0, os.O_BINARY)
        msvcrt.setmode(1, os.O_BINARY)
    wire = os.dup(1)
    os.dup2(2, 1)
    outer, inner = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=inner)
    threading.Thread(target=_forward_stdin, args=(outer,), name="stdin", daemon=True).start()
    told = threading.Thread(target=_forward_answers, args=(outer, wire), name="stdout", daemon=True)
    told.start()
    async with MessageSocket(reader, writer).streams() as streams:
        yield streams
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    await anyio.to_thread.run_sync(told.join, LAST_ANSWERS)


def _forward_stdin(outer: socket.socket) -> None:
    with contextlib.suppress(OSError):  # this side has ended
        while data := os.read(0, CHUNK):
            outer.sendall(data)
        outer.shutdown(socket.SHUT_WR)


def _forward_answers(outer: socket.socket, wire: int) -> None:
    with contextlib.suppress(OSError):  # the client is gone, which the end of stdin says, too
        while data := outer.recv(CHUNK):
            while data:
                data = data[os.write(wire, data) :]
