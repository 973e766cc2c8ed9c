"""What happens when a cleaner of temporary folders deletes the socket under a living owner."""

from __future__ import annotations

import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding_endpoint import EmbeddingEndpoint, Misbehave, embedding_endpoint
from knowledge_core.paths import holder
from knowledge_core.serving.pipe.dialling import connect
from owner_processes import RawPipe, kcore, own_home, owner_pid, until

OFTEN = {"idle_minutes": 0.02}  # the owner looks after its socket four times in that time


def socket_of(home: Path) -> Path:
    until(lambda: holder(home) is not None)  # it is not, for the moment in which it is written
    found = holder(home)
    assert found is not None
    assert found.address is not None
    return Path(found.address["unix"])


@pytest.fixture
def endpoint() -> Iterator[EmbeddingEndpoint]:
    with embedding_endpoint() as served:
        yield served


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, endpoint: EmbeddingEndpoint) -> Iterator[Path]:
    """A data directory whose owner has its socket in a temporary folder of this test's own."""
    remote = {"url": endpoint.url, "model": "some-model", "dimensions": 8}
    with tempfile.TemporaryDirectory(prefix="kc", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        with own_home(Path(folder), owner=OFTEN, embedding={"model": "remote", "remote": remote}) as made:
            yield made


def test_an_owner_whose_socket_is_deleted_listens_anew_and_keeps_its_clients(home, endpoint):
    with RawPipe(home) as old:
        old.initialize()
        pid, place = owner_pid(home), socket_of(home)
        go_on = threading.Event()
        endpoint.always = Misbehave(spoil=lambda items: items if go_on.wait(60) else [])
        asked = old.request("tools/call", {"name": "index", "arguments": {"documents": [{"id": "a", "text": "bread"}]}})
        until(lambda: len(endpoint.requests) > 0)

        def found_by_a_new_client() -> None:
            link = connect(home, None, "host")
            link.socket.close()
            assert link.pid == pid

        place.unlink()
        found_by_a_new_client()
        assert socket_of(home) == place

        shutil.rmtree(place.parent)
        found_by_a_new_client()
        assert socket_of(home) == place
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700

        shutil.rmtree(place.parent)
        place.parent.write_text("in the way")  # so that the socket cannot come back to its place
        found_by_a_new_client()
        assert socket_of(home) == home / "run" / place.name

        go_on.set()
        assert old.answer(asked)["result"]["structuredContent"]["indexed"] == 1
        assert kcore(home, "stop").returncode == 0
        assert "listening anew" in (home / "logs" / "owner.log").read_text()


@pytest.mark.slow
def test_a_file_that_takes_the_sockets_place_is_left_alone(home):
    with RawPipe(home) as old:
        old.initialize()
        place = socket_of(home)
        place.unlink()
        place.write_text("not ours")
        until(lambda: socket_of(home) != place)
        with RawPipe(home) as new:
            new.initialize()
        assert place.read_text() == "not ours"
