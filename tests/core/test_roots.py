from pathlib import Path

import pytest

from knowledge_core.errors import InvalidInput, StorageDamaged
from knowledge_core.roots import Roots


@pytest.fixture
def roots(tmp_path):
    return Roots(tmp_path / "roots.json", ())


def test_there_are_none_at_first(roots):
    assert roots.all() == []


def test_an_added_root_is_there_for_the_next_process(roots, tmp_path):
    (tmp_path / "notes").mkdir()
    roots.add(tmp_path / "notes")
    assert Roots(tmp_path / "roots.json", ()).all() == [(tmp_path / "notes").resolve()]


def test_a_folder_inside_a_root_adds_nothing_and_a_folder_above_replaces(roots, tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    roots.add(inner)
    roots.add(tmp_path / "a")
    assert roots.all() == [(tmp_path / "a").resolve()]
    roots.add(inner)
    assert roots.all() == [(tmp_path / "a").resolve()]


def test_a_configured_root_is_allowed_without_being_recorded(tmp_path):
    roots = Roots(tmp_path / "roots.json", (str(tmp_path),))
    assert roots.all() == [tmp_path.resolve()]
    assert roots.recorded() == []


@pytest.mark.parametrize("path", ["", ".", "notes"])
def test_an_empty_or_relative_path_is_refused_wherever_the_process_works(roots, tmp_path, monkeypatch, path):
    (tmp_path / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="empty or relative"):
        roots.add(Path(path))
    assert roots.all() == []


def test_the_whole_file_system_and_a_missing_path_are_refused(roots, tmp_path):
    with pytest.raises(InvalidInput, match="whole file system"):
        roots.add(tmp_path.resolve().__class__(tmp_path.anchor))
    with pytest.raises(InvalidInput, match="does not exist"):
        roots.add(tmp_path / "nowhere")


def test_removing_what_is_not_a_root_lists_those_that_are(roots, tmp_path):
    (tmp_path / "notes").mkdir()
    roots.add(tmp_path / "notes")
    with pytest.raises(InvalidInput, match="notes"):
        roots.remove(tmp_path)
    roots.remove(tmp_path / "notes")
    assert roots.all() == []


def test_a_damaged_file_is_an_error_that_says_what_to_do(roots, tmp_path):
    (tmp_path / "roots.json").write_text("{")
    with pytest.raises(StorageDamaged, match="add the roots again"):
        roots.all()


def test_a_name_that_no_file_system_takes_is_an_error_and_not_a_fault_of_the_program(roots, tmp_path):
    with pytest.raises(InvalidInput, match="does not exist"):
        roots.add(tmp_path / ("n" * 5_000))
