"""Which engine and precision run a model on this machine. The one place where that is decided, by a trial.

Rules kept here:
- sentence-transformers in float32 is the reference;
- another engine is chosen only where it gave the reference's vectors for real texts, within the limits below; "auto"
  chooses another precision only where that holds, too, and the precision was faster;
- a model for which no other engine passes the trial is run by the reference;
- nothing is decided by a processor's name;
- the outcome of a trial is remembered (`verdicts.py`), so that the reference is loaded beside the chosen engine only once.

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
"""Cosine to the reference that the packed forward pass in float32 must reach for every trial text: adding up the same
products in another order changes it by 1e-6, a wrong token or mask by much more."""

FASTER: Final = 1.15
"""How many times as fast as float32 a precision must be to be chosen: less is within the noise of a busy machine."""

TRIAL_BATCH: Final = 512
"""Most tokens per batch in a trial: so few that the short texts are not padded to the length of the long one."""

TRIAL_TEXTS: Final = 24
"""How many short texts a trial embeds, and how many passages the long one is made of."""

TRIAL_LENGTH: Final = 100
"""Characters per short text, some 25 tokens: few, because loading the model waits until the reference has read them all."""

_LONG: Final = 1600
"""Characters of the long text, which must have more tokens than the attention's window of 256 to each side."""


def make_embedder(
    model: Model,
    *,
    dimensions: int | None = None,
    precision: str = "auto",
    device: str = "auto",
    verdicts: Path | None = None,
) -> LocalEmbedder:
    """Return an embedder that runs a model as fast as this machine can without changing its vectors.

    Nothing is loaded yet. `LocalEmbedder.engine` and `engine_reason` say what was chosen once the model is loaded.

    dimensions, precision, device: see `LocalEmbedder`.
    verdicts: the file that keeps the outcomes of trials; None: every load tries again.

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
    """Return what runs a model on this machine, loaded. On a processor, a trial chooses it unless one did before.

    precision: "auto", or the one that is asked for.
    device: see `found_device`.
    verdicts: the outcomes of earlier trials; this one's is added.

    Raises:
        ModelUnavailable: the reference cannot load the model.
        ConfigurationError: this machine does not have the device.
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
    """Return the runner that an earlier trial chose, loaded; None if the packed one does not load any more."""
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
    """Let torch compute on one core inside this context.

    On all cores, every operation ends when the slowest core has finished: beside eight busy processes on 2 cores a trial
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
    """Return the packed forward pass in the best precision that agrees with the reference.

    None if none does, or if the model is of another architecture.
    """
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
    """Return the runner's vectors of the texts, in the texts' order: (n, full dimensions)."""
    batches = pack([len(each.ids) for each in texts], TRIAL_BATCH)
    rows = np.concatenate([runner.forward([texts[i] for i in batch]) for batch in batches])
    order = np.argsort(np.concatenate(batches), kind="stable")
    result: Vectors = rows[order]
    return result


def near_enough(found: Fidelity, precision: str) -> bool:
    """Say whether vectors in a precision are near enough to the reference's to be used in their place.

    float32 must give the same numbers, within rounding; another precision may lose as much as a search does not notice.
    """
    if precision == "float32":
        return found.least >= SAME_ENGINE
    return found.mean >= LEAST_COSINE and found.overlap >= LEAST_OVERLAP


def _candidates(precision: str) -> Sequence[str]:
    """Return the precisions in which the packed forward pass is tried, best first."""
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
    """Return sentence-transformers in the precision asked for; for "auto" in bfloat16 if that is faster and as good."""
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
    """Say whether this machine multiplies bfloat16 faster than float32, `FASTER` at least; measured in some 20 ms."""
    import torch

    with torch.inference_mode():
        return _times_faster(_a_product(torch.bfloat16), _a_product(torch.float32)) >= FASTER


def _a_product(dtype: Any) -> Callable[[], object]:
    import torch

    x, linear = torch.ones(512, 768, dtype=dtype), gemma3.Linear(torch.ones(768, 768, dtype=dtype), dtype)
    return lambda: linear(x)


def _times_faster(one: Callable[[], object], other: Callable[[], object], rounds: int = 5) -> float:
    """Return how many times as fast as `other` `one` is. They take turns; the best round of each counts."""
    best = [np.inf, np.inf]
    for _ in range(rounds):
        for number, call in enumerate((one, other)):
            began = time.perf_counter()
            call()
            best[number] = min(best[number], time.perf_counter() - began)
    return float(best[1] / best[0])


def _gpu_precision(precision: str, device: str) -> str:
    """Return the precision on a GPU: the one asked for; for "auto" bfloat16, or float32 where the GPU has no bfloat16."""
    import torch

    if precision != "auto":
        return precision
    return "bfloat16" if not device.startswith("cuda") or torch.cuda.is_bf16_supported() else "float32"


def trial_tokens(model: Model) -> list[Tokens]:
    """Return what a trial embeds, as tokens: short real texts, one longer than the attention's window, and other scripts."""
    texts = real_texts(TRIAL_TEXTS)
    short = [text[:TRIAL_LENGTH] for text in texts]
    mixed = [*short, " ".join(texts)[:_LONG], "図書館はどこですか 🎉 أين تقع أقرب مكتبة؟"]
    return tokenise(open_tokenizer(model), model, mixed)
