"""Scores of two sides to one: the examples of the modules, and what must hold for any scores."""

from __future__ import annotations

import doctest
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_core.language import lexical_query, printable, stop_words, token_estimate, wording
from knowledge_core.retrieval import fusion, relevance, snippet_questions, snippets
from knowledge_core.retrieval.fusion import Sides, calibrated, fuse
from knowledge_core.verbs import evaluate as evaluation

SCORES = st.dictionaries(st.integers(0, 30), st.floats(-1, 1, allow_nan=False), max_size=20)
SHARES = st.dictionaries(st.integers(0, 30), st.floats(0, 1, allow_nan=False), max_size=20)


@pytest.mark.parametrize(
    "module",
    [
        fusion,
        snippet_questions,
        snippets,
        relevance,
        stop_words,
        evaluation,
        lexical_query,
        printable,
        token_estimate,
        wording,
    ],
)
def test_the_examples_in_the_documentation_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


@given(dense=SCORES, lexical=SHARES, mean=st.floats(-1, 1), deviation=st.floats(0, 1), weight=st.floats(0, 0.1))
def test_a_fused_score_lies_between_0_and_1_and_every_candidate_has_one(
    dense: dict[int, float], lexical: dict[int, float], mean: float, deviation: float, weight: float
) -> None:
    fused = fuse(dense, lexical, calibrated(mean, deviation, weight))
    assert set(fused) == {*dense, *lexical}
    assert all(-1e-9 <= each.score <= 1.0 + 1e-9 for each in fused.values())
    assert all(each.score == each.dense + each.lexical for each in fused.values())


def test_where_the_model_earned_nothing_the_order_is_the_words() -> None:
    dense, lexical = {1: 0.9, 2: 0.1, 3: 0.8}, {2: 0.5, 1: 0.2}
    fused = fuse(dense, lexical, calibrated(0.1, 0.1, fusion.earned(0.2)))
    assert [fused[key].score for key in (2, 1, 3)] == [0.5, 0.2, 0.0]


def test_a_meaning_that_is_nothing_unusual_adds_nothing() -> None:
    fused = fuse({1: 0.1, 2: -0.5}, {}, calibrated(0.2, 0.1, 0.05))
    assert [each.score for each in fused.values()] == [0.0, 0.0]


def test_a_collection_of_copies_has_no_spread_and_no_error() -> None:
    assert fuse({1: 0.7}, {1: 0.4}, calibrated(0.7, 0.0, 0.05))[1].score == 0.4


@given(
    data=st.data(),
    dense=st.lists(st.floats(-0.2, 1), min_size=1, max_size=30),
    lexical=st.lists(st.floats(0.01, 1), max_size=20),
    depth=st.integers(1, 5),
    weight=st.sampled_from([0.0, 0.03, 0.1]),
)
def test_no_tier_rises_above_the_one_before(
    data: st.DataObject, dense: list[float], lexical: list[float], depth: int, weight: float
) -> None:
    """As candidates come: each side's best `depth`, then deeper, without what was seen."""
    by_meaning = dict(sorted(enumerate(dense), key=lambda pair: -pair[1]))
    places = data.draw(st.permutations(range(max(len(dense), len(lexical)))))
    by_words = dict(sorted(zip(places, lexical, strict=False), key=lambda pair: -pair[1]))
    by_words = {key: score for key, score in by_words.items() if key in by_meaning}  # meaning finds everything
    seen: set[int] = set()
    tiers: list[list[float]] = []
    sides: Sides | None = None
    while len(seen) < len(by_meaning):
        some = [dict(list(each.items())[:depth]) for each in (by_meaning, by_words)]
        more = [len(found) >= depth for found in some]
        left, right = ({key: score for key, score in each.items() if key not in seen} for each in some)
        meaning, words = sides or calibrated(0.1, 0.2, weight)
        sides = meaning.after(left.values(), more=more[0]), words.after(right.values(), more=more[1])
        tiers.append([each.score for each in fuse(left, right, sides).values()])
        seen.update(left, right)
        depth *= 4
    filled = [tier for tier in tiers if tier]
    assert all(max(later) <= min(earlier) + 1e-9 for earlier, later in pairwise(filled))
