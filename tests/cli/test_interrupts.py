"""Ctrl-C while a command's process ends: a message and an exit code, and never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from owner_processes import environment

PRESS = """
import atexit, os, signal, sys, threading, time
from knowledge_core.cli.main import main

def press():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)

def press_when_the_main_thread_waits():
    threading.main_thread().join()
    press()

def run():
    code = main()
    press()
    return code

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have put them into the background
when = sys.argv.pop(1)
if when == "last callbacks":
    atexit.register(press)
if when == "waiting for threads":
    threading.Thread(target=press_when_the_main_thread_waits).start()
sys.exit(run() if when == "after the command" else main())
"""


@pytest.mark.parametrize(
    ("when", "code", "said"),
    [
        ("after the command", 130, "kcore: interrupted; what was acknowledged stays\n"),
        ("waiting for threads", 130, "kcore: interrupted; what was acknowledged stays\n"),
        ("last callbacks", 0, ""),  # too late to interrupt anything
    ],
)
def test_ctrl_c_while_the_process_ends_is_told_without_a_traceback(home, when, code, said):
    command = [sys.executable, "-c", PRESS, when, "logs"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(home), check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (code, said)
