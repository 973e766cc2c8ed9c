"""The table of words as they were written is whole: every query is asked once, and what it wants is there."""

from __future__ import annotations

import doctest
import json
from collections import Counter

from benchmarks import written_words


def test_every_document_that_a_query_names_is_there():
    documents, queries = written_words.load()
    missing = {name for query in queries for name in query.named()} - set(documents)
    assert not missing, f"{written_words.TABLE.name} has no such documents"


def test_every_query_is_asked_once_and_wants_something():
    _, queries = written_words.load()
    twice = [text for text, times in Counter(query.query for query in queries).items() if times > 1]
    assert not twice, "asked twice"
    assert len(queries) >= 60
    assert all(query.first and query.over not in query.first for query in queries)


def test_copies_are_of_one_text():
    documents, queries = written_words.load()
    for query in queries:
        assert len({documents[name] for name in query.once}) <= 1, query.query


def test_the_run_that_is_kept_answers_queries_of_the_table():
    _, queries = written_words.load()
    kept = json.loads(written_words.TABLE.with_stem("written_words_before").read_text(encoding="utf-8"))
    assert {each["query"] for each in kept["rows"]} == {query.query for query in queries}


def test_what_is_right_is_judged_as_the_example_says():
    assert doctest.testmod(written_words).failed == 0
