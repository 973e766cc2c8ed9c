"""The verb `evaluate`: nDCG, recall and reciprocal rank of searches, against the judgements of a folder in BEIR's layout.

The layout: `corpus.jsonl` of {"_id", "title", "text"}, `queries.jsonl` of {"_id", "text"}, each plain or with `.gz`,
and `qrels/test.tsv` of query, document and grade below a head line. The metrics are pure and rank documents, not chunks:
a document has the rank of its best chunk.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_core.errors import InvalidInput
from knowledge_core.types import Document
from knowledge_core.verbs.search import Mode, Searched, SearchRequest, search

CUT = 10  # the rank up to which nDCG@10, recall@10 and MRR@10 count
HITS = 50  # per query: enough for ten documents where each has several chunks among the first hits


@dataclass(frozen=True)
class Judged:
    """A judged collection.

    queries: id -> text. judgements: query id -> document id -> grade, only grades above 0; never empty.
    """

    documents: tuple[Document, ...]
    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class QueryScore:
    """The three metrics of one query, each 0..1, over its first ten documents."""

    query: str
    ndcg: float
    recall: float
    reciprocal_rank: float


@dataclass(frozen=True)
class Evaluation:
    """The means of the three metrics over all queries, and each query's own, in the order of the queries."""

    mode: Mode
    ndcg: float
    recall: float
    mrr: float
    queries: tuple[QueryScore, ...]


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], cut: int = CUT) -> float:
    """Return the normalised discounted cumulative gain of a ranking, 0..1.

    Gains are linear; the ideal ranking is made of all judged documents.

    Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", doi:10.1145/582415.582418.

    >>> round(ndcg(["a", "b", "c"], {"a": 1, "c": 1}), 4)
    0.9197
    >>> ndcg(["b"], {"a": 1})
    0.0
    """
    gain = sum(grades.get(id, 0) / math.log2(rank + 2) for rank, id in enumerate(ranked[:cut]))
    ideal = sorted(grades.values(), reverse=True)[:cut]
    best = sum(grade / math.log2(rank + 2) for rank, grade in enumerate(ideal))
    return gain / best if best > 0 else 0.0


def recall(ranked: Sequence[str], relevant: Collection[str], cut: int = CUT) -> float:
    """Return the share of the relevant documents that are among the first `cut`; 0 where no document is relevant.

    >>> recall(["a", "b", "c"], {"a", "d"})
    0.5
    """
    return len(set(ranked[:cut]) & set(relevant)) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranked: Sequence[str], relevant: Collection[str], cut: int = CUT) -> float:
    """Return 1 / rank of the first relevant document among the first `cut`; 0 where none is there.

    >>> reciprocal_rank(["a", "b", "c"], {"b", "c"})
    0.5
    """
    return next((1.0 / rank for rank, id in enumerate(ranked[:cut], start=1) if id in relevant), 0.0)


def load_beir(folder: Path, limit: int | None = None) -> Judged:
    """Read a folder in BEIR's layout: all documents, and the first `limit` judged queries (None: all of them).

    A document without text gets its title as text. Judgements of unknown documents are left out.

    Raises:
        InvalidInput: a file is missing or malformed (the message names it and the line), or nothing is judged.
    """
    documents = tuple(
        Document(id=row["_id"], text=row["text"], title=row.get("title", ""))
        if row["text"].strip()
        else Document(id=row["_id"], text=row.get("title", ""))
        for row in _rows(folder / "corpus.jsonl")
    )
    grades = _grades(folder / "qrels" / "test.tsv", {document.id for document in documents})
    judged = [row for row in _rows(folder / "queries.jsonl") if row["_id"] in grades][:limit]
    if not judged:
        raise InvalidInput(f"No query in {folder.name!r} has a judged document in the corpus; check qrels/test.tsv.")
    queries = {row["_id"]: row["text"] for row in judged}
    return Judged(documents, queries, {query: grades[query] for query in queries})


def evaluate(over: Sequence[Searched], judged: Judged, *, mode: Mode = "hybrid") -> Evaluation:
    """Search for every judged query and score the rankings. Deterministic.

    Raises:
        KnowledgeCoreError: a search fails; see `search`.
    """
    scores = []
    for query, text in judged.queries.items():
        ranked = ranked_documents(over, text, mode=mode)
        grades = judged.judgements[query]
        scores.append(QueryScore(query, ndcg(ranked, grades), recall(ranked, grades), reciprocal_rank(ranked, grades)))
    return Evaluation(
        mode=mode,
        ndcg=math.fsum(score.ndcg for score in scores) / len(scores),
        recall=math.fsum(score.recall for score in scores) / len(scores),
        mrr=math.fsum(score.reciprocal_rank for score in scores) / len(scores),
        queries=tuple(scores),
    )


def ranked_documents(over: Sequence[Searched], query: str, *, mode: Mode) -> list[str]:
    """Return the ids of the found documents, best first, each once; documents of the same text follow the one in the hit."""
    found = search(over, SearchRequest(query=query, mode=mode, limit=HITS))
    return list(dict.fromkeys(id for hit in found.hits for id in (hit.document, *hit.also)))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not (isinstance(row["_id"], str) and isinstance(row["text"], str)):
                raise TypeError
        except (ValueError, RecursionError, TypeError, KeyError):
            raise InvalidInput(f'{path.name}, line {number}: not an object with texts "_id" and "text".') from None
        yield {name: value for name, value in row.items() if isinstance(value, str)}


def _grades(path: Path, known: Collection[str]) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_lines(path), start=1):
        fields = line.rstrip("\r\n").split("\t")
        if number == 1 or fields == [""]:
            continue  # the head line
        try:
            query, document, grade = fields[0], fields[1], int(fields[2])
        except (ValueError, IndexError):
            raise InvalidInput(
                f"{path.name}, line {number}: not a query, a document and a grade, tabs between."
            ) from None
        if grade > 0 and document in known:
            grades.setdefault(query, {})[document] = grade
    return grades


def _lines(path: Path) -> Iterator[str]:
    packed = path.with_name(path.name + ".gz")
    try:
        if packed.exists() and not path.exists():
            with gzip.open(packed, "rt", encoding="utf-8") as file:
                yield from file
        else:
            with path.open(encoding="utf-8") as file:
                yield from file
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise InvalidInput(
            f"{path.name} {reason} in {path.parent.name!r}. A folder in BEIR's layout has corpus.jsonl, queries.jsonl "
            "(or .jsonl.gz) and qrels/test.tsv."
        ) from error
