"""Our vectors equal those of a plain SentenceTransformer on the same files, the prompts written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from knowledge_core.embedding.local.local_embedder import LocalEmbedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.types import Task
from tiny_gemma import MANY_KINDS, MAX_LENGTH, WINDOW

EQUAL = 1e-5

TEXTS = [
    "a",
    *MANY_KINDS,
    "tabs\tand\nline ends\r\nand   spaces  ",
    "{title} and {text} are only words here",
]

WRITTEN_OUT = {
    Task.QUERY: "task: search result | query: ",
    Task.DOCUMENT: "title: none | text: ",
    Task.CLUSTERING: "task: clustering | query: ",
    Task.CLASSIFICATION: "task: classification | query: ",
    Task.SIMILARITY: "task: sentence similarity | query: ",
    Task.QUESTION_ANSWERING: "task: question answering | query: ",
    Task.FACT_CHECKING: "task: fact checking | query: ",
    Task.CODE: "task: code retrieval | query: ",
}


@pytest.mark.parametrize("task", list(Task))
def test_every_task_equals_the_reference_with_the_prompt_written_out(task, tiny_embedder, tiny_reference):
    expected = tiny_reference([WRITTEN_OUT[task] + text for text in TEXTS], 768)
    np.testing.assert_allclose(tiny_embedder.embed(TEXTS, task), expected, atol=EQUAL, rtol=0)


@pytest.mark.parametrize("dimensions", [768, 512, 256, 128])
@pytest.mark.parametrize("task", list(Task))
def test_every_dimension_equals_the_reference_cut_and_scaled_back(task, dimensions, tiny, tiny_reference, engines):
    engine = engines(dimensions)
    vectors = engine.embed(TEXTS[:4], task)
    expected = tiny_reference([WRITTEN_OUT[task] + text for text in TEXTS[:4]], dimensions)
    assert vectors.shape == (4, dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=EQUAL, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.fixture(scope="module")
def engines(tiny):
    made: dict[int, LocalEmbedder] = {}
    return lambda size: made.setdefault(size, reference_embedder(tiny, dimensions=size, device="cpu"))


def test_a_documents_title_stands_in_its_prompt(tiny_embedder, tiny_reference):
    vectors = tiny_embedder.embed(["It opens at nine.", "No title."], Task.DOCUMENT, ["Library > Hours", ""])
    expected = tiny_reference(
        ["title: Library > Hours | text: It opens at nine.", "title: none | text: No title."], 768
    )
    np.testing.assert_allclose(vectors, expected, atol=EQUAL, rtol=0)


def test_a_text_has_the_same_vector_alone_and_beside_longer_ones(tiny_embedder):
    together = tiny_embedder.embed(TEXTS, Task.QUERY)
    alone = np.concatenate([tiny_embedder.embed([text], Task.QUERY) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=EQUAL, rtol=0)


def test_vectors_come_back_in_the_order_of_the_texts(tiny_embedder):
    texts = [f"text {i} " + "word " * (i * 37 % 101) for i in range(150)]  # several batches
    vectors = tiny_embedder.embed(texts, Task.DOCUMENT)
    backwards = tiny_embedder.embed(texts[::-1], Task.DOCUMENT)[::-1]
    np.testing.assert_allclose(vectors, backwards, atol=EQUAL, rtol=0)
    np.testing.assert_allclose(vectors[[7, 99]], tiny_embedder.embed([texts[7], texts[99]], Task.DOCUMENT), atol=EQUAL)


def test_the_texts_cover_what_they_claim(tiny_embedder):
    lengths = tiny_embedder.count_tokens(TEXTS)
    assert lengths[0] == 1
    assert WINDOW < lengths[2] < MAX_LENGTH < lengths[3]


def test_what_lies_beyond_the_longest_input_does_not_count(tiny_embedder):
    long = "word " * 2 * MAX_LENGTH
    vectors = tiny_embedder.embed([long, long + "and an end that nobody reads"], Task.QUERY)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=EQUAL)


@pytest.mark.parametrize("task", [Task.QUERY, Task.DOCUMENT])  # its prompts are all empty: the others are the same
def test_the_packaged_model_equals_the_reference(task, minilm_embedder, minilm_reference):
    np.testing.assert_allclose(minilm_embedder.embed(TEXTS, task), minilm_reference(TEXTS, 384), atol=EQUAL, rtol=0)


def test_the_packaged_model_reads_a_title_on_a_line_above_the_text(minilm_embedder, minilm_reference):
    vectors = minilm_embedder.embed(["It opens at nine."], Task.DOCUMENT, ["Library"])
    np.testing.assert_allclose(vectors, minilm_reference(["Library\nIt opens at nine."], 384), atol=EQUAL, rtol=0)


def test_the_packaged_model_knows_what_is_alike(minilm_embedder):
    a, b, c = minilm_embedder.embed(
        ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose in March."], Task.SIMILARITY
    )
    assert a @ b > 0.5 > 0.2 > a @ c
