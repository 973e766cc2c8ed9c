"""No file with faults makes a reader do anything but read it, or say what is wrong with it."""

from __future__ import annotations

import pytest
from fuzz_readers import fuzzed
from samples import SMALL

from knowledge_core.ingestion.format_table import FORMATS

NAMES = [each.name for each in FORMATS]


def faults(format: str, cases: int, seed: int) -> list[str]:
    found = fuzzed(format, seed=seed, folder=None, more=lambda number: number < cases)
    return [f"{fault.case} {fault.where}\n{fault.trace}" for _, fault in found if fault]


@pytest.mark.parametrize("format", NAMES)
def test_files_with_faults_are_read_or_refused(format):
    assert not faults(format, 25, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("format", NAMES)
def test_many_files_with_faults_are_read_or_refused(format):
    assert not faults(format, 1500, seed=2)


def test_there_is_a_sound_file_of_every_format_that_can_be_made_by_hand():
    by_hand = {each.name for each in FORMATS if each.content != "ole"}
    assert by_hand <= {kind for kind, _ in SMALL.values()}
