"""An owner that may have few files open: it serves many collections, refuses clients in words, and outlives a shortage."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from embedding_endpoint import embedding_endpoint
from knowledge_core.errors import OwnerUnavailable
from knowledge_core.serving.pipe.dialling import Link, connect
from owner_processes import KCORE, RawPipe, environment, own_home, owner_pid, until

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists what a process has open")

LIMIT = 128
MANY = 20  # collections: with all of them open at once there would be none left
ROOM = 4  # collections that are open at once under that limit
CLIENTS = 21  # hosts


@contextmanager
def limited(folder: Path, limit: int) -> Iterator[Path]:
    """Yield a data directory whose owner was started under a limit that it cannot raise."""
    with embedding_endpoint() as endpoint:
        remote = {"url": endpoint.url, "model": "some-model", "dimensions": 8}
        with own_home(folder, embedding={"model": "remote", "remote": remote}) as home:
            command = ["sh", "-c", 'ulimit -n "$0"; exec "$@"', str(limit), *KCORE, "list"]
            subprocess.run(command, env=environment(home), check=True, capture_output=True)
            assert resource.prlimit(owner_pid(home), resource.RLIMIT_NOFILE) == (limit, limit)
            yield home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with limited(tmp_path_factory.mktemp("few"), LIMIT) as made:
        yield made


def opened(home: Path) -> int:
    return len(os.listdir(f"/proc/{owner_pid(home)}/fd"))


def told(answer: dict[str, Any]) -> tuple[bool, str]:
    result = answer["result"]
    return bool(result.get("isError")), result["content"][0]["text"]


def fill(pipe: RawPipe, count: int) -> None:
    for number in range(count):
        document = {"id": "a", "text": f"bread number {number}"}
        failed, text = told(pipe.call("index", collection=f"c{number:03}", documents=[document]))
        assert not failed, text


def serves(home: Path, count: int, limit: int, room: int) -> None:
    with RawPipe(home) as pipe:
        pipe.initialize()
        fill(pipe, count)
        names = [f"c{number:03}" for number in range(count)]
        most = 0
        for name in names:
            failed, text = told(pipe.call("search", query="bread", mode="lexical", collections=[name]))
            assert not failed, text
            most = max(most, opened(home))
        assert most < limit - limit // 5, "there is room for clients"
        listed, cursor = [], None
        while not listed or cursor:
            page = pipe.call("list_collections", **({"cursor": cursor} if cursor else {}))["result"][
                "structuredContent"
            ]
            listed += [each["name"] for each in page["collections"]]
            cursor = page.get("cursor")
        assert set(names) <= set(listed)
        failed, text = told(pipe.call("search", query="bread", mode="lexical"))
        assert failed
        assert f"limit of {limit} open files has room for {room}. Name at most so many" in text
        assert "ulimit -n" in text
        failed, text = told(pipe.call("search", query="bread", collections=names[:room]))
        assert not failed, text


def test_more_collections_are_served_than_could_be_open_at_once(home):
    serves(home, MANY, LIMIT, ROOM)


@pytest.mark.slow
def test_300_collections_are_served_under_the_limit_that_macos_gives_to_what_a_person_starts(tmp_path):
    with limited(tmp_path, 256) as home:
        serves(home, 300, 256, 19)


def test_a_client_too_many_is_told_why_and_commands_still_get_in(home):
    with ExitStack() as stack:

        def client(role: str) -> Link:
            link = connect(home, None, role)  # type: ignore[arg-type]
            stack.callback(link.socket.close)
            return link

        with ThreadPoolExecutor(8) as at_once:
            hosts = list(at_once.map(client, ["host"] * CLIENTS))
        with pytest.raises(
            OwnerUnavailable, match=f"{CLIENTS} clients are connected, as many as the limit of {LIMIT} open"
        ):
            client("host")
        assert client("cli").pid == owner_pid(home)
        hosts[0].socket.close()

        def comes_in() -> bool:
            try:
                return client("host").pid == owner_pid(home)
            except OwnerUnavailable:
                return False

        until(comes_in)


def test_a_limit_that_is_a_habit_of_the_shell_is_raised(tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with own_home(tmp_path) as home:
        subprocess.run(
            ["sh", "-c", 'ulimit -Sn 100; exec "$@"', "sh", *KCORE, "list"],
            env=environment(home), check=True, capture_output=True,
        )  # fmt: skip
        assert resource.prlimit(owner_pid(home), resource.RLIMIT_NOFILE)[0] == min(hard, 65_536)


@contextmanager
def nothing_more_to_open(home: Path) -> Iterator[None]:
    pid = owner_pid(home)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, LIMIT))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_an_owner_that_can_open_nothing_more_says_so_and_goes_on(home):
    def search(pipe: RawPipe, name: str) -> tuple[bool, str]:
        return told(pipe.call("search", query="bread", mode="lexical", collections=[name]))

    with RawPipe(home) as pipe, ThreadPoolExecutor(1) as beside:
        pipe.initialize()
        fill(pipe, ROOM + 3)
        with nothing_more_to_open(home):
            documents = [{"id": "a", "text": "bread"}]
            for answer in (search(pipe, "c000"), told(pipe.call("index", collection="new", documents=documents))):
                failed, text = answer
                assert failed
                assert "Too many files are open" in text, text
                assert "ulimit -n" in text
            assert search(pipe, f"c{ROOM + 2:03}")[0] is False  # what is open answers
            waiting = beside.submit(connect, home, None, "host")
            log = home / "logs" / "owner.log"
            until(lambda: "connections wait: Too many files are open" in log.read_text())
            assert not waiting.done()
        link = waiting.result()
        link.socket.close()
        assert link.pid == owner_pid(home)
        assert search(pipe, "c000")[0] is False
        assert "was discarded" not in log.read_text()  # no sound index is thrown away for that
