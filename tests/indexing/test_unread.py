"""What a model does not read of a chunk, because its title takes the room, is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.recorded_jobs.known import view_of
from knowledge_core.serving.surface.calls.pages import Room
from knowledge_core.serving.surface.private import PrivateRequests
from knowledge_core.serving.surface.tools.index import index_result
from knowledge_core.types import Document

LONGEST = 64


class Short(HashEmbedder):
    """Reads 64 words."""

    def __init__(self) -> None:
        super().__init__()
        self.static_contract = replace(self.static_contract, max_length=LONGEST)
        self.contract = replace(self.contract, max_length=LONGEST)


@pytest.mark.parametrize(("words", "told"), [(60, True), (10, False)])
def test_a_title_that_leaves_no_room_is_told(home, words, told):
    document = Document("a", "Some words of a text that goes on. " * 40, "title " * words)
    with Engine(home, Config(), make_embedder=lambda model, dimensions: Short()) as engine:
        job = accept_index(engine, IndexRequest("notes"), [document], [])
        assert job.wait(30)
        done = job.outcome
        assert (done.cut > 0, done.cut_tokens > 0) == (told, told)
        notices = index_result(view_of(job), "", Room()).notices
        assert any("longer, with their titles" in notice for notice in notices) == told


@pytest.mark.parametrize(("words", "cut"), [(60, 2), (10, 0)])
def test_vectors_to_a_file_count_a_title_in_what_was_not_read(home, words, cut):
    with Engine(home, Config(), make_embedder=lambda model, dimensions: Short()) as engine:
        asked = PrivateRequests(engine, {})._vectors(["a text of some words"] * 2, "document", "title " * words)
        assert asked["cut_texts"] == cut
