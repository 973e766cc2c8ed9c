"""What a caller may have meant, told soon whatever names others chose."""

from __future__ import annotations

import difflib
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_core.near_names import near_names

names = st.text(alphabet="abcdyear_/", min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(names, st.lists(names, max_size=40, unique=True), st.integers(1, 3))
def test_the_names_are_those_that_difflib_finds(wrong: str, known: list[str], most: int) -> None:
    assert near_names(wrong, known, most) == difflib.get_close_matches(wrong, known, n=most)


def test_thousands_of_long_names_that_are_nearly_alike_are_looked_through_soon() -> None:
    known = ["a" * 190 + str(number) for number in range(3_000)]
    began = time.process_time()
    assert len(near_names("a" * 190 + "x", known, 3)) == 3
    assert time.process_time() - began < 3  # comparing all of them takes 7 s
