"""all-MiniLM-L6-v2 as it was published: its sizes, how a folder is known to hold it, its weights, and the files made of it.

The files beside this one are written by `write_graph.py`: the model as a graph without weights, and the reference's
vectors of the probe texts, by which an engine is held to the reference without loading it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.models.packaged import WEIGHTS_SHA256
from knowledge_core.embedding.models.safetensors_headers import WEIGHTS, header
from knowledge_core.types import Vectors

LAYERS: Final = 6
WIDTH: Final = 384
HEADS: Final = 12
INNER: Final = 1536
LONGEST: Final = 512
EPSILON: Final = 1e-12

GRAPH: Final = Path(__file__).with_name("minilm.onnx")
PROBE: Final = Path(__file__).with_name("minilm_probe.npy")
WORDS: Final = "embeddings.word_embeddings.weight"

_CONFIG: Final[Mapping[str, object]] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "layer_norm_eps": EPSILON,
    "max_position_embeddings": LONGEST,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
}
_MODULES: Final = ["Transformer", "Pooling", "Normalize"]
_SIZE: Final = 90_868_376  # bytes of the published weights: no other file need be read to its end
_UNUSED: Final = ("pooler.", "embeddings.position_ids")  # beginnings of the names of tensors that no vector depends on


def is_published(model: Model) -> bool:
    """Say whether a folder holds all-MiniLM-L6-v2, by the SHA-256 of its weights and by its configuration."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        weights = model.folder / WEIGHTS
        return (
            model.max_length <= LONGEST
            and weights.stat().st_size == _SIZE
            and _is_configured(model.folder)
            and (model.packaged or _sha256(weights) == WEIGHTS_SHA256)  # the packaged files were checked before
        )
    return False


def _is_configured(folder: Path) -> bool:
    config, modules = _read(folder / "config.json"), _read(folder / "modules.json")
    if [each["type"].rpartition(".")[2] for each in modules] != _MODULES:
        return False
    pooling = _read(folder / modules[1]["path"] / "config.json")
    pooled = [key for key, value in pooling.items() if key.startswith("pooling_mode") and value]
    return pooled == ["pooling_mode_mean_tokens"] and all(config.get(key) == value for key, value in _CONFIG.items())


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def probe_of_reference() -> Vectors:
    """Return the vectors that sentence-transformers in float32 gives for the probe texts: (3, width)."""
    vectors: Vectors = np.load(PROBE, allow_pickle=False)
    return vectors


class Weights:
    """The weights in a model's folder, mapped into memory: what nobody touches takes none.

    Attributes:
        words: the table of words, (words, width) float32.
        others: the tensors that the graph names, by name.

    Raises:
        OSError, ValueError, KeyError: the file is missing or damaged, or a tensor is not in float32.
    """

    def __init__(self, folder: Path) -> None:
        with (folder / WEIGHTS).open("rb") as file:
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        entries = {name: each for name, each in header(folder, WEIGHTS).items() if not name.startswith(_UNUSED)}
        if any(each.dtype != "F32" for each in entries.values()):
            raise ValueError("the weights are not in float32")
        found = {name: self._tensor(each.begin, each.shape) for name, each in entries.items()}
        self.words = found.pop(WORDS)
        self.others = found

    def _tensor(self, begin: int, shape: tuple[int, ...]) -> Vectors:
        return np.frombuffer(self._mapped, np.float32, prod(shape), begin).reshape(shape)

    def let_go(self) -> None:
        """Give back the memory that reading took; what is read again is mapped again. Without effect on Windows."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)
