"""From the names that models give their prompts to our tasks."""

from __future__ import annotations

import pytest

from knowledge_core.contract import GEMMA_PROMPTS, UNTITLED, EmbeddingContract
from knowledge_core.embedding.models.prompts import templates
from knowledge_core.types import Task

SPELLINGS = {
    Task.QUERY: [
        "query",
        "Query",
        "SearchQuery",
        "search_query",
        "Retrieval-query",
        "retrieval query",
        "Retrieval",
        "search",
    ],
    Task.DOCUMENT: ["document", "Document", "SearchDocument", "search_document", "Retrieval-document", "passage"],
    Task.QUESTION_ANSWERING: [
        "QuestionAnswering",
        "question_answering",
        "question answering",
        "Question-Answering",
        "QA",
    ],
    Task.FACT_CHECKING: ["FactChecking", "fact_checking", "fact checking", "Fact-Checking", "FactVerification"],
    Task.CLASSIFICATION: ["Classification", "classification", "CLASSIFICATION"],
    Task.CLUSTERING: ["Clustering", "clustering"],
    Task.SIMILARITY: ["STS", "sts", "SentenceSimilarity", "sentence_similarity", "Semantic Similarity", "similarity"],
    Task.CODE: ["CodeRetrieval", "code_retrieval", "InstructionRetrieval", "code", "CodeSearch"],
}
ROWS = [(task, name) for task, names in SPELLINGS.items() for name in names]


def test_every_task_has_its_names():
    assert SPELLINGS.keys() == set(Task)


@pytest.mark.parametrize("gemma", [True, False])
@pytest.mark.parametrize(("task", "name"), ROWS)
def test_the_models_own_prompt_is_found_under_any_spelling_of_its_name(task, name, gemma):
    made = templates({name: "its own: "}, gemma=gemma)
    wanted = "its own: {title}\n{text}" if task is Task.DOCUMENT else "its own: {text}"
    assert made[task.value] == wanted
    if gemma:  # what it leaves out is the family's
        others = {key: value for key, value in made.items() if key not in (task.value, UNTITLED)}
        assert others == {key: GEMMA_PROMPTS[key] for key in others}


@pytest.mark.parametrize(
    "configured",
    [
        {},
        {"query": "task: search result | query: ", "document": "title: none | text: "},
        {"SearchQuery": "task: search result | query: ", "Document": "title: none | text: "},
        {"Document": "title: {title} | text: {content}"},
        {"document": "title: {title} | text: "},
        {"QuestionAnswering": "task: question answering | query: ", "STS": "task: sentence similarity | query: "},
        {"InstructionRetrieval": "task: code retrieval | query: ", "Reranking": "task: search result | query: "},
    ],
)
def test_every_way_in_which_the_family_writes_its_prompts_gives_the_same(configured):
    assert templates(configured, gemma=True) == GEMMA_PROMPTS


@pytest.mark.parametrize(
    ("configured", "task", "wanted"),
    [
        ({"SearchQuery": "b: ", "query": "a: "}, Task.QUERY, "a: {text}"),
        ({"Query": "b: ", "query": "a: "}, Task.QUERY, "a: {text}"),
        ({"InstructionRetrieval": "b: ", "CodeRetrieval": "a: "}, Task.CODE, "a: {text}"),
        ({"SentenceSimilarity": "b: ", "STS": "a: "}, Task.SIMILARITY, "a: {text}"),
        ({"query": "a {text} z"}, Task.QUERY, "a {text} z"),
        (
            {"MultilabelClassification": "b: ", "Summarization": "c: "},
            Task.CLASSIFICATION,
            GEMMA_PROMPTS["classification"],
        ),
    ],
)
def test_of_several_names_the_more_common_one_counts(configured, task, wanted):
    assert templates(configured, gemma=True)[task.value] == wanted


@pytest.mark.parametrize("prompt", ["title: none | text: ", "Title: None | Text: ", "title: {title} | text: "])
def test_a_title_takes_its_place_and_an_untitled_document_says_none(prompt):
    contract = EmbeddingContract("m", 768, templates({"Document": prompt}, gemma=True), 8192)
    assert (
        contract.format("Opening {title}", Task.DOCUMENT, "Museum").lower() == "title: museum | text: opening {title}"
    )
    assert contract.format("Opening", Task.DOCUMENT).lower() == "title: none | text: opening"
