from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from knowledge_core.embedding.batching import pack


@given(st.lists(st.integers(0, 3000), max_size=200), st.integers(1, 9000), st.integers(1, 70))
def test_every_text_is_in_one_batch_within_the_budget_longest_first(lengths, budget, most):
    batches = pack(lengths, budget, most)
    flat = [index for batch in batches for index in batch]
    assert sorted(flat) == list(range(len(lengths)))
    assert flat == sorted(flat, key=lambda i: (-lengths[i], i))
    for batch in batches:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= budget
    for before, after in itertools.pairwise(batches):  # no batch is left half empty
        assert len(before) == most or (len(before) + 1) * max(1, lengths[before[0]]) > budget, after
