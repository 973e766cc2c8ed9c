"""Which engine and precision run a model on this machine. The one place where that is decided, by a trial.

Rules kept here:
- sentence-transformers in float32 is the reference;
- another engine is chosen only where it gave the reference's vectors for real texts, within the limits below; "auto"
  chooses another precision only where that holds, too, and the precision was faster;
- a model for which no other engine passes the trial is run by the reference;
- nothing is decided by a processor's name;
- the outcome of a trial is remembered (`verdicts.py`), so that the reference is loaded beside the chosen engine only once;
  where an engine came that the trial did not know, it is run again.

Which engines there are beside the reference says the table in `engine_table.py`. One model needs no trial to start,
because the reference's vectors ship with the package: `onnx/at_once.py`.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.local.agreement import compared, near_enough, real_texts
from knowledge_core.embedding.local.engine_table import ENGINES, Engine
from knowledge_core.embedding.local.lanes import keep_torch_to_its_share, share_cores
from knowledge_core.embedding.local.local_embedder import LocalEmbedder, Runner
from knowledge_core.embedding.local.onnx.at_once import open_at_once
from knowledge_core.embedding.local.packed.products import FASTER, bfloat16_is_faster, times_faster
from knowledge_core.embedding.local.sentence_transformers_engine import SentenceTransformersRunner, found_device
from knowledge_core.embedding.local.verdicts import Verdict, Verdicts
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.tokens import Tokens, open_tokenizer, tokenise
from knowledge_core.types import Vectors

log = logging.getLogger(__name__)

TRIAL_BATCH: Final = 512
"""Most tokens per batch in a trial: so few that the short texts are not padded to the length of the long one."""

TRIAL_TEXTS: Final = 24
"""How many short texts a trial embeds, and how many passages the long one is made of."""

TRIAL_LENGTH: Final = 100
"""Characters per short text, some 25 tokens: few, because loading the model waits until the reference has read them all."""

_LONG: Final = 1600
"""Characters of the long text, which must have more tokens than the attention's window of 256 to each side."""

_LONGER: Final = 2600
"""The same for the second generation, whose window is 512 to each side."""


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
    """Return what runs a model on this machine, loaded: at once where that is known to be right, else by a trial.

    precision: "auto", or the one that is asked for.
    device: see `found_device`.
    verdicts: the outcomes of earlier trials; this one's is added.

    Raises:
        ModelUnavailable: the reference cannot load the model.
        ConfigurationError: this machine does not have the device.
    """

    def by_trial() -> Runner:
        return _choose_by_trial(model, precision, device, verdicts)

    return open_at_once(model, precision, device, by_trial, verdicts) or by_trial()


def _choose_by_trial(model: Model, precision: str, device: str, verdicts: Verdicts) -> Runner:
    """Return what runs a model, loaded. On a processor, a trial chooses it unless one did before."""
    where = found_device(device)
    if where != "cpu":
        return SentenceTransformersRunner(model, _gpu_precision(precision, where), where, f"there is a device {where}")
    kinds = tuple(engine.kind for engine in ENGINES if engine.maker(model))
    verdict = verdicts.of(model, precision)
    chosen = _load_remembered(model, verdict) if verdict is not None and verdict.knows(kinds) else None
    if chosen is None:
        chosen = _run_trial(model, precision)
        verdicts.keep(model, precision, Verdict(chosen.kind, chosen.precision, chosen.reason, kinds))
    log.info("%s is run by %s %s: %s", model.name, chosen.kind, chosen.precision, chosen.reason)
    return chosen


def _load_remembered(model: Model, verdict: Verdict) -> Runner | None:
    """Return the runner that an earlier trial chose, loaded; None if there is no such engine, or it does not load any more."""
    if verdict.runner == SentenceTransformersRunner.kind:
        return SentenceTransformersRunner(model, verdict.precision, "cpu", verdict.reason)
    for engine in ENGINES:
        if engine.kind == verdict.runner and (make := engine.maker(model)):
            try:
                return make(verdict.precision, verdict.reason)
            except engine.misfits as error:
                log.warning("the %s engine cannot load %s any more: %s", engine.kind, model.name, type(error).__name__)
    return None


def _run_trial(model: Model, precision: str) -> Runner:
    """Return what a trial chooses, run on one core of a thread of its own.

    On all cores, every operation ends when the slowest core has finished: beside eight busy processes on 2 cores a trial
    took minutes instead of seconds. Of its own: how many cores torch uses elsewhere in this process does not change.
    """
    with ThreadPoolExecutor(1, "trial", initializer=share_cores) as alone:
        return alone.submit(_best, model, precision).result()


def _best(model: Model, precision: str) -> Runner:
    keep_torch_to_its_share()
    reference = SentenceTransformersRunner(model, "float32", "cpu")
    for engine in ENGINES:
        if chosen := _tried(engine, model, precision, reference):
            return chosen
    return _sentence_transformers(model, precision, reference)


def _tried(engine: Engine, model: Model, precision: str, reference: Runner) -> Runner | None:
    """Return the engine's runner in the best precision that agrees with the reference.

    None if none does, or if the engine does not run the model.
    """
    make = engine.maker(model)
    candidates = engine.precisions(precision) if make else ()
    if make is None or not candidates:
        return None
    tokens = trial_tokens(model)
    wanted = _vectors(reference, tokens)
    for candidate in candidates:
        try:
            runner = make(candidate, "")
            found = compared(wanted, _vectors(runner, tokens))
        except engine.misfits as error:
            log.warning("the %s engine cannot run %s: %s", engine.kind, model.name, type(error).__name__)
            return None
        if engine.near(found, candidate):
            runner.reason = f"it agrees with sentence-transformers in float32 ({found})" + _speed_reason(
                candidate, precision
            )
            return runner
        log.warning("the %s engine in %s does not agree with the reference: %s", engine.kind, candidate, found)
    return None


def _vectors(runner: Runner, texts: list[Tokens]) -> Vectors:
    """Return the runner's vectors of the texts, in the texts' order: (n, full dimensions)."""
    batches = pack([len(each.ids) for each in texts], TRIAL_BATCH)
    rows = np.concatenate([runner.forward([texts[i] for i in batch]) for batch in batches])
    order = np.argsort(np.concatenate(batches), kind="stable")
    result: Vectors = rows[order]
    return result


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
    ratio = times_faster(lambda: half.forward(few), lambda: reference.forward(few), rounds=3)
    if near_enough(found, "bfloat16") and ratio >= FASTER:
        half.reason = f"it is {ratio:.1f} times as fast as float32 and as good ({found})"
        return half
    reference.reason = f"bfloat16 is {ratio:.1f} times as fast, {found}: not chosen"
    return reference


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
    long = _LONGER if model.second_generation else _LONG
    mixed = [*short, " ".join(texts)[:long], "図書館はどこですか 🎉 أين تقع أقرب مكتبة؟"]
    return tokenise(open_tokenizer(model), model, mixed)
