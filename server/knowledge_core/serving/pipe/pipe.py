"""`kcore serve`: a thin pipe between a client's stdin and stdout and the owner's socket. Standard library only.

It forwards bytes line by line, both ways, as fast as the slower side reads, and remembers two things: the client's
`initialize`, to repeat it to a new owner, and the ids of the calls under way, to end them with an error if the owner
dies. Then it starts a new owner and goes on. The client is connected to the pipe alone, so its connection never breaks.

The main thread reads from the client, a second thread from the owner. Neither holds the state's lock while it writes: a
side that does not read only stops the thread that writes to it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.serving.pipe.dialling import Link, OwnerImpossible, connect, patience, reap
from knowledge_core.serving.pipe.lines import (
    CHUNK,
    INVALID_REQUEST,
    OURS,
    OWNER_ENDED,
    Id,
    LineBuffer,
    TooLong,
    call_key,
    error_line,
    is_id,
    parsed,
    refusal,
    too_long_message,
    unreadable,
)

DRAIN = 1.0  # seconds that calls under way may still take once the client has closed stdin; hosts kill after two
CRASHES = 3  # owners that may die within a `MINUTE`; after that the next one is started only when the client calls
MINUTE = 60.0  # seconds


def serve(home: Path, config: str | None, roots: Sequence[str] = ()) -> None:
    """Connect stdin and stdout to the owner until stdin ends. roots: folders that this client's configuration allows.

    Raises:
        OwnerImpossible: no owner can run here; nothing was read from stdin yet.
        DataDirectoryHeld, OwnerUnavailable, StorageError: see `dialling.connect`.
    """
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(0, os.O_BINARY)
        msvcrt.setmode(1, os.O_BINARY)
    _Pipe(home, config, roots).run()


class _Pipe:
    def __init__(self, home: Path, config: str | None, roots: Sequence[str]) -> None:
        self._home, self._config, self._roots = home, config, roots
        self._state = threading.Condition()  # guards what follows
        self._link: Link | None = None
        self._leaving = False  # the owner said goodbye: new requests wait for the next owner
        self._wanted = False  # a request waits for an owner
        self._trouble = ""  # why none could be reached for it
        self._calls: dict[Id, Link] = {}
        self._initialize: bytes | None = None
        self._initialize_id: Id | None = None
        self._out = threading.Lock()
        self._crashes: list[float] = []

    def run(self) -> None:
        self._adopt(self._connected())
        threading.Thread(target=self._follow_owners, name="from-owner", daemon=True).start()
        for line in _lines(_typed):
            self._from_client(line)
        with self._state:
            self._state.wait_for(lambda: not self._calls, timeout=DRAIN)

    # -- from the client to the owner ----------------------------------------------------------------------------------

    def _from_client(self, line: bytes | TooLong) -> None:
        if isinstance(line, TooLong):
            self._answer(error_line(line.id(), INVALID_REQUEST, too_long_message()))
            return
        try:
            said = parsed(line)
            refused = refusal(said)
        except (ValueError, RecursionError) as error:
            refused = unreadable(line, error)
        if refused is not None:
            # Here, and not by the owner: there may be none now, and what is no message starts none.
            self._answer(refused)
            return
        id, method = said.get("id"), said.get("method")
        if isinstance(method, str) and is_id(id):
            link = self._link_for_call(id, method, line)
        else:
            # A notification or an answer. It is for the owner that is connected now; a new owner would not know what it
            # is about.
            link = self._link
            if method == "notifications/cancelled":
                self._withdraw((said.get("params") or {}).get("requestId"))
        if link is not None:
            with contextlib.suppress(OSError):  # the thread that reads from the owner notices its end and handles it
                link.socket.sendall(line + b"\n")

    def _link_for_call(self, id: Id, method: str, line: bytes) -> Link | None:
        """Note a call, and return the connection to send it over; None if the call was answered with an error here."""
        with self._state:
            if method == "initialize":
                self._initialize, self._initialize_id = line, id
            self._wanted, self._trouble = True, ""
            self._state.notify_all()
            self._state.wait_for(lambda: self._trouble or (self._link is not None and not self._leaving))
            self._wanted = False
            if not self._trouble and self._link is not None:
                self._calls[id] = self._link
                return self._link
        self._answer(error_line(id, OWNER_ENDED, self._trouble))
        return None

    def _forget(self, id: object) -> None:
        """Drop a call that was answered."""
        with self._state:
            if is_id(id):
                self._calls.pop(id, None)
            self._state.notify_all()

    def _withdraw(self, id: object) -> None:
        """Drop a call that the client withdrew: it may never be answered."""
        with self._state:
            for each in [each for each in self._calls if call_key(each) == call_key(id)]:
                del self._calls[each]
            self._state.notify_all()

    # -- from the owners to the client ---------------------------------------------------------------------------------

    def _follow_owners(self) -> None:
        while True:
            link = self._link
            assert link is not None  # set before this thread started, and later by `_next_owner`
            for line in _lines(functools.partial(_received, link)):
                if not isinstance(line, TooLong):
                    self._from_owner(line)
            self._bury(link)
            self._next_owner()

    def _from_owner(self, line: bytes) -> None:
        said = _parsed(line)
        if OURS in said:
            with self._state:
                self._leaving = self._leaving or said[OURS] == "goodbye"
            return
        self._answer(line + b"\n")
        if "method" not in said:
            self._forget(said.get("id"))

    def _bury(self, link: Link) -> None:
        """End the calls that went to an owner that is gone, but for `initialize`: a new owner will answer that."""
        with self._state:
            self._link = None
            lost = [id for id, went_to in self._calls.items() if went_to is link and id != self._initialize_id]
            for id in lost:
                del self._calls[id]
            crashed = not self._leaving
            self._leaving = False
            self._state.notify_all()
        link.socket.close()
        reap()
        for id in lost:
            self._answer(error_line(id, OWNER_ENDED, _LOST if crashed else _ENDED))
        if crashed:
            self._crashes.append(time.monotonic())
            _tell(f"the owner (process {link.pid}) ended unexpectedly; `kcore logs` may say why. Starting a new one.")

    def _next_owner(self) -> None:
        """Connect to another owner: at once after a crash, else (or after several crashes) when a call needs one."""
        recent = [moment for moment in self._crashes if time.monotonic() - moment < MINUTE]
        self._crashes = recent
        wait = not recent or len(recent) >= CRASHES
        while True:
            with self._state:
                if wait:
                    self._state.wait_for(lambda: self._wanted)
            try:
                link = self._connected()
                self._introduce(link)
            except (KnowledgeCoreError, OwnerImpossible, OSError) as error:
                _tell(str(error))
                wait = True
                with self._state:
                    # Ends the call that waits; the next call tries again.
                    self._trouble, self._wanted = f"No Knowledge Core owner process: {error}", False
                    self._state.notify_all()
                continue
            self._adopt(link)
            return

    def _introduce(self, link: Link) -> None:
        """Repeat the client's `initialize` to a new owner. The client gets the answer only if it still waits for it."""
        with self._state:
            line, id = self._initialize, self._initialize_id
            awaited = id is not None and id in self._calls
        if line is None:
            return
        link.socket.settimeout(patience())
        link.socket.sendall(line + b"\n")
        # Byte by byte: what follows the answer is for the thread that reads from this owner later.
        for answer in _lines(lambda: link.socket.recv(1)):
            if isinstance(answer, bytes) and _parsed(answer).get("id") == id:
                if awaited:
                    self._from_owner(answer)
                else:
                    link.socket.sendall(_INITIALIZED)
                link.socket.settimeout(None)
                return
        raise OSError("the new owner ended before it answered")

    # -- both ----------------------------------------------------------------------------------------------------------

    def _connected(self) -> Link:
        link = connect(self._home, self._config, "host", self._roots)
        for difference in link.differences(self._home):
            _tell(difference)
        return link

    def _adopt(self, link: Link) -> None:
        with self._state:
            self._link, self._leaving = link, False
            self._state.notify_all()

    def _answer(self, line: bytes) -> None:
        with self._out:
            try:
                while line:
                    line = line[os.write(1, line) :]
            except OSError:
                os._exit(0)  # the client is gone; stdin may end a moment later, or never


_LOST = (
    "The Knowledge Core owner process ended during this call. Whatever had been acknowledged is stored, and jobs go on "
    "by themselves. Call again."
)
_ENDED = (
    "The Knowledge Core owner process was stopped or replaced during this call. Jobs go on by themselves. Call again."
)


_INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'


def _lines(read: Callable[[], bytes]) -> Iterator[bytes | TooLong]:
    """Yield lines until the stream ends; an unfinished line at its end is dropped."""
    buffer = LineBuffer()
    while data := read():
        yield from buffer.feed(data)


def _typed() -> bytes:
    try:
        return os.read(0, CHUNK)
    except OSError:
        return b""


def _received(link: Link) -> bytes:
    try:
        return link.socket.recv(CHUNK)
    except OSError:
        return b""  # reset instead of closed: handled alike


def _parsed(line: bytes) -> dict[str, Any]:
    """Return what an owner says; nothing where it is no object."""
    try:
        said = parsed(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _tell(message: str) -> None:
    sys.stderr.write(f"kcore serve: {message}\n")
    sys.stderr.flush()
