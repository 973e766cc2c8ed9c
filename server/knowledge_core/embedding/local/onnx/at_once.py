"""Which model runs at once, without torch and without a trial beside the reference: the packaged all-MiniLM-L6-v2.

The reference's vectors of the probe texts ship with the package. Where ONNX Runtime gives the same, it runs the model;
where it is not installed, does not load or disagrees, everything is as for any other model, and the log says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from knowledge_core.contract import PROBE_TEXTS
from knowledge_core.embedding.local.agreement import compared, near_enough
from knowledge_core.embedding.local.local_embedder import Runner
from knowledge_core.embedding.local.onnx.beside import Beside, find_bulk
from knowledge_core.embedding.local.onnx.minilm import is_published, probe_of_reference
from knowledge_core.embedding.local.onnx.onnx_runner import OnnxRunner
from knowledge_core.embedding.local.verdicts import Verdicts
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.tokens import open_tokenizer, tokenise
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task

log = logging.getLogger(__name__)

_PRECISIONS: Final = ("auto", "float32")
_DEVICES: Final = ("auto", "cpu")
_UNFIT: Final = (ImportError, OSError, RuntimeError, ValueError, KeyError)  # see `OnnxRunner`


def open_at_once(
    model: Model, precision: str, device: str, load_other: Callable[[], Runner], verdicts: Verdicts
) -> Runner | None:
    """Return what runs a model from now on, loaded in a fraction of a second; None where only a trial can tell.

    precision, device: as asked for; those that ONNX Runtime here does not have are left to others.
    load_other: returns what would run the model otherwise, loaded: it may be faster in bulk.
    verdicts: the outcomes of trials, of the one for bulk work, too.
    """
    if precision not in _PRECISIONS or device not in _DEVICES or not is_published(model):
        return None
    first = _agreeing(model)
    if first is None:
        return None
    circumstances = f"{precision} in bulk on {device}"
    return Beside(first, lambda: find_bulk(model, circumstances, first, load_other, verdicts))


def _agreeing(model: Model) -> OnnxRunner | None:
    contract = model.contract(model.dimensions)
    try:
        runner = OnnxRunner(model)
        probe = tokenise(open_tokenizer(model), model, [contract.format(each, Task.DOCUMENT) for each in PROBE_TEXTS])
        found = compared(probe_of_reference(), runner.forward(probe))
    except ModelUnavailable:
        return None  # of a damaged tokenizer: whoever loads the model in its place says so
    except _UNFIT as error:
        log.warning("%s is not run by ONNX Runtime, but as before: %s", model.name, str(error).partition("\n")[0])
        return None
    if not near_enough(found, runner.precision):
        log.warning(
            "%s is not run by ONNX Runtime, but as before: its vectors are not the reference's (%s)", model.name, found
        )
        return None
    runner.reason = f"it agrees with sentence-transformers in float32 ({found}) and starts without PyTorch"
    return runner
