"""A model of this machine as an `Embedder`: texts to tokens, tokens to batches, batches to a runner, rows to vectors.

Rules kept here:
- torch is imported by the runner that needs it, at the first use, never before;
- the contract makes the exact string that is embedded; the runner adds no prompt of its own;
- every vector that is returned is finite, truncated to the contract's dimensions and of norm 1.
Any number of threads may call at once. A `Runner` computes; `engines.py` decides which.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from tokenizers import Tokenizer

from knowledge_core.contract import PROBE_TEXTS, EmbeddingContract, up_to
from knowledge_core.embedding.background.bulk_work import Allowance
from knowledge_core.embedding.batching import even_budget, pack
from knowledge_core.embedding.local.device_memory import halving
from knowledge_core.embedding.local.lanes import Lanes, cores_here, passing
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.models.packaged import WEIGHTS_SHA256, verify
from knowledge_core.embedding.tokens import Tokens, clean, open_tokenizer, tokenise
from knowledge_core.errors import ConfigurationError, InvalidInput, KnowledgeCoreError, ModelUnavailable
from knowledge_core.types import Task, Vectors

PRECISIONS: Final = ("auto", "float32", "bfloat16", "float16")
_DEVICE: Final = re.compile(r"auto|cpu|mps|cuda(:\d+)?")

PROCESSOR_BATCH: Final = 1024
"""Most tokens per batch on a processor: 512 to 2048 are equally fast, and a query waits for less of a small batch."""

LONGEST_BATCH: Final = 0.4
"""Seconds that a bulk batch may take at the measured pace, since a query may have to wait for it. A slow model on a slow
machine gets smaller batches than `PROCESSOR_BATCH`."""

LEAST_SHARE: Final = 256
"""Tokens: a call of fewer per core is not shared by the cores. A product of fewer rows reaches less of the peak, and fewer
are no bulk work for an engine beside another (`onnx/beside.py`)."""

SMALLEST_BATCH: Final = 64
"""Fewest tokens that a batch is limited to, however slow the model: with less, a batch's fixed costs would double."""

FEW: Final = 8
"""Most texts per urgent call. A call with more texts, or with documents, is bulk work."""

SLICE: Final = 2048
"""Texts per slice. The next slice is tokenised while one is embedded, and at most two lie in memory as tokens."""


class Runner(Protocol):
    """What computes vectors, in one precision.

    precision: float32, bfloat16 or float16.
    reason: why this runner in this precision was chosen, for people.
    """

    precision: str
    reason: str

    @property
    def kind(self) -> str:
        """Return the name of its kind, which verdicts and users are told: "sentence-transformers", or its engine's."""
        ...

    @property
    def on_processor(self) -> bool:
        """Say whether it computes on the processor, where every core takes a batch of its own."""
        ...

    def forward(self, texts: list[Tokens]) -> Vectors:
        """Return one vector per text, in order, of any norm: (n, full dimensions) float32.

        Any number of threads may call at once.
        """
        ...

    def most_tokens(self) -> int:
        """Return how many tokens a batch may have, padding included, for the memory that is free now."""
        ...


Choose = Callable[[Model, str, str], Runner]
"""Takes a model, a precision and a device, the last two "auto" or by name; returns a loaded runner."""


class LocalEmbedder:
    """Implements `Embedder` with a model folder; loads the model at the first need, once, however many threads ask.

    model: which one, and where its files lie.
    choose: finds the runner; called once, when the model is loaded.
    dimensions: one of `model.sizes`; None: the model's full size.
    precision: auto, float32, bfloat16 or float16.
    device: auto, cpu, mps, cuda or cuda:N.

    Attributes:
        allowance: says how much bulk work may take of a number of cores; asked before every batch.

    Raises:
        InvalidInput: the model has no vectors of these dimensions.
        ConfigurationError: the precision or the device is unknown, or the precision is unfit for the model.
    """

    def __init__(
        self, model: Model, choose: Choose, *, dimensions: int | None = None, precision: str, device: str
    ) -> None:
        size = model.dimensions if dimensions is None else dimensions
        if size not in model.sizes:
            allowed = ", ".join(map(str, model.sizes))
            raise InvalidInput(f"{model.name} has no vectors of {size} dimensions. It has: {allowed}.")
        _check_runtime(model, precision, device)
        self.model = model
        self.static_contract = model.contract(size)
        self._choose = choose
        self._precision = precision
        self._device = device
        self._loading = threading.Lock()
        self._opening = threading.Lock()
        self._tokenizer: Tokenizer | None = None
        self._contract: EmbeddingContract | None = None
        self._runner: Runner | None = None
        self._pace = 0.0  # seconds per token in one thread, a moving mean; 0 before the first batch
        self._lanes: Lanes[Tokens, Vectors] | None = None
        self.allowance: Callable[[int], Allowance] = Allowance  # set before the model is loaded

    @property
    def loaded(self) -> bool:
        """Say whether the model is in memory."""
        return self._lanes is not None

    @property
    def engine(self) -> str:
        """Return what computes and in which precision, as in "packed bfloat16"; "" until the model is loaded."""
        return f"{self._runner.kind} {self._runner.precision}" if self._runner else ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `Embedder.sizes`."""
        return up_to(self.static_contract.dimensions, self.model.sizes)

    @property
    def engine_reason(self) -> str:
        """Return why this engine and precision were chosen; "" until the model is loaded."""
        return self._runner.reason if self._runner else ""

    @property
    def contract(self) -> EmbeddingContract:
        """Return the contract with the model's probe and the SHA-256 of its weights; loads the model.

        Raises:
            ModelUnavailable, ConfigurationError: see `load`; also where the model's vectors are not usable.
        """
        if self._contract is None:
            probe = self._probed()
            weights = self.static_contract.weights or _weights_digest(self.model)
            self._contract = replace(self.static_contract, probe=probe, weights=weights)
        return self._contract

    def _probed(self) -> Vectors:
        """Return the vectors of the probe texts: (3, dimensions)."""
        self._loaded_lanes()
        with _blaming_its_files(self.model):
            probe = self.embed(PROBE_TEXTS, Task.DOCUMENT)
        if np.allclose(probe, probe[0], atol=1e-6):
            raise ModelUnavailable(
                f"{self.model.name} gives the same vector for different texts: its weights are damaged. Copy or download all "
                "of its files again."
            )
        return probe

    def load(self) -> None:
        """Load the model into memory, if it is not there yet.

        Raises:
            ModelUnavailable: the model's files are damaged, or the libraries cannot run it.
            ConfigurationError: this machine does not have the configured device.
        """
        self._loaded_lanes()

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        """See `Embedder.embed`.

        Raises:
            ModelUnavailable: the model cannot be loaded, or gives numbers that are not finite, or memory does not suffice.
            Busy: too many callers wait for the model already.
        """
        result = np.empty((len(texts), self.static_contract.dimensions), np.float32)
        if not texts:
            return result
        self._loaded_lanes()
        titles = [""] * len(texts) if titles is None else titles
        if len(titles) != len(texts):
            raise ValueError(f"{len(texts)} texts have {len(titles)} titles")
        urgent = task is not Task.DOCUMENT and len(texts) <= FEW
        for start, tokens in self._slices(texts, task, titles):
            result[start : start + len(tokens)] = self._finished(self._rows(tokens, urgent=urgent))
        return result

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder.count_tokens`."""
        tokenizer = self._own_tokenizer()
        return [len(each) for each in tokenizer.encode_batch_fast(clean(texts), add_special_tokens=False)]

    def tokens(self, formatted: Sequence[str]) -> list[Tokens]:
        """Return strings as the model reads them, cut to its longest input; see `tokenise`."""
        return tokenise(self._own_tokenizer(), self.model, formatted)

    def _slices(self, texts: Sequence[str], task: Task, titles: Sequence[str]) -> Iterator[tuple[int, list[Tokens]]]:
        """Yield slices of the texts: the index of the slice's first text, and its texts as tokens.

        The next slice is tokenised on another thread while the caller uses one.
        """

        def made(start: int) -> list[Tokens]:
            part = slice(start, start + SLICE)
            format_ = self.static_contract.format
            pairs = zip(texts[part], titles[part], strict=True)
            return self.tokens([format_(text, task, title) for text, title in pairs])

        if len(texts) <= SLICE:
            yield 0, made(0)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="tokens") as beside:
            following = beside.submit(made, 0)
            for start in range(0, len(texts), SLICE):
                tokens = following.result()
                if start + SLICE < len(texts):
                    following = beside.submit(made, start + SLICE)
                yield start, tokens

    def _rows(self, tokens: list[Tokens], *, urgent: bool) -> Vectors:
        """Return the model's vectors in the order of the texts, one at least: (n, full dimensions)."""
        lengths, lanes = [len(each.ids) for each in tokens], self._loaded_lanes()
        budget = self._budget()
        batches = pack(lengths, budget if urgent else even_budget(lengths, budget, lanes.width, LEAST_SHARE))
        rows = lanes.run([[tokens[i] for i in batch] for batch in batches], urgent=urgent)
        full = np.empty((len(tokens), self.model.dimensions), np.float32)
        for batch, vectors in zip(batches, rows, strict=True):
            full[batch] = vectors
        return full

    def _finished(self, full: Vectors) -> Vectors:
        """Return rows truncated to the contract's dimensions and scaled to norm 1.

        Raises:
            ModelUnavailable: a number is not finite.
        """
        truncated = full[:, : self.static_contract.dimensions]
        if not np.isfinite(truncated).all():
            raise ModelUnavailable(
                f"{self.model.name} gave numbers that are not finite (engine {self.engine}, device "
                f"{self._device}). Set embedding.precision to float32, or embedding.device to cpu."
            )
        norms = np.linalg.norm(truncated, axis=1, keepdims=True)
        result: Vectors = np.divide(truncated, norms, out=np.zeros_like(truncated), where=norms > 0)
        result[norms[:, 0] == 0, 0] = 1.0  # a text without any token: a fixed direction, never NaN
        return result

    def _own_tokenizer(self) -> Tokenizer:
        """Return the tokenizer, read from its file at the first call. It neither cuts nor pads."""
        with self._opening:
            if self._tokenizer is None:
                self._tokenizer = open_tokenizer(self.model)
            return self._tokenizer

    def _loaded_lanes(self) -> Lanes[Tokens, Vectors]:
        with self._loading:
            if self._lanes is None:
                if self.model.packaged:
                    verify(self.model.folder)
                # Read while the model is loaded: a vocabulary of a quarter of a million words takes a second.
                threading.Thread(target=self._open_tokenizer_quietly, name="tokenizer", daemon=True).start()
                with _blaming_its_files(self.model):
                    self._runner = passing(lambda: self._choose(self.model, self._precision, self._device))
                cores = cores_here() if self._runner.on_processor else 1
                self._lanes = Lanes(
                    self._forward, cores=cores, weigh=_padded, heaviest=PROCESSOR_BATCH, allowance=self.allowance
                )
            return self._lanes

    def _open_tokenizer_quietly(self) -> None:
        with contextlib.suppress(Exception):  # the next caller that needs the tokenizer gets the error
            self._own_tokenizer()

    def _budget(self) -> int:
        """Return how many tokens a batch may have, padding included."""
        runner = self._runner
        if runner is None or runner.on_processor:
            most = min(PROCESSOR_BATCH, runner.most_tokens()) if runner else PROCESSOR_BATCH
            return int(np.clip(LONGEST_BATCH / self._pace, SMALLEST_BATCH, most)) if self._pace else most
        return runner.most_tokens()

    def _forward(self, texts: list[Tokens]) -> Vectors:
        """Return the runner's vectors of one batch; where memory does not suffice, the batch is computed in halves."""
        runner = self._runner
        assert runner is not None  # the lanes that call this are made after the runner
        began = time.perf_counter()
        vectors = halving(runner.forward, texts)
        if vectors.shape[1] != self.model.dimensions:
            raise ModelUnavailable(
                f"{self.model.name} says in its configuration that its vectors have {self.model.dimensions} dimensions, but they "
                f"have {vectors.shape[1]}. Copy or download all of its files again."
            )
        tokens = sum(len(each.ids) for each in texts)
        if tokens >= SMALLEST_BATCH:
            taken = (time.perf_counter() - began) / tokens
            self._pace += (0.2 if self._pace else 1.0) * (taken - self._pace)
        return vectors


@contextlib.contextmanager
def _blaming_its_files(model: Model) -> Iterator[None]:
    """Turn every foreign exception of a model's first computation into an error that names the model's files as the cause."""
    try:
        yield
    except KnowledgeCoreError:
        raise
    except Exception as error:  # torch and its libraries, over files that do not fit each other
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ModelUnavailable(
            f"{model.name} was loaded but cannot compute: {reason}. Copy or download all of its files again."
        ) from error


def _padded(texts: list[Tokens]) -> int:
    """Return the cost of a batch: its tokens, padding included."""
    return len(texts) * max((len(text.ids) for text in texts), default=0)


def _check_runtime(model: Model, precision: str, device: str) -> None:
    if precision not in PRECISIONS:
        raise ConfigurationError(f"embedding.precision {precision!r} is unknown. There are: {', '.join(PRECISIONS)}.")
    if precision == "float16" and model.family == "gemma":
        raise ConfigurationError(
            f"embedding.precision float16 cannot be used with {model.name}: its inner values go far beyond what "
            "float16 can hold, so that vectors come out broken. Use float32 or bfloat16."
        )
    if not _DEVICE.fullmatch(device):
        raise ConfigurationError(f"embedding.device {device!r} is unknown. There are: auto, cpu, cuda, cuda:N, mps.")


def _weights_digest(model: Model) -> str:
    """Return the SHA-256 of the weights file; "" where there are several."""
    if model.packaged:
        return WEIGHTS_SHA256
    path = model.folder / "model.safetensors"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
