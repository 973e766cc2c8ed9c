"""A backup that somebody made to do harm: it is refused, and nothing outside of its own place is read or written."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backups.conftest import Run, files_of

ABOUT = {
    "name": "notes", "made": "2026-01-01T00:00:00Z", "identity": "i", "generation": 1, "state": "s", "schema_version": 2,
    "documents": 1, "chunks": 1, "vectors": 1, "model": "m", "dimensions": 3, "max_length": 9,
}  # fmt: skip


def manifest(*records: dict[str, Any], settings: list[dict[str, Any]] | None = None) -> bytes:
    """A manifest with a right checksum, whatever it says."""
    content = {
        "product": "1", "made": "2026-01-01T00:00:00Z", "home": "/h", "collections": list(records),
        "settings": settings or [], "left_out": {},
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({"kind": "Knowledge Core backup", "format": 1, "content": content, "sha256": digest}).encode()


def of(content: bytes, file: str = "collections/notes.db", **more: Any) -> dict[str, Any]:
    return {**ABOUT, "file": file, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **more}


def packed(path: Path, files: dict[str, bytes], **more: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def refused(run: Run, tmp_path: Path, source: Path, why: str) -> None:
    """Fail unless restoring is one clear error, and changes nothing anywhere."""
    before = {path: about.st_mtime_ns for path in tmp_path.rglob("*") if (about := path.lstat())}
    code, _, err = run("restore", source, "--home", tmp_path / "new")
    assert (code, why in err, len(err.splitlines())) == (1, True, 1), err
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}.keys() == before.keys()


@pytest.mark.parametrize(
    "file",
    [
        "../../victim.db", "/etc/passwd", "collections/../../victim.db", "collections//victim.db", "C:\\victim.db",
        "collections\\..\\victim.db", "collections/notes.db/../../x", ".hidden", "collections/notes.db:stream", "a\x00b",
        "~/x", "",
    ],
)  # fmt: skip
def test_a_file_name_that_leads_away_is_refused(run, tmp_path, file):
    content = b"harm"
    names = {"manifest.json": manifest(of(content, file))}
    refused(run, tmp_path, packed(tmp_path / "bad.zip", names), "file in its manifest.json is wrong")


@pytest.mark.parametrize(
    "name", ["../notes", "/etc", ".dropped-x", ".restored-notes", "a/b", "a\\b", "", "x" * 65, "notes."]
)
def test_a_collection_name_that_is_none_is_refused(run, tmp_path, name):
    names = {"manifest.json": manifest(of(b"x", name=name)), "collections/notes.db": b"x"}
    refused(run, tmp_path, packed(tmp_path / "bad.zip", names), "name in its manifest.json is wrong")


@pytest.mark.parametrize("stranger", ["../../victim", "/tmp/victim", "collections/other.db", "notes/"])
def test_an_archive_with_files_that_the_manifest_does_not_name_is_refused(run, tmp_path, stranger):
    files = {"manifest.json": manifest(of(b"x")), "collections/notes.db": b"x", stranger: b"harm"}
    refused(run, tmp_path, packed(tmp_path / "bad.zip", files), "does not name")


def test_a_file_that_is_named_twice_is_refused(run, tmp_path):
    twice = [of(b"x"), of(b"x", name="other")]
    refused(run, tmp_path, packed(tmp_path / "a.zip", {"manifest.json": manifest(*twice)}), "names a file twice")
    doubled = packed(tmp_path / "b.zip", {"manifest.json": manifest(of(b"x")), "collections/notes.db": b"x"})
    with zipfile.ZipFile(doubled, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("collections/notes.db", b"y")
    refused(run, tmp_path, doubled, "lacks or doubles a file")


def test_a_file_that_is_longer_than_it_says_is_read_no_further(run, tmp_path):
    bomb = bytes(30_000_000)  # 30 KB in the archive
    said = of(b"x" * 10)
    source = packed(tmp_path / "bomb.zip", {"manifest.json": manifest(said), "collections/notes.db": bomb})
    assert source.stat().st_size < 1_000_000
    refused(run, tmp_path, source, "longer than 10 bytes")


def test_a_size_that_no_disk_holds_is_refused_before_anything_is_read(run, tmp_path):
    said = of(b"x", bytes=10**15)
    source = packed(tmp_path / "big.zip", {"manifest.json": manifest(said), "collections/notes.db": b"x"})
    refused(run, tmp_path, source, "GB free")


def test_a_manifest_that_grows_without_end_is_refused(run, tmp_path):
    source = packed(tmp_path / "bomb.zip", {"manifest.json": bytes(20_000_000)})
    refused(run, tmp_path, source, "larger than any of ours")


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"null", b"[" * 200_000, b'{"kind": "Knowledge Core backup"}', b"\xff"]
)
def test_a_manifest_that_is_none_is_refused(run, tmp_path, content):
    refused(run, tmp_path, packed(tmp_path / "bad.zip", {"manifest.json": content}), "no backup")


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are POSIX's")
@pytest.mark.parametrize("kind", ["link", "folder link", "pipe", "folder", "link to the manifest"])
def test_links_pipes_and_folders_in_the_place_of_files_are_refused(run, tmp_path, kind):
    content = b"the secret of somebody"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.db").write_bytes(content)
    bad = tmp_path / "bad"
    bad.mkdir()
    written = tmp_path / "elsewhere" / "manifest.json" if kind == "link to the manifest" else bad / "manifest.json"
    written.write_bytes(manifest(of(content)))
    if kind == "folder link":
        (bad / "collections").symlink_to(tmp_path / "elsewhere")
    else:
        (bad / "collections").mkdir()
    place = bad / "collections" / "notes.db"
    if kind == "link":
        place.symlink_to(tmp_path / "elsewhere" / "notes.db")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "link to the manifest":
        (bad / "manifest.json").symlink_to(written)
    refused(run, tmp_path, bad, "no backup" if kind == "link to the manifest" else "backup")


Harm = Callable[[sqlite3.Connection], object]


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (
            lambda db: db.execute("CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM documents; END"),
            "triggers",
        ),
        (lambda db: db.execute("DELETE FROM documents WHERE id = 'd1'"), "dangling"),
        (lambda db: db.execute("UPDATE meta SET value = '{}' WHERE name = 'contract'"), "contract"),
        (lambda db: db.execute("UPDATE meta SET value = '7' WHERE name = 'generation'"), "its manifest says"),
        (lambda db: db.execute("UPDATE meta SET value = 'x' WHERE name = 'generation'"), "no number"),
        (lambda db: db.execute("UPDATE vectors SET vector = x'00'"), "holds what no record of ours does"),
        (lambda db: db.execute("UPDATE meta SET value = x'ff' WHERE name = 'name'"), "notes"),
        (lambda db: db.execute("DELETE FROM meta WHERE name = 'identity'"), "identity"),
        (lambda db: db.execute("DROP TABLE chunks"), "refused"),
        (lambda db: db.execute("PRAGMA user_version = 99"), "Upgrade"),
    ],
)
def test_a_record_that_is_not_what_it_should_be_is_refused(run, home, tmp_path, harm: Harm, why):
    run("backup", tmp_path / "kept")
    written = json.loads((tmp_path / "kept" / "manifest.json").read_text())["content"]["collections"]
    (said,) = [each for each in written if each["name"] == "notes"]
    harmed = tmp_path / "kept" / said["file"]
    with sqlite3.connect(harmed) as connection:
        harm(connection)
    connection.close()
    content = harmed.read_bytes()
    source = packed(tmp_path / "bad.zip", {
        "manifest.json": manifest({**said, **of(content), **{key: said[key] for key in ABOUT}}),
        "collections/notes.db": content,
    })  # fmt: skip
    before = files_of(home)
    code, _, err = run("restore", source, "--replace")
    assert (code, why in err, len(err.splitlines())) == (1, True, 1), err
    left = files_of(home)
    assert {path: content for path, content in left.items() if path.startswith("collections")} == {
        path: content for path, content in before.items() if path.startswith("collections")
    }
