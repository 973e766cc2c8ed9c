"""Vectors may be cut to the sizes that their model was trained for, and to no others."""

from __future__ import annotations

import numpy as np
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.contract import sizes_of, up_to
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from knowledge_core.verbs.embed import shortened
from mcp_text import NOTES, text_of

pytestmark = pytest.mark.anyio


def model(dimensions: int | None, *, trained: bool) -> HashEmbedder:
    """A model of 768 dimensions, cut to some; trained: to be cut, as EmbeddingGemma is."""
    made = HashEmbedder(dimensions=dimensions or 768)
    made.sizes = up_to(dimensions or 768, sizes_of(768, matryoshka=trained))
    return made


async def embedded(home, *, trained, own=None, **arguments):
    """Embed with a collection's model of `own` dimensions."""
    config = Config.model_validate({"embedding": {"dimensions": own}})
    with Engine(home, config, make_embedder=lambda name, dimensions: model(dimensions, trained=trained)) as engine:
        async with Client(application(engine)) as client:
            done = await client.call_tool("index", {"documents": NOTES})
            assert not done.is_error, text_of(done)
            wanted = {
                "texts": [" ".join(map(str, range(99)))],
                "output": "vectors",
                "collection": "default",
                **arguments,
            }
            return await client.call_tool("embed", wanted)


async def test_a_model_of_768_dimensions_that_was_not_trained_for_it_is_not_cut(home):
    said = await embedded(home, trained=False, dimensions=256)
    assert said.is_error
    assert text_of(said) == "dimensions is 256; this model gives 768."


@pytest.mark.parametrize("size", [512, 256, 128])
async def test_a_collection_of_512_dimensions_of_a_model_that_was_is_cut_further(home, size):
    said = await embedded(home, trained=True, own=512, dimensions=size)
    assert not said.is_error, text_of(said)
    (vector,) = said.structured_content["vectors"]
    assert (len(vector), round(float(np.linalg.norm(vector)), 3)) == (size, 1.0)


async def test_but_not_to_more_than_it_has(home):
    said = await embedded(home, trained=True, own=512, dimensions=768)
    assert text_of(said) == "dimensions is 768; this model gives 512, 256, 128."


def test_a_vector_that_has_nothing_in_its_first_numbers_is_no_reason_for_one_that_is_no_number():
    short = shortened(np.array([[0, 0, 1], [0.6, 0.8, 0]], np.float32), 2)
    assert short.tolist() == [[0, 0], pytest.approx([0.6, 0.8])]
