"""From the prompts in a model's own configuration to our templates, one a task.

Rules kept here: what a model says about its prompts wins; what it leaves out comes from its family. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from knowledge_core.embedding.contract import GEMMA_PROMPTS, MINILM_PROMPTS, UNTITLED
from knowledge_core.types import Task

_NAMES: Final[Mapping[Task, tuple[str, ...]]] = {
    Task.QUERY: ("query", "search_query", "retrieval-query"),
    Task.DOCUMENT: ("document", "search_document", "passage", "retrieval-document"),
    Task.CLUSTERING: ("clustering",),
    Task.CLASSIFICATION: ("classification",),
    Task.SIMILARITY: ("sts", "similarity"),
    Task.QUESTION_ANSWERING: ("question_answering", "question answering"),
    Task.FACT_CHECKING: ("fact_checking", "fact checking"),
    Task.CODE: ("instructionretrieval", "code"),
}
"""Under which names models keep the prompt of a task, lower case, the first that is there counts."""

_RETRIEVAL: Final = frozenset({Task.QUESTION_ANSWERING, Task.FACT_CHECKING, Task.CODE})
"""Tasks that look for documents: a model without a prompt of their own takes its query prompt."""

_NO_TITLE: Final = "title: none"  # how the Gemma family writes a document without a title into its configuration


def templates(configured: Mapping[str, str], *, default: str = "", gemma: bool = False) -> dict[str, str]:
    r"""Return one template for every task and for the untitled document.

    configured: the `prompts` of the model's sentence-transformers configuration, to be put before a text.
    default: the prompt for texts of no particular task.

    >>> templates({"query": "query: ", "passage": "passage: "})["document"]
    'passage: {title}\n{text}'
    """
    own = {name.lower(): prompt for name, prompt in configured.items()}
    found = {task: prompt for task in Task if (prompt := _first(own, _NAMES[task])) is not None}
    result = dict(GEMMA_PROMPTS if gemma else MINILM_PROMPTS)
    if not gemma:
        query = found.get(Task.QUERY, default)
        result |= {task.value: (query if task in _RETRIEVAL else default) + "{text}" for task in Task}
        found.setdefault(Task.DOCUMENT, default)
    result |= {task.value: prompt + "{text}" for task, prompt in found.items()}
    if Task.DOCUMENT in found:
        result |= _document(found[Task.DOCUMENT])
    return result


def _first(own: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((own[name] for name in names if name in own), None)


def _document(prompt: str) -> dict[str, str]:
    titled = prompt.replace(_NO_TITLE, "title: {title}", 1)
    titled += "{title}\n{text}" if titled == prompt else "{text}"  # without a place of its own: a line above the text
    return {Task.DOCUMENT.value: titled, UNTITLED: prompt + "{text}"}
