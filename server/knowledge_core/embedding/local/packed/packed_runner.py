"""The packed forward pass of Gemma 3 (`gemma3.py`) as a `Runner`. It computes on the processor only."""

from __future__ import annotations

from typing import Final

from knowledge_core.embedding.local.local_embedder import PROCESSOR_BATCH
from knowledge_core.embedding.local.packed import gemma3
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.tokens import Tokens
from knowledge_core.types import Vectors

MISFITS: Final = (KeyError, RuntimeError, OSError, ValueError, IndexError)
"""What loading or computing raises where the weights are not what the model's configuration says they are."""


class PackedRunner:
    """Implements `Runner` with the packed forward pass of Gemma 3.

    shape: of the model in `model.folder`, by `gemma3.shape_of`.
    precision: float32 or bfloat16, of the products.
    reason: why it was chosen, for people.

    Raises:
        KeyError, RuntimeError, OSError, ValueError, IndexError: the weights do not fit the shape (`MISFITS`). `forward`
            may raise these, too.
    """

    kind: Final = "packed"
    on_processor = True

    def __init__(self, model: Model, shape: gemma3.Shape, precision: str, reason: str = "") -> None:
        self.precision = precision
        self.reason = reason
        self._encoder = gemma3.Gemma3Encoder(model.folder, shape, precision)

    def forward(self, texts: list[Tokens]) -> Vectors:
        """See `Runner.forward`."""
        return self._encoder.forward([each.ids for each in texts])

    def most_tokens(self) -> int:
        """See `Runner.most_tokens`."""
        return PROCESSOR_BATCH
