"""Real pipes and owners for tests: `kcore serve` as a child process, spoken to line by line."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from knowledge_core.paths import holder, is_held

KCORE = [sys.executable, "-m", "knowledge_core.cli.main"]
PATIENT = 60.0  # seconds: only a test that fails waits so long

LEGACY = "2025-11-25"
MODERN = "2026-07-28"


def environment(home: Path, **more: str) -> dict[str, str]:
    own = {"KNOWLEDGE_CORE_HOME": str(home), "HOME": str(home.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **own, **more}


def kcore(home: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command as a person does, in a process of its own."""
    command = [*KCORE, *argv]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment(home, **more), check=False, stdin=subprocess.DEVNULL
    )


def owner_pid(home: Path) -> int:
    found = holder(home)
    assert found is not None
    return found.pid


def end_owner(home: Path) -> None:
    """Kill the owner of a data directory, if one runs, and wait until it is gone."""
    found = holder(home)
    if found is None or found.pid == os.getpid() or not is_held(home):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGKILL)
    until(lambda: not is_held(home))


def until(true: Callable[[], bool], seconds: float = PATIENT) -> None:
    """Wait until something is true; fail if it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.01)


class RawPipe:
    """One `kcore serve` and what is said over it, as lines."""

    def __init__(self, home: Path, *argv: str, **more: str) -> None:
        self.process = subprocess.Popen(
            [*KCORE, "serve", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(home, **more),
        )
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        self.errors = b""
        self._next = 0
        for target in (self._read, self._read_errors):
            threading.Thread(target=target, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> int:
        self._next += 1
        message = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": dict(params or {})}
        self.send(json.dumps(message).encode() + b"\n")
        return self._next

    def answer(self, id: int | None, seconds: float = PATIENT) -> dict[str, Any]:
        """Return the answer to a request; what else comes before it is dropped."""
        deadline = time.monotonic() + seconds
        while True:
            line = self.lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            assert line is not None, f"the pipe ended: {self.errors.decode()}"
            said: dict[str, Any] = json.loads(line)
            if "method" not in said and said.get("id") == id:
                return said

    def initialize(self) -> dict[str, Any]:
        info = {"name": "test", "version": "1"}
        said = self.answer(
            self.request("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info})
        )
        self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        return said

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.answer(self.request("tools/call", {"name": tool, "arguments": arguments}))

    def __enter__(self) -> RawPipe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def own_home(folder: Path, **config: Any) -> Iterator[Path]:
    """Yield a data directory whose owner, if any, ends with the block."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    if config:
        (home / "config.yaml").write_text(json.dumps(config))
    try:
        yield home
    finally:
        end_owner(home)
