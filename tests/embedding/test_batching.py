from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from knowledge_core.embedding.batching import embed_packed, pack
from knowledge_core.types import Task


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


def test_packed_texts_come_back_by_their_keys_with_their_titles_and_every_token_is_told(embedder):
    texts = {f"k{number}": ("word " * (1 + number * 7 % 5), f"Title {number}") for number in range(150)}
    events: list[int | None] = []
    vectors = embed_packed(embedder, texts, before=lambda: events.append(None), after=events.append)
    assert sorted(vectors) == sorted(texts)
    for key, (text, title) in texts.items():
        np.testing.assert_array_equal(vectors[key], embedder.embed([text], Task.DOCUMENT, [title])[0])
    assert events[::2] == [None] * 3  # 64 texts a batch
    assert sum(events[1::2]) == sum(embedder.count_tokens([text for text, _ in texts.values()]))
