"""The reference engine: a model folder run by sentence-transformers on torch.

Rules kept here: torch is imported at the first use, never before; nothing reaches the network or prints; the exact
string that is embedded is made by the contract, the model gets no prompt of its own; vectors leave finite, cut to
the contract's dimensions and with norm 1. Any number of threads may call at once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tokenizers import Tokenizer

from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.contract import PROBE_TEXTS, EmbeddingContract
from knowledge_core.embedding.lanes import Lanes
from knowledge_core.embedding.models import Model
from knowledge_core.embedding.packaged import TOKENIZER_FILE, WEIGHTS_SHA256, verify, verify_file
from knowledge_core.errors import ConfigurationError, InvalidInput, ModelUnavailable
from knowledge_core.types import Task, Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_PRECISIONS: Final = ("auto", "float32", "bfloat16", "float16")
_DEVICE: Final = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")  # what no tokenizer takes: NUL and halves of surrogate pairs
_SPECIAL: Final = 2  # tokens that models add around a text; only packs batches, so that a wrong number costs little

PROCESSOR_BATCH: Final = 1024
"""Tokens of a batch on a processor: 512 to 2048 measure the same, and a query waits for less of it."""

LONGEST_BATCH: Final = 0.4
"""Seconds that a bulk batch may take at the measured pace: what a query may have to wait for. A slow model on a slow
machine gets smaller batches than `PROCESSOR_BATCH`."""

SMALLEST_BATCH: Final = 64
"""Tokens below which a batch is never cut: its fixed costs would double."""

HEAVIEST_MERGE: Final = 4 * PROCESSOR_BATCH
"""Characters, padding included, of queries that are embedded together: about as many tokens as a batch of bulk work."""

FEW: Final = 8
"""Texts that somebody waits for, embedded for another task than to be stored; more are bulk work."""

ACCELERATOR_BATCH: Final = 16_384
"""Tokens of a batch on a GPU, which needs more at once to be busy. Not measured."""


class SentenceTransformersEmbedder:
    """Implements `Embedder` with a model folder; loads it at the first need, once, whichever thread comes first.

    dimensions: one of `model.sizes`; None: the model's full size.
    precision: auto (float32), float32, bfloat16 or float16. device: auto, cpu, mps, cuda or cuda:N.

    Raises:
        InvalidInput: the model has no vectors of these dimensions.
        ConfigurationError: precision or device is unknown, or unfit for the model.
    """

    def __init__(
        self, model: Model, *, dimensions: int | None = None, precision: str = "float32", device: str = "auto"
    ) -> None:
        size = model.dimensions if dimensions is None else dimensions
        if size not in model.sizes:
            allowed = ", ".join(map(str, model.sizes))
            raise InvalidInput(f"{model.name} has no vectors of {size} dimensions. It has: {allowed}.")
        _check_runtime(model, precision, device)
        self.model = model
        self.static_contract = model.contract(size)
        self._precision = "float32" if precision == "auto" else precision
        self._device = device
        self._loading = threading.Lock()
        self._preparing = threading.Lock()
        self._tokenizer: Tokenizer | None = None
        self._contract: EmbeddingContract | None = None
        self._transformer: SentenceTransformer | None = None
        self._pace = 0.0  # seconds of a token in a thread of bulk work, a moving mean; 0 before the first
        self._lanes: Lanes[str, Vectors] | None = None

    @property
    def loaded(self) -> bool:
        """Say whether the model is in memory."""
        return self._lanes is not None

    @property
    def contract(self) -> EmbeddingContract:
        """Return the contract with the model's probe and the SHA-256 of its weights; loads the model."""
        if self._contract is None:
            probe = self.embed(PROBE_TEXTS, Task.DOCUMENT)
            weights = self.static_contract.weights or _weights_digest(self.model)
            self._contract = replace(self.static_contract, probe=probe, weights=weights)
        return self._contract

    def load(self) -> None:
        """Bring the model into memory, if it is not there yet.

        Raises:
            ModelUnavailable: its files are damaged, or the libraries cannot run it.
            ConfigurationError: the configured device is not there.
        """
        self._loaded_lanes()

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        """See `Embedder.embed`.

        Raises:
            ModelUnavailable: the model cannot be loaded, or gives numbers that are not finite.
        """
        if not texts:
            return np.empty((0, self.static_contract.dimensions), np.float32)
        lanes = self._loaded_lanes()
        titles = [""] * len(texts) if titles is None else titles
        formatted = [
            _NOT_TEXT.sub("�", self.static_contract.format(text, task, title))
            for text, title in zip(texts, titles, strict=True)
        ]
        longest = self.static_contract.max_length
        lengths = [min(length + _SPECIAL, longest) for length in self.count_tokens(formatted)]
        batches = pack(lengths, self._budget())
        urgent = task is not Task.DOCUMENT and len(texts) <= FEW
        rows = lanes.run([[formatted[i] for i in batch] for batch in batches], urgent=urgent)
        full = np.empty((len(texts), self.model.dimensions), np.float32)
        for batch, vectors in zip(batches, rows, strict=True):
            full[batch] = vectors
        return self._finished(full)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder.count_tokens`."""
        tokenizer = self._own_tokenizer()
        cleaned = [_NOT_TEXT.sub("�", text) for text in texts]
        return [len(encoding) for encoding in tokenizer.encode_batch_fast(cleaned, add_special_tokens=False)]

    def _finished(self, full: Vectors) -> Vectors:
        """Return rows cut to the contract's dimensions, with norm 1."""
        cut = full[:, : self.static_contract.dimensions]
        if not np.isfinite(cut).all():
            raise ModelUnavailable(
                f"{self.model.name} gave numbers that are not finite (precision {self._precision}, device "
                f"{self._device}). Set embedding.precision to float32, or embedding.device to cpu."
            )
        norms = np.linalg.norm(cut, axis=1, keepdims=True)
        result: Vectors = np.divide(cut, norms, out=np.zeros_like(cut), where=norms > 0)
        result[norms[:, 0] == 0, 0] = 1.0  # a text without any token: a fixed direction, never NaN
        return result

    def _own_tokenizer(self) -> Tokenizer:
        """Return the tokenizer that counts. The model has its own, set to cut and pad, which counting must not."""
        with self._loading:
            if self._tokenizer is None:
                if self.model.packaged:
                    verify_file(self.model.folder, TOKENIZER_FILE)
                # Said aloud, so that it does not warn on stderr when the process starts another one
                os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
                tokenizer = Tokenizer.from_file(str(self.model.folder / TOKENIZER_FILE))
                tokenizer.no_truncation()
                tokenizer.no_padding()
                self._tokenizer = tokenizer
            return self._tokenizer

    def _loaded_lanes(self) -> Lanes[str, Vectors]:
        with self._loading:
            if self._lanes is None:
                if self.model.packaged:
                    verify(self.model.folder)
                import torch

                self._transformer = _load(self.model, self._precision, self._device)
                cores = torch.get_num_threads() if self._on_processor() else 1
                self._lanes = Lanes(self._forward, cores=cores, weigh=_padded, heaviest=HEAVIEST_MERGE)
            return self._lanes

    def _budget(self) -> int:
        """Return how many tokens a batch may have."""
        most = PROCESSOR_BATCH if self._on_processor() else ACCELERATOR_BATCH
        return int(np.clip(LONGEST_BATCH / self._pace, SMALLEST_BATCH, most)) if self._pace else most

    def _on_processor(self) -> bool:
        return self._transformer is not None and self._transformer.device.type == "cpu"

    def _forward(self, texts: list[str]) -> Vectors:
        """Return the model's vectors of one batch, as it gives them: (n, full dimensions)."""
        import torch

        transformer = self._transformer
        assert transformer is not None  # lanes exist only after the model
        began = time.perf_counter()
        with torch.inference_mode():
            with self._preparing:  # a tokenizer that cuts and pads is not made for two threads
                # As {"text": ...}: a bare string that looks like an image's address would be fetched and opened
                # where the model also reads images.
                features: dict[str, Any] = transformer.preprocess([{"text": text} for text in texts])
            moved = {
                name: value.to(transformer.device) if isinstance(value, torch.Tensor) else value
                for name, value in features.items()
            }
            vectors: Vectors = transformer(moved)["sentence_embedding"].float().cpu().numpy()
        tokens = int(features["input_ids"].numel())
        if tokens >= SMALLEST_BATCH:
            taken = (time.perf_counter() - began) / tokens
            self._pace += (0.2 if self._pace else 1.0) * (taken - self._pace)
        return vectors


def _padded(texts: list[str]) -> int:
    """Return about what a batch costs: its characters, after padding."""
    return len(texts) * max(map(len, texts), default=0)


def _check_runtime(model: Model, precision: str, device: str) -> None:
    if precision not in _PRECISIONS:
        raise ConfigurationError(f"embedding.precision {precision!r} is unknown. There are: {', '.join(_PRECISIONS)}.")
    if precision == "float16" and model.family == "gemma":
        raise ConfigurationError(
            f"embedding.precision float16 cannot be used with {model.name}: its inner values go far beyond what "
            "float16 can hold, so that vectors come out broken. Use float32 or bfloat16."
        )
    if not _DEVICE.fullmatch(device):
        raise ConfigurationError(f"embedding.device {device!r} is unknown. There are: auto, cpu, cuda, cuda:N, mps.")


def _load(model: Model, precision: str, device: str) -> SentenceTransformer:
    """Return the model, loaded from its folder alone and ready to run."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer

    chatter: Any = transformers.utils.logging  # its functions carry no types
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    settings = {"dtype": getattr(torch, precision), "use_safetensors": True}
    try:
        loaded = SentenceTransformer(
            str(model.folder), device=_device(device), local_files_only=True, model_kwargs=settings
        )
        loaded.max_seq_length = model.max_length
        return loaded.eval()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as error:
        reason = str(error).replace(str(model.folder), model.name).strip().partition("\n")[0]
        raise ModelUnavailable(
            f"{model.name} is on this machine but cannot be loaded: {reason or type(error).__name__}. Check that its "
            "files are complete and that sentence-transformers and transformers are new enough for it."
        ) from error


def _device(wanted: str) -> str:
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    there = {
        "cpu": 1,
        "mps": int(torch.backends.mps.is_available()),
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
    }
    if int(number or 0) >= there[kind]:
        raise ConfigurationError(f"embedding.device is {wanted!r}, but PyTorch finds no such device here. Use auto.")
    return wanted


def _weights_digest(model: Model) -> str:
    """Return the SHA-256 of the weights file; "" where there are several."""
    if model.packaged:
        return WEIGHTS_SHA256
    path = model.folder / "model.safetensors"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
