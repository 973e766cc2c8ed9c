"""Each file of a data directory can be damaged in each way: it is repaired, or named with what to do; the rest answers.

`python -m benchmarks.corruption` does all of it; here a few cases of each kind.
"""

from __future__ import annotations

import pytest

from corruption import Case, Ground, cases, examined

RECORD = "collections/victim/documents.db"
BY_DEFAULT = {
    (RECORD, "cut in half"): "named",
    (f"{RECORD}-wal", "removed"): "named",
    ("collections/victim/graph.head", "a bit flipped"): "whole",
    ("collections/victim/lexical/state.json", "garbage"): "whole",
    ("roots.json", "emptied"): "named",
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    made = Ground(tmp_path_factory.mktemp("ground"))
    made.make()
    return made


def test_a_few_damages_are_repaired_or_named(ground):
    for (file, harm), answer in BY_DEFAULT.items():
        outcome = examined(ground, Case(file, harm))
        assert outcome.answer == answer, outcome


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_damage_of_any_file_is_silent_or_a_crash(ground, seed):
    outcomes = [examined(ground, case) for case in cases(ground, 1, seed) if seed == 0 or "flipped" in case.harm]
    assert [each for each in outcomes if each.answer == "wrong"] == []
