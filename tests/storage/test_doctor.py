"""What `kcore doctor` says of a collection is true."""

from __future__ import annotations

import numpy as np

from storage.shelf import damaged, document, found_by_words, put


def test_a_sound_collection_is_clean_and_counted(shelf):
    put(shelf, document("a", "one", "two"))
    findings = shelf.check()
    assert {finding.level for finding in findings} == {"ok"}
    assert "1 documents, 2 chunks, 2 vectors" in findings[0].what


def test_a_lacking_key_is_found_and_repaired(shelf):
    put(shelf, document("a", "one", "two"))
    shelf._derived.vectors.apply(
        shelf._derived.vectors.generation, np.empty(0, np.int64), np.empty((0, 32), np.float32), [1]
    )
    shelf._publish()
    assert any("1 keys are lacking" in what for what in damaged(shelf))
    assert any(finding.level == "repaired" for finding in shelf.check(repair=True))
    assert damaged(shelf) == []


def test_a_lacking_chunk_of_the_words_is_found_and_repaired(shelf):
    put(shelf, document("a", "one", "two"))
    shelf._derived.words.apply(shelf._derived.words.generation, [], [2])
    shelf._publish()
    assert any("1 chunks are lacking" in what for what in damaged(shelf))
    shelf.check(repair=True)
    assert found_by_words(shelf, "two") == ["a"]


def test_a_vector_that_differs_from_the_record_is_found(shelf):
    put(shelf, document("a", "one"))
    blob = shelf._store._connection.execute("SELECT vector FROM vectors").fetchone()[0]
    other = np.roll(np.frombuffer(blob, "<f2"), 5).tobytes()
    shelf._store._connection.execute("UPDATE vectors SET vector = ?", (other,))
    shelf._publish()
    assert any("differ" in what for what in damaged(shelf))


def test_a_broken_vector_in_the_record_is_found(shelf):
    put(shelf, document("a", "one"))
    nan = np.full(32, np.nan, "<f2").tobytes()
    shelf._store._connection.execute("UPDATE vectors SET vector = ?", (nan,))
    shelf._publish()
    assert any("not finite" in what for what in damaged(shelf))
