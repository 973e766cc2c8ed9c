"""`kcore backup`: whole at one moment while others write, only what changed the second time, and never a secret."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from backups.conftest import added, contents, files_of, made, structure
from knowledge_core.embedding.models.packaged import packaged_folder
from knowledge_core.storage.collection import Collection, JobRecord
from knowledge_core.storage.losses import note
from owner_processes import RawPipe, kcore, own_home

TESTS = Path(__file__).parents[1]
WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from storage.shelf import Collection, change, document
shelf = Collection.open(Path(sys.argv[2]))
for batch in range(100_000):
    shelf.write(change(shelf, [document(f"b{batch}-{n}", f"left word{batch}x{n}", f"right word{batch}x{n}") for n in range(3)]))
    print(batch, flush=True)
"""
# A process that runs `kcore backup`, and is ended or limited on the way.
LIMITED = """
import resource, sys
from knowledge_core.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def records(target: Path) -> dict[str, Path]:
    manifest = json.loads((target / "manifest.json").read_text())
    return {each["name"]: target / each["file"] for each in manifest["content"]["collections"]}


def test_a_backup_beside_a_busy_writer_is_sound_and_holds_all_that_was_acknowledged_before(run, home, tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(TESTS), str(home / "collections" / "notes")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    try:
        acknowledged = max(int(writer.stdout.readline()) for _ in range(5))
        code, out, _ = run("backup", tmp_path / "kept", "--json")
        assert code == 0
        assert writer.poll() is None, "the writer went on"
    finally:
        writer.kill()
        writer.communicate()
    assert structure(out)["copied"] == ["letters", "notes"]
    assert {path.suffix for path in (tmp_path / "kept" / "collections").iterdir()} == {".db"}, "each record is one file"
    connection = sqlite3.connect(records(tmp_path / "kept")["notes"])
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert run("restore", tmp_path / "kept", "--home", tmp_path / "new")[0] == 0
    ids = contents(tmp_path / "new", "notes").keys()
    assert {f"b{batch}-{n}" for batch in range(acknowledged + 1) for n in range(3)} <= ids
    assert len(ids) % 3 == 0, "a batch is there whole or not at all"


@pytest.mark.slow
@pytest.mark.skipif(packaged_folder() is None, reason="the packaged model is not installed (extra `offline`)")
def test_a_backup_beside_an_owner_that_indexes_holds_all_that_it_acknowledged(tmp_path):
    with own_home(tmp_path) as home, RawPipe(home) as pipe:
        pipe.initialize()
        for batch in range(3):
            documents = [
                {"id": f"early{batch}-{n}", "text": f"early text {batch} {n} about harbours"} for n in range(5)
            ]
            pipe.call("index", documents=documents)
        bulk = [{"id": f"late{n}", "text": f"late text {n} " + "word " * 300} for n in range(400)]
        job = pipe.call("index", documents=bulk, wait_seconds=0)["result"]["structuredContent"]["job"]
        for _ in range(5):
            assert kcore(home, "backup", str(tmp_path / "kept")).returncode == 0
        assert kcore(home, "restore", str(tmp_path / "kept"), "--home", str(tmp_path / "new")).returncode == 0
        pipe.call("job", id=job, action="cancel", wait_seconds=30)
    kcore(tmp_path / "new", "stop")
    ids = contents(tmp_path / "new", "default").keys()
    assert {f"early{batch}-{n}" for batch in range(3) for n in range(5)} <= ids
    collection = Collection.open(tmp_path / "new" / "collections" / "default")
    assert job in [each.id for each in collection.jobs()], "what was acknowledged and not embedded yet comes along"
    collection.close()


def test_the_second_time_only_what_changed_is_copied(run, home, tmp_path):
    (home / "config.yaml").write_text("indexing: {chunk_size: 300}")
    run("backup", tmp_path / "kept")
    before = {name: (path, path.stat()) for name, path in records(tmp_path / "kept").items()}
    added(home, "notes", 99)
    told = structure(run("backup", tmp_path / "kept", "--json")[1])
    assert (told["copied"], told["unchanged"]) == (["notes"], ["letters"])
    after = records(tmp_path / "kept")
    path, about = before["letters"]
    assert after["letters"] == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (about.st_ino, about.st_mtime_ns)
    assert not before["notes"][0].exists(), "the former copy is gone"
    again = structure(run("backup", tmp_path / "kept", "--json")[1])
    assert (again["copied"], again["bytes_written"]) == ([], 0)


def test_a_change_that_is_no_new_generation_is_copied_too(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    collection = Collection.open(home / "collections" / "notes")
    collection.start_job(JobRecord("index-1", "index", "running", time.time(), time.time(), "{}"), [])
    collection.close()
    assert structure(run("backup", tmp_path / "kept", "--json")[1])["copied"] == ["notes"]


def test_a_copy_that_has_rotted_is_made_anew(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    rotten = records(tmp_path / "kept")["notes"]
    content = bytearray(rotten.read_bytes())
    content[len(content) // 2] ^= 1
    rotten.write_bytes(content)
    assert structure(run("backup", tmp_path / "kept", "--json")[1])["copied"] == ["notes"]
    assert run("restore", tmp_path / "kept", "--check")[0] == 0


def test_no_secret_token_or_log_is_in_a_backup(run, home, tmp_path):
    (home / "logs").mkdir()
    for name in ("owner.secret", "http-tokens.json", "owner.lock", "logs/owner.log", "engines.json"):
        (home / name).write_text("CANARY-7f3a")
    (home / "roots.json").write_text(json.dumps({"roots": ["/srv/notes"]}))
    run("backup", tmp_path / "kept")
    run("backup", tmp_path / "kept.zip")
    with zipfile.ZipFile(tmp_path / "kept.zip") as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    assert sorted(packed) == ["collections/letters.db", "collections/notes.db", "manifest.json", "roots.json"]
    for content in [*files_of(tmp_path / "kept").values(), *packed.values()]:
        assert b"CANARY" not in content


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX's")
def test_what_is_written_is_for_this_user_alone(run, home, tmp_path):
    before = os.umask(0o022)
    try:
        (home / "config.yaml").write_text("roots: []")
        run("backup", tmp_path / "kept")
        run("backup", tmp_path / "kept.zip")
        run("restore", tmp_path / "kept", "--home", tmp_path / "new")
    finally:
        os.umask(before)
    for top in (tmp_path / "kept", tmp_path / "kept.zip", tmp_path / "new"):
        for path in (top, *top.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def damage(home: Path, name: str) -> None:
    with open(home / "collections" / name / "documents.db", "r+b") as file:
        file.write(b"no database")


def test_a_damaged_collection_is_named_and_the_others_are_backed_up(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    run("backup", tmp_path / "kept.zip")
    good = records(tmp_path / "kept")["letters"].read_bytes()
    archive = (tmp_path / "kept.zip").read_bytes()
    damage(home, "letters")
    added(home, "notes", 99)

    code, out, _ = run("backup", tmp_path / "kept")
    assert (code, "letters: NOT BACKED UP" in out, "notes: 4 documents" in out) == (1, True, True)
    assert records(tmp_path / "kept")["letters"].read_bytes() == good, "its earlier copy stays"

    code, out, err = run("backup", tmp_path / "kept.zip")
    assert (code, "'letters'" in err, (tmp_path / "kept.zip").read_bytes() == archive) == (1, True, True)

    code, out, _ = run("backup", tmp_path / "other.zip", "--json")
    assert (code, structure(out)["copied"], list(structure(out)["failed"])) == (1, ["notes"], ["letters"])
    code, _, err = run("restore", tmp_path / "other.zip", "--collection", "letters", "--home", tmp_path / "new")
    assert (code, "could not be read when the backup was made" in err) == (1, True)


def test_a_collection_that_is_gone_stays_in_the_backup_until_it_is_pruned(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    shutil.rmtree(home / "collections" / "letters")  # a loss, or a deletion: nobody can say
    assert structure(run("backup", tmp_path / "kept", "--json")[1])["gone"] == ["letters"]
    assert run("restore", tmp_path / "kept", "--collection", "letters", "--home", tmp_path / "new")[0] == 0
    run("backup", tmp_path / "kept", "--prune")
    assert records(tmp_path / "kept").keys() == {"notes"}
    assert len(list((tmp_path / "kept" / "collections").iterdir())) == 1


def test_the_copy_of_a_record_that_was_lost_stays_and_the_loss_is_named(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    (home / "collections" / "letters" / "documents.db").unlink()
    code, out, err = run("backup", tmp_path / "kept", "--prune")
    assert (code, "'letters' is gone" in out, "kcore restore" in out) == (1, True, True), err
    assert records(tmp_path / "kept").keys() == {"letters", "notes"}


def test_a_record_that_is_known_to_be_behind_takes_no_earlier_copys_place_until_a_person_agrees(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    good = records(tmp_path / "kept")["notes"].read_bytes()
    added(home, "notes", 99)
    note(home / "collections" / "notes", 1, 3, 7, 0)
    code, out, _ = run("backup", tmp_path / "kept")
    assert (code, "7 chunks" in out, "kcore restore" in out, "kcore doctor --accept notes" in out) == (
        1,
        True,
        True,
        True,
    )
    assert records(tmp_path / "kept")["notes"].read_bytes() == good
    assert run("backup", tmp_path / "other")[0] == 0, "where there is no earlier copy, it is better than none"
    assert run("doctor", "--accept", "notes")[0] == 0
    assert run("backup", tmp_path / "kept")[0] == 0
    assert records(tmp_path / "kept")["notes"].read_bytes() != good


def test_a_record_that_was_put_back_and_went_on_is_another_one_though_its_numbers_are_the_same(run, home, tmp_path):
    folder = home / "collections" / "notes"
    older = (folder / "documents.db").read_bytes()
    added(home, "notes", 98)
    run("backup", tmp_path / "kept")
    for path in folder.iterdir():  # the indexes, too: nothing is left that could prove the loss
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "documents.db").write_bytes(older)
    added(home, "notes", 99)
    code, _, err = run("restore", tmp_path / "kept", "--collection", "notes")
    assert (code, "is another than the backup's" in err) == (1, True)
    assert structure(run("backup", tmp_path / "kept", "--json")[1])["copied"] == ["notes"]


def test_a_place_that_is_no_place_for_a_backup_is_refused(run, home, tmp_path):
    diary = tmp_path / "diary"
    diary.mkdir()
    (diary / "monday.txt").write_text("mine")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as photos:
        photos.writestr("cat.jpg", b"miaow")
    made(tmp_path / "other", "notes")
    run("backup", tmp_path / "of-other", "--home", tmp_path / "other")
    (tmp_path / "file").write_text("mine")
    before = files_of(tmp_path)
    for target, why in {
        home / "kept": "lies in the data directory",
        diary: "holds other things",
        tmp_path / "photos.zip": "no backup",
        tmp_path / "of-other": "another data directory",
        tmp_path / "file": "is a file",
        tmp_path / "unmounted" / "kept": "does not exist",
    }.items():
        code, _, err = run("backup", target)
        assert (code, why in err) == (1, True), err
    assert run("backup", tmp_path / "kept", "--home", tmp_path / "nothing")[0] == 1
    assert files_of(tmp_path) == before


def test_without_a_target_an_archive_is_made_here_under_a_dated_name(run, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code, out, _ = run("backup")
    (file,) = (tmp_path / "here").iterdir()
    assert (code, file.name.startswith("knowledge-core-backup-20"), f"kcore restore {file}" in out) == (0, True, True)


@pytest.mark.skipif(os.name == "nt", reason="limits are POSIX's")
@pytest.mark.parametrize("name", ["kept", "kept.zip"])
def test_a_disk_that_refuses_leaves_the_former_backup_whole(run, home, tmp_path, name):
    run("backup", tmp_path / name)
    before = files_of(tmp_path / name) or (tmp_path / name).read_bytes()
    added(home, "notes", 99)
    limited = subprocess.run(
        [sys.executable, "-c", LIMITED, "60000", "backup", str(tmp_path / name), "--home", str(home)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (limited.returncode, "An earlier backup there is as it was" in limited.stderr) == (1, True), limited.stderr
    assert len(limited.stderr.splitlines()) == 1
    assert (files_of(tmp_path / name) or (tmp_path / name).read_bytes()) == before
    assert not (tmp_path / "knowledge-core-backup.unfinished").exists()
    assert run("restore", tmp_path / name, "--check")[0] == 0


def test_two_backups_at_once_into_one_place_do_not_meet(run, home, tmp_path):
    from knowledge_core.backups.targets import folder_target

    run("backup", tmp_path / "kept")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "kept")], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    try:
        holder.stdout.readline()
        code, _, err = run("backup", tmp_path / "kept")
        assert (code, "Another process is working on the backup" in err) == (1, True)
    finally:
        holder.stdin.close()
        holder.wait()
    with folder_target(tmp_path / "kept"):
        pass  # the lock went with the process


HOLDER = """
import sys
from pathlib import Path
from knowledge_core.backups.targets import folder_target
with folder_target(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no such kill")
@pytest.mark.parametrize("target", ["kept", "kept.zip"])
def test_a_backup_that_is_killed_at_any_moment_leaves_a_whole_one(run, home, tmp_path, target):
    moments = random.Random(target)
    run("backup", tmp_path / target)
    killed = 0
    for number in range(15):
        added(home, "notes", 100 + number)
        command = [sys.executable, "-c", COMMAND, "backup", str(tmp_path / target), "--home", str(home)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()  # its libraries are loaded
        time.sleep(moments.uniform(0, 0.06))
        process.kill()
        process.communicate()
        killed += process.returncode != 0
        assert run("restore", tmp_path / target, "--check")[0] == 0
    assert killed > 5
    assert run("backup", tmp_path / target)[0] == 0
    assert run("restore", tmp_path / target, "--home", tmp_path / "new")[0] == 0
    assert contents(tmp_path / "new", "notes") == contents(home, "notes")


COMMAND = """
import sys
from knowledge_core.backups import making
from knowledge_core.cli.main import main
print("ready", flush=True)
sys.exit(main(sys.argv[1:]))
"""


def test_long_work_says_how_far_it_is_where_there_is_no_terminal(run, tmp_path, monkeypatch):
    monkeypatch.setattr("knowledge_core.cli.backups.progress.EVERY", 0.0)
    _, _, err = run("backup", tmp_path / "kept")
    assert "kcore: backing up notes, 0 of 0 MB" in err
    _, _, err = run("restore", tmp_path / "kept", "--home", tmp_path / "new")
    assert "kcore: building the indexes of notes" in err
