"""The page of formats says what the code does, and the benchmark behind its numbers counts words rightly."""

from __future__ import annotations

import doctest
import json

import format_page
from benchmarks.formats import corpus, measures

from knowledge_core.ingestion.format_table import FORMATS


def test_the_page_of_formats_is_what_the_code_says():
    page = format_page.PAGE.read_text(encoding="utf-8")
    assert format_page.renewed(page) == page, f"docs/formats.md is out of date; write it anew: {format_page.COMMAND}"
    assert all(f"<!-- from the code: {part} -->" in page for part in format_page.PARTS)


def test_the_page_says_of_every_format_what_is_not_kept():
    assert set(format_page.NOT_KEPT) == {each.name for each in FORMATS}, "tests/docs/format_page.py: NOT_KEPT"


def test_words_headings_and_shares_are_counted_as_their_examples_say():
    assert doctest.testmod(measures).attempted >= 4
    assert doctest.testmod(measures).failed == 0


def test_every_package_of_samples_is_pinned_by_version_and_digest():
    for source in json.loads(corpus.TABLE.read_text(encoding="utf-8")):
        assert source["from"] in ("pypi", "npm", "debian", "debian-binary"), source["package"]
        assert source["version"], source["package"]
        assert len(source["sha256"]) == 64, source["package"]
        assert source["licence"], source["package"]
        assert all(each["paths"] for each in source["samples"]), source["package"]
