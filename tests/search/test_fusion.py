"""Scores of two sides to one: the examples of the modules, and what must hold for any scores."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_core import evaluation
from knowledge_core.retrieval import fusion, relevance, snippets, telling
from knowledge_core.retrieval.fusion import Scale, convex, minmax

SCORES = st.dictionaries(st.integers(0, 30), st.floats(-1, 50, allow_nan=False), max_size=20)


@pytest.mark.parametrize("module", [fusion, snippets, relevance, telling, evaluation])
def test_the_examples_in_the_documentation_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


def test_equal_scores_are_all_one() -> None:
    assert minmax({1: 3.0, 2: 3.0}) == {1: 1.0, 2: 1.0}
    assert minmax({}) == {}


@given(dense=SCORES, lexical=SCORES)
def test_a_fused_score_lies_between_0_and_1_and_every_candidate_has_one(
    dense: dict[int, float], lexical: dict[int, float]
) -> None:
    fused = convex(dense, lexical)
    assert set(fused) == {*dense, *lexical}
    assert all(0.0 <= each.score <= 1.0 + 1e-9 for each in fused.values())


@given(dense=SCORES, lexical=SCORES, factor=st.sampled_from([0.5, 2.0, 8.0]))
def test_the_order_does_not_depend_on_the_unit_of_a_side(
    dense: dict[int, float], lexical: dict[int, float], factor: float
) -> None:
    scaled = convex(dense, {key: factor * score for key, score in lexical.items()})
    assert {key: round(each.score, 6) for key, each in convex(dense, lexical).items()} == {
        key: round(each.score, 6) for key, each in scaled.items()
    }


def test_a_later_tier_is_measured_on_the_first_ones_scale_and_never_above_it() -> None:
    dense, lexical = {1: 0.9, 2: 0.5}, {1: 8.0, 3: 4.0}
    later_dense, later_lexical = {4: 0.4, 5: 0.1}, {6: 2.0, 4: 3.0}
    scales = (Scale.of(dense.values()), Scale.of(lexical.values()))
    deeper = (scales[0].after(later_dense.values()), scales[1].after(later_lexical.values()))
    assert (deeper[0].low, deeper[0].high, deeper[0].lacking) == (0.5, 0.9, pytest.approx(-1.0))
    first = convex(dense, lexical, scales)
    later = convex(later_dense, later_lexical, deeper)
    assert max(each.score for each in later.values()) < min(each.score for each in first.values())
