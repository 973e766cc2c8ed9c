"""The packed forward passes of both generations of EmbeddingGemma as a `Runner`. They compute on the processor only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from knowledge_core.embedding.local.lanes import keep_torch_to_its_share
from knowledge_core.embedding.local.local_embedder import PROCESSOR_BATCH
from knowledge_core.embedding.local.packed import embedding_gemma2, gemma3
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.tokens import Tokens
from knowledge_core.types import Vectors

MISFITS: Final = (KeyError, RuntimeError, OSError, ValueError, IndexError)
"""What loading or computing raises where the weights are not what the model's configuration says they are."""


class Encoder(Protocol):
    """A forward pass with its weights."""

    def forward(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Return one vector per text, of any norm: (n, full dimensions) float32. texts: token ids."""
        ...


def encoder_of(model: Model) -> Callable[[str], Encoder] | None:
    """Return what loads the forward pass of a model's architecture in a precision; None where there is none."""
    if (shape := gemma3.shape_of(model.folder, model.max_length)) is not None:
        return partial(gemma3.Gemma3Encoder, model.folder, shape)
    if (second := embedding_gemma2.shape_of(model.folder, model.max_length)) is not None:
        return partial(embedding_gemma2.EmbeddingGemma2Encoder, model.folder, second)
    return None


class PackedRunner:
    """Implements `Runner` with a packed forward pass.

    load: of the model, by `encoder_of`.
    precision: float32 or bfloat16, of the products.
    reason: why it was chosen, for people.

    Raises:
        KeyError, RuntimeError, OSError, ValueError, IndexError: the weights do not fit the configuration (`MISFITS`).
            `forward` may raise these, too.
    """

    kind: Final = "packed"
    on_processor = True

    def __init__(self, load: Callable[[str], Encoder], precision: str, reason: str = "") -> None:
        self.precision = precision
        self.reason = reason
        self._encoder = load(precision)

    def forward(self, texts: list[Tokens]) -> Vectors:
        """See `Runner.forward`."""
        keep_torch_to_its_share()
        return self._encoder.forward([each.ids for each in texts])

    def most_tokens(self) -> int:
        """See `Runner.most_tokens`."""
        return PROCESSOR_BATCH
