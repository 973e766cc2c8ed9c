"""The children that parse for an owner: started when a file comes, ended when none has come for a while.

Rules kept here:
- a child that exceeds a limit, dies or answers nonsense is gone, its file is reported, and the next file gets another child;
- what did that is known by its bytes, and is not tried again unless a person names the file;
- a death without a limit counts only when it happens twice: the first may be another program's, or another file's, doing;
- where no child can be started, files are parsed here, and `notices` says so.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from knowledge_core.errors import Cancelled
from knowledge_core.ingestion.content import reader_of
from knowledge_core.ingestion.format_table import Format
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.unreadable import Reason, Unreadable
from knowledge_core.ingestion.workers import limits
from knowledge_core.ingestion.workers.messages import BadMessage, parsed_of
from knowledge_core.ingestion.workers.worker import CHILD, CannotStart, Loss, Lost, Worker

IDLE = 30.0  # seconds; a child that was needed for nothing so long is ended
KEPT_SIZE = 300_000_000  # bytes; a child that is larger after a file is exchanged, because memory is rarely given back
MOST_CHILDREN = 4  # one file at a time is read for each job
TRY_AGAIN = 300.0  # seconds after which it is tried anew whether a child can be started
REMEMBERED = 1000  # files that a child did not survive

_REASONS: dict[Loss, tuple[Reason, str]] = {
    "time": ("too large", "takes more than {seconds} seconds to take apart. Split it, or save it anew."),
    "memory": ("too large", "takes more than {memory} MB of memory to take apart. Split it, or save it anew."),
    "output": ("too large", "becomes more than {text} MB of text. Split it."),
    "crash": ("damaged", "ended the process that took it apart. Open it elsewhere and save it anew."),
    "garbage": ("damaged", "made the process that took it apart answer nonsense. Open it elsewhere and save it anew."),
}


def _never() -> bool:
    return False


class Workers:
    """The children of one owner. Any number of threads may parse; each takes a child for one file.

    low: asked when a child is started: whether it has a lower priority than other programs.
    command: starts a child.
    most: children at once; None: one for each two cores.
    idle: seconds after which a child that is not needed is ended.
    """

    def __init__(
        self,
        *,
        low: Callable[[], bool] = lambda: True,
        command: Sequence[str] | None = None,
        most: int | None = None,
        idle: float = IDLE,
    ) -> None:
        self._low, self._command, self._idle = low, command or CHILD, idle
        self._most = most or max(1, min(MOST_CHILDREN, _cores() // 2))
        self._changed = threading.Condition()  # guards what follows; nothing is started or waited for under it
        self._all: set[Worker] = set()
        self._free: list[Worker] = []
        self._starting = 0
        self._reaper: threading.Timer | None = None
        self._killers: dict[tuple[str, int, bytes], Loss] = {}
        self._refused: tuple[float, str] | None = None  # when no child could be started, and why
        self._closed = False

    def parse(
        self,
        format: Format,
        content: bytes | str,
        name: str,
        *,
        again: bool = False,
        stopped: Callable[[], bool] = _never,
    ) -> Parsed:
        """Return what the format's reader makes of a file, run in a child.

        content: its bytes; for a format of texts, its text.
        name: the file's name in messages.
        again: also where these bytes ended a child before.
        stopped: asked while waiting; once it says yes, the child is killed.

        Raises:
            Unreadable: the reader says what is wrong with the file, or the child did not survive it.
            Cancelled: `stopped` said yes.
        """
        body = content.encode("utf-8", "replace") if isinstance(content, str) else content
        if not again and (loss := self._known(format, body)):
            _refuse(name, loss, len(body))
        request = {"format": format.name, "name": name, "is_text": isinstance(content, str)}
        for last in (False, True):
            worker = self._taken(stopped)
            if worker is None:
                return self._here(format, content, name)
            outcome = self._asked(worker, request, body, stopped)
            if isinstance(outcome, Parsed):
                return outcome
            if outcome != "crash" or last:
                self._remember(format, body, outcome)
                _refuse(name, outcome, len(body))
        raise AssertionError("unreachable")

    def notices(self) -> list[str]:
        """Return what a person should know about it, in sentences."""
        refused = self._refused
        if refused is None:
            return []
        return [
            "Documents are parsed in the owner's own process, without limits of memory and time, because no child "
            f"process can be started ({refused[1]})."
        ]

    def memory(self) -> list[int]:
        """Return the resident bytes of each child that runs; 0 where the system does not tell."""
        with self._changed:
            return [worker.memory() for worker in self._all]

    def close(self) -> None:
        """End all children; files that are being parsed are given up within a second."""
        with self._changed:
            self._closed = True
            free, self._free = self._free, []
            self._all -= set(free)
            if self._reaper is not None:
                self._reaper.cancel()
            self._changed.notify_all()
        for worker in free:
            worker.kill()

    def _asked(
        self, worker: Worker, request: Mapping[str, Any], body: bytes, stopped: Callable[[], bool]
    ) -> Parsed | Loss:
        """Return what a child makes of a file, or why it is gone. Whatever happens, it is free again or gone."""
        try:
            parsed = parsed_of(*worker.ask(request, body, lambda: stopped() or self._closed))
        except Unreadable:
            self._give_back(worker)
            raise
        except Lost as lost:
            self._gone(worker)
            return lost.why
        except BadMessage:
            self._gone(worker)
            return "garbage"
        except BaseException:
            self._gone(worker)
            raise
        self._give_back(worker)
        return parsed

    # -- children --------------------------------------------------------------------------------------------------

    def _taken(self, stopped: Callable[[], bool]) -> Worker | None:
        """Return a child that nobody else has, waiting for one if need be; None where none can be started."""
        with self._changed:
            self._forget_dead()
            while not self._free and len(self._all) + self._starting >= self._most:
                if stopped() or self._closed:
                    raise Cancelled("Stopped before a file; what was acknowledged stays.")
                self._changed.wait(0.1)
            if self._free:
                return self._free.pop()
            if self._refused is not None and time.monotonic() - self._refused[0] < TRY_AGAIN:
                return None
            self._starting += 1
        return self._started()

    def _started(self) -> Worker | None:
        worker, refused = None, None
        try:
            worker = Worker(self._command, low=self._low())
        except CannotStart as error:
            refused = (time.monotonic(), str(error))
        finally:
            with self._changed:
                self._starting -= 1
                self._refused = refused
                self._changed.notify_all()
                if worker is not None:
                    self._all.add(worker)
        return worker

    def _forget_dead(self) -> None:
        """Forget children that died while nobody needed them, so that no file is blamed for it. Called under the lock."""
        dead = {worker for worker in self._free if not worker.alive}
        self._free = [worker for worker in self._free if worker not in dead]
        self._all -= dead
        for worker in dead:
            worker.kill()  # closes its pipes; there is nothing to wait for

    def _give_back(self, worker: Worker) -> None:
        if worker.memory() > KEPT_SIZE:
            self._gone(worker)
            return
        with self._changed:
            closed = self._closed
            if closed:
                self._all.discard(worker)
            else:
                self._free.append(worker)
                self._watch_idle()
            self._changed.notify()
        if closed:
            worker.kill()

    def _gone(self, worker: Worker) -> None:
        worker.kill()
        with self._changed:
            self._all.discard(worker)
            self._changed.notify()

    def _watch_idle(self) -> None:
        if self._reaper is None and not self._closed:
            self._reaper = threading.Timer(self._idle, self._end_idle)
            self._reaper.daemon = True
            self._reaper.start()

    def _end_idle(self) -> None:
        with self._changed:
            self._reaper = None
            old = [worker for worker in self._free if time.monotonic() - worker.used >= self._idle]
            self._free = [worker for worker in self._free if worker not in old]
            self._all -= set(old)
            if self._free:
                self._watch_idle()
        for worker in old:
            worker.kill()

    # -- files -----------------------------------------------------------------------------------------------------

    def _here(self, format: Format, content: bytes | str, name: str) -> Parsed:
        parsed: Parsed = reader_of(format)(content, name)
        return parsed

    def _known(self, format: Format, body: bytes) -> Loss | None:
        """Return how a child was lost over these bytes before; None where none was."""
        kind = (format.name, len(body))
        with self._changed:
            alike = any(known[:2] == kind for known in self._killers)
            return self._killers.get((*kind, _digest(body))) if alike else None

    def _remember(self, format: Format, body: bytes, loss: Loss) -> None:
        key = (format.name, len(body), _digest(body))
        with self._changed:
            while len(self._killers) >= REMEMBERED:
                del self._killers[next(iter(self._killers))]
            self._killers[key] = loss


def _refuse(name: str, loss: Loss, size: int) -> NoReturn:
    reason, message = _REASONS[loss]
    text, memory = limits.MOST_TEXT // 1_000_000, limits.memory() // 1_000_000
    raise Unreadable(reason, f"{name} " + message.format(seconds=limits.seconds(size), memory=memory, text=text))


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
