"""The reference engine: a model folder run by sentence-transformers on torch, on any device. What it does not load
without libraries for pictures and sounds, EmbeddingGemma 2, `text_part.py` puts together of the same parts.

Rules kept here: nothing reaches the network or prints; the model gets no prompt of its own, and reads the string
with its own tokenizer. What it gives in float32 is what every other engine is measured by.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from knowledge_core.embedding.local.local_embedder import LocalEmbedder
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.models.safetensors_headers import few
from knowledge_core.embedding.tokens import Tokens, open_tokenizer
from knowledge_core.errors import ConfigurationError, ModelUnavailable
from knowledge_core.types import Vectors

ACCELERATOR_BATCH: Final = 16_384
"""Most tokens of a batch on a GPU, which needs many at once to be busy. Not measured."""

MEMORY_PER_TOKEN: Final = 256_000
"""Memory of a GPU that a token of a batch may need: 40 rows of 1,152 numbers in float32, rounded up. Not measured; where
it is too little, the batch is halved."""


class SentenceTransformersRunner:
    """Implements `Runner`. precision: float32, bfloat16 or float16. device: cpu, mps, cuda or cuda:N.

    Raises:
        ModelUnavailable: the files are damaged, or the libraries cannot run them.
    """

    kind: Final = "sentence-transformers"

    def __init__(self, model: Model, precision: str, device: str, reason: str = "") -> None:
        self.precision = precision
        self.reason = reason
        self._transformer = _load(model, precision, device)
        self._preparing = threading.Lock()

    @property
    def on_processor(self) -> bool:
        """See `Runner.on_processor`."""
        return bool(self._transformer.device.type == "cpu")

    def most_tokens(self) -> int:
        """See `Runner.most_tokens`."""
        import torch

        device = self._transformer.device
        if device.type != "cuda":
            return ACCELERATOR_BATCH
        free, _ = torch.cuda.mem_get_info(device)
        return int(np.clip(free // 2 // MEMORY_PER_TOKEN, 512, ACCELERATOR_BATCH))

    def forward(self, texts: list[Tokens]) -> Vectors:
        """See `Runner.forward`."""
        import torch

        transformer = self._transformer
        with torch.inference_mode():
            with self._preparing:  # a tokenizer that cuts and pads is not made for two threads
                # As {"text": ...}: a bare string that looks like an image's address would be fetched and opened
                # where the model also reads images.
                features: dict[str, Any] = transformer.preprocess([{"text": each.text} for each in texts])
            moved = {
                name: value.to(transformer.device) if isinstance(value, torch.Tensor) else value
                for name, value in features.items()
            }
            vectors: Vectors = transformer(moved)["sentence_embedding"].float().cpu().numpy()
            return vectors


def reference_embedder(
    model: Model, *, dimensions: int | None = None, precision: str = "float32", device: str = "auto"
) -> LocalEmbedder:
    """Return an embedder that runs any model with sentence-transformers; "auto" is float32 here.

    Raises:
        InvalidInput, ConfigurationError: see `LocalEmbedder`.
    """

    def choose(model: Model, precision: str, device: str) -> SentenceTransformersRunner:
        wanted = "float32" if precision == "auto" else precision
        return SentenceTransformersRunner(model, wanted, found_device(device), "the reference, as asked")

    return LocalEmbedder(model, choose, dimensions=dimensions, precision=precision, device=device)


# transformers sets torch's default type of numbers, which is the process's, as long as it loads a model: of two that are
# loaded at once, one would get weights of both precisions.
_ONE_AT_A_TIME: Final = threading.Lock()


def _load(model: Model, precision: str, device: str) -> Any:
    """Return the model, loaded from its folder alone and ready to run."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    import torch
    import transformers

    chatter: Any = transformers.utils.logging  # its functions carry no types
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        with _ONE_AT_A_TIME:
            loaded = _loaded(model, getattr(torch, precision), device)
    except ModelUnavailable:
        raise
    except Exception as error:  # three libraries read the files, and each has errors of its own, some of no class
        open_tokenizer(model)  # where that is what is damaged, its error is the clearer one
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise ModelUnavailable(
                f"There is not enough free memory to load {model.name}. Close other programs, run `kcore stop`, try again."
            ) from error
        reason = _reason(error).replace(str(model.folder), model.name)
        raise ModelUnavailable(
            f"{model.name} is on this machine but cannot be loaded: {reason}. Check that its "
            "files are complete and that sentence-transformers and transformers are new enough for it."
        ) from error
    _refuse_broken_numbers(model, loaded)
    return loaded


def _reason(error: Exception) -> str:
    """Return what an error of the libraries says as one line without an end; with its class where that is but a name."""
    first, *more = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    said = f"{first} {more[0]}" if first.endswith(":") and more else first
    return (f"{type(error).__name__} {said}" if len(said.split()) < 2 else said).strip(" .:")


def _loaded(model: Model, dtype: Any, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    if model.second_generation:
        from knowledge_core.embedding.local.text_part import TextPart

        return TextPart(model, dtype, device).eval()
    settings = {"dtype": dtype, "use_safetensors": True}
    with _LoadReport() as report:
        loaded = SentenceTransformer(str(model.folder), device=device, local_files_only=True, model_kwargs=settings)
    refuse_misfits(model, missing=report.missing, extra=report.extra)
    loaded.max_seq_length = model.max_length
    return loaded.eval()


class _LoadReport(logging.Filter):
    """Holds what transformers made up because the files lack it, and what it left unread, as long as it is entered.

    It only logs that, as a table of names (of many layers in one, as `layer.{2, 3}.`) and states, so it is read there.
    Poolers do not count: models that take the mean over the tokens are often published without theirs, and do not use it.
    Of what is left unread only whole layers count: heads for other purposes are often published along.
    """

    _ROW: Final = re.compile(r"^(\S[^|\n]*?) *\| *(MISSING|UNEXPECTED)\b", re.MULTILINE)
    _COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
    _LAYER: Final = re.compile(r"(^|\.)layers?\.[0-9{]")
    _OTHER_PARTS: Final = re.compile(r"decoder|vision|visual|audio|mtp")

    def __init__(self) -> None:
        super().__init__()
        self.missing: list[str] = []
        self.extra: list[str] = []
        self._thread = threading.get_ident()
        self._log = logging.getLogger("transformers.modeling_utils")

    def filter(self, record: logging.LogRecord) -> bool:
        """Read a line of the log; let nothing below an error through to it."""
        rows = self._ROW.findall(self._COLOUR.sub("", record.getMessage())) if record.thread == self._thread else []
        for name, state in rows:
            if state == "MISSING" and "pooler" not in name:
                self.missing.append(name)
            elif state == "UNEXPECTED" and self._LAYER.search(name) and not self._OTHER_PARTS.search(name):
                self.extra.append(name)
        return record.levelno >= logging.ERROR

    def __enter__(self) -> _LoadReport:
        self._log.addFilter(self)
        self._log.setLevel(logging.WARNING)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeFilter(self)
        if not self._log.filters:
            self._log.setLevel(logging.NOTSET)


def refuse_misfits(
    model: Model, *, missing: Sequence[str] = (), extra: Sequence[str] = (), sizes: Sequence[str] = ()
) -> None:
    """Check that no weight was left to chance, and none left over.

    sizes: sentences on weights that have others than they should.

    Raises:
        ModelUnavailable: it was.
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


def _refuse_broken_numbers(model: Model, loaded: Any) -> None:
    """Check that every weight is a number: a sum is not finite where one of its terms is not."""
    import torch

    with torch.inference_mode():
        broken = [
            name
            for name, weight in loaded.named_parameters()
            if not torch.isfinite(weight.sum(dtype=torch.float64 if weight.dtype == torch.float64 else torch.float32))
        ]
    if broken:
        raise ModelUnavailable(
            f"The weights of {model.name} are damaged: {few(broken)} hold values that are not finite. Copy or download all "
            "of its files again."
        )


def found_device(wanted: str) -> str:
    """Return the device that a setting means on this machine.

    Raises:
        ConfigurationError: it is not there.
    """
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
