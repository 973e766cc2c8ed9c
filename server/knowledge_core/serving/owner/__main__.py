"""The owner: the process that holds a data directory, its model and its index, for all clients.

`python -m knowledge_core.serving.owner --home DIR`, started by the first pipe or command that finds no owner. The order
matters: first the lock, before any import beyond the standard library, so that of ten owners started at once nine end
at almost no cost; then the socket, so that clients wait in its queue instead of dialling again; then the libraries.

It ends in order: stop accepting, say goodbye, let calls under way and the present batch finish, close, release the lock.
A client that comes after that starts the next owner, which resumes the jobs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge_core.errors import DataDirectoryHeld, KnowledgeCoreError, StorageError
from knowledge_core.paths import OwnerLock
from knowledge_core.serving.pipe.dialling import HELD, IMPOSSIBLE, OWNER_COMMAND
from knowledge_core.serving.pipe.local_socket import listen, unlink

if TYPE_CHECKING:
    import socket


def main(argv: Sequence[str] | None = None) -> int:
    """Own a data directory until this process is idle, stopped or replaced; return the exit code."""
    parser = argparse.ArgumentParser(prog="knowledge_core.serving.owner", description=__doc__)
    parser.add_argument("--home", required=True)
    parser.add_argument("--config")
    arguments = parser.parse_args(argv)
    home = Path(arguments.home)
    os.umask(0o077)
    notes: list[str] = []
    try:
        lock = OwnerLock(home, OWNER_COMMAND)
    except DataDirectoryHeld as error:
        return _say(HELD, state="held", reason=str(error))
    except StorageError as error:
        return _say(1, state="failed", reason=str(error))
    with lock:
        try:
            listener, address = listen(home, notes.append)
        except OSError as error:
            return _say(IMPOSSIBLE, state="impossible", reason=f"sockets are refused here ({error.strerror or error})")
        lock.announce(address)
        _say(0, state="ready")
        _leave_stdout()
        try:
            return _own(home, arguments.config, lock, listener, address, notes)
        finally:
            unlink(address)
            listener.close()


def _own(
    home: Path, config: str | None, lock: OwnerLock, listener: socket.socket, address: dict[str, Any], notes: list[str]
) -> int:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any import of a model library: no network
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import faulthandler
    import logging

    from knowledge_core.serving.logs import log_to

    faulthandler.enable()  # writes to stderr, which is crash.log
    try:
        log_to(home)
        log = logging.getLogger(__name__)
        for note in notes:
            log.warning("%s", note)
        from knowledge_core.serving.owner.lifecycle import run_owner

        run_owner(home, config, lock, listener, address)
    except KnowledgeCoreError as error:
        _refuse(listener, str(error))
        return 1
    except Exception as error:
        logging.getLogger(__name__).exception("the owner failed")
        _refuse(listener, f"The owner failed ({type(error).__name__}); see {home / 'logs'}.")
        return 1
    return 0


def _say(code: int, **content: Any) -> int:
    """Tell whoever started this process the outcome, in one line on stdout; return the exit code."""
    with contextlib.suppress(OSError):  # whoever started it may be gone
        os.write(1, json.dumps(content).encode() + b"\n")
    return code


def _leave_stdout() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _refuse(listener: socket.socket, reason: str) -> None:
    """Tell the waiting clients why there will be no owner, before this process ends."""
    from knowledge_core.serving.pipe.lines import OURS, own_line

    listener.settimeout(0.5)
    try:
        while True:
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(0.5)
                accepted.recv(4096)  # the hello: closing with it unread would reset the connection and lose our answer
                accepted.sendall(own_line(**{OURS: "refused", "refused": reason}))
    except OSError:
        return


if __name__ == "__main__":
    code = main()
    # Without Python's own exit, which would wait for a thread that still loads a model: everything is closed.
    sys.stderr.flush()
    os._exit(code)
