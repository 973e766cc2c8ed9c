"""The reference engine: a model folder run by sentence-transformers on torch, on any device.

sentence-transformers cannot load EmbeddingGemma 2 without libraries for pictures and sounds: `text_part.py` puts that
model together from the same parts.

Rules kept here:
- nothing reaches the network or prints;
- the runner adds no prompt, and the model's own tokenizer reads the string;
- the vectors in float32 are what every other engine is measured by.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from typing import Any, Final

import numpy as np

from knowledge_core.embedding.local.lanes import keep_torch_to_its_share
from knowledge_core.embedding.local.local_embedder import LocalEmbedder
from knowledge_core.embedding.local.misfits import refuse_misfits
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.models.safetensors_headers import few
from knowledge_core.embedding.tokens import Tokens, open_tokenizer
from knowledge_core.errors import ConfigurationError, ModelUnavailable
from knowledge_core.types import Vectors

ACCELERATOR_BATCH: Final = 16_384
"""Most tokens per batch on a GPU, which needs many at once to be busy. Not measured."""

MEMORY_PER_TOKEN: Final = 256_000
"""Bytes of a GPU's memory per token of a batch: 40 rows of 1,152 numbers in float32, rounded up. Not measured; where a
token needs more, the batch is halved."""


STEP: Final = 16
"""On a processor, texts are padded to a multiple of this many tokens. Every shape of a batch costs its own preparation and
memory: MiniLM in bfloat16 took 7 % less time so (2 cores with AMX)."""


class SentenceTransformersRunner:
    """Implements `Runner` with sentence-transformers.

    model: which one, and where its files lie.
    precision: of all weights and products: float32, bfloat16 or float16.
    device: cpu, mps, cuda or cuda:N.
    reason: why it was chosen, for people.

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

        keep_torch_to_its_share()
        transformer = self._transformer
        with torch.inference_mode():
            with self._preparing:  # two threads must not use a tokenizer that cuts and pads at the same time
                # As {"text": ...}: a model that reads images, too, would fetch and open a bare string that looks like
                # the address of one.
                features: dict[str, Any] = transformer.preprocess([{"text": each.text} for each in texts])
            moved = {
                name: value.to(transformer.device) if isinstance(value, torch.Tensor) else value
                for name, value in self._rounded(features).items()
            }
            vectors: Vectors = transformer(moved)["sentence_embedding"].float().cpu().numpy()
            return vectors

    def _rounded(self, features: dict[str, Any]) -> dict[str, Any]:
        """Return the features with their length rounded up to a multiple of `STEP`, so that batches have few shapes.

        Nothing changes on an accelerator, for a model that pads on the left, and beyond the longest input.
        """
        from torch.nn.functional import pad

        mask = features["attention_mask"]
        longest, side = self._transformer.max_seq_length, getattr(self._transformer.tokenizer, "padding_side", "")
        more = -mask.shape[1] % STEP
        if not self.on_processor or side != "right" or not more or mask.shape[1] + more > longest:
            return features
        same = [name for name, value in features.items() if getattr(value, "shape", None) == mask.shape]
        return features | {name: pad(features[name], (0, more)) for name in same}  # what the mask covers is not read


def reference_embedder(
    model: Model, *, dimensions: int | None = None, precision: str = "float32", device: str = "auto"
) -> LocalEmbedder:
    """Return an embedder that runs a model with sentence-transformers; nothing is loaded yet.

    dimensions, device: see `LocalEmbedder`.
    precision: see `LocalEmbedder`; "auto" means float32 here.

    Raises:
        InvalidInput, ConfigurationError: see `LocalEmbedder`.
    """

    def choose(model: Model, precision: str, device: str) -> SentenceTransformersRunner:
        wanted = "float32" if precision == "auto" else precision
        return SentenceTransformersRunner(model, wanted, found_device(device), "the reference, as asked")

    return LocalEmbedder(model, choose, dimensions=dimensions, precision=precision, device=device)


# While transformers loads a model, it changes torch's default dtype, which the whole process shares: of two models that
# load at once, one would get weights of both precisions.
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
    except Exception as error:  # three libraries read the files; their errors share no class but this one
        open_tokenizer(model)  # where the tokenizer is damaged, this raises the clearer error
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
    """Collects, while it is entered, which weights transformers made up because the files lack them, and which it ignored.

    transformers reports these only in its log, as a table of names (one name for many layers, as `layer.{2, 3}.`) and
    states, so the log is read. A missing pooler does not count: models that take the mean over the tokens are often
    published without one, and do not use it. Of the ignored weights only whole layers count: heads for other purposes are
    often published along.
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
        """Read one record of the log; suppress it unless it is an error."""
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


def _refuse_broken_numbers(model: Model, loaded: Any) -> None:
    """Check that every weight is a finite number, by sums: a sum is not finite where one of its terms is not.

    Raises:
        ModelUnavailable: a weight is not finite.
    """
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
    """Return the device that a setting means on this machine: cpu, mps, cuda or cuda:N.

    wanted: one of these, or "auto": the first that is there of cuda, mps and cpu.

    Raises:
        ConfigurationError: this machine does not have the device.
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
