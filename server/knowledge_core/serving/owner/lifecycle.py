"""From an owner's start to its end: open the engine, serve, watch for reasons to end, end in order."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import TaskGroup

import knowledge_core
from knowledge_core import __version__
from knowledge_core.config import load_config
from knowledge_core.engine import Engine
from knowledge_core.errors import ConfigurationError
from knowledge_core.paths import OwnerLock
from knowledge_core.recorded_jobs.resuming import resume_jobs
from knowledge_core.serving.connection_state import current_connection
from knowledge_core.serving.http import PORT
from knowledge_core.serving.http.doors import Doors
from knowledge_core.serving.owner.connections import Connections, Identity
from knowledge_core.serving.owner.watchdog import answer, tell_of_former_end, watched
from knowledge_core.serving.pipe.dialling import config_digest
from knowledge_core.serving.pipe.local_socket import listen, mark, unlink
from knowledge_core.watching.host_roots import HostRoots
from knowledge_core.watching.watching import Watching

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two checks for a reason to end
IDLE_EVERY = 30.0  # seconds between two looks for collections that nobody uses
LAST_CALLS = 5.0  # seconds that calls under way may take once the owner ends; a bulk batch lasts about half a second
_VERSION = re.compile(r'__version__ = "([^"]+)"')


def run_owner(
    home: Path, config_file: str | None, lock: OwnerLock, listener: socket.socket, address: dict[str, Any]
) -> None:
    """Serve the clients of `listener` until there is a reason to end; the caller releases the data directory.

    Raises:
        ConfigurationError, StorageError: the engine could not be opened; no client was served.
    """
    config_sha = config_digest(home, config_file)
    engine = Engine(home, load_config(home, config_file), lock=lock, config_file=config_file)
    try:
        tell_of_former_end(engine)
        with watched(home, engine.config.owner.unresponsive_seconds, lambda: bool(engine.jobs.running())) as beat:
            anyio.run(_Owner(engine, lock, listener, address, config_file, config_sha, beat).run)
    finally:
        engine.close()
        log.info("ended")


class _Owner:
    def __init__(
        self,
        engine: Engine,
        lock: OwnerLock,
        listener: socket.socket,
        address: dict[str, Any],
        config_file: str | None,
        config_sha: str,
        beat: Callable[[], None],
    ) -> None:
        self._engine, self._lock, self._listener, self._address = engine, lock, listener, address
        self._watching = Watching(engine)
        self._config_file, self._config_sha, self._beat = config_file, config_sha, beat
        self._idle = 60.0 * engine.config.owner.idle_minutes
        self._mark = mark(address)
        self._started = time.time()
        self._let_rest = 0.0  # time.monotonic() when collections were last looked through for idle ones
        self._package = Path(knowledge_core.__file__)

    async def run(self) -> None:
        self._reason = ""
        self._ending = anyio.Event()
        identity = Identity(self._engine.home, os.getpid(), self._config_sha)
        self._connections = Connections(
            self._engine,
            identity,
            retire=self.end,
            roots_named=HostRoots(self._engine).named,
            extensions={
                "watching": self._describe_watching,
                "stop": self._stop,
                "owner": self._describe,
                "http": self._open_http,
            },
        )
        self._doors = Doors(self._engine)
        log.info("owner of %s, process %d, version %s", self._engine.home, os.getpid(), __version__)
        resume_jobs(self._engine)
        watching = self._watching
        watching.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, self._beat, self._engine.config.owner.unresponsive_seconds)
            tasks.start_soon(self._watch)
            tasks.start_soon(self._heed_signals)
            tasks.start_soon(self._doors.run)
            self._accepting = anyio.CancelScope()
            tasks.start_soon(self._accept, tasks)
            await self._ending.wait()
            log.info("ending: %s", self._reason)
            await anyio.to_thread.run_sync(watching.stop, abandon_on_cancel=True)
            await self._end()
            tasks.cancel_scope.cancel()

    def end(self, reason: str) -> None:
        """Begin to end, in order. A second call changes nothing."""
        self._reason = self._reason or reason
        self._ending.set()

    # -- reasons to end ------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(min(LOOK_EVERY, self._idle / 4))
            if not self._lock.still_there():
                self.end("the data directory was removed or replaced")
            elif self._replaced():
                self.end("the installed version changed")
            elif self._is_idle():
                self.end("idle")
            else:
                self._listen_again_if_lost()
                self._look_at_configuration()
                await self._look_for_idle_collections()

    def _listen_again_if_lost(self) -> None:
        """Listen anew where the socket's name was deleted or taken; this process still holds the lock on the directory."""
        now = mark(self._address)
        if now is not None and now == self._mark:
            return
        try:
            listener, address = listen(self._engine.home, log.warning)
        except OSError as error:
            log.warning("the socket's name is lost, and there is no other place for it: %s", error)
            return
        log.warning("the socket's name was lost; listening anew at %s", address)
        self._listener, self._address, self._mark = listener, address, mark(address)
        self._lock.announce(address)
        self._accepting.cancel()  # of the former one; `_accept` goes on with this one

    def _look_at_configuration(self) -> None:
        """Keep serving clients that read a configuration in which only such settings changed as are taken over at once."""
        found = config_digest(self._engine.home, self._config_file)
        if found == self._config_sha:
            return
        self._config_sha = found
        with contextlib.suppress(ConfigurationError):  # whoever starts the next owner is told
            new = load_config(self._engine.home, self._config_file)
            if new.taken_at_start() == self._engine.config.taken_at_start():
                self._connections.take_configuration(found)

    async def _look_for_idle_collections(self) -> None:
        if time.monotonic() - self._let_rest > IDLE_EVERY:
            self._let_rest = time.monotonic()
            await anyio.to_thread.run_sync(self._engine.let_rest)

    def _is_idle(self) -> bool:
        asked_for = any(not job.unasked for job in self._engine.jobs.running())
        if self._connections.clients or asked_for:
            self._connections.last_seen = time.monotonic()
        return time.monotonic() - self._connections.last_seen > self._idle

    def _replaced(self) -> bool:
        """Say whether the package on the disk has another version than the one that runs."""
        try:
            found = _VERSION.search(self._package.read_text(encoding="utf-8"))
        except OSError:
            return False  # an installation is under way
        return found is not None and found[1] != __version__

    async def _heed_signals(self) -> None:
        if sys.platform == "win32":
            signal.signal(signal.SIGTERM, lambda *_: self.end("terminated"))
            return
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number != signal.SIGHUP:  # an owner outlives the terminal that it was started from
                    self.end(f"signal {signal.Signals(number).name}")

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _accept(self, tasks: TaskGroup) -> None:
        while not self._ending.is_set():
            listener = self._listener
            with anyio.CancelScope() as self._accepting:
                await self._connections.accept(listener, tasks, proved="tcp" in self._address)
            await anyio.sleep(0)  # the event loop must have stopped watching the listener before that is closed
            listener.close()

    async def _end(self) -> None:
        unlink(self._address)
        self._accepting.cancel()
        await anyio.sleep(0)
        await anyio.sleep(0)
        self._listener.close()
        await self._connections.goodbye()
        with anyio.move_on_after(LAST_CALLS):
            self._doors.close()
            await anyio.to_thread.run_sync(self._engine.jobs.stop, abandon_on_cancel=True)
            await self._doors.closed()
            while any(client.calls for client in self._connections.clients.values()):
                await anyio.sleep(0.02)

    # -- what only the owner knows, for the command line ---------------------------------------------------------------

    def _stop(self) -> dict[str, Any]:
        clients = len(self._connections.clients) - 1
        anyio.from_thread.run_sync(self.end, "asked to stop")
        return {"pid": os.getpid(), "version": __version__, "clients": clients}

    def _open_http(
        self, host: str = "127.0.0.1", port: int = PORT, token: bool = True, new_token: bool = False
    ) -> dict[str, Any]:
        opened = anyio.from_thread.run(partial(self._doors.open, host, port, token=token, new_token=new_token))
        connection = current_connection.get()
        if connection is not None and not opened.by_another:
            connection.at_end.append(
                self._doors.close
            )  # the door stays open as long as the command that opened it runs
        return {**asdict(opened), "pid": os.getpid()}

    def _describe_watching(self, after: int = 0) -> dict[str, Any]:
        """Return what is watched, and what changed since an event. after: its number."""
        return {
            "on": self._engine.config.indexing.watch,
            "sources": self._watching.described(),
            "events": [
                {
                    "number": each.number, "time": each.time, "collection": each.collection,
                    "indexed": each.report.indexed, "moved": each.report.moved, "removed": each.report.removed,
                    "failed": each.report.failed_total, "documents": list(each.report.changed),
                }
                for each in list(self._watching.events)
                if each.number > after
            ],
        }  # fmt: skip

    def _describe(self) -> dict[str, Any]:
        clients = sorted(self._connections.clients.values(), key=lambda client: client.number)
        return {
            "pid": os.getpid(),
            "started": self._started,
            "transport": "tcp" if "tcp" in self._address else "unix",
            "memory_bytes": resident_bytes(),
            "http": self._doors.url,
            "http_asks_for_token": self._doors.asks_for_token,
            "idle_minutes": self._engine.config.owner.idle_minutes,
            "clients": [
                {"id": f"c{each.number}", "role": each.role, "pid": each.pid, "version": each.version,
                 "since": each.since, "calls": each.calls}
                for each in clients
            ],
        }  # fmt: skip


def resident_bytes() -> int | None:
    """Return this process's resident memory in bytes; None where the standard library cannot tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the peak so far; in bytes on macOS, else in KiB
        return peak if sys.platform == "darwin" else peak * 1024
    except ImportError:
        return None
