"""Weights that do not fit what the configuration says: the one error for them, whoever put the model together."""

from __future__ import annotations

from collections.abc import Sequence

from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.models.safetensors_headers import few
from knowledge_core.errors import ModelUnavailable


def refuse_misfits(
    model: Model, *, missing: Sequence[str] = (), extra: Sequence[str] = (), sizes: Sequence[str] = ()
) -> None:
    """Check that every weight of the model came from its files, and that every weight of the files was used.

    missing: names of weights that the files lack.
    extra: names of weights in the files that the model does not use.
    sizes: phrases about weights of a size that the configuration does not say; the first is told.

    Raises:
        ModelUnavailable: one of the three is not empty.
    """
    wrong = [
        *sizes[:1],
        *([f"the weights lack {few(sorted(missing))}"] if missing else []),
        *([f"the configuration knows nothing of {few(sorted(extra))}"] if extra else []),
    ]
    if wrong:
        raise ModelUnavailable(
            f"The weights of {model.name} do not fit its configuration: {'; '.join(wrong)}. Copy or download all of its "
            "files again."
        )
