"""Reaching the owner of a data directory, and starting one where none runs. Standard library only.

Read top to bottom: dial the address in the lock file, say hello, wait for the welcome; else start an owner and try again.
Ten clients may do that at once: the lock decides which of their owners lives. Each of the other nine owners costs one
Python process that ends before it has imported any library.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from knowledge_core import __version__
from knowledge_core.errors import DataDirectoryHeld, OwnerUnavailable, StorageError
from knowledge_core.paths import HOME_VARIABLE, LOGS, Holder, config_path, held_message, holder
from knowledge_core.serving.pipe.lines import OURS, own_line
from knowledge_core.serving.pipe.local_socket import dial, nonce, proof, same

Role = Literal["host", "cli"]
"""Who is at the other end of a connection: a program that hosts an agent, or a person's own shell."""

PATIENCE_VARIABLE = "KNOWLEDGE_CORE_PATIENCE"
PATIENCE = 25.0  # seconds for an owner to answer; hosts give a server 30 to 60 s to start
RETRY = 0.05  # seconds until the next look at an owner that another client is starting; doubled after each look
SLOWEST_RETRY = 0.4  # seconds; the doubling ends here
LONGEST_HELLO = 64 * 1024  # bytes of one of our own lines

# glibc's arenas, one per thread, cost the owner a sixth more memory and keep growing for minutes; two arenas do not
# (ten clients, `python -m benchmarks.soak`).
_FRUGAL = {"MALLOC_ARENA_MAX": "2"}

HELD = 3  # exit code of an owner that found the data directory held
IMPOSSIBLE = 4  # exit code of an owner that could open no socket


class OwnerImpossible(Exception):
    """No detached owner can run here: sockets or child processes are refused. Serve in this process instead."""


@dataclass(frozen=True)
class Link:
    """A connection that the owner welcomed.

    socket: connected, blocking, nothing read from it beyond the welcome.
    pid: the owner's process number.
    version: the owner's.
    config: SHA-256 (hex) of the configuration that the owner runs with.
    mine: SHA-256 (hex) of the configuration that this client reads.
    notices: what the owner tells every client.
    """

    socket: socket.socket
    pid: int
    version: str
    config: str
    mine: str
    notices: tuple[str, ...] = ()

    def differences(self, home: Path) -> list[str]:
        """Return what a user should know, one sentence each: the owner's notices, and how the owner differs from here."""
        told = list(self.notices)
        if self.config != self.mine:
            told.append(
                f"the owner of {home} (process {self.pid}) runs with another configuration than this command reads; "
                "`kcore stop` ends it, and the next client starts one with the new configuration."
            )
        if self.version != __version__:
            told.append(f"the owner (process {self.pid}) is version {self.version}, this command {__version__}.")
        return told


def connect(home: Path, config: str | None, role: Role, roots: Sequence[str] = ()) -> Link:
    """Return a connection to the owner of a data directory; starts the owner if none runs.

    config: `--config`, as it was given. roots: folders that this client's configuration allows to be indexed.

    Raises:
        OwnerImpossible: sockets or child processes are refused here.
        DataDirectoryHeld: the process that holds the data directory serves only itself, or does not answer.
        OwnerUnavailable: the owner started and refused, or ended; the message has its reason.
        StorageError: the data directory cannot be made or written.
    """
    deadline = time.monotonic() + patience()
    pause = RETRY
    while True:
        link = reach(home, config, role, deadline, roots)
        if link is not None:
            return link
        if _start(home, config) == "held":
            _refuse_the_unreachable(home)
            if time.monotonic() > deadline:
                raise DataDirectoryHeld(held_message(home))
            time.sleep(pause)
            pause = min(2 * pause, SLOWEST_RETRY)


def reach(home: Path, config: str | None, role: Role, deadline: float, roots: Sequence[str] = ()) -> Link | None:
    """Return a connection to the owner that runs; None if none does.

    deadline: by `time.monotonic`; an owner that is ending is waited for until then.

    Raises:
        DataDirectoryHeld: the owner holds the data directory and does not answer.
        OwnerUnavailable: the owner refused; the message has its reason.
    """
    while True:
        held_by = holder(home)
        if held_by is None or held_by.address is None:
            return None
        try:
            made = dial(held_by.address, max(deadline - time.monotonic(), 0.1))
        except OSError:
            return None
        try:
            answer = _greet(made, home, config, role, roots, tcp="tcp" in held_by.address)
        except TimeoutError:
            made.close()
            raise DataDirectoryHeld(_silent(home, held_by)) from None
        except OSError:
            answer = None  # the owner ended before it said anything; the next one may be reached
        if answer is None:
            made.close()
            return None
        if "welcome" in answer:
            made.settimeout(None)
            notices = tuple(map(str, answer.get("notices", ())))
            told = int(answer["pid"]), str(answer["version"]), str(answer["config"])
            return Link(made, *told, config_digest(home, config), notices)
        made.close()
        if "refused" in answer:
            raise OwnerUnavailable(str(answer["refused"]))
        if time.monotonic() > deadline:
            raise DataDirectoryHeld(_silent(home, held_by))
        time.sleep(RETRY)  # the owner is retiring, for a newer version or another configuration


def patience() -> float:
    """Return how many seconds to wait for an owner: $KNOWLEDGE_CORE_PATIENCE, for slow machines, else `PATIENCE`."""
    try:
        return max(float(os.environ.get(PATIENCE_VARIABLE, "")), 0.1)
    except ValueError:
        return PATIENCE


def config_digest(home: Path, config: str | None) -> str:
    """Return the SHA-256 (hex) of the configuration file's bytes; of nothing where there is none."""
    try:
        content = config_path(home, config)[0].read_bytes()
    except OSError:
        content = b""
    return hashlib.sha256(content).hexdigest()


# -- hello -------------------------------------------------------------------------------------------------------------


def _greet(
    made: socket.socket, home: Path, config: str | None, role: Role, roots: Sequence[str], *, tcp: bool
) -> dict[str, Any] | None:
    """Say hello, and return the owner's answer; None if the other side is not the owner of this data directory."""
    mine = nonce()
    hello: dict[str, Any] = {"version": __version__, "role": role, "config": config_digest(home, config)}
    hello |= {"pid": os.getpid(), "roots": list(roots), "folder": _folder() if roots else None}
    made.sendall(own_line(**{OURS: "hello"}, **hello, nonce=mine))
    if tcp:
        challenge = _own(made)
        if challenge is None or not same(
            challenge.get("proof"), proof(home, "owner", mine, str(challenge.get("nonce")))
        ):
            return None  # another program took the port over
        made.sendall(own_line(**{OURS: "proof"}, proof=proof(home, "pipe", str(challenge["nonce"]), mine)))
    return _own(made)


def _folder() -> str | None:
    """Return the folder in which the client started this process; None where it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return None


def _own(made: socket.socket) -> dict[str, Any] | None:
    """Read one of our own lines, byte by byte so that nothing behind it is consumed; None at the stream's end."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = made.recv(1)
        if not byte or len(line) > LONGEST_HELLO:
            return None
        line += byte
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) and OURS in said else None


def _silent(home: Path, held_by: Holder) -> str:
    return (
        f"The data directory {home} is held by {held_by}, which does not answer. End it with `kcore stop --force` "
        f"(or by its process number), or work in another data directory with --home or {HOME_VARIABLE}."
    )


# -- starting ----------------------------------------------------------------------------------------------------------


def _refuse_the_unreachable(home: Path) -> None:
    """Raise if the data directory is held by a process that serves only itself."""
    for _ in range(2):  # twice: the first look may read what a dead process wrote, just before the new holder writes
        held_by = holder(home)
        if held_by is None or held_by.address is not None or held_by.command == OWNER_COMMAND:
            return
        time.sleep(RETRY)
    raise DataDirectoryHeld(held_message(home))


OWNER_COMMAND = "kcore owner"  # the command in an owner's lock file; a process with any other serves only itself


def _start(home: Path, config: str | None) -> Literal["ready", "held"]:
    """Start an owner, detached from this process, and wait until it listens or says why it cannot."""
    import subprocess

    command = [sys.executable, "-P", "-m", "knowledge_core.serving.owner", "--home", str(home)]
    if config is not None:
        command += ["--config", os.path.abspath(os.path.expanduser(config))]
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / LOGS).mkdir(exist_ok=True, mode=0o700)
        errors = open(home / LOGS / "crash.log", "ab")  # noqa: SIM115  # the child's from here on
    except OSError as error:
        raise StorageError(
            f"The data directory {home} cannot be written ({error.strerror}). "
            f"Mend its permissions, or choose another with --home or {HOME_VARIABLE}."
        ) from error
    with errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=home,
                env={**_FRUGAL, **os.environ},
                **_detached(),
            )
        except OSError as error:
            raise OwnerImpossible(f"no other process can be started here ({error.strerror})") from error
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.readline()
    return _outcome(said, process)


def _outcome(said: bytes, process: Any) -> Literal["ready", "held"]:
    try:
        told = json.loads(said)
    except ValueError:
        code = process.wait()
        raise OwnerImpossible(f"a process started in the background was ended at once (exit code {code})") from None
    if told["state"] == "ready":
        _children.append(process)
        return "ready"
    process.wait()
    if told["state"] == "held":
        return "held"
    if told["state"] == "impossible":
        raise OwnerImpossible(str(told["reason"]))
    raise StorageError(str(told["reason"]))


_children: list[Any] = []  # the owners that this process started; `reap` polls them so that dead ones stay no zombies


def reap() -> None:
    """Let the system forget those owners started here that have ended."""
    _children[:] = [process for process in _children if process.poll() is None]


def _detached() -> dict[str, Any]:
    """Return the `Popen` options that let a child outlive its parent, terminal and process group."""
    if sys.platform == "win32":
        import subprocess

        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        return {"start_new_session": True, "umask": 0o077}
