"""`kcore restore`: proved before anything changes, whole or not at all, and nothing that was there is deleted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from backups.conftest import added, contents, files_of, structure
from hash_embedder import HashEmbedder
from knowledge_core.backups.restoring import RESTORING, chosen, stage, staging
from knowledge_core.backups.sources import opened
from knowledge_core.cli.main import main
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.client import Connection
from knowledge_core.serving.surface.application import application
from knowledge_core.storage.collection import Collection, JobRecord, PlanRow
from owner_processes import end_owner, kcore, owner_pid
from storage.shelf import damaged

QUERIES = ("word1", "lighthouse at sea", "what do the notes tell", "of word2 and lighthouse0")


def slow(*values: object) -> Any:
    """A case that only `make check` runs."""
    return pytest.param(*values, marks=pytest.mark.slow)


def collections_of(home: Path) -> dict[str, bytes]:
    return files_of(home / "collections")


async def searched(home: Path) -> tuple[list[object], list[str]]:
    """The first ten hits of every query, by every mode, with their scores; and what was embedded as a document for that."""
    embedder = HashEmbedder()
    found = []
    with Engine(home, Config(), command="test", make_embedder=lambda model, dimensions: embedder) as engine:
        async with Client(application(engine)) as client:
            for query in QUERIES:
                for mode in ("semantic", "lexical", "hybrid"):
                    answer = await client.call_tool("search", {"query": query, "mode": mode, "limit": 10})
                    hits = answer.structured_content["hits"]
                    assert hits
                    found.append([(hit["collection"], hit["document"], hit["score"]) for hit in hits])
    return found, embedder.documents


@pytest.mark.anyio
@pytest.mark.parametrize("target", [slow("kept"), "kept.zip"])
async def test_on_an_empty_machine_documents_and_search_results_are_the_same_and_nothing_is_embedded_again(
    home, tmp_path, filled, target
):
    before, _ = await searched(home)
    run_here("backup", tmp_path / target, "--home", home)
    run_here("restore", tmp_path / target, "--home", tmp_path / "new")
    for name in ("letters", "notes"):
        assert contents(tmp_path / "new", name) == contents(home, name)
    after, embedded = await searched(tmp_path / "new")
    assert after == before
    assert embedded == []


def run_here(*argv: object) -> None:
    """Run a command on a thread of its own: this test has an event loop already."""
    import threading

    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main([*map(str, argv), "--in-process"])))
    thread.start()
    thread.join()
    assert codes == [0]


def test_a_collection_that_is_there_is_replaced_only_when_asked_and_then_set_aside(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    added(home, "notes", 99)
    before = collections_of(home)
    code, _, err = run("restore", tmp_path / "kept")
    assert (code, "already a collection" in err or "'notes' already" in err, "--replace" in err) == (1, True, True)
    assert collections_of(home) == before

    told = structure(run("restore", tmp_path / "kept", "--collection", "notes", "--replace", "--json")[1])
    (restored,) = told["restored"]
    assert (restored["documents"], restored["set_aside"].startswith("set-aside/notes-")) == (3, True)
    assert "d99" not in contents(home, "notes")
    aside = home / restored["set_aside"]
    assert {f"notes/{path}": content for path, content in files_of(aside).items()}.items() <= before.items()
    assert (
        files_of(home / "collections" / "letters").items()
        <= {path.removeprefix("letters/"): content for path, content in before.items()}.items()
    ), "the other collection was not touched"


def test_one_collection_is_restored_beside_the_others(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    before = contents(home, "letters")
    run("delete", "--collection", "letters", "--all", "--yes")
    added(home, "notes", 99)
    assert run("restore", tmp_path / "kept", "--collection", "letters")[0] == 0
    assert contents(home, "letters") == before
    assert "d99" in contents(home, "notes")
    code, _, err = run("restore", tmp_path / "kept", "--collection", "lettres")
    assert (code, "There are: letters, notes" in err) == (1, True)


WRITER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from storage.shelf import Collection, document, put
shelf = Collection.open(Path(sys.argv[2]))
for number in range(3):
    put(shelf, document(f"later{number}", f"newer than the backup {number}"))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such kill")
def test_a_record_beside_a_newer_log_is_replaced_with_its_log(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    wanted = contents(home, "notes")
    tests = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", WRITER, tests, str(home / "collections" / "notes")], check=False)
    assert (home / "collections" / "notes" / "documents.db-wal").stat().st_size > 0
    told = structure(run("restore", tmp_path / "kept", "--collection", "notes", "--replace", "--json")[1])
    assert contents(home, "notes") == wanted
    assert "later0" not in contents(home, "notes")
    assert (home / told["restored"][0]["set_aside"] / "documents.db-wal").exists(), "nothing of the former one is lost"
    restored = Collection.open(home / "collections" / "notes")
    assert damaged(restored) == []
    restored.close()


def test_a_record_that_cannot_be_read_names_both_files_and_the_restoring_command(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    with open(home / "collections" / "notes" / "documents.db", "r+b") as file:
        file.write(b"no database")
    _, out, err = run("search", "word1", "--collection", "notes", "--mode", "lexical")
    for told in ("documents.db, or the documents.db-wal", "kcore restore BACKUP --collection notes --replace"):
        assert told in out + err
    assert run("restore", tmp_path / "kept", "--collection", "notes", "--replace")[0] == 0
    assert len(contents(home, "notes")) == 3


@pytest.mark.parametrize("target", ["kept", slow("kept.zip")])
@pytest.mark.parametrize("part", [slow(0.02), 0.5, slow(0.97)])
def test_a_damaged_byte_in_the_backup_is_found_and_nothing_is_changed(run, home, tmp_path, target, part):
    run("backup", tmp_path / target)
    harmed = tmp_path / target
    if harmed.is_dir():
        harmed = max(harmed.rglob("*.db"), key=lambda path: path.name)
    content = bytearray(harmed.read_bytes())
    content[int(part * len(content))] ^= 0x20
    harmed.write_bytes(content)
    before = collections_of(home)
    for more in (["--replace"], ["--check"]):
        code, _, err = run("restore", tmp_path / target, *more)
        assert code == 1
        assert "damaged" in err or "cannot be used" in err or "no backup" in err
    assert collections_of(home) == before
    assert not [path for path in (home / RESTORING).glob("*") if path.is_dir()] if (home / RESTORING).exists() else True
    assert run("restore", tmp_path / target, "--home", tmp_path / "new")[0] == 1
    assert not (tmp_path / "new").exists()


def test_a_rotten_collection_keeps_no_other_back_when_that_is_named(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    (rotten,) = (tmp_path / "kept" / "collections").glob("letters.*")
    rotten.write_bytes(rotten.read_bytes()[:-1])
    assert run("restore", tmp_path / "kept", "--home", tmp_path / "new")[0] == 1
    assert run("restore", tmp_path / "kept", "--collection", "notes", "--home", tmp_path / "new")[0] == 0


def test_a_backup_of_a_newer_format_is_refused_by_a_clear_error(run, home, tmp_path):
    run("backup", tmp_path / "kept")
    manifest = tmp_path / "kept" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 2}))
    for command in (["restore"], ["backup"]):
        code, _, err = run(*command, tmp_path / "kept")
        assert (code, "has format 2" in err, "Upgrade" in err) == (1, True, True)


def test_what_is_no_backup_is_refused_by_name(run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 cut off")
    for source in ("empty", "half.zip", "nothing"):
        code, _, err = run("restore", tmp_path / source)
        assert (code, "no backup" in err, len(err.splitlines())) == (1, True, 1)


def test_roots_and_configuration_are_taken_only_where_a_person_says_so(run, home, tmp_path):
    (tmp_path / "papers").mkdir()
    roots = {"roots": [str(tmp_path / "papers"), "/nowhere/else"]}
    (home / "roots.json").write_text(json.dumps(roots))
    (home / "config.yaml").write_text("indexing: {chunk_size: 300}")
    run("backup", tmp_path / "kept")

    _, out, _ = run("restore", tmp_path / "kept", "--home", tmp_path / "new")
    assert f"kcore roots add /nowhere/else {tmp_path / 'papers'}" in out
    assert "--with-config" in out
    assert not (tmp_path / "new" / "config.yaml").exists()
    assert "papers" not in run("roots", "list", "--home", tmp_path / "new")[1]

    told = structure(
        run("restore", tmp_path / "kept", "--home", tmp_path / "new", "--with-roots", "--with-config", "--json")[1]
    )
    assert (told["unchanged"], told["roots_added"]) == (["letters", "notes"], [str(tmp_path / "papers")])
    assert told["roots_not_added"] == ["/nowhere/else"]
    assert (tmp_path / "new" / "config.yaml").read_text() == "indexing: {chunk_size: 300}"


def test_what_is_left_out_everywhere_stays_left_out(run, home, tmp_path):
    (home / "ignore").write_text("private/\n!private/open.md\n")
    run("backup", tmp_path / "kept")
    new = tmp_path / "new"
    run("ignore", "*.tmp", "--no-sync", "--home", new)
    told = structure(run("restore", tmp_path / "kept", "--home", new, "--json")[1])
    assert told["ignored"] == ["private/"]
    assert (new / "ignore").read_text() == "*.tmp\nprivate/\n"


def test_a_model_that_is_not_here_is_named_with_the_command_that_fetches_it(run, tmp_path):
    run("backup", tmp_path / "kept")
    _, out, _ = run("restore", tmp_path / "kept", "--home", tmp_path / "new")
    assert "The model hash is not on this machine" in out
    assert "kcore pull hash" in out


@pytest.mark.slow
def test_a_restore_through_the_owner_lets_it_serve_on(home, tmp_path):
    wanted = contents(home, "notes")
    added(home, "letters", 99)
    try:
        assert kcore(home, "list").returncode == 0
        owner = owner_pid(home)
        assert kcore(home, "backup", str(tmp_path / "kept")).returncode == 0
        kcore(home, "delete", "--collection", "notes", "--all", "--yes")
        told = kcore(home, "restore", str(tmp_path / "kept"), "--replace", "--collection", "notes", "--json")
        assert told.returncode == 0, told.stderr
        assert structure(told.stdout)["restored"][0]["documents"] == len(wanted)
        listed = structure(kcore(home, "list", "--json").stdout)["collections"]
        assert {each["name"]: each["documents"] for each in listed} == {"letters": 4, "notes": 3}
        assert owner_pid(home) == owner
    finally:
        end_owner(home)
    assert contents(home, "notes") == wanted


@pytest.mark.anyio
async def test_documents_that_were_acknowledged_and_not_embedded_are_embedded_after_a_restore(home, tmp_path):
    inline = json.dumps({"id": "waiting", "text": "a text that waits to be embedded"})
    collection = Collection.open(home / "collections" / "notes")
    record = JobRecord("index-waiting", "index", "running", 1e9, 1e9, json.dumps({"collection": "notes"}))
    collection.start_job(record, [PlanRow("waiting", "add", inline=inline)])
    collection.close()
    run_here("backup", tmp_path / "kept", "--home", home)

    with (
        Engine(tmp_path / "new", Config(), command="test", make_embedder=lambda *_: HashEmbedder()) as engine,
        opened(tmp_path / "kept") as source,
        staging(engine.home, 0) as folder,
    ):
        (notes,) = chosen(source, ["notes"])
        stage(source, notes, folder, lambda _: None)
        async with Client(application(engine, for_cli=True)) as client:
            connection = Connection(client)
            await connection.ask("put_in_place", name="notes")
            ended = await connection.call("job", {"id": "index-waiting", "wait_seconds": 20})
            assert ended.structure["jobs"][0]["state"] == "done", ended.text
            got = await connection.call("get_document", {"id": "waiting", "collection": "notes"})
    assert "waits to be embedded" in got.text


KILLED = """
import os, signal, sys
from pathlib import Path
from knowledge_core.cli.main import main
point, time, after = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "after"
calls = []

def killed(do):
    def call(*given, **named):
        calls.append(1)
        if len(calls) == time and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = do(*given, **named)
        if len(calls) == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return call

from knowledge_core.backups import restoring, targets
from knowledge_core.storage import exchanging
from knowledge_core.storage.record import copying
if point == "exchange":  # the renames of `exchange`: 1 to its coming name, 2 the former one aside, 3 into place
    class Watched(type(Path())):
        rename = killed(Path.rename)
    exchange = exchanging.exchange
    from knowledge_core import engine
    engine.exchange = lambda folder, name, new, aside: exchange(Watched(folder), name, Watched(new), Watched(aside))
else:
    owner = {"adopt": restoring, "flush_folder": targets, "replacing": targets, "to_bytes": targets,
             "_refuse_unsound": copying}[point]
    setattr(owner, point, killed(getattr(owner, point)))
sys.exit(main(sys.argv[4:]))
"""


def killed(home: Path, point: str, time: int, when: str, *argv: object) -> None:
    command = [
        sys.executable,
        "-c",
        KILLED,
        point,
        str(time),
        when,
        *map(str, argv),
        "--home",
        str(home),
        "--in-process",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


RESTORE_POINTS = [("adopt", 1, "before"), ("adopt", 2, "after")] + [
    ("exchange", time, when) for time in range(1, 7) for when in ("before", "after")
]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such kill")
@pytest.mark.parametrize(
    ("point", "time", "when"),
    [each if each == ("exchange", 2, "after") else slow(*each) for each in RESTORE_POINTS],
)
def test_a_restore_that_is_killed_leaves_the_old_or_the_new_one_and_is_finished_by_the_same_command(
    run, home, tmp_path, point, time, when
):
    run("backup", tmp_path / "kept")
    new = {name: contents(home, name) for name in ("letters", "notes")}
    for name in new:
        added(home, name, 99)
    old = {name: contents(home, name) for name in new}
    killed(home, point, time, when, "restore", tmp_path / "kept", "--replace")
    with Engine(home, Config(), command="test"):
        pass  # whoever opens the data directory next
    for name in new:
        assert contents(home, name) in (old[name], new[name])
    assert run("restore", tmp_path / "kept", "--replace")[0] == 0
    for name in new:
        assert contents(home, name) == new[name]
    assert sorted(path.name for path in (home / "collections").iterdir()) == ["letters", "notes"]
    assert [path for path in (home / RESTORING).iterdir() if path.is_dir()] == []


BACKUP_POINTS = [
    ("_refuse_unsound", 1, "before"), ("_refuse_unsound", 2, "after"), ("flush_folder", 1, "after"),
    ("flush_folder", 2, "after"), ("to_bytes", 1, "before"), ("replacing", 1, "before"),
]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such kill")
@pytest.mark.parametrize("target", ["kept", slow("kept.zip")])
@pytest.mark.parametrize(
    ("point", "time", "when"),
    [each if each == ("to_bytes", 1, "before") else slow(*each) for each in BACKUP_POINTS],
)
def test_a_backup_that_is_killed_leaves_the_former_one_and_its_rest_goes_with_the_next(
    run, home, tmp_path, target, point, time, when
):
    if target == "kept.zip" and point == "flush_folder":
        pytest.skip("an archive flushes a folder only when it is finished")
    run("backup", tmp_path / target)
    former = {name: contents(home, name) for name in ("letters", "notes")}
    for name in former:
        added(home, name, 99)
    killed(home, point, time, when, "backup", tmp_path / target)
    assert run("restore", tmp_path / target, "--home", tmp_path / "new")[0] == 0
    for name, content in former.items():
        assert contents(tmp_path / "new", name) == content
    assert run("backup", tmp_path / target)[0] == 0
    if target == "kept":
        assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
            "backup.lock",
            "collections",
            "manifest.json",
        ]
        assert len(list((tmp_path / "kept" / "collections").iterdir())) == 2
    else:
        assert not (tmp_path / "knowledge-core-backup.unfinished").exists()
        assert zipfile.ZipFile(tmp_path / target).testzip() is None
    assert run("restore", tmp_path / target, "--check")[0] == 0
