"""all-MiniLM-L6-v2 by ONNX Runtime in float32 as a `Runner`. The only file that speaks to ONNX Runtime.

Rules kept here:
- onnxruntime is imported when a runner is made, torch never;
- its threads spin while a query is computed and sleep after it: the cores belong to others, too;
- where there is much to do, threads that share the cores compute on one core each, in a session made for them: it holds
  the weights a second time, and is given back with the first small batch after the work.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np

from knowledge_core.embedding.local.lanes import cores_here, shares_cores
from knowledge_core.embedding.local.onnx.minilm import GRAPH, Weights
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.tokens import Tokens
from knowledge_core.types import Vectors

MOST_CORES: Final = 8
"""Cores for one query: its products have some twenty rows. Not measured beyond two."""

MOST_TOKENS: Final = 512
"""Per batch. The scores of attention are the most that a batch holds: half as many as of `PROCESSOR_BATCH`, as fast."""

_QUIET: Final = 3  # of onnxruntime's levels: errors only
_FLOAT: Final = 1  # the format's number of float32


class OnnxRunner:
    """Implements `Runner` with ONNX Runtime.

    model: all-MiniLM-L6-v2, by `is_published`.
    reason: why it was chosen, for people.

    Raises:
        ImportError, OSError: onnxruntime is not installed or does not load.
        RuntimeError, ValueError, KeyError: the library cannot run the graph with these weights. `forward` may raise the
            first, too.
    """

    kind: Final = "onnxruntime"
    on_processor = True

    def __init__(self, model: Model, reason: str = "") -> None:
        self.precision = "float32"
        self.reason = reason
        self._weights = Weights(model.folder)
        self._cores = min(cores_here(), MOST_CORES)
        self._whole = _session(self._weights, self._cores)
        self._single: Any = None
        self._making = threading.Lock()  # guards `_single`, of which one is enough

    def forward(self, texts: list[Tokens], *, much: bool = False) -> Vectors:
        """See `Runner.forward`.

        much: this is a part of so much work that a session for threads of one core pays.
        """
        session = self._one_core() if much and shares_cores() else self._whole
        lengths = np.array([len(each.ids) for each in texts])
        mask = np.arange(lengths.max())[None, :] < lengths[:, None]  # (texts, tokens)
        ids = np.zeros(mask.shape, np.int64)
        ids[mask] = np.concatenate([each.ids for each in texts])
        try:
            (vectors,) = session.run(None, {"words": self._weights.words[ids], "mask": mask.astype(np.float32)})
        except Exception as error:  # the library's errors share no class but this one
            raise RuntimeError(f"ONNX Runtime: {error}") from error
        result: Vectors = vectors
        return result

    def most_tokens(self) -> int:
        """See `Runner.most_tokens`."""
        return MOST_TOKENS

    def _one_core(self) -> Any:
        """Return the session for threads that share the cores, made at the first need."""
        with self._making:
            if self._single is None:
                self._single = self._whole if self._cores == 1 else _session(self._weights, 1)
            return self._single

    def end_bulk(self) -> None:
        """Give back what only bulk work needs."""
        if self._single is not None:
            with self._making:
                self._single = None


def _session(weights: Weights, cores: int) -> Any:
    import onnxruntime

    try:
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = cores
        options.inter_op_num_threads = 1
        # Threads wait awake for the next operation of a query, not for the next query: asleep they made one of 17 tokens
        # take 6.2 ms instead of 3.7, and awake all the time 27 ms of a processor instead of 11.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        wrapped = [
            onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(each, _FLOAT) for each in weights.others.values()
        ]
        options.add_external_initializers(list(weights.others), wrapped)
        session = onnxruntime.InferenceSession(GRAPH.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors share no class but this one
        raise RuntimeError(f"ONNX Runtime: {error}") from error
    weights.let_go()  # the session has its own copies, in the order in which products read them
    return session
