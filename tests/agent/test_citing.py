"""Checking an answer takes time in proportion to it, whatever a model wrote."""

from __future__ import annotations

import pytest

from hostile import HOSTILE, Grown, numbered, repeated
from knowledge_agent.citing import checked
from knowledge_agent.models.chat_model import tool_call
from knowledge_agent.types import Passage
from linear import grows_linearly

WRITTEN: dict[str, Grown] = {
    **HOSTILE,
    "opening quotation marks": repeated("“"),
    "low quotation marks": repeated("„x"),
    "guillemets": repeated("«"),
    "corner brackets": repeated("「"),
    "markers unclosed": repeated("1, ", before="["),
    "markers within": repeated("[1, "),
    "one long number": repeated("9", before="[", after="]"),
    "quotations and markers": repeated('"words of a quotation" [1] '),
    "quotations of their own": numbered('"words of the quotation {}" '),
}
PASSAGE = Passage(1, "notes", "a.md", "title", "file:///a.md", "Some words\nof a passage.", 1, 2)


@pytest.mark.parametrize("size", [150, pytest.param(4_000, marks=pytest.mark.slow)])
def test_an_answer_is_checked_in_time_that_grows_with_it(size: int) -> None:
    for grown in WRITTEN.values():
        grows_linearly(lambda length, grown=grown: checked(grown(length), {1: PASSAGE}), size)


def test_arguments_that_nest_absurdly_are_a_problem_told_to_the_model() -> None:
    assert "no valid JSON" in tool_call("1", "search", "[" * 100_000).problem
