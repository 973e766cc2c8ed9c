"""How much of the machine bulk work takes: threads, priority, the battery; changed while it runs. No model."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knowledge_core.cli.main import main
from knowledge_core.config import IndexingConfig, load_config
from knowledge_core.embedding.background import bulk_work, power
from knowledge_core.embedding.background.bulk_work import REST, Allowance, BulkWork
from knowledge_core.embedding.local import lanes as module
from knowledge_core.embedding.local.lanes import Lanes
from owner_processes import until

LAPTOP = {  # as Linux shows one with a dock's plug, and a mouse of its own battery
    "AC": {"type": "Mains", "online": "0"},
    "BAT0": {"type": "Battery", "status": "Discharging", "present": "1", "capacity": "71"},
    "ucsi-source-psy-USBC000:001": {"type": "USB", "online": "0", "scope": "System"},
    "hidpp_battery_0": {"type": "Battery", "scope": "Device", "status": "Discharging", "online": "1"},
}


def supplies(folder: Path, **changed: dict[str, str] | None) -> Path:
    """Lay out a folder like /sys/class/power_supply: the laptop's, with some supplies changed, or left out by None."""
    for name, files in {**LAPTOP, **changed}.items():
        for file, content in (files or {}).items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_text(content + "\n")
    return folder


@pytest.fixture
def on_battery(tmp_path, monkeypatch):
    monkeypatch.setattr(power, "SUPPLIES", supplies(tmp_path / "power_supply"))
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.fixture(autouse=True)
def _looking_at_once(monkeypatch):
    monkeypatch.setattr(bulk_work, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.02)


class Work:
    """Lanes on which every batch waits until it is let go. `running` says which batches run now."""

    def __init__(self, allowance, cores: int = 2) -> None:
        self.running: set[str] = set()
        self.nice: dict[str, int] = {}
        self._let_go: dict[str, threading.Event] = {}
        self._callers = ThreadPoolExecutor(8)
        self.lanes: Lanes[str, list[str]] = Lanes(self._work, cores=cores, allowance=allowance)

    def _work(self, batch: list[str]) -> list[str]:
        (name,) = batch
        if sys.platform == "linux":
            self.nice[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        self.running.add(name)
        assert self._let_go.setdefault(name, threading.Event()).wait(30)
        self.running.discard(name)
        return batch

    def ask(self, *names: str, urgent: bool = False):
        return self._callers.submit(self.lanes.run, [[name] for name in names], urgent=urgent)

    def end(self, *names: str) -> None:
        for name in names:
            self._let_go.setdefault(name, threading.Event()).set()

    def runs(self, *names: str) -> None:
        until(lambda: self.running == set(names))


def test_one_thread_of_bulk_work_runs_one_batch_at_a_time_and_a_query_overtakes_the_rest():
    work = Work(lambda cores: Allowance(1))
    bulk = work.ask("b0", "b1", "b2", "b3")
    work.runs("b0")
    query = work.ask("query", urgent=True)
    work.runs("b0", "query")
    time.sleep(0.05)
    assert work.running == {"b0", "query"}, "no second batch of bulk work"
    work.end("query", "b0")
    assert query.result(30) == [["query"]]
    work.runs("b1")
    work.end("b1", "b2", "b3")
    assert len(bulk.result(30)) == 4


def test_on_one_core_a_query_overtakes_at_the_next_batch_of_low_priority_work():
    work = Work(lambda cores: Allowance(1, low=True), cores=1)
    work.ask("b0", "b1")
    work.runs("b0")
    query = work.ask("query", urgent=True)
    until(lambda: bool(work.lanes._urgent))
    work.end("b0")
    work.runs("query")
    work.end("query", "b1")
    assert query.result(30) == [["query"]]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a thread's priority as a number")
def test_bulk_work_of_low_priority_goes_behind_others_and_a_query_beside_it_does_not_wait():
    work = Work(lambda cores: Allowance(cores, low=True))
    bulk = work.ask("b0", "b1", "b2")
    work.runs("b0", "b1")
    query = work.ask("query", urgent=True)
    work.runs("b0", "b1", "query")
    work.end("query", "b0", "b1", "b2")
    assert query.result(30) == [["query"]]
    assert len(bulk.result(30)) == 3
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    assert [work.nice[name] for name in ("b0", "b1", "query")] == [min(usual + 10, 19)] * 2 + [usual]


def test_threads_and_priority_change_while_bulk_work_runs(tmp_path):
    file = tmp_path / "config.yaml"

    def configure(threads: str, priority: str) -> None:
        file.write_text(f"indexing: {{threads: {threads}, priority: {priority}}}  # {time.monotonic_ns()}\n")

    configure("1", "low")
    settings = BulkWork(load_config(tmp_path).indexing, file, lambda: load_config(tmp_path).indexing)
    work = Work(settings.allowance)
    bulk = work.ask(*(f"b{number}" for number in range(8)))
    work.runs("b0")
    configure("null", "low")
    work.runs("b0", "b1")  # at once, since a thread was free
    configure("1", "normal")
    work.end("b0", "b1")
    work.runs("b2")
    configure("nonsense", "low")  # the former settings stay
    work.end("b2")
    work.runs("b3")
    work.end(*(f"b{number}" for number in range(8)))
    assert len(bulk.result(30)) == 8


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"AC": {"type": "Mains", "online": "1"}}, False),
        ({"ucsi-source-psy-USBC000:001": {"type": "USB", "online": "1"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Full"}}, False),
        ({"BAT0": None}, False),  # a desktop with a mouse
        ({"AC": None, "ucsi-source-psy-USBC000:001": None}, True),  # a supply that does not tell of its plug
        ({"BAT0": {"type": "Battery"}}, False),
    ],
)
def test_the_battery_is_told_from_what_feeds_it_and_from_those_of_mice(tmp_path, monkeypatch, changed, expected):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(power, "SUPPLIES", supplies(tmp_path / "power_supply", **changed))
    assert power.on_battery() is expected


def test_a_system_that_does_not_tell_is_not_on_battery(tmp_path, monkeypatch):
    monkeypatch.setattr(power, "SUPPLIES", tmp_path / "nowhere")
    for platform in ("linux", "darwin", "win32", "freebsd"):
        monkeypatch.setattr(sys, "platform", platform)
        assert power.on_battery() is False


@pytest.mark.usefixtures("on_battery")
def test_on_battery_bulk_work_takes_half_of_its_threads_and_rests():
    allowed = [BulkWork(IndexingConfig(threads=threads)).allowance(8) for threads in (None, 4, 1)]
    assert allowed == [Allowance(4, True, REST), Allowance(2, True, REST), Allowance(1, True, REST)]


def test_a_rest_ends_for_a_query_and_is_given_to_no_other_batch():
    work = Work(lambda cores: Allowance(1, rest=10_000.0), cores=1)
    bulk = work.ask("b0", "b1")
    work.runs("b0")
    time.sleep(0.01)
    work.end("b0")
    work.runs()
    time.sleep(0.05)
    assert not work.running
    query = work.ask("query", urgent=True)
    work.end("query", "b1")
    assert query.result(30) == [["query"]]
    assert len(bulk.result(30)) == 2


@pytest.mark.usefixtures("on_battery")
def test_status_says_that_indexing_is_slowed_on_battery(tmp_path, capsys):
    assert main(["status", "--in-process", "--home", str(tmp_path / "home")]) == 0
    assert "On battery: indexing slowed." in capsys.readouterr().out
