"""The owner's side of its socket: who may connect, and one MCP server per connection.

Read top to bottom: accept, greet (hello, proof on loopback, welcome or refusal), serve until the client leaves. A
connection that breaks a rule is closed, and no other connection notices.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from knowledge_core import __version__
from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError, quoted
from knowledge_core.files import RAISING, descriptor_limit, no_descriptor, out_of_descriptors
from knowledge_core.language.printable import one_line
from knowledge_core.serving.connection_state import ConnectionState, current_connection
from knowledge_core.serving.message_streams import MessageSocket
from knowledge_core.serving.pipe.lines import OURS, own_line
from knowledge_core.serving.pipe.local_socket import nonce, proof, same
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.resources import telling_of_changes

log = logging.getLogger(__name__)

HELLO_WITHIN = 10.0  # seconds for a client to say who it is
LONGEST_HELLO = 64 * 1024  # bytes; a client may name its roots in it
# Each client is an open file: a sixth of the limit is for them, so that collections can still be opened.
DESCRIPTORS_PER_CLIENT = 6
FEWEST_CLIENTS, MOST_CLIENTS = 8, 1_000
KEPT_FOR_COMMANDS = 8  # beyond: who finds it full must be able to look and to stop it
LONGEST_VERSION = 40  # characters


@dataclass
class Client:
    """One welcomed connection, as `status` shows it.

    number: counts connections from 1.
    role: "host" or "cli".
    pid: the client's process number; 0 if it gave none.
    version: the client's.
    since: seconds since 1970.
    messages: its socket.
    """

    number: int
    role: str
    pid: int
    version: str
    since: float
    messages: MessageSocket = field(repr=False)

    @property
    def calls(self) -> int:
        """Return the number of its requests that are under way."""
        return self.messages.unanswered


@dataclass(frozen=True)
class Identity:
    """What the owner tells clients of itself. config: SHA-256 (hex) of its configuration file's bytes."""

    home: Path
    pid: int
    config: str


class Connections:
    """The clients of this owner.

    retire: called with the reason when a client needs another owner. roots_named: called with the roots that a client's entry
        names and the folder in which the client started its pipe. extensions: private requests that only the owner
    can answer, by name.
    """

    def __init__(
        self,
        engine: Engine,
        identity: Identity,
        *,
        retire: Callable[[str], None],
        extensions: Mapping[str, Any],
        roots_named: Callable[[list[str], str | None], None] = lambda roots, folder: None,
    ) -> None:
        self._engine, self._identity, self._retire, self._roots_named = engine, identity, retire, roots_named
        self._servers = {
            "host": application(engine),
            "cli": application(engine, for_cli=True, owner=extensions),
        }
        loop = asyncio.get_running_loop()
        for server in self._servers.values():
            engine.listeners.append(telling_of_changes(server, loop))
        self._count = 0
        self._first = True
        self._most = max(FEWEST_CLIENTS, min(MOST_CLIENTS, descriptor_limit() // DESCRIPTORS_PER_CLIENT))
        self._greeting = asyncio.Semaphore(self._most)  # connections that are not welcomed yet
        self.clients: dict[int, Client] = {}
        self.last_seen = time.monotonic()

    async def accept(self, listener: socket.socket, tasks: TaskGroup, *, proved: bool) -> None:
        """Accept connections until cancelled; each is served by a task of its own in `tasks`.

        proved: each side must prove first that it can read the data directory.
        """
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        told = False
        while True:
            # Whoever says nothing takes a place for ten seconds; the others wait in the socket's queue meanwhile.
            await self._greeting.acquire()
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:  # the open connections go on; some will be closed soon
                self._greeting.release()
                if not told:
                    waits = no_descriptor("to take another client") if out_of_descriptors(error) else str(error)
                    log.warning("connections wait: %s", waits)
                told = True
                await anyio.sleep(0.5)
                continue
            except BaseException:
                self._greeting.release()
                raise
            told = False
            tasks.start_soon(self._serve, accepted, proved)

    async def goodbye(self) -> None:
        """Tell every client that this owner ends in order, so that none of them starts another at once."""
        for client in list(self.clients.values()):
            with anyio.move_on_after(0.5):  # a client that does not read must not hold up the others
                await client.messages.write(own_line(**{OURS: "goodbye"}))

    async def _serve(self, accepted: socket.socket, proved: bool) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=accepted, limit=LONGEST_HELLO)
        except OSError:  # it has gone already
            self._greeting.release()
            accepted.close()
            return
        messages = MessageSocket(reader, writer)
        try:
            hello = None
            try:
                with anyio.move_on_after(HELLO_WITHIN):
                    hello = await self._greeted(reader, messages, proved)
            finally:
                self._greeting.release()
            if hello is not None:
                await self._converse(messages, hello)
        except Exception:  # the last frame of this connection's task: the others must not end with it
            log.exception("a connection failed")
        finally:
            messages.close()

    # -- hello ---------------------------------------------------------------------------------------------------------

    async def _greeted(
        self, reader: asyncio.StreamReader, messages: MessageSocket, proved: bool
    ) -> dict[str, Any] | None:
        """Return the client's hello once it was answered with a welcome; None where the client may not come in."""
        hello = await _own(reader, "hello")
        if hello is None or (proved and not await self._proved(reader, messages, hello)):
            log.warning("a connection that is no client of ours was closed")
            return None
        reason = self._outdated(hello)
        if reason:
            await messages.write(own_line(**{OURS: "retiring", "retiring": reason}))
            self._retire(reason)
            return None
        if full := self._full(hello):
            log.warning("a client was refused: %s", full)
            await messages.write(own_line(**{OURS: "refused", "refused": full}))
            return None
        me = self._identity
        notices = await anyio.to_thread.run_sync(self._allow, hello.get("roots"), hello.get("folder"))
        welcome = {"welcome": True, "version": __version__, "pid": me.pid, "config": me.config, "notices": notices}
        await messages.write(own_line(**{OURS: "welcome"}, **welcome))
        return hello

    def _allow(self, roots: object, folder: object) -> list[str]:
        """Record the roots that a client's configuration names; return one sentence per root that was refused."""
        wrong, right = [], []
        for root in roots if isinstance(roots, list) else []:
            try:
                right.append(str(self._engine.roots.add(Path(str(root)))))
            except KnowledgeCoreError as error:
                wrong.append(str(error))
            except ValueError:  # a NUL in it
                wrong.append(f"{quoted(root)} is no path.")
        self._roots_named(right, folder if isinstance(folder, str) else None)
        return wrong

    async def _proved(self, reader: asyncio.StreamReader, messages: MessageSocket, hello: dict[str, Any]) -> bool:
        home, mine, theirs = self._identity.home, nonce(), str(hello.get("nonce"))
        await messages.write(
            own_line(**{OURS: "challenge", "nonce": mine, "proof": proof(home, "owner", theirs, mine)})
        )
        answer = await _own(reader, "proof")
        return answer is not None and same(answer.get("proof"), proof(home, "pipe", mine, theirs))

    def take_configuration(self, digest: str) -> None:
        """Take a client with this configuration for one that has ours. digest: as of `Identity.config`."""
        self._identity = replace(self._identity, config=digest)

    def _outdated(self, hello: dict[str, Any]) -> str:
        """Return why this owner should be replaced (a newer version, another configuration); "" if it should not."""
        if version_key(_version(hello)) > version_key(__version__):
            return f"version {_version(hello)} came, this is {__version__}"
        changed = hello.get("config") != self._identity.config
        if changed and not self.clients and not self._engine.jobs.running():
            return "the configuration changed and nobody else is here"
        return ""

    def _full(self, hello: dict[str, Any]) -> str:
        """Return why this client cannot be taken, too; "" where it can. A few commands of `kcore` always find room."""
        hosts = sum(each.role != "cli" for each in self.clients.values())
        if len(self.clients) < self._most + KEPT_FOR_COMMANDS and (hosts < self._most or hello.get("role") == "cli"):
            return ""
        return (
            f"{len(self.clients)} clients are connected, as many as the limit of {descriptor_limit()} open files has room "
            f"for. Close some (`kcore status` shows them). {RAISING}"
        )

    # -- the protocol --------------------------------------------------------------------------------------------------

    async def _converse(self, messages: MessageSocket, hello: dict[str, Any]) -> None:
        self._count += 1
        number, role = self._count, "cli" if hello.get("role") == "cli" else "host"
        state = ConnectionState(f"c{number}", role)
        client = Client(number, role, _pid(hello), _version(hello), time.time(), messages)
        self.clients[number] = client
        current_connection.set(state)
        log.info("%s connected (process %d, version %s)", role, client.pid, client.version)
        if self._first:
            self._first = False
            self._engine.preload()
        server = self._servers[role].low_level()
        try:
            async with messages.streams() as (incoming, outgoing):
                await server.run(incoming, outgoing, server.create_initialization_options())
        finally:
            del self.clients[number]
            self.last_seen = time.monotonic()
            for act in state.at_end:
                act()
            log.info("%s disconnected", role)


async def _own(reader: asyncio.StreamReader, kind: str) -> dict[str, Any] | None:
    """Read one line, and return it if it is one of our own of this kind; else None."""
    try:
        said = json.loads(await reader.readuntil(b"\n"))
    except (ValueError, RecursionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None
    return said if isinstance(said, dict) and said.get(OURS) == kind else None


def _pid(hello: dict[str, Any]) -> int:
    said = hello.get("pid")
    return said if isinstance(said, int) else 0


def _version(hello: dict[str, Any]) -> str:
    """Return the version that a client says it is of: one short line, as it goes into the log and into `status`."""
    return one_line(str(hello.get("version")))[:LONGEST_VERSION]


def version_key(version: str) -> tuple[int, ...]:
    """Return the key that versions are ordered by: their leading numbers.

    >>> version_key("0.10.1") > version_key("0.9.2.dev1")
    True
    """
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
