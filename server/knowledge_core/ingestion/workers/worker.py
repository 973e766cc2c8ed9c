"""One child process that parses, seen from the owner: started, asked for one file at a time, killed where that must be."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from knowledge_core.errors import Cancelled
from knowledge_core.ingestion.workers import limits
from knowledge_core.ingestion.workers.messages import BadMessage, read, write

CHILD = (sys.executable, "-P", "-m", "knowledge_core.ingestion.workers.child")
START_WITHIN = 120.0  # seconds until it says that it is ready; 0.2 on an idle machine, 15 were seen on a busy one
LOOK = 0.1  # seconds between two looks at its memory, and at whether it should stop
_NEARLY = 0.8  # of the memory; a child that was seen with so much and died by itself died of that
# What the child may know of the environment: where the system and Python's files are. No tokens, no proxies, no home.
_ENVIRONMENT = (
    "SYSTEMROOT", "WINDIR", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONHOME", "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
)  # fmt: skip

Loss = Literal["time", "memory", "output", "crash", "garbage"]
Answer = tuple[dict[str, Any], bytes]


class CannotStart(Exception):
    """No child process can be started here."""


class Lost(Exception):
    """The child did not answer, and is gone. why: what it exceeded, or how it ended."""

    def __init__(self, why: Loss) -> None:
        super().__init__(why)
        self.why: Loss = why


class Worker:
    """A running child. One thread at a time may ask it.

    command: starts a child.
    low: it lets other programs go before it.

    Attributes:
        used: `time.monotonic()` of its last answer.

    Raises:
        CannotStart: see there.
    """

    def __init__(self, command: Sequence[str] = CHILD, *, low: bool = True) -> None:
        self._memory = limits.memory()
        lowered = ["--low"] if low else []
        try:
            self._process = subprocess.Popen(
                [*command, "--memory", str(self._memory), *lowered],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}, **_options(low),
            )  # fmt: skip
        except OSError as error:
            raise CannotStart(error.strerror or type(error).__name__) from error
        self.used = time.monotonic()
        try:
            self._exchanged(None, START_WITHIN, lambda: False)
        except Lost as error:
            code = self._process.returncode
            raise CannotStart(f"it ended at once, exit code {code}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Say whether its process still runs."""
        return self._process.poll() is None

    def memory(self) -> int:
        """Return its resident memory in bytes; 0 where the system does not tell."""
        return limits.resident(self._process.pid)

    def ask(self, header: Mapping[str, Any], body: bytes, stopped: Callable[[], bool]) -> Answer:
        """Send a request and return the answer.

        stopped: asked ten times a second; once it says yes, the child is killed.

        Raises:
            Lost: the child is gone. Cancelled: `stopped` said yes, and the child is gone.
        """
        seconds = limits.seconds(len(body))
        answer = self._exchanged(({**header, "seconds": seconds}, body), seconds * limits.WALL, stopped)
        if (lost := answer[0].get("lost")) in ("memory", "output"):
            self.kill()
            raise Lost(lost)
        self.used = time.monotonic()
        return answer

    def kill(self) -> None:
        """End it, whatever it does, and wait until it has ended."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                assert pipe is not None
                pipe.close()

    def _exchanged(self, request: Answer | None, seconds: float, stopped: Callable[[], bool]) -> Answer:
        answers: queue.SimpleQueue[Answer | BadMessage | None] = queue.SimpleQueue()
        # On a thread: a child that does not read would hold whoever writes to it.
        exchange = threading.Thread(target=self._exchange, args=(request, answers), daemon=True)
        exchange.start()
        try:
            answer = self._awaited(answers, time.monotonic() + seconds, stopped)
            exchange.join()
            return answer
        except (Lost, Cancelled):
            self._process.kill()
            exchange.join()  # its pipe has ended
            self.kill()
            raise

    def _exchange(self, request: Answer | None, answers: queue.SimpleQueue[Answer | BadMessage | None]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if request is not None:
                write(self._process.stdin, *request)
            answers.put(read(self._process.stdout, limits.MOST_ABOUT, limits.MOST_TEXT))
        except BadMessage as error:
            answers.put(error)
        except (OSError, ValueError, MemoryError):  # it died; its pipe was closed
            answers.put(None)

    def _awaited(
        self, answers: queue.SimpleQueue[Answer | BadMessage | None], deadline: float, stopped: Callable[[], bool]
    ) -> Answer:
        most = 0
        while True:
            try:
                answer = answers.get(timeout=LOOK)
                break
            except queue.Empty:
                most = max(most, self.memory())
                if stopped():
                    raise Cancelled("Stopped in the middle of a file; what was acknowledged stays.") from None
                if most > self._memory:
                    raise Lost("memory") from None
                if time.monotonic() > deadline:
                    raise Lost("time") from None
        if isinstance(answer, BadMessage):
            raise Lost("garbage")
        if answer is None:
            raise Lost(self._how_it_ended(most))
        return answer

    def _how_it_ended(self, most: int) -> Loss:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        if sys.platform != "win32" and self._process.returncode == -signal.SIGXCPU:
            return "time"
        return "memory" if most > _NEARLY * self._memory else "crash"


def _options(low: bool) -> dict[str, Any]:
    if sys.platform == "win32":
        lowered = subprocess.BELOW_NORMAL_PRIORITY_CLASS if low else 0
        return {"creationflags": subprocess.CREATE_NO_WINDOW | lowered}
    return {}
