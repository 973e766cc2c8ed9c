"""What benchmarks measure with holds: the table of words as they were written is whole, docstrings are taken out rightly."""

from __future__ import annotations

import doctest
import json
from collections import Counter

from benchmarks import code_search, written_words
from benchmarks.lexical_cost import entries

from knowledge_core.storage.values import LexicalText


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


def test_what_is_right_is_judged_as_the_examples_say():
    for module in (written_words, code_search):
        found = doctest.testmod(module)
        assert found.attempted, module.__name__
        assert not found.failed, module.__name__


def test_jsdoc_is_taken_out_and_asks_for_the_line_that_follows_it():
    text = (
        "/** A file. */\nimport x\n\n/**\n * Say which of the numbers is best. Or none.\n * @param a\n */\n"
        "export function best(a) {\n  return a\n}\n"
    )
    source = code_search.javascript("a.js", text)
    assert source.text == "import x\n\nexport function best(a) {\n  return a\n}\n"
    assert source.functions == (code_search.Function("Say which of the numbers is best.", "a.js", 3),)


def test_a_function_of_nothing_but_its_docstring_stays_a_function():
    assert code_search.python("a.py", 'def f():\n    """Do."""\n\n\nf()\n').text == "def f():\n    ...\n\n\nf()\n"


def test_the_lexical_index_gets_chunks_with_the_names_of_their_files():
    assert entries([(7, "A text.", "a/b.md")]) == [LexicalText(7, "A text.", "a/b.md")]
