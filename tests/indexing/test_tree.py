"""What a folder holds that cannot be indexed is named, with what to do; the rest goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from mcp.client import Client

from knowledge_core.engine import Engine
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    made = tmp_path / "allowed" / "notes"
    made.mkdir(parents=True)
    (made / "good.md").write_text("# Good\n\nwombat\n")
    engine.roots.add(tmp_path / "allowed")
    return made


async def ids(client: Client) -> list[str]:
    listed = (await client.call_tool("list_documents", {"limit": 100})).structured_content
    return [item["id"] for item in listed["documents"]]


async def test_a_link_out_of_the_roots_is_named_with_its_target_and_the_command_that_allows_it(
    client, folder, tmp_path
):
    outside, other = tmp_path / "else where", tmp_path / "other"
    outside.mkdir()
    (outside / "plan.md").write_text("quagga")
    (folder / "projects").symlink_to(outside)
    (folder / "a -> b").symlink_to(other)
    said = text_of(await client.call_tool("index", {"paths": [str(folder)]}))
    assert f"projects -> {outside}" in said
    assert f"kcore roots add '{outside}'" in said
    assert f"notes/a -> b -> {other}" in said
    assert f"kcore roots add {other}" in said
    assert await ids(client) == ["notes/good.md"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
async def test_bad_names_are_failures_of_their_own(client, folder):
    with open(os.fsencode(folder) + b"/caf\xe9.md", "wb") as file:
        file.write(b"quokka")
    (folder / "lost.md").symlink_to("archive/lost.md")
    (folder / "loop").symlink_to("loop")
    for form in ("NFC", "NFD"):
        (folder / unicodedata.normalize(form, "\u00dcbersicht.md")).write_text(f"# {form}\n")
    report = await index(client, folder)
    assert {each["document"]: each["reason"] for each in report["failed"]} == {
        "notes/caf\\xe9.md": "name not UTF-8", "notes/lost.md": "broken link",
        "notes/\u00dcbersicht.md": "same name", "notes/loop": "broken link",
    }  # fmt: skip
    assert await ids(client) == ["notes/good.md", "notes/\u00dcbersicht.md"]


async def test_a_broken_link_keeps_nothing_alive_whose_name_begins_like_its(client, folder):
    for name in ("report.md", "report-old.md"):
        (folder / name).write_text(f"# {name}\n")
    await index(client, folder)
    (folder / "report").symlink_to("archive/report")
    (folder / "report-old.md").unlink()
    await index(client, folder)
    assert await ids(client) == ["notes/good.md", "notes/report.md"]


async def test_a_name_in_decomposed_form_is_reached_by_the_composed_one(client, folder):
    (folder / unicodedata.normalize("NFD", "Caf\u00e9.md")).write_text("# Plan\n\nquokka\n")
    await index(client, folder)
    for form in ("NFC", "NFD"):
        id = unicodedata.normalize(form, "notes/Caf\u00e9.md")
        assert not (await client.call_tool("get_document", {"id": id})).is_error
    assert (await index(client, folder))["unchanged"] == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs the system's administrator")
async def test_documents_of_a_disk_that_is_not_mounted_stay(client, folder):
    disk = folder / "usb"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let anybody mount")
    try:
        (disk / "trip.md").write_text("# Trip\n\nwalrus\n")
        await index(client, folder)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    report = await index(client, folder)
    assert await ids(client) == ["notes/good.md", "notes/usb/trip.md"]
    assert [(each["reason"], "1 documents stay" in each["message"]) for each in report["failed"]] == [
        ("not mounted", True)
    ]
    await index(client, folder)
    assert "notes/usb/trip.md" in await ids(client)
    (disk / "own.md").write_text("# Own\n")  # it is used as a folder now
    await index(client, folder)
    assert await ids(client) == ["notes/good.md", "notes/usb/own.md"]
