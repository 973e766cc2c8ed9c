"""The fidelity report: what a model loses in a precision and engine on this machine, measured on text.

Loads the model as the reference, then once per precision as it would be run. Takes seconds for a few hundred texts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knowledge_core.embedding.local.agreement import Fidelity, compared, near_enough, real_texts
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import Model
from knowledge_core.errors import InvalidInput
from knowledge_core.types import Task

__all__ = ["Fidelity", "MeasuredPrecision", "compare_precisions", "fidelity", "real_texts"]


@dataclass(frozen=True)
class MeasuredPrecision:
    """What one precision of a model gave.

    precision: the one that was asked for, "auto" included.
    engine: what ran the model, as in "packed bfloat16".
    found: how near its vectors came to the reference's.
    chosen: the vectors are near enough for "auto" to choose this precision, if it is faster.
    texts_per_second: the pace of this run, the model's load not counted.
    """

    precision: str
    engine: str
    found: Fidelity
    chosen: bool
    texts_per_second: float


def fidelity(model: Model, precision: str = "auto", texts: Sequence[str] = (), device: str = "cpu") -> Fidelity:
    """Return how near a model's vectors in a precision come to those of sentence-transformers in float32.

    texts: two or more, embedded as documents; by default 200 passages of the example set that ships with the package.

    Raises:
        InvalidInput: there is a single text, which has no neighbours.
        ModelUnavailable, ConfigurationError: see `LocalEmbedder`.
    """
    return next(compare_precisions(model, [precision], texts, device)).found


def compare_precisions(
    model: Model, precisions: Sequence[str], texts: Sequence[str] = (), device: str = "cpu"
) -> Iterator[MeasuredPrecision]:
    """Yield what each precision gives, in the order given, measured as in `fidelity`. The reference runs once.

    Raises:
        InvalidInput: there is a single text.
        ModelUnavailable, ConfigurationError: see `LocalEmbedder`.
    """
    chosen = list(texts) or real_texts(200)
    if len(chosen) < 2:
        raise InvalidInput(
            "The fidelity report needs at least two texts, better a hundred: one text has no neighbours."
        )
    reference = reference_embedder(model, device="cpu").embed(chosen, Task.DOCUMENT)
    for precision in precisions:
        embedder = make_embedder(model, precision=precision, device=device)
        embedder.load()
        began = time.perf_counter()
        found = compared(reference, embedder.embed(chosen, Task.DOCUMENT))
        pace = len(chosen) / (time.perf_counter() - began)
        ran_in = embedder.engine.rpartition(" ")[2]
        yield MeasuredPrecision(precision, embedder.engine, found, near_enough(found, ran_in), pace)
