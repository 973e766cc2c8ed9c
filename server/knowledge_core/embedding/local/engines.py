"""Which engine and precision run a model on this machine. The one place where that is decided, by trying.

Rules kept here: sentence-transformers in float32 is the reference; another engine or precision is chosen only where it
gave the reference's vectors for real texts, within the limits below, and was faster; what cannot be tried, or fails, is
run by the reference. Nothing is decided by a processor's name. What a trial found is remembered (`verdicts.py`), so that
the reference is loaded beside the chosen engine only once.

A further precision of the packed forward pass is one more name in `_candidates`, behind the same limits, once
`gemma3.py` computes in it and the configuration knows it. A further class of runner takes a name in `RunnerKind` and two
branches here: `_run_trial` tries it, `_load_remembered` loads it without a trial.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.local import gemma3
from knowledge_core.embedding.local.agreement import LEAST_COSINE, LEAST_OVERLAP, Fidelity, compared, real_texts
from knowledge_core.embedding.local.local_embedder import LocalEmbedder, Runner
from knowledge_core.embedding.local.packed_runner import MISFITS, PackedRunner
from knowledge_core.embedding.local.sentence_transformers_engine import SentenceTransformersRunner, found_device
from knowledge_core.embedding.local.verdicts import Verdict, Verdicts
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.tokens import Tokens, open_tokenizer, tokenise
from knowledge_core.types import Vectors

log = logging.getLogger(__name__)

SAME_ENGINE: Final = 0.9999
"""Least cosine of each trial text between the packed forward pass in float32 and the reference: two ways to add up the
same products differ by 1e-6; a wrong token or mask by much more."""

FASTER: Final = 1.15
"""How many times faster a precision must be to be chosen: less is within the noise of a busy machine."""

TRIAL_BATCH: Final = 512
"""Tokens of a batch in a trial: the long text is not what the short ones are padded to."""

TRIAL_TEXTS: Final = 24
TRIAL_LENGTH: Final = 100  # characters of a trial text, some 25 tokens: a load waits for the reference to read them all
_LONG: Final = 1600  # characters of the one that is longer than a window of 256 tokens to each side


def make_embedder(
    model: Model,
    *,
    dimensions: int | None = None,
    precision: str = "auto",
    device: str = "auto",
    verdicts: Path | None = None,
) -> LocalEmbedder:
    """Return an embedder that runs a model as fast as this machine can without changing its vectors.

    Nothing is loaded yet; `LocalEmbedder.engine` and `engine_reason` say what was chosen once it is.

    verdicts: the file in which the outcome of the trial is kept; None: every load tries anew.

    Raises:
        InvalidInput, ConfigurationError: see `LocalEmbedder`.
    """
    known = Verdicts(verdicts)
    return LocalEmbedder(
        model,
        lambda model, precision, device: choose(model, precision, device, known),
        dimensions=dimensions,
        precision=precision,
        device=device,
    )


def choose(model: Model, precision: str, device: str, verdicts: Verdicts) -> Runner:
    """Return what runs a model here, loaded, and tried unless it was before.

    Raises:
        ModelUnavailable: the reference cannot load it.
        ConfigurationError: the device is not there.
    """
    where = found_device(device)
    if where != "cpu":
        return SentenceTransformersRunner(model, _gpu_precision(precision, where), where, f"there is a device {where}")
    verdict = verdicts.of(model, precision)
    chosen = _load_remembered(model, verdict) if verdict is not None else None
    if chosen is None:
        chosen = _run_trial(model, precision)
        verdicts.keep(model, precision, Verdict(chosen.kind, chosen.precision, chosen.reason))
    log.info("%s is run by %s %s: %s", model.name, chosen.kind, chosen.precision, chosen.reason)
    return chosen


def _load_remembered(model: Model, verdict: Verdict) -> Runner | None:
    """Return what was chosen before; None if that does not load any more."""
    if verdict.runner == SentenceTransformersRunner.kind:
        return SentenceTransformersRunner(model, verdict.precision, "cpu", verdict.reason)
    shape = gemma3.shape_of(model.folder, model.max_length)
    try:
        return PackedRunner(model, shape, verdict.precision, verdict.reason) if shape else None
    except MISFITS as error:
        log.warning("the packed engine cannot load %s any more: %s", model.name, type(error).__name__)
        return None


def _run_trial(model: Model, precision: str) -> Runner:
    with _one_core():
        reference = SentenceTransformersRunner(model, "float32", "cpu")
        packed = None if precision == "float16" else _packed(model, precision, reference)
        return packed or _sentence_transformers(model, precision, reference)


@contextmanager
def _one_core() -> Iterator[None]:
    """Let torch compute on one core meanwhile.

    A trial on all cores waits for the slowest at the end of each operation: beside eight busy processes on 2 cores it
    took minutes instead of seconds.
    """
    import torch

    default = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(default)


def _packed(model: Model, precision: str, reference: Runner) -> PackedRunner | None:
    """Return the packed forward pass in the best precision that agrees with the reference; None if none does."""
    shape = gemma3.shape_of(model.folder, model.max_length)
    if shape is None:
        return None
    tokens = trial_tokens(model)
    wanted = _vectors(reference, tokens)
    for candidate in _candidates(precision):
        try:
            runner = PackedRunner(model, shape, candidate)
            found = compared(wanted, _vectors(runner, tokens))
        except MISFITS as error:
            log.warning("the packed engine cannot run %s: %s", model.name, type(error).__name__)
            return None
        if near_enough(found, candidate):
            runner.reason = f"it agrees with sentence-transformers in float32 ({found})" + _speed_reason(
                candidate, precision
            )
            return runner
        log.warning("the packed engine in %s does not agree with the reference: %s", candidate, found)
    return None


def _vectors(runner: Runner, texts: list[Tokens]) -> Vectors:
    """Return the runner's vectors of the texts, in their order, without much padding."""
    batches = pack([len(each.ids) for each in texts], TRIAL_BATCH)
    rows = np.concatenate([runner.forward([texts[i] for i in batch]) for batch in batches])
    order = np.argsort(np.concatenate(batches), kind="stable")
    result: Vectors = rows[order]
    return result


def near_enough(found: Fidelity, precision: str) -> bool:
    """Say whether vectors are near enough to the reference's to be used in their place."""
    if precision == "float32":
        return found.least >= SAME_ENGINE
    return found.mean >= LEAST_COSINE and found.overlap >= LEAST_OVERLAP


def _candidates(precision: str) -> Sequence[str]:
    if precision != "auto":
        return (precision,)
    return ("bfloat16", "float32") if bfloat16_is_faster() else ("float32",)


def _speed_reason(chosen: str, asked: str) -> str:
    if asked != "auto":
        return ""
    if chosen == "bfloat16":
        return ", and this processor multiplies bfloat16 faster"
    return ", and bfloat16 is not faster on this processor, or not as good"


def _sentence_transformers(model: Model, precision: str, reference: SentenceTransformersRunner) -> Runner:
    """Return sentence-transformers in the precision asked for, or in the one that is faster and as good."""
    if precision == "float32":
        reference.reason = "float32 was asked for"
        return reference
    if precision != "auto":
        return SentenceTransformersRunner(model, precision, "cpu", f"{precision} was asked for")
    reference.reason = "bfloat16 is not faster on this processor"
    if not bfloat16_is_faster():
        return reference
    half = SentenceTransformersRunner(model, "bfloat16", "cpu")
    tokens = trial_tokens(model)
    found = compared(_vectors(reference, tokens), _vectors(half, tokens))
    few = tokens[:8]
    ratio = _times_faster(lambda: half.forward(few), lambda: reference.forward(few), rounds=3)
    if near_enough(found, "bfloat16") and ratio >= FASTER:
        half.reason = f"it is {ratio:.1f} times as fast as float32 and as good ({found})"
        return half
    reference.reason = f"bfloat16 is {ratio:.1f} times as fast, {found}: not chosen"
    return reference


def bfloat16_is_faster() -> bool:
    """Say whether products of bfloat16 are faster here than those of float32; measured, in some 20 ms."""
    import torch

    with torch.inference_mode():
        return _times_faster(_a_product(torch.bfloat16), _a_product(torch.float32)) >= FASTER


def _a_product(dtype: Any) -> Callable[[], object]:
    import torch

    x, linear = torch.ones(512, 768, dtype=dtype), gemma3.Linear(torch.ones(768, 768, dtype=dtype), dtype)
    return lambda: linear(x)


def _times_faster(one: Callable[[], object], other: Callable[[], object], rounds: int = 5) -> float:
    """Return how many times faster `one` is; they take turns, and the best of each counts: the rest is noise."""
    best = [np.inf, np.inf]
    for _ in range(rounds):
        for number, call in enumerate((one, other)):
            began = time.perf_counter()
            call()
            best[number] = min(best[number], time.perf_counter() - began)
    return float(best[1] / best[0])


def _gpu_precision(precision: str, device: str) -> str:
    """Return the precision on a graphics card: bfloat16 unless another one was asked for or it has none."""
    import torch

    if precision != "auto":
        return precision
    return "bfloat16" if not device.startswith("cuda") or torch.cuda.is_bf16_supported() else "float32"


def trial_tokens(model: Model) -> list[Tokens]:
    """Return what a trial at load embeds: short real texts, and one that is longer than the attention's window."""
    texts = real_texts(TRIAL_TEXTS)
    short = [text[:TRIAL_LENGTH] for text in texts]
    mixed = [*short, " ".join(texts)[:_LONG], "図書館はどこですか 🎉 أين تقع أقرب مكتبة؟"]
    return tokenise(open_tokenizer(model), model, mixed)
