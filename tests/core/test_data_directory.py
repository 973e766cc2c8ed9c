"""The data directory: closed to others, never indexed, and not on a network without a word about it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.indexing import preparing
from knowledge_core.paths import OwnerLock
from knowledge_core.serving.client import Connection
from knowledge_core.serving.surface.application import application
from knowledge_core.storage.data_directory import closing, file_system
from knowledge_core.storage.data_directory.file_system import network_of_mountinfo, network_of_mounts
from mcp_text import text_of
from owner_processes import kcore, own_home

posix = pytest.mark.skipif(os.name != "posix", reason="needs modes and links as POSIX has them")
pytestmark = pytest.mark.anyio


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(home: Path) -> Engine:
    return Engine(home, Config(), command="test", make_embedder=lambda model, dimensions: HashEmbedder())


# -- closed ------------------------------------------------------------------------------------------------------------


@posix
def test_an_open_data_directory_is_closed_with_all_that_is_in_it_and_that_is_told_once(home):
    (home / "logs").mkdir(parents=True)
    for name in ("owner.secret", "logs/owner.log"):
        (home / name).write_text("x")
        (home / name).chmod(0o644)
    (home / "theirs").mkdir(mode=0o755)
    for folder in (home, home / "logs"):
        folder.chmod(0o755)
    with opened(home) as engine:
        assert (mode(home), mode(home / "logs")) == (0o700, 0o700)
        assert (mode(home / "owner.secret"), mode(home / "logs" / "owner.log")) == (0o600, 0o600)
        assert mode(home / "theirs") == 0o755  # a folder that is not ours is left as it is
        (told,) = engine.notices
        assert ("0755" in told, "closed now" in told) == (True, True)
    with opened(home) as engine:
        assert engine.notices == []


@posix
def test_a_data_directory_that_is_a_link_is_closed_where_it_lies(home, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk").chmod(0o770)
    home.symlink_to(tmp_path / "disk")
    with opened(home) as engine:
        assert (mode(tmp_path / "disk"), len(engine.notices)) == (0o700, 1)


@posix
def test_what_a_link_in_the_data_directory_leads_to_is_left_as_it_is(home, tmp_path):
    (home / "logs").mkdir(parents=True)
    home.chmod(0o755)
    foreign = tmp_path / "foreign"
    foreign.mkdir(mode=0o755)
    (foreign / "note.md").write_text("x")
    (foreign / "note.md").chmod(0o644)
    (home / "note.md").symlink_to(foreign / "note.md")
    (home / "logs" / "note.md").symlink_to(foreign / "note.md")
    (home / "collections").symlink_to(foreign)
    assert len(closing.close_data_directory(home)) == 1
    assert (mode(home), mode(foreign), mode(foreign / "note.md")) == (0o700, 0o755, 0o644)


@posix
def test_a_file_system_without_modes_and_a_folder_of_another_user_are_told(home, monkeypatch):
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setattr(closing.os, "chmod", lambda *_: None)  # as vfat and some shares do
    monkeypatch.setattr(closing.os, "geteuid", lambda: home.stat().st_uid + 1)
    foreign, open_to_others = closing.close_data_directory(home)
    assert "belongs to another user" in foreign
    assert "does not let it be closed" in open_to_others


@posix
@pytest.mark.slow
def test_status_and_the_log_of_the_owner_say_that_the_data_directory_was_open(tmp_path):
    with own_home(tmp_path) as home:
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        told = "was open to other users of this machine (mode 0755); it is closed now"
        assert told in kcore(home, "status").stdout
        assert told in (home / "logs" / "owner.log").read_text()
        assert mode(home) == 0o700


# -- never indexed -----------------------------------------------------------------------------------------------------


@pytest.fixture
def documents(home: Path, engine: Engine) -> Path:
    """An allowed folder that covers the data directory, and holds a note and a link into the data directory."""
    (home / "owner.secret").write_text("the secret marmalade")
    (home / "logs").mkdir(exist_ok=True)
    (home / "logs" / "owner.log").write_text("the logged marmalade")
    (home.parent / "note.md").write_text("# Note\n\nA note about apples.\n")
    engine.roots.add(home.parent)
    return home.parent


async def called(engine: Engine, *paths: Path) -> Any:
    async with Client(application(engine)) as client:
        return await client.call_tool("index", {"paths": [str(path) for path in paths]})


async def test_a_root_that_covers_data_directories_indexes_nothing_of_them(engine, documents, tmp_path):
    with OwnerLock(tmp_path / "other", "test"):
        pass
    (tmp_path / "other" / "collections").mkdir()
    (tmp_path / "other" / "roots.json").write_text("{}")
    if os.name == "posix":
        (documents / "logs.md").symlink_to(engine.home / "logs" / "owner.log")
        (documents / "all").symlink_to(engine.home)
    result = await called(engine, documents)
    report = result.structured_content
    assert (report["indexed"], report["skipped"]["data directory"]) == (1, 4 if os.name == "posix" else 2)
    assert f"{documents.name}/{engine.home.name}/" in text_of(result)


async def test_a_path_inside_the_data_directory_is_refused_for_a_person_too(engine, documents):
    for path in (engine.home, engine.home / "logs", engine.home / "owner.secret"):
        result = await called(engine, path)
        assert (result.is_error, "never indexed" in text_of(result)) == (True, True)
        with pytest.raises(InvalidInput, match="never indexed"):
            engine.roots.add(path)
    assert engine.names() == []


@posix
async def test_a_file_that_becomes_a_link_into_the_data_directory_before_it_is_read_is_not_read(
    engine, documents, monkeypatch
):
    read = preparing.read_file

    def swapped(path: Path, **options: Any) -> Any:
        path.unlink()
        path.symlink_to(engine.home / "logs" / "owner.log")
        return read(path, **options)

    monkeypatch.setattr(preparing, "read_file", swapped)
    result = await called(engine, documents)
    assert result.is_error
    assert ("data directory" in text_of(result), "marmalade" in text_of(result)) == (True, False)


# -- on a network ------------------------------------------------------------------------------------------------------

# Lines as Linux shows them: proc_pid_mountinfo(5), and mounts of the named kinds.
MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 27 0:31 / /home rw,relatime shared:20 - nfs4 server.example:/export/home rw,vers=4.2,hard,proto=tcp,sec=sys
37 36 254:1 / /home/ann/disk rw,relatime - xfs /dev/vdb rw,attr2
38 27 0:40 / /mnt/two\040words rw,nosuid,nodev,relatime - fuse.sshfs ann@server.example:/data rw,user_id=1000
39 27 0:41 / /media/share rw,relatime master:3 - cifs //server/share rw,vers=3.1.1
40 27 0:42 / /mnt/c rw,noatime - 9p drvfs rw,dirsync,aname=drvfs;path=C:\;uid=1000
41 27 0:43 / /mnt/over rw - nfs server:/a rw
42 27 0:44 / /mnt/over rw - tmpfs tmpfs rw
43 27 0:45 / /run/user/1000/doc rw - fuse.portal portal rw
44 27 0:46 / /mnt/ceph rw - ceph 10.0.0.1:/ rw
"""
MOUNTS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect, root data)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
//ann@server._smb._tcp.local/share on /Volumes/share (one) (smbfs, nodev, nosuid, mounted by ann)
server:/export on /Volumes/export (nfs, nodev, nosuid, mounted by ann)
"""


@pytest.mark.skipif(os.name == "nt", reason="paths as POSIX has them")
def test_the_file_system_of_a_folder_is_that_of_the_deepest_and_last_mount():
    found = {
        path: network_of_mountinfo(path, MOUNTINFO)
        for path in ("/", "/srv/data", "/home/ann/.knowledge-core", "/home/ann/disk/data", "/mnt/two words/data",
                     "/media/share", "/media/shared", "/mnt/c/Users/ann", "/mnt/over/data", "/run/user/1000/doc", "/mnt/ceph/x")
    }  # fmt: skip
    assert {path: kind for path, kind in found.items() if kind} == {
        "/home/ann/.knowledge-core": "nfs4", "/mnt/two words/data": "fuse.sshfs", "/media/share": "cifs",
        "/mnt/c/Users/ann": "9p", "/mnt/ceph/x": "ceph",
    }  # fmt: skip
    assert network_of_mountinfo("/home/ann", "nothing that\n is a list - of mounts") is None
    paths = ("/Users/ann", "/Volumes/share (one)/x", "/Volumes/share", "/Volumes/export/data")
    assert [network_of_mounts(path, MOUNTS) for path in paths] == [None, "smbfs", None, "nfs"]


@pytest.mark.skipif(not file_system.MOUNTS.exists(), reason="needs Linux's list of mounts")
async def test_status_and_doctor_warn_of_a_data_directory_on_a_network(home, tmp_path, monkeypatch):
    with opened(home) as engine:
        assert engine.notices == []  # by this machine's own list
    listed = tmp_path / "mountinfo"
    listed.write_text(f"{MOUNTINFO.strip()}\n50 27 0:50 / {tmp_path} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(file_system, "MOUNTS", listed)
    with opened(home) as engine:
        async with Client(application(engine, for_cli=True)) as client:
            (notice,) = (await Connection(client).ask("status"))["notices"]
            for part in ("nfs4", "SQLite's locks and mapped files", "--home"):
                assert part in notice
            told = await Connection(client).ask("doctor")
            assert told["data_directory"]["findings"] == [{"level": "warning", "what": notice, "repairable": False}]
