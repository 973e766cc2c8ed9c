from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_core.embedding.batching import embed_packed, even_budget, pack
from knowledge_core.errors import Cancelled
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
    assert events[:2] == [None] * 2  # the second batch waits behind the first one
    assert events.count(None) == 3  # 64 texts a batch
    assert sum(filter(None, events)) == sum(embedder.count_tokens([text for text, _ in texts.values()]))


def test_a_batch_waits_ready_behind_the_one_that_runs_and_what_ends_the_work_waits_for_both(embedder):
    under_way, most, ended = 0, 0, []
    guard, second = threading.Lock(), threading.Event()

    class Slow:
        count_tokens = embedder.count_tokens

        def embed(self, texts, task, titles):
            nonlocal under_way, most
            with guard:
                under_way += 1
                most = max(most, under_way)
                if under_way == 2:
                    second.set()
            assert second.wait(30), "the second batch was handed on while the first one ran"
            made = embedder.embed(texts, task, titles)
            with guard:
                under_way -= 1
                ended.append(len(texts))
            return made

    asked = itertools.count()

    def before():
        if next(asked) == 3:
            raise Cancelled("enough")

    texts = {f"k{number}": ("word", "") for number in range(400)}
    with pytest.raises(Cancelled):
        embed_packed(Slow(), texts, before=before, after=lambda tokens: None)
    assert most == 2
    assert ended == [64] * 3, "no batch is under way once the call has ended"


def test_lengths_that_are_known_are_not_counted_again(embedder):
    counted = []

    class Noting:
        embed = staticmethod(embedder.embed)

        def count_tokens(self, texts):
            counted.extend(texts)
            return embedder.count_tokens(texts)

    told = []
    embed_packed(
        Noting(), {"a": ("one two", ""), "b": ("three", "")}, before=lambda: None, after=told.append, lengths={"a": 2}
    )
    assert counted == ["three"]
    assert told == [3]


@pytest.mark.parametrize(("count", "length", "threads"), [(128, 21, 2), (60, 155, 2), (1000, 17, 4), (300, 100, 3)])
def test_many_equal_texts_keep_all_threads_busy_to_the_end(count, length, threads):
    lengths = [length] * count
    batches = pack(lengths, even_budget(lengths, 1024, threads, 64))
    assert len(batches) % threads == 0
    assert min(map(len, batches)) >= 0.7 * max(map(len, batches))


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=200), st.integers(64, 9000), st.integers(1, 16))
def test_an_even_budget_is_never_more_than_the_given_one(lengths, budget, threads):
    assert 1 <= even_budget(lengths, budget, threads, 64) <= budget
