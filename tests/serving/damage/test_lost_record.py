"""What a record lost is told until a person agrees; a record that is gone is no collection that never was."""

from __future__ import annotations

import shutil

import anyio
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.cli.doctor import _verdict
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.private import PrivateRequests
from knowledge_core.types import Chunk, Lines, Span, Task
from mcp_text import NOTES, text_of
from owner_processes import kcore

pytestmark = pytest.mark.anyio

LATER = [{"id": f"later{n}", "text": f"Wind number {n} turns the mill."} for n in range(20)]


def opened(home):
    return Engine(home, Config(), make_embedder=lambda model, dimensions: HashEmbedder())


async def called(engine, tool, **arguments):
    async with Client(application(engine)) as client:
        return await client.call_tool(tool, arguments)


async def indexed(engine, collection, documents):
    done = await called(engine, "index", collection=collection, documents=documents)
    assert not done.is_error, text_of(done)


async def killed_home(tmp_path):
    """A data directory as a `kill -9` leaves it, and the record of "notes" as it was before its later documents."""
    with opened(tmp_path / "alive") as engine:
        await indexed(engine, "sound", NOTES)
        await indexed(engine, "notes", NOTES)
        older = tmp_path / "older.db"
        engine.collection("notes").close()  # moves the log into the record
        engine._collections.pop("notes")
        shutil.copy(tmp_path / "alive/collections/notes/documents.db", older)
        await indexed(engine, "notes", LATER)
        killed = tmp_path / "home"
        shutil.copytree(tmp_path / "alive", killed)
    return killed, older


def files_of(home):
    folder = home / "collections" / "notes"
    return folder / "documents.db", folder / "documents.db-wal"


def cut(record, log, older):
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])


def removed(record, log, older):
    log.unlink()


def put_back(record, log, older):
    log.unlink()
    shutil.copy(older, record)


def flipped(record, log, older):
    content = bytearray(log.read_bytes())
    content[len(content) // 3] ^= 0x20
    log.write_bytes(content)


@pytest.mark.parametrize(
    "harm", [cut, *(pytest.param(each, marks=pytest.mark.slow) for each in (put_back, removed, flipped))]
)
async def test_a_record_that_is_behind_its_indexes_is_told_everywhere_until_a_person_agrees(tmp_path, harm):
    home, older = await killed_home(tmp_path)
    harm(*files_of(home), older)
    for _ in range(2):  # the proof outlives the index that gave it
        with opened(home) as engine:
            private = PrivateRequests(engine, {})
            found = await called(engine, "search", query="wind mill sunlight", limit=3)
            assert not found.is_error
            assert len([each for each in found.structured_content["notices"] if "'notes' lost" in each]) == 1
            listed = text_of(await called(engine, "list_collections"))
            assert "record of collection 'notes' is behind" in listed
            assert "chunks that were acknowledged are missing" in listed
            assert private._status()["losses"]
            report = private._doctor()
            assert not report["clean"]
            assert "no repair can rebuild" in _verdict(report)
            assert not (await called(engine, "search", query="sunlight", collections=["sound"])).structured_content[
                "notices"
            ]
            await indexed(engine, "notes", LATER)
    with opened(home) as engine:
        private = PrivateRequests(engine, {})
        found = await called(engine, "search", query="wind mill number 7", collections=["notes"], limit=30)
        assert {hit["document"] for hit in found.structured_content["hits"]} >= {each["id"] for each in LATER}
        assert "is behind" in private._accept_losses("notes")["accepted"][0]
        assert not private._status()["losses"]
    with opened(home) as engine:
        assert PrivateRequests(engine, {})._doctor()["clean"]


async def test_a_lost_move_to_another_model_is_told(tmp_path):
    home, older = await killed_home(tmp_path)
    with opened(home) as engine:
        collection = engine.collection("notes")
        contract = HashEmbedder(dimensions=16).contract
        collection.reembedding.begin(contract)
        for waiting in collection.reembedding.waiting(10**9):
            text = waiting.document.text
            vector = HashEmbedder(dimensions=16).embed([text], Task.DOCUMENT, [waiting.document.title])[0]
            part = Chunk(0, text, Span(0, len(text)), Lines(1, 1))
            digest = contract.digest(text, waiting.document.title)
            collection.reembedding.write(contract, [(waiting, [part])], {digest: vector})
        collection.switch_contract()
    record, _ = files_of(home)
    shutil.copy(older, record)
    with opened(home) as engine:
        assert "is behind" in engine.collection("notes").losses.told()[0]


async def test_a_kill_and_a_collection_made_anew_lose_nothing(tmp_path):
    home, _ = await killed_home(tmp_path)
    kept = tmp_path / "kept"
    shutil.copytree(home / "collections" / "notes", kept)
    with opened(home) as engine:
        assert engine.collection("notes").losses.told() == []
        gone = await called(engine, "delete", collection="notes", all=True, confirm=True)
        assert not gone.is_error
        await indexed(engine, "notes", NOTES)
    for path in kept.iterdir():
        if not path.name.startswith("documents.db"):
            target = home / "collections" / "notes" / path.name
            (shutil.copytree if path.is_dir() else shutil.copy)(
                path, target, **({"dirs_exist_ok": True} if path.is_dir() else {})
            )
    with opened(home) as engine:
        assert engine.collection("notes").losses.told() == []
        found = await called(engine, "search", query="sunlight electricity", collections=["notes"])
        assert found.structured_content["hits"][0]["document"] == "solar"


async def test_a_flipped_digit_of_an_index_is_no_loss_of_the_record(tmp_path):
    home, _ = await killed_home(tmp_path)
    state = home / "collections" / "notes" / "lexical" / "state.json"
    said = state.read_text()
    begin = said.index('"generation": ') + len('"generation": ')
    state.write_text(said[:begin] + "9" + said[begin + 1 :])
    with opened(home) as engine:
        assert engine.collection("notes").losses.told() == []


@pytest.mark.parametrize("harm", ["removed", pytest.param("emptied", marks=pytest.mark.slow)])
async def test_a_record_that_is_gone_is_named_and_never_made_anew_silently(tmp_path, harm):
    home, _ = await killed_home(tmp_path)
    record, log = files_of(home)
    record.unlink()
    if harm == "emptied":
        record.touch()
    size = log.stat().st_size
    with opened(home) as engine:
        private = PrivateRequests(engine, {})
        assert "The record of collection 'notes' is" in private._status()["unreadable"]["notes"]
        assert "kcore doctor --set-aside notes" in text_of(await called(engine, "list_collections"))
        refused = await called(engine, "index", collection="notes", documents=LATER)
        assert refused.is_error
        assert "documents.db" in text_of(refused)
        found = await called(engine, "search", query="sunlight electricity")
        assert found.structured_content["hits"][0]["document"] == "solar"
        assert "'notes' was left out" in found.structured_content["notices"][0]
        assert not private._doctor()["clean"]
        assert log.stat().st_size == size, "what may help a rescue was thrown away"
        aside = private._set_aside("notes")["folder"]
        assert private._status()["set_aside"] == [aside]
        assert engine.names() == ["sound"]
        await indexed(engine, "notes", LATER)
    assert (home / "set-aside").stat().st_mode & 0o077 == 0
    assert list((home / "set-aside").glob("notes-*/documents.db-wal"))


@pytest.mark.slow
async def test_what_is_left_of_a_collection_can_be_deleted(tmp_path):
    home, _ = await killed_home(tmp_path)
    files_of(home)[0].unlink()
    with opened(home) as engine:
        gone = await called(engine, "delete", collection="notes", all=True, confirm=True)
        assert not gone.is_error, text_of(gone)
        assert engine.names() == ["sound"]


@pytest.mark.slow
def test_a_person_accepts_and_sets_aside_from_the_shell(tmp_path):
    home, older = anyio.run(killed_home, tmp_path)
    put_back(*files_of(home), older)
    accepted = kcore(home, "doctor", "--accept", "notes", "--in-process")
    assert (accepted.returncode, accepted.stdout.count("is behind")) == (0, 1), accepted.stderr
    aside = kcore(home, "doctor", "--set-aside", "notes", "--in-process")
    assert "the name is free" in aside.stdout, aside.stderr
    nothing = kcore(home, "doctor", "--set-aside", "notes", "--in-process")
    assert (nothing.returncode, "No collection 'notes'" in nothing.stderr) == (1, True)
