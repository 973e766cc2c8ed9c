"""A file that takes its parser down is reported, and costs no other file anything."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from evil_child import EVIL, ODD, evil
from ingestion_material import Write, pdf_bytes

from knowledge_core.errors import Cancelled
from knowledge_core.ingestion.parsing import parse_in
from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.workers import limits, messages
from knowledge_core.ingestion.workers.messages import BadMessage, answer_of, parsed_of
from knowledge_core.ingestion.workers.pool import Workers
from knowledge_core.types import Document, Heading, Span
from owner_processes import until

Read = Callable[..., Document]
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="looks at processes as Linux shows them")


@pytest.fixture(scope="module")
def shared() -> Iterator[Workers]:
    """The child of most tests, each of which has files of its own; whoever ends it leaves another one."""
    made = Workers(command=EVIL, most=1)
    yield made
    made.close()


@pytest.fixture
def workers() -> Iterator[Workers]:
    """A child of the test's own: started under its environment and limits, and ended with it."""
    made = Workers(command=EVIL, most=1)
    yield made
    made.close()


def reading(workers: Workers, write: Write) -> Read:
    def made(content: bytes, name: str = "x.pdf", *, again: bool = False, stopped=lambda: False) -> Document:
        parse = parse_in(workers, again=again, stopped=stopped)
        return read_file(write(name, content), document_id=name, limit=10**8, parse=parse)

    return made


@pytest.fixture
def read(shared: Workers, write: Write) -> Read:
    return reading(shared, write)


@pytest.fixture
def read_alone(workers: Workers, write: Write) -> Read:
    return reading(workers, write)


def pids(workers: Workers) -> set[int]:
    return {worker.pid for worker in workers._all}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def refused(read: Read, content: bytes, **more) -> tuple[str, str]:
    with pytest.raises(Unreadable) as caught:
        read(content, **more)
    return caught.value.reason, str(caught.value)


def test_a_file_parsed_in_a_child_is_the_same_document_as_one_parsed_here(read, write):
    pages = pdf_bytes([["First page"], ["Second page"]], "/Title (A manual) /Author (Ada) /Keywords (one, two)")
    page = "<html lang=en><head><title>T</title></head><body><h1>Head</h1><p>Words of \U0001f600 it.</p></body></html>"
    for name, content in (("a.pdf", pages), ("b.html", page.encode())):
        assert read(content, name) == read_file(write(name, content), document_id=name, limit=10**8)


def test_every_field_of_what_a_reader_makes_gets_through_the_pipe():
    whole = Parsed("a\n\nb", "t", {"format": "pdf", "pages": 2, "tags": ["x"], "n": 1.5}, "text/plain",
                   (Span(0, 1), Span(3, 4)), (Heading(0, 1, "h"),), (2,), True)  # fmt: skip
    default = Parsed("")
    assert all(getattr(whole, each.name) != getattr(default, each.name) for each in fields(Parsed))
    header, text = answer_of(whole)
    assert parsed_of(json.loads(json.dumps(header)), text) == whole


def test_an_endless_loop_is_ended_by_the_clock_and_the_next_file_is_read(read, monkeypatch):
    read(evil("ok"))
    monkeypatch.setattr(limits, "SECONDS", 1)
    monkeypatch.setattr(limits, "WALL", 0.3)
    reason, message = refused(read, evil("sleep"))
    assert (reason, message) == (
        "too large",
        "x.pdf takes more than 1 seconds to take apart. Split it, or save it anew.",
    )
    monkeypatch.undo()
    assert read(evil("fine")).text == "harmless fine"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a process's own time")
def test_an_endless_loop_is_ended_by_the_processor_time_that_it_takes(read, monkeypatch):
    read(evil("ok"))
    monkeypatch.setattr(limits, "SECONDS", 1)
    monkeypatch.setattr(limits, "WALL", 10**9)
    assert refused(read, evil("loop"))[0] == "too large"


def test_memory_without_end_is_refused_and_the_next_file_is_read(read):
    reason, message = refused(read, evil("memory"))
    assert reason == "too large"
    assert "MB of memory" in message
    assert read(evil("fine")).text == "harmless fine"


@pytest.mark.slow
@needs_proc
def test_a_child_that_is_seen_with_too_much_memory_is_ended(workers, read_alone, monkeypatch):
    monkeypatch.setattr(limits, "MEMORY", 10**9)
    read_alone(evil("ok"))
    monkeypatch.setattr(limits, "resident", lambda process: 10**10)
    assert refused(read_alone, evil("sleep"))[0] == "too large"


@needs_proc
def test_children_that_died_while_idle_are_no_files_failure(write):
    workers = Workers(command=EVIL, most=2)
    try:
        for child in [workers._taken(lambda: False), workers._taken(lambda: False)]:
            workers._give_back(child)
        idle = pids(workers)
        for pid in idle:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(alive, idle)))
        parse = parse_in(workers, again=False, stopped=lambda: False)
        document = read_file(write("x.pdf", evil("harmless")), document_id="x.pdf", limit=10**8, parse=parse)
        assert document.text == "harmless harmless"
        assert len(idle) == 2
        assert not idle & pids(workers)
    finally:
        workers.close()


def test_a_child_that_fails_to_start_in_an_unknown_way_blocks_no_later_file(write):
    def broken() -> bool:
        raise RuntimeError("no priority is known")

    workers = Workers(command=EVIL, most=1, low=broken)
    parse = parse_in(workers, again=False, stopped=lambda: False)
    for _ in range(2):
        with pytest.raises(Unreadable):
            read_file(write("x.pdf", evil("harmless")), document_id="x.pdf", limit=10**8, parse=parse)
    workers.close()


@pytest.mark.parametrize("deed", ["crash", pytest.param("exit", marks=pytest.mark.slow)])
def test_a_crash_is_the_files_failure_when_it_happens_twice(read, deed):
    assert refused(read, evil(deed)) == (
        "damaged", "x.pdf ended the process that took it apart. Open it elsewhere and save it anew.",
    )  # fmt: skip
    assert read(evil("fine")).text == "harmless fine"


def test_an_error_of_a_parser_is_told_by_its_kind_and_costs_no_child(shared, read):
    read(evil("ok"))
    before = pids(shared)
    assert refused(read, evil("raise")) == (
        "damaged",
        "x.pdf could not be taken apart (ZeroDivisionError). Save it anew.",
    )
    assert pids(shared) == before


def test_a_child_that_was_killed_once_by_somebody_costs_its_file_nothing(read, tmp_path):
    assert read(evil("crash-once", str(tmp_path / "flag"))).text == "harmless crash-once"


def frame(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">QQ", len(header), len(body)) + header + body


GARBAGE = {
    "too long": struct.pack(">QQ", 2**40, 0),
    "body too long": struct.pack(">QQ", 2, 2**60),
    "no JSON": frame(b"{"),
    "a list": frame(b"[]"),
    "nothing in it": frame(b"{}"),
    "deep": frame(b"[" * 100_000),
    "unknown reason": frame(b'{"unreadable": ["fun", "x"]}'),
    "unreadable is a number": frame(b'{"unreadable": 3}'),
    "NUL": frame(json.dumps(answer_of(Parsed("abc"))[0]).encode(), b"a\0c"),
    "no UTF-8": frame(json.dumps(answer_of(Parsed("abc"))[0]).encode(), b"a\xed\xa0\x80"),
    **{name: frame(json.dumps(answer_of(odd)[0]).encode(), answer_of(odd)[1]) for name, odd in ODD.items()},
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_answer_or_out_of_bounds_is_not_believed(said):
    with pytest.raises(BadMessage):
        parsed_of(*messages.read(io.BytesIO(said), limits.MOST_ABOUT, limits.MOST_TEXT))


def test_what_a_reader_lets_slip_does_not_cost_the_file():
    parsed = Parsed("a\0b\ud800c", headings=(Heading(0, 1, "h" * 20_000),))
    kept = parsed_of(*answer_of(parsed))
    assert kept.text == "a\N{REPLACEMENT CHARACTER}b?c"
    assert len(kept.headings[0].name) == 10_000


def test_metadata_without_bounds_are_cut_to_those_of_all_files():
    header, body = answer_of(
        Parsed("words", metadata={"format": "pdf", "\0$": "x" * 10**6, "id": 2**99, "deep": [[["\ud800"]]]})
    )  # type: ignore[dict-item]
    metadata = parsed_of(header, body).metadata
    assert metadata["format"] == "pdf"
    json.dumps(metadata, ensure_ascii=False).encode("utf-8")
    assert len(json.dumps(metadata)) < 17_000


@pytest.mark.parametrize("deed", ["say", pytest.param("span-outside", marks=pytest.mark.slow)])
def test_a_child_that_answers_nonsense_is_exchanged(read, deed):
    garbage = struct.pack(">QQ", 2**40, 0).hex()
    assert refused(read, evil(deed, garbage)) == (
        "damaged",
        "x.pdf made the process that took it apart answer nonsense. Open it elsewhere and save it anew.",
    )
    assert read(evil("fine")).text == "harmless fine"


def test_more_text_than_is_taken_is_refused(read, monkeypatch):
    read(evil("ok"))
    monkeypatch.setattr(limits, "MOST_TEXT", 1_000_000)  # here; the child knows another limit
    assert refused(read, evil("huge"))[0] == "damaged"


def test_what_a_library_prints_does_not_get_between_the_answers(read):
    assert read(evil("print")).text == "harmless print"
    assert read(evil("fine")).text == "harmless fine"


def test_what_ended_a_child_is_not_tried_again_unless_it_is_asked_for(workers, read_alone):
    refused(read_alone, evil("memory"))
    pid = (read_alone(evil("fine")), pids(workers))[1]
    assert refused(read_alone, evil("memory"), name="copy.pdf")[1].startswith("copy.pdf takes more than")
    assert pids(workers) == pid, "the child was not asked"
    refused(read_alone, evil("memory"), again=True)
    assert pids(workers) != pid


def test_the_environment_of_the_child_holds_no_secrets(read_alone, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy")
    text = read_alone(evil("environment", "x")).text + "x"
    assert "secret" not in text
    assert "password" not in text


def test_the_child_knows_no_model_no_arrays_no_record_and_no_protocol(read_alone):
    read_alone(pdf_bytes([["words"]]), "honest.pdf")
    loaded = {name.partition(".")[0] for name in read_alone(evil("modules")).text.split()}
    assert not loaded & {"torch", "onnxruntime", "usearch", "numpy", "tantivy", "sqlite3", "mcp", "httpx2", "pydantic"}


@needs_proc
def test_the_child_takes_little_memory(workers, read_alone):
    read_alone(pdf_bytes([["words"]]))
    assert 0 < sum(workers.memory()) < 70_000_000


@needs_proc
def test_a_child_that_nobody_needs_is_ended(write):
    workers = Workers(command=EVIL, most=1, idle=0.2)
    parse = parse_in(workers, again=False, stopped=lambda: False)
    read_file(write("x.pdf", evil("ok")), document_id="x", limit=10**8, parse=parse)
    (pid,) = pids(workers)
    until(lambda: not workers.memory() and not alive(pid))
    read_file(write("x.pdf", evil("ok")), document_id="x", limit=10**8, parse=parse)
    workers.close()


def test_stopping_ends_the_child_in_the_middle_of_a_file(workers, read_alone):
    read_alone(evil("ok"))
    began = time.monotonic()
    with pytest.raises(Cancelled):
        read_alone(evil("sleep"), stopped=lambda: True)
    assert time.monotonic() - began < 5
    assert not pids(workers)


def test_closing_ends_a_child_in_the_middle_of_a_file(workers, read_alone):
    read_alone(evil("ok"))
    ended = []

    def reading() -> None:
        with pytest.raises(Cancelled):
            read_alone(evil("sleep"), "sleep.pdf")
        ended.append(True)

    thread = threading.Thread(target=reading)
    thread.start()
    time.sleep(0.1)
    workers.close()
    thread.join(10)
    assert ended


@pytest.mark.parametrize(
    "command", [("/nowhere/python",), (sys.executable, "-c", "pass")], ids=["no exec", "ends at once"]
)
def test_where_no_child_can_be_started_files_are_parsed_here_and_it_is_told(write, command):
    workers = Workers(command=command)
    parse = parse_in(workers, again=False, stopped=lambda: False)
    document = read_file(write("x.pdf", pdf_bytes([["words"]])), document_id="x", limit=10**8, parse=parse)
    assert document.text == "words"
    (notice,) = workers.notices()
    assert notice.startswith("Documents are parsed in the owner's own process")
    workers.close()


OWNER = """
import sys, threading, time
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from evil_child import EVIL, evil
from knowledge_core.ingestion.content import BY_NAME
from knowledge_core.ingestion.workers.pool import Workers
workers = Workers(command=EVIL)
workers.parse(BY_NAME["pdf"], evil("ok"), "x")
threading.Thread(target=workers.parse, args=(BY_NAME["pdf"], evil(sys.argv[3]), "x"), daemon=True).start()
time.sleep(0.2)
print(*(worker.pid for worker in workers._all), flush=True)
time.sleep(1000)
"""


@needs_proc
@pytest.mark.parametrize("deed", ["ok", "loop", pytest.param("sleep", marks=pytest.mark.slow)])
def test_no_child_outlives_an_owner_that_was_killed(deed):
    here = Path(__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(here), str(here.parents[1]), deed], stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert alive(pid)
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        until(lambda: not alive(pid), 10)
