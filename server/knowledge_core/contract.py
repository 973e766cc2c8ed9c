"""What makes two vectors comparable: the model, its prompts, its dimensions, its length limit, and its probe.

Rules kept here:
- one function, `EmbeddingContract.format`, turns a text into the exact string that a model sees;
- nothing about the runtime (device, batch, precision, engine) is in a contract, because none of it may change a vector;
- two contracts whose probes agree mean the same model, whatever its name and however its weights are stored.
Knows nothing of engines, files or collections.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

from knowledge_core.errors import StorageDamaged
from knowledge_core.types import Task, Vectors

PROBE_TEXTS: Final[tuple[str, str, str]] = (
    "The lighthouse keeper writes down the weather every morning before the ferry arrives.",
    "Die Rückgabe ist innerhalb von vierzehn Tagen möglich; 返品は十四日以内に可能です。",
    "def area(radius: float) -> float:\n    return 3.14159 * radius**2",
)
"""Embedded as untitled documents: prose, two other scripts and code, so that a wrong tokenizer or prompt shows."""

SAME: Final = 0.99
"""Least cosine between two probes of one model. bfloat16 gives 0.9999, int8 0.998; another model is far below."""

UNTITLED: Final = "document_untitled"
"""The key of the template for a document without a title; the key of every other template is the value of its `Task`."""

GEMMA_PROMPTS: Final[Mapping[str, str]] = {
    Task.QUERY.value: "task: search result | query: {text}",
    Task.DOCUMENT.value: "title: {title} | text: {text}",
    UNTITLED: "title: none | text: {text}",
    Task.CLUSTERING.value: "task: clustering | query: {text}",
    Task.CLASSIFICATION.value: "task: classification | query: {text}",
    Task.SIMILARITY.value: "task: sentence similarity | query: {text}",
    Task.QUESTION_ANSWERING.value: "task: question answering | query: {text}",
    Task.FACT_CHECKING.value: "task: fact checking | query: {text}",
    Task.CODE.value: "task: code retrieval | query: {text}",
}
"""The templates that were published for the EmbeddingGemma family, by task."""

MINILM_PROMPTS: Final[Mapping[str, str]] = {
    **{task.value: "{text}" for task in Task},
    Task.DOCUMENT.value: "{title}\n{text}",
    UNTITLED: "{text}",
}
"""The templates for models that were trained without prompts: the text alone, below its title if it has one."""

_SLOT = re.compile(r"\{(text|title)\}")


MATRYOSHKA = (768, 512, 256, 128)
"""The dimensions that vectors of the EmbeddingGemma family may be truncated to, as its model cards say."""


def text_digest(text: str) -> str:
    """Return the SHA-256 (hex) of a text as it is."""
    return hashlib.sha256(text.encode()).hexdigest()


def sizes_of(dimensions: int, *, matryoshka: bool) -> tuple[int, ...]:
    """Return the dimensions that a model's vectors may have, largest first: the full ones.

    matryoshka: the model was trained so that the first 512, 256 or 128 numbers of a vector serve as a shorter one.

    >>> sizes_of(768, matryoshka=True), sizes_of(768, matryoshka=False)
    ((768, 512, 256, 128), (768,))
    """
    return (dimensions, *(size for size in MATRYOSHKA if matryoshka and size < dimensions))


def up_to(dimensions: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return those of `sizes` that vectors of these dimensions may be truncated to, in the order of `sizes`.

    >>> up_to(512, (768, 512, 256, 128))
    (512, 256, 128)
    """
    return tuple(size for size in sizes if size <= dimensions)


@dataclass(frozen=True)
class EmbeddingContract:
    """What two vectors must share to be compared. Equal by value; probe and weights do not count.

    model: its name, as the configuration takes it. Probes decide whether two names mean the same model.
    dimensions: of the vectors, at least 1.
    prompts: one template for every value of `Task` and for `UNTITLED`, with the slots {text} and {title}.
    max_length: the model's longest input in its own tokens, prompt and special tokens included; at least 1.
    normalised: the vectors have norm 1.
    weights: SHA-256 of the weights file, for information, since one model is stored in several forms; "": unknown.
    probe: (3, dimensions) float32, the model's vectors of `PROBE_TEXTS`; None until the model has been loaded.
    """

    model: str
    dimensions: int
    prompts: Mapping[str, str]
    max_length: int
    normalised: bool = True
    weights: str = field(default="", compare=False)
    probe: Vectors | None = field(default=None, compare=False, repr=False)

    def format(self, text: str, task: Task, title: str = "") -> str:
        """Return the exact string that is embedded. A title counts for `Task.DOCUMENT` only.

        >>> EmbeddingContract("m", 768, GEMMA_PROMPTS, 2048).format("Opening hours", Task.DOCUMENT, "Museum")
        'title: Museum | text: Opening hours'
        """
        template = self.prompts[UNTITLED if task is Task.DOCUMENT and not title else task.value]
        slots = {"text": text, "title": title}
        # One pass: what is put into a slot is never read as a slot again.
        return _SLOT.sub(lambda slot: slots[slot.group(1)], template)

    def digest(self, text: str, title: str = "") -> str:
        """Return the SHA-256 (hex) of what a chunk of a document is embedded as: what "the same text" means.

        title: the chunk's, as of `types.Chunk.title`.
        """
        return text_digest(self.format(text, Task.DOCUMENT, title))

    def differences(self, other: EmbeddingContract) -> list[str]:
        """Return how `other` ("there") differs from this one ("here"), one phrase per difference, the model first.

        An empty list means that vectors made under the two can be compared. Whether the model is the same is decided by
        the probes where both contracts have one of the same shape, else by the models' names.
        """
        found = [
            f"{name}: {here} here, {there} there"
            for name, here, there in (
                ("dimensions", self.dimensions, other.dimensions),
                ("max_length", self.max_length, other.max_length),
                ("normalised", self.normalised, other.normalised),
            )
            if here != there
        ]
        found += [
            f"prompt {name}: {self.prompts.get(name)!r} here, {other.prompts.get(name)!r} there"
            for name in sorted({*self.prompts, *other.prompts})
            if self.prompts.get(name) != other.prompts.get(name)
        ]
        return self._model_differences(other) + found

    def _model_differences(self, other: EmbeddingContract) -> list[str]:
        if self.probe is not None and other.probe is not None and self.probe.shape == other.probe.shape:
            least = float(np.sum(self.probe * other.probe, axis=1).min())  # rows have norm 1: the cosine
            if least >= SAME:
                return []
            return [
                f"model: {self.model} here, {other.model} there; their vectors of the same texts differ "
                f"(cosine {least:.3f}, {SAME} is the least)"
            ]
        return [f"model: {self.model} here, {other.model} there"] if self.model != other.model else []

    def to_json(self) -> str:
        """Return the contract as JSON; equal contracts with equal probes and weights give equal strings."""
        probe = None if self.probe is None else base64.b64encode(self.probe.astype("<f4").tobytes()).decode("ascii")
        content = {
            "model": self.model,
            "dimensions": self.dimensions,
            "prompts": dict(self.prompts),
            "max_length": self.max_length,
            "normalised": self.normalised,
            "weights": self.weights,
            "probe": probe,
        }
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the contract that `to_json` wrote.

        Raises:
            StorageDamaged: the text is anything else.
        """
        try:
            return cls(**_fields(json.loads(text)))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise StorageDamaged(
                f"The stored embedding contract cannot be read ({error}). Run `kcore doctor` to see what is intact."
            ) from error


def _fields(content: Any) -> dict[str, Any]:
    """Return the fields of a contract from parsed JSON.

    Raises:
        ValueError, TypeError, KeyError: a field is missing, or not what it should be.
    """
    if not isinstance(content, dict):
        raise TypeError("it is not an object")
    kinds = {"model": str, "dimensions": int, "prompts": dict, "max_length": int, "normalised": bool, "weights": str}
    for name, kind in kinds.items():
        if type(content[name]) is not kind:
            raise TypeError(f"{name} is not of type {kind.__name__}")
    prompts = content["prompts"]
    missing = {*(task.value for task in Task), UNTITLED} - prompts.keys()
    if missing or not all(isinstance(template, str) for template in prompts.values()):
        raise ValueError(f"its prompts are incomplete: {', '.join(sorted(missing)) or 'one is not a text'}")
    if content["dimensions"] < 1 or content["max_length"] < 1:
        raise ValueError("dimensions and max_length must be positive")
    return {**{name: content[name] for name in kinds}, "probe": _probe(content["probe"], content["dimensions"])}


def _probe(encoded: Any, dimensions: int) -> Vectors | None:
    if encoded is None:
        return None
    try:
        numbers = np.frombuffer(base64.b64decode(encoded, validate=True), dtype="<f4")
    except binascii.Error as error:
        raise ValueError("its probe is not base64") from error
    if not np.isfinite(numbers).all():
        raise ValueError("its probe is not finite")
    return numbers.reshape(len(PROBE_TEXTS), dimensions).astype(np.float32)
