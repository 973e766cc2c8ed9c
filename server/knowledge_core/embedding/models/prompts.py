"""From the prompts in a model's own configuration to our templates, one per task.

Rules kept here: the model's own prompts win; what its configuration leaves out comes from its family. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from knowledge_core.contract import GEMMA_PROMPTS, MINILM_PROMPTS, UNTITLED
from knowledge_core.types import Task

_NAMES: Final[Mapping[Task, tuple[str, ...]]] = {
    Task.QUERY: ("query", "searchquery", "retrievalquery", "search", "searchresult", "retrieval"),
    Task.DOCUMENT: ("document", "searchdocument", "retrievaldocument", "passage", "corpus"),
    Task.CLUSTERING: ("clustering",),
    Task.CLASSIFICATION: ("classification",),
    Task.SIMILARITY: ("sts", "sentencesimilarity", "semanticsimilarity", "textsimilarity", "similarity"),
    Task.QUESTION_ANSWERING: ("questionanswering", "qa"),
    Task.FACT_CHECKING: ("factchecking", "factcheck", "factverification"),
    Task.CODE: ("coderetrieval", "codesearch", "code", "instructionretrieval"),
}
"""The names under which models keep the prompt of a task, as `_plain` writes them; the first that is there counts.
`InstructionRetrieval` is what EmbeddingGemma-300m calls its prompt for code."""

_RETRIEVAL: Final = frozenset({Task.QUESTION_ANSWERING, Task.FACT_CHECKING, Task.CODE})
"""Tasks that look for documents: a model without a prompt of their own takes its query prompt."""

_NO_TITLE: Final = re.compile("(title: ?)none", re.IGNORECASE)
"""How the Gemma family writes a document without a title into its configuration."""

_TITLE: Final = "{title}"
_PLACES: Final = ("{text}", "{content}")  # placeholders with which a prompt itself says where the text goes


def templates(configured: Mapping[str, str], *, default: str = "", gemma: bool = False) -> dict[str, str]:
    r"""Return the templates by name: one per task, and one for a document without a title.

    configured: the `prompts` of the model's sentence-transformers configuration, to be put before a text.
    default: the prompt for texts of no particular task.

    >>> templates({"query": "query: ", "passage": "passage: "})["document"]
    'passage: {title}\n{text}'
    """
    own: dict[str, str] = {}
    for name in sorted(
        configured, key=lambda name: (name != _plain(name), name)
    ):  # of two spellings, the plain one wins
        own.setdefault(_plain(name), configured[name])
    found = {task: prompt for task in Task if (prompt := _first(own, _NAMES[task])) is not None}
    result = dict(GEMMA_PROMPTS if gemma else MINILM_PROMPTS)
    if not gemma:
        query = found.get(Task.QUERY, default)
        result |= {task.value: _before(query if task in _RETRIEVAL else default) for task in Task}
        found.setdefault(Task.DOCUMENT, default)
    result |= {task.value: _before(prompt) for task, prompt in found.items()}
    if Task.DOCUMENT in found:
        result |= _document(found[Task.DOCUMENT])
    return result


def _plain(name: str) -> str:
    """Return a name in lower case, letters and digits alone, so that its spellings are equal.

    >>> _plain("Retrieval-query"), _plain("SearchQuery"), _plain("question_answering")
    ('retrievalquery', 'searchquery', 'questionanswering')
    """
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _first(own: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((own[name] for name in names if name in own), None)


def _before(prompt: str) -> str:
    """Return the template of a prompt: the text follows it, unless it has a placeholder for the text."""
    for place in _PLACES:
        if place in prompt:
            return prompt.replace(place, "{text}")
    return prompt + "{text}"


def _document(prompt: str) -> dict[str, str]:
    template = _before(prompt)
    untitled = template.replace(_TITLE, "none")
    titled = template if _TITLE in template else _NO_TITLE.sub(rf"\g<1>{_TITLE}", template, count=1)
    if titled == untitled:  # the prompt has no place for a title: it becomes a line above the text
        titled = template.replace("{text}", _TITLE + "\n{text}")
    return {Task.DOCUMENT.value: titled, UNTITLED: untitled}
