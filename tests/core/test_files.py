"""A file that is replaced is the old one or the new one, whatever the disk does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from knowledge_core.cli.clients.setup import write
from knowledge_core.embedding.models.hub_cache import CachedRepository
from knowledge_core.errors import StorageError
from knowledge_core.files import replace_file
from knowledge_core.serving.pipe import local_socket

COMMIT = "0123456789" * 4


def listen_on_loopback(file: Path) -> None:
    listening, _ = local_socket.listen(file.parent, lambda note: None)
    listening.close()


WRITERS: dict[str, Callable[[Path], object]] = {
    "owner.secret": listen_on_loopback,
    "client.json": lambda file: write(file, "{}"),
    "cache/models--a--b/refs/main": lambda file: CachedRepository(file.parents[2], "a/b").point("main", COMMIT),
    "roots.json": lambda file: replace_file(file, [b"{}"]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_whole_and_nothing_half_written(name, tmp_path, monkeypatch):
    monkeypatch.setenv(local_socket.TRANSPORT_VARIABLE, "tcp")
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"what was here")
    file.chmod(0o640)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises((StorageError, OSError)):
            WRITERS[name](file)
    assert [each.name for each in file.parent.iterdir() if each.read_bytes() != b"what was here"] == []

    WRITERS[name](file)
    assert file.read_bytes() != b"what was here"
    assert [each.name for each in file.parent.iterdir() if each.name.endswith(("new", "tmp"))] == []


def test_a_client_that_is_set_up_keeps_its_permissions_and_its_link(tmp_path):
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "real.json").chmod(0o604)
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    (tmp_path / "real.json.kcore-new").write_text("of a run that was cut off")
    backup = write(tmp_path / "link.json", "[]")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "[]"
    assert {each.stat().st_mode & 0o777 for each in (tmp_path / "real.json", backup)} == {0o604}
    assert not (tmp_path / "real.json.kcore-new").exists()
