"""Scoring retrieval on a judged folder."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from knowledge_core.errors import InvalidInput
from knowledge_core.verbs.evaluate import evaluate, load_beir, ndcg, recall, reciprocal_rank
from knowledge_core.verbs.search import Searched
from search.library import Library

CORPUS = [
    {"_id": "solar", "title": "Solar", "text": "A panel turns sunlight into electricity."},
    {"_id": "bread", "title": "Bread", "text": "Knead the dough and bake the loaf."},
    {"_id": "copy", "title": "Bread", "text": "Knead the dough and bake the loaf."},
    {"_id": "bare", "title": "Only a title", "text": ""},
]
QUERIES = [
    {"_id": "q1", "text": "panel sunlight"},
    {"_id": "q2", "text": "nobody judged this"},
    {"_id": "q3", "text": "knead dough"},
]
QRELS = [("q1", "solar", 1), ("q1", "gone", 1), ("q3", "copy", 2), ("q3", "bread", 1), ("q2", "solar", 0)]


def test_metrics_agree_with_values_worked_out_by_hand() -> None:
    ranked, grades = ["x", "b", "a"], {"a": 3, "b": 1}
    assert ndcg(ranked, grades) == pytest.approx((1 / 1.584962500721156 + 3 / 2) / (3 + 1 / 1.584962500721156))
    assert recall(ranked, grades, 2) == 0.5
    assert reciprocal_rank(ranked, grades) == 0.5
    assert (ndcg([], grades), recall([], grades), reciprocal_rank([], grades)) == (0.0, 0.0, 0.0)


def test_a_folder_is_read_with_its_judged_queries_only(beir: Callable[..., Path]) -> None:
    folder = beir(CORPUS, QUERIES, QRELS)
    judged = load_beir(folder)
    assert [document.id for document in judged.documents] == ["solar", "bread", "copy", "bare"]
    assert judged.documents[3].text == "Only a title"
    assert list(judged.queries) == ["q1", "q3"]
    assert judged.judgements == {"q1": {"solar": 1}, "q3": {"copy": 2, "bread": 1}}
    assert list(load_beir(folder, limit=1).queries) == ["q1"]


def test_gzipped_files_are_read_too(beir: Callable[..., Path]) -> None:
    folder = beir(CORPUS, QUERIES, QRELS)
    plain = load_beir(folder)
    for name in ("corpus.jsonl", "queries.jsonl"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    assert load_beir(folder) == plain


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("corpus.jsonl", None, "corpus.jsonl is missing"),
        ("corpus.jsonl", '{"_id": "a", "text": "b"}\n{"_id": 3, "text": "b"}\n', "corpus.jsonl, line 2"),
        ("queries.jsonl", "nonsense\n", "queries.jsonl, line 1"),
        ("queries.jsonl", "[]\n", "queries.jsonl, line 1"),
        ("qrels/test.tsv", "head\nq1\tsolar\tmuch\n", "test.tsv, line 2"),
        ("qrels/test.tsv", "head\nq1\n", "test.tsv, line 2"),
        ("qrels/test.tsv", "head\n", "No query"),
    ],
)
def test_a_malformed_folder_is_refused_by_file_and_line(
    beir: Callable[..., Path], file: str, content: str | None, said: str
) -> None:
    folder = beir(CORPUS, QUERIES, QRELS)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(InvalidInput, match=said):
        load_beir(folder)


def test_a_damaged_archive_is_refused(beir: Callable[..., Path]) -> None:
    folder = beir(CORPUS, QUERIES, QRELS)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(b"{}" * 1000)[:-20])
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_beir(folder)


def test_searches_are_scored_query_by_query_and_the_same_each_time(library: Library, beir: Callable[..., Path]) -> None:
    judged = load_beir(beir(CORPUS, QUERIES, QRELS))
    library.put(judged.documents)
    with library.collections["notes"].view() as view:
        over = [Searched("notes", view, library.embedders["notes"])]
        scores = evaluate(over, judged, mode="lexical")
        assert evaluate(over, judged, mode="lexical") == scores
    assert [score.query for score in scores.queries] == ["q1", "q3"]
    assert scores.queries[0] == type(scores.queries[0])("q1", 1.0, 1.0, 1.0)
    # "bread" comes before its copy, which has the higher grade: (1 + 2 / 1.585) / (2 + 1 / 1.585)
    assert scores.queries[1].ndcg == pytest.approx(0.8597, abs=1e-3)
    assert scores.mrr == 1.0
