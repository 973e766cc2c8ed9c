"""The owner killed at random moments, in every phase of a call and of its own start: every request is answered."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from knowledge_core.paths import holder
from owner_processes import RawPipe, own_home

LOST = -32001


def kill_now_and_then(home: Path, chance: random.Random, over: threading.Event, kills: list[int]) -> None:
    while not over.wait(chance.random() * 1.6):  # from before it listens to long after it served
        found = holder(home)
        if found is not None and found.address is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
                kills.append(found.pid)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_request_is_answered_and_what_was_acknowledged_stays_however_often_the_owner_is_killed(tmp_path, seed):
    chance = random.Random(seed)
    with own_home(tmp_path) as home, RawPipe(home) as pipe:
        pipe.initialize()
        over, kills = threading.Event(), []
        killer = threading.Thread(target=kill_now_and_then, args=(home, chance, over, kills))
        killer.start()
        answered = lost = 0
        until = time.monotonic() + 25
        while time.monotonic() < until:
            tool, arguments = chance.choice(
                [
                    ("list_collections", {}),
                    ("search", {"query": "x", "mode": "lexical"}),
                    ("job", {"wait_seconds": 0.2}),
                ]
            )
            said = pipe.answer(pipe.request("tools/call", {"name": tool, "arguments": arguments}))
            if "error" in said:
                assert said["error"]["code"] == LOST, said
                lost += 1
            else:
                answered += 1
        over.set()
        killer.join()
        assert len(set(kills)) >= 3
        assert answered > 0
        settled = pipe.answer(pipe.request("tools/list"))
        while "error" in settled:
            settled = pipe.answer(pipe.request("tools/list"))
        assert len(settled["result"]["tools"]) == 10
