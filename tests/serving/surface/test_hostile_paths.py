"""Whatever a path is made to mean, an agent reads regular files inside the roots, and is told why it got nothing."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.serving.surface.application import application
from mcp_text import text_of

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="the paths are POSIX's")]

SECRET = "The canary sings at Tiverton."
ATTEMPTS = [
    ("above the root", "{root}/../outside/secret.md", "outside the allowed roots"),
    ("above the root, and back", "{root}/../outside/../outside/secret.md", "outside the allowed roots"),
    ("relative, above the root", "../outside/secret.md", "empty or relative"),
    ("far above everything", "/" + "../" * 40 + "etc/passwd", "outside the allowed roots"),
    ("a file of the system", "/etc/passwd", "outside the allowed roots"),
    ("an address of a file", "file:///etc/passwd", "empty or relative"),
    ("somebody's home", "~root/.profile", "outside the allowed roots"),
    ("a folder that begins like the root", "{root}-two/secret.md", "outside the allowed roots"),
    ("a link that leads outside", "{root}/link.md", "outside the allowed roots"),
    ("a folder that is a link outside", "{root}/linked/secret.md", "outside the allowed roots"),
    ("a link to a link that leads outside", "{root}/twice.md", "outside the allowed roots"),
    ("what the process holds open", "/proc/self/fd/0", "outside the allowed roots"),
    ("the process's environment by a link", "{root}/environ.md", "outside the allowed roots"),
    ("the root of the process", "{root}/slash/etc/passwd", "outside the allowed roots"),
    ("a link to itself", "{root}/circle.md", "circle.md"),
    ("a link to nothing", "{root}/nothing.md", "nothing.md"),
    ("a pipe", "{root}/pipe.md", "a device, a socket or a pipe"),
    ("a socket", "{root}/socket.md", "a device, a socket or a pipe"),
    ("a device that never ends", "/dev/zero", "outside the allowed roots"),
    ("a device by a link", "{root}/zero.md", "outside the allowed roots"),
    ("a file as a folder", "{root}/note.md/secret.md", "note.md"),
    ("a slash behind a file's name", "{root}/absent.md/", "absent.md"),
    ("an alternate stream of Windows", "{root}/note.md::$DATA", "note.md::$DATA"),
    ("a short name of Windows", "{root}/NOTE~1.MD", "NOTE~1.MD"),
    ("a path of Windows", "C:\\Windows\\win.ini", "empty or relative"),
    ("a share of Windows", "\\\\host\\share\\secret.md", "empty or relative"),
    ("a name with a NUL", "{root}/note.md\0.txt", "NUL"),
    ("a name that is too long", "{root}/" + "n" * 5_000, "too long"),
    ("a variable of the shell", "$HOME/secret.md", "empty or relative"),
    ("nothing", "", "path"),
]


@pytest.fixture
async def client(engine, tmp_path, monkeypatch):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root, outside, tmp_path / "root-two"):
        folder.mkdir()
        (folder / "secret.md").write_text(SECRET)
    (root / "secret.md").rename(root / "note.md")
    (root / "note.md").write_text("# Note\n\nThe heron stands in the shallow water.")
    links = {
        "link.md": "../outside/secret.md", "linked": "../outside", "twice.md": "link.md", "circle.md": "circle.md",
        "nothing.md": "absent.md", "environ.md": "/proc/self/environ", "slash": "/proc/self/root", "zero.md": "/dev/zero",
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe.md")
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{short}/s")  # a socket's path is short: it is moved to where it is wanted
        Path(short, "s").rename(root / "socket.md")
    monkeypatch.chdir(root)
    engine.roots.add(root)
    async with Client(application(engine)) as opened:
        opened.root = root
        yield opened


@pytest.mark.parametrize(("path", "said"), [each[1:] for each in ATTEMPTS], ids=[each[0] for each in ATTEMPTS])
async def test_a_path_that_an_agent_made_up_reads_nothing_and_gets_a_reason(client, path, said):
    answer = await client.call_tool("index", {"paths": [path.format(root=client.root)], "wait_seconds": 20})
    assert answer.is_error, text_of(answer)
    assert said.casefold() in text_of(answer).casefold()
    assert SECRET not in text_of(answer)


async def test_a_folder_full_of_such_names_brings_in_its_own_files_only(client):
    done = await client.call_tool("index", {"paths": [str(client.root)], "wait_seconds": 40})
    assert not done.is_error, text_of(done)
    listed = await client.call_tool("list_documents", {})
    assert [Path(each["id"]).name for each in listed.structured_content["documents"]] == ["note.md"]
