"""A collection keeps what it acknowledged, and shows each reader one whole generation."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from knowledge_core.contract import text_digest
from knowledge_core.errors import (
    CollectionNotFound,
    DocumentNotFound,
    InvalidInput,
    StorageDamaged,
    StorageError,
    StorageFull,
    StorageTooNew,
)
from knowledge_core.language.lexical_query import weighed
from knowledge_core.storage.catalogue import collection_names, drop, sweep, valid_name
from knowledge_core.storage.collection import (
    Change,
    Collection,
    Found,
    JobRecord,
    Patterns,
    PlanRow,
    Source,
    Stat,
)
from knowledge_core.storage.record.migrations import STEPS, migrate
from knowledge_core.types import Task
from storage.shelf import EMBEDDER, change, damaged, document, found_by_vector, found_by_words, new_collection, put


def test_a_written_document_is_found_by_id_by_words_and_by_vector(shelf):
    put(shelf, document("solar", "sunlight becomes electricity", title="Panels"))
    with shelf.view() as view:
        stored = view.document("solar")
    assert (stored.document.text, stored.document.title, stored.chunks) == ("sunlight becomes electricity", "Panels", 1)
    assert found_by_words(shelf, "sunlight") == ["solar"]
    assert found_by_vector(shelf, "sunlight becomes electricity", "Panels")[0] == "solar"


def test_what_was_written_is_there_after_closing_and_opening(shelf):
    put(shelf, document("a", "first text"), document("b", "second text"))
    shelf.close()
    again = Collection.open(shelf.folder)
    assert found_by_words(again, "second") == ["b"]
    assert found_by_vector(again, "first text")[0] == "a"
    assert damaged(again) == []
    again.close()


def test_a_changed_document_replaces_its_old_chunks(shelf):
    put(shelf, document("a", "old words here", "kept sentence"))
    put(shelf, document("a", "new words here", "kept sentence"))
    assert found_by_words(shelf, "old") == []
    assert found_by_words(shelf, "new") == ["a"]
    with shelf.view() as view:
        assert view.counts().chunks == 2
        assert view.counts().vectors == 2


def test_a_text_that_is_there_is_not_missing_so_it_is_embedded_once(shelf):
    put(shelf, document("a", "the same text"))
    digest = EMBEDDER.contract.digest("the same text")
    assert shelf.missing([digest, text_digest("other")]) == {text_digest("other")}
    put(shelf, document("b", "the same text"))
    with shelf.view() as view:
        assert (view.counts().chunks, view.counts().vectors) == (2, 1)


def test_a_vector_goes_with_the_last_chunk_that_has_it(shelf):
    put(shelf, document("a", "the same text"), document("b", "the same text"))
    shelf.write(Change(remove=["a"]))
    assert found_by_vector(shelf, "the same text") == ["b"]
    shelf.write(Change(remove=["b"]))
    with shelf.view() as view:
        assert view.counts().vectors == 0
        assert view.nearest(EMBEDDER.embed(["the same text"], Task.DOCUMENT), 3)[0].found == []


def test_keys_and_chunk_numbers_are_never_used_again(shelf):
    put(shelf, document("a", "one"))
    with shelf.view() as view:
        first = view.chunks_of_document("a")[0]
    shelf.write(Change(remove=["a"]))
    put(shelf, document("a", "one"))
    with shelf.view() as view:
        second = view.chunks_of_document("a")[0]
    assert second.key > first.key
    assert second.number > first.number


@pytest.mark.parametrize("broken", [np.nan, 2.0])
def test_a_broken_vector_is_refused_and_nothing_is_stored(shelf, broken):
    put(shelf, document("a", "good"))
    bad = change(shelf, [document("b", "bad")])
    vectors = {digest: np.where(vector != 0, vector * np.float32(broken), 0) for digest, vector in bad.vectors.items()}
    with pytest.raises(InvalidInput, match="norm"):
        shelf.write(Change(add=bad.add, vectors=vectors))
    with pytest.raises(InvalidInput, match="no vector"):
        shelf.write(Change(add=bad.add))
    with shelf.view() as view:
        assert view.counts().documents == 1
    assert damaged(shelf) == []


def test_a_document_that_comes_twice_in_one_write_is_refused(shelf):
    with pytest.raises(InvalidInput, match="'a' comes twice"):
        put(shelf, document("a", "one"), document("a", "two"))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"metadata": {"share": float("nan")}}, "metadata of document 'b' is not plain JSON"),
        ({"title": "half \udcff"}, "half a surrogate pair"),
    ],
)
def test_what_json_or_unicode_cannot_hold_is_refused_and_nothing_is_stored(shelf, bad, words):
    made = change(shelf, [document("b", "text")])
    with pytest.raises(InvalidInput, match=words):
        shelf.write(Change(add=[document("b", "text", **bad)], vectors=made.vectors))
    with shelf.view() as view:
        assert (view.counts().documents, view.counts().vectors) == (0, 0)


def test_the_first_vector_of_a_text_stays_its_vector(shelf):
    put(shelf, document("a", "the same text"))
    (digest,) = change(new_collection(shelf.folder.parent, "other"), [document("a", "the same text")]).vectors
    other = EMBEDDER.embed(["something else"], Task.DOCUMENT)[0]
    shelf.write(Change(add=[document("b", "the same text")], vectors={digest: other}))
    assert found_by_vector(shelf, "the same text") == ["a", "b"]
    assert damaged(shelf) == []


def test_a_rebuilt_index_is_the_same_to_the_bit(shelf):
    random = np.random.default_rng(0)
    made = change(shelf, [document("a", *(f"line {number}" for number in range(200)))])
    vectors = random.standard_normal((len(made.vectors), 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shelf.write(Change(add=made.add, vectors=dict(zip(made.vectors, vectors, strict=True))))
    with shelf.view() as view:
        before = view.quantised()
    shelf.close()
    for path in shelf.folder.glob("vectors-*"):
        path.unlink()
    again = Collection.open(shelf.folder)
    with again.view() as view:
        assert all(map(np.array_equal, before, view.quantised()))
    again.close()


def test_a_chunk_of_a_document_in_any_script_is_its_own_part_of_the_text(shelf):
    parts = ["Größe 1", "日本語 two", "\U0001f600 three", "last"]
    put(shelf, document("a", *parts), document("b", "other"))
    with shelf.view() as view:
        stored = view.chunks_of_document("a")
        assert [chunk.text for chunk in stored] == parts
        assert {number: chunk.text for number, chunk in view.chunks([2, 5]).items()} == {2: parts[1], 5: "other"}


def test_the_chunks_of_a_long_document_are_read_in_linear_time(shelf):
    put(shelf, document("long", *(f"line {number} " + "and more words " * 60 for number in range(3_000))))
    began = time.process_time()
    with shelf.view() as view:
        assert len(view.chunks_of_document("long")) == 3_000
    shelf.check(repair=True)
    # A text read anew for each of its chunks takes 15 s here, once for all of them 0.3 s.
    assert time.process_time() - began < 5


def test_a_reader_keeps_its_generation_while_others_write(shelf):
    put(shelf, document("a", "alpha"))
    with shelf.view() as before:
        put(shelf, document("a", "beta"), document("b", "gamma"))
        assert before.document("a").document.text == "alpha"
        assert [number for number, _ in before.words(weighed("beta", [before.lexicon]), 5)] == []
        assert before.counts().documents == 1
    assert found_by_words(shelf, "beta") == ["a"]


def test_a_search_during_writes_sees_a_document_whole_or_not_at_all(shelf):
    put(shelf, document("pair", "left 0", "right 0"))
    torn, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            with shelf.view() as view:
                texts = [chunk.text for chunk in view.chunks_of_document("pair")]
                by_words = {
                    chunk.text
                    for chunk in view.chunks(
                        n for n, _ in view.words(weighed("left right", [view.lexicon]), 10)
                    ).values()
                }
            if len({text.split()[1] for text in texts}) != 1 or len(texts) != 2 or by_words != set(texts):
                torn.append((texts, by_words))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 25):
        put(shelf, document("pair", f"left {number}", f"right {number}"))
    stop.set()
    for reader in readers:
        reader.join()
    assert torn == []


def test_a_missing_document_names_the_nearest_ids(shelf):
    put(shelf, document("notes/solar.md", "x"))
    with shelf.view() as view, pytest.raises(DocumentNotFound, match=r"Did you mean 'notes/solar.md'"):
        view.document("notes/sollar.md")


def test_documents_come_in_pages_in_the_order_of_their_ids(shelf):
    put(shelf, *(document(f"d{number:02}", f"text {number}") for number in range(7)))
    with shelf.view() as view:
        first = [stored.document.id for stored in view.documents(None, 4)]
        rest = [stored.document.id for stored in view.documents(None, 4, ("", first[-1]))]
    assert first + rest == [f"d{number:02}" for number in range(7)]


def test_a_job_makes_its_documents_known_before_they_are_embedded(shelf):
    shelf.start_job(JobRecord("j", "index", "running", 1.0, 1.0), [PlanRow("a", "add"), PlanRow("b", "add")])
    with shelf.view() as view:
        assert (view.counts().documents, view.counts().known) == (0, 2)
    shelf.write(change(shelf, [document("a", "text")], job="j", done=["a"], failed={"b": "damaged"}))
    with shelf.view() as view:
        assert (view.counts().documents, view.counts().known) == (1, 1)
    assert [(row.document, row.state, row.reason) for row in shelf.plan("j")] == [
        ("a", "done", ""),
        ("b", "failed", "damaged"),
    ]
    shelf.finish_job("j", "done", "{}")
    assert shelf.plan("j") == []


def test_a_job_that_a_crash_left_running_is_interrupted_and_still_counted(shelf):
    shelf.start_job(JobRecord("j", "index", "running", 1.0, 1.0), [PlanRow("a", "add")])
    shelf.close()
    again = Collection.open(shelf.folder)
    assert again.jobs()[0].state == "interrupted"
    with again.view() as view:
        assert view.counts().known == 1
    again.close()


def test_a_source_is_recorded_as_a_whole_and_forgotten_without_its_documents(shelf):
    first = Source(
        "b", "/a/b", (Patterns("", ("*.md",), ("private/",)),), by_person=True, watch=False, mounts=("usb/",)
    )
    shelf.set_sources([first, Source("c", "/c", by_person=False)])
    assert shelf.sources() == [first, Source("c", "/c", by_person=False)]
    put(shelf, document("b/x.md", "text", source="b"))
    shelf.set_sources([replace(first, path="/new")])
    assert shelf.sources()[0].path == "/new"
    shelf.set_sources([], forget=["b"])
    assert [source.name for source in shelf.sources()] == ["c"]
    assert found_by_words(shelf, "text") == ["b/x.md"]


def test_a_document_whose_file_moved_keeps_its_vectors_its_number_and_its_time(shelf):
    put(shelf, document("notes/old.txt", "one two three", title="old"), document("other", "else"))
    with shelf.view() as view:
        (number, _), former, keys = view.document_numbers(), view.document("notes/old.txt"), set(view.all_keys())
    moved = replace(
        document("archive/new.txt", "one two three", title="new"), moved_from="notes/old.txt", embedded_title="old"
    )
    shelf.write(Change(add=[moved]))
    with shelf.view() as view:
        stored = view.document("archive/new.txt")
        assert (stored.document.title, stored.embedded_title, stored.indexed_at) == ("new", "old", former.indexed_at)
        assert number in view.document_numbers()
        assert set(view.all_keys()) == keys
        assert view.state("notes/old.txt") is None
    assert found_by_words(shelf, "new") == ["archive/new.txt"]
    assert damaged(shelf) == []


def test_a_deleted_file_is_kept_out_until_it_is_let_in_or_stored_again(shelf):
    put(shelf, document("n/a.md", "text a", path="/n/a.md"), document("n/b.md", "text b", path="/n/b.md"))
    put(shelf, document("given", "by its text"))
    shelf.write(Change(remove=["n/a.md", "n/b.md", "given"], keep_out=["n/a.md", "n/b.md", "given"]))
    assert [(each.id, each.path) for each in shelf.kept_out()] == [("n/a.md", "/n/a.md"), ("n/b.md", "/n/b.md")]
    shelf.start_job(JobRecord("j", "index", "running", 1.0, 1.0), [])
    shelf.extend_job("j", [], "{}", Found(let_in=["n/a.md"]))
    assert [each.id for each in shelf.kept_out()] == ["n/b.md"]
    put(shelf, document("n/b.md", "text b", path="/n/b.md"))
    assert shelf.kept_out() == []


def test_a_filter_on_times_follows_a_touched_file(shelf):
    put(shelf, document("n/a.md", "text a", path="/n/a.md"), document("given", "by its text"))
    old = {"modified": {"$lt": "2001"}, "source": {"$exists": False}}
    with shelf.view() as view:
        assert view.allowed({"modified": {"$lt": "2001"}}).documents == 1, old
    shelf.write(Change(touched={"n/a.md": Stat(3, 1_700_000_000_000_000_000, 5)}))
    with shelf.view() as view:
        assert view.allowed({"modified": {"$lt": "2001"}}).documents == 0
        assert view.document("n/a.md").modified == "2023-11-14T22:13:20Z"
        assert [each.document.id for each in view.documents(order="modified")] == ["given", "n/a.md"]


def test_a_full_disk_is_a_clear_error_and_leaves_what_was_there(shelf):
    put(shelf, document("a", "kept text"))
    # SQLite's own limit behaves as a full disk does.
    connection = shelf._store._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageFull, match="Free space"):
        put(shelf, document("b", "x" * 500_000))
    connection.execute("PRAGMA max_page_count = 1000000")
    assert found_by_words(shelf, "kept") == ["a"]
    assert damaged(shelf) == []
    put(shelf, document("b", "it goes on"))
    assert found_by_words(shelf, "goes") == ["b"]


def test_an_index_that_could_not_follow_catches_up_at_the_next_write(shelf, monkeypatch):
    put(shelf, document("a", "first"))

    def refuses(*_):
        raise StorageFull("No space left.")

    with monkeypatch.context() as patched:
        patched.setattr(shelf._derived.words, "apply", refuses)
        with pytest.raises(StorageFull):
            put(shelf, document("b", "second"))
        assert found_by_words(shelf, "first") == ["a"]
        assert found_by_words(shelf, "second") == []
    put(shelf, document("c", "third"))
    assert found_by_words(shelf, "second") == ["b"]
    assert damaged(shelf) == []


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_again_and_again_loses_nothing(small_disk):
    shelf, ballast = new_collection(small_disk), small_disk / "ballast"
    acknowledged, refused = [], 0
    for batch in range(24):
        ballast.unlink(missing_ok=True)
        if batch % 2:  # from nothing to so much that the record has room and the indexes have none
            left = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
            ballast.write_bytes(bytes(max(0, left - batch * 16_384)))
        try:
            put(shelf, *(document(f"{batch}-{n}", f"word{batch} {n} " + "more " * 4_000) for n in range(2)))
            acknowledged.append(batch)
        except StorageFull:
            refused += 1
    ballast.unlink(missing_ok=True)
    put(shelf, document("last", "it goes on"))
    with shelf.view() as view:
        ids = view.document_ids()
    assert refused > 3
    assert len(acknowledged) >= 12
    assert {f"{batch}-{n}" for batch in acknowledged for n in range(2)} <= set(ids)
    assert len(ids) % 2 == 1, "half a batch was written"
    assert damaged(shelf) == []
    shelf.close()


def test_the_write_ahead_log_does_not_grow_without_end(shelf, monkeypatch):
    # The newest view always reads: a log that starts anew only when nobody does never would.
    monkeypatch.setattr("knowledge_core.storage.record.document_store.WAL_KEPT", 300_000)
    with shelf.view():
        for number in range(10):
            put(shelf, document("a", f"{number} kept by a reader"))
    for number in range(40):
        put(shelf, document("a", f"text {number}"))
    # It stays at 1 MB; without a fresh start it is 5 MB.
    assert (shelf.folder / "documents.db-wal").stat().st_size < 2_000_000
    assert found_by_words(shelf, "39") == ["a"]


def test_closing_does_not_wait_for_a_reader(shelf):
    put(shelf, document("a", "text"))
    with shelf.view() as view:
        began = time.perf_counter()
        shelf.close()
        assert time.perf_counter() - began < 2
        assert view.document("a").document.text == "text"
    with pytest.raises(CollectionNotFound, match="closed"):
        shelf.write(Change(remove=["a"]))


@pytest.mark.parametrize(
    "call",
    [
        lambda shelf: shelf.missing(["ab" * 32]),
        lambda shelf: shelf.states("notes"),
        lambda shelf: shelf.sources(),
        lambda shelf: shelf.stored_state("a"),
        lambda shelf: shelf.jobs(),
        lambda shelf: shelf.plan("job"),
        lambda shelf: shelf.inline("job", "a"),
        lambda shelf: shelf.set_sources([]),
        lambda shelf: shelf.kept_out(),
        lambda shelf: shelf.resume_job("job"),
        lambda shelf: shelf.blame_job("job"),
        lambda shelf: shelf.finish_job("job", "done", None),
        lambda shelf: shelf.set_probe(shelf.contract),
        lambda shelf: shelf.switch_contract(),
        lambda shelf: shelf.check(),
        lambda shelf: shelf.reembedding.contract(),
        lambda shelf: shelf.reembedding.begin(shelf.contract),
        lambda shelf: shelf.reembedding.left(),
        lambda shelf: shelf.reembedding.waiting(100),
        lambda shelf: shelf.reembedding.missing(["ab" * 32]),
        lambda shelf: shelf.reembedding.discard(),
    ],
)
def test_whatever_is_asked_of_a_closed_collection_says_that_it_was_closed(shelf, call):
    shelf.close()
    with pytest.raises(CollectionNotFound, match="was closed or deleted meanwhile"):
        call(shelf)


def test_a_record_that_is_no_database_is_a_clear_error(shelf):
    shelf.close()
    (shelf.folder / "documents.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageDamaged, match="kcore restore BACKUP"):
        Collection.open(shelf.folder)


def test_a_record_of_a_newer_version_is_refused(shelf):
    shelf.close()
    connection = sqlite3.connect(shelf.folder / "documents.db")
    connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    connection.close()
    with pytest.raises(StorageTooNew, match="Upgrade"):
        Collection.open(shelf.folder)


def test_a_migration_copies_the_file_aside_first_and_is_all_or_nothing(shelf):
    put(shelf, document("a", "text"))
    shelf.close()
    path = shelf.folder / "documents.db"

    def breaks(connection):
        connection.execute("CREATE TABLE half (x)")
        raise RuntimeError("power")

    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(RuntimeError):
        migrate(connection, path, [*STEPS, breaks])
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    migrate(connection, path, [*STEPS, lambda c: c.execute("CREATE TABLE more (x)")])
    assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)
    connection.close()
    before = sqlite3.connect(path.with_name(f"documents.db.before-v{len(STEPS) + 1}"))
    assert before.execute("SELECT count(*) FROM documents").fetchone() == (1,)
    before.close()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 300, "a\0b", "ends."])
def test_a_name_that_could_leave_its_folder_is_refused(name):
    with pytest.raises(InvalidInput, match="cannot be a collection's name"):
        valid_name(name)


def test_a_collection_is_not_made_where_there_is_one(shelf):
    put(shelf, document("a", "text"))
    with pytest.raises(StorageError):
        new_collection(shelf.folder.parent)
    assert collection_names(shelf.folder.parent) == ["shelf"]
    assert list(shelf.folder.parent.iterdir()) == [shelf.folder]


def test_what_a_crash_left_of_a_drop_is_swept(tmp_path):
    new_collection(tmp_path).close()
    (tmp_path / "shelf").rename(tmp_path / ".dropped-1")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_dropped_collection_is_gone_and_its_name_is_free(tmp_path):
    shelf = new_collection(tmp_path)
    put(shelf, document("a", "x"))
    shelf.close()
    drop(tmp_path, "shelf")
    assert collection_names(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    new_collection(tmp_path).close()
    with pytest.raises(CollectionNotFound):
        Collection.open(tmp_path / "other")


def test_an_opening_that_fails_ends_what_it_began(tmp_path, monkeypatch):
    new_collection(tmp_path).close()
    fds = Path("/proc/self/fd")
    monkeypatch.setattr(Collection, "_new_view", lambda self: (_ for _ in ()).throw(StorageError("refused")))
    threads, files = threading.active_count(), len(list(fds.iterdir())) if fds.exists() else 0
    for _ in range(3):
        with pytest.raises(StorageError):
            Collection.open(tmp_path / "shelf")
    assert threading.active_count() == threads
    assert not fds.exists() or len(list(fds.iterdir())) == files
