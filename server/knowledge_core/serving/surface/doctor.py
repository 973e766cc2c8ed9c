"""What `kcore doctor` checks: every collection, key by key, and whether the models that they need really embed.

Rules kept here: the result is "clean" only if a model has just embedded, and everything stored is sound; a model that is
broken but not needed is a warning. Models are loaded; nothing is changed, unless repair was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from knowledge_core.contract import PROBE_TEXTS, SAME
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.models.models import AUTO
from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError, ModelUnavailable, StorageError
from knowledge_core.recorded_jobs.known import known_jobs
from knowledge_core.recorded_jobs.reading_again import read_again
from knowledge_core.recorded_jobs.resuming import GIVEN_UP
from knowledge_core.serving.surface.collections import collection_named, collection_names
from knowledge_core.storage.collection import Finding
from knowledge_core.types import ReportProgress, Task, no_progress

NORM_TOLERANCE = 1e-3  # distance of a vector's norm from 1


@dataclass(frozen=True)
class ModelReport:
    """The model that new collections get.

    configured: as the configuration names it, "auto" included. model: name of the one in use; "" if none works.
    """

    configured: str
    model: str
    findings: list[Finding]


def examine(
    engine: Engine, collection: str | None, *, repair: bool, deep: bool = False, progress: ReportProgress = no_progress
) -> dict[str, Any]:
    """Return the findings, as `kcore doctor --json` shows them.

    collection: only this one; None: all. repair, deep: as of `Collection.check`; what a repair marks is read again.
    """
    model = _configured_model(engine)
    found: dict[str, list[Finding]] = {}
    for name in [collection] if collection else collection_names(engine):
        try:
            found[name] = _checked(engine, name, repair=repair, deep=deep, progress=progress)
        except StorageError as error:
            found[name] = [Finding("damaged", str(error))]
        else:
            found[name] += _its_model(engine, name)
    for job in known_jobs(engine):
        if job.collection in found and job.error.startswith(GIVEN_UP):
            found[job.collection].append(Finding("warning", f"Job {job.id}: {job.error}"))
    notices = [Finding("warning", notice) for notice in engine.home_notices]
    own = [*notices, *(Finding("damaged", each) for each in damaged_roots(engine))]
    findings = [*own, *model.findings, *(each for group in found.values() for each in group)]
    return {
        "clean": all(each.level not in ("damaged", "unavailable") for each in findings),
        "data_directory": {"findings": [*map(vars, own)]},
        "model": {
            "configured": model.configured, "model": model.model or None, "works": bool(model.model),
            "findings": [*map(vars, model.findings)],
        },
        "collections": [{"collection": name, "findings": [*map(vars, each)]} for name, each in found.items()],
    }  # fmt: skip


def damaged_roots(engine: Engine) -> list[str]:
    """Return what is wrong with the list of allowed folders; nothing where it can be read."""
    try:
        engine.roots.all()
    except StorageError as error:
        return [str(error)]
    return []


def _checked(engine: Engine, name: str, *, repair: bool, deep: bool, progress: ReportProgress) -> list[Finding]:
    collection = collection_named(engine, name)
    findings = collection.check(repair=repair, deep=deep, progress=progress)
    again = read_again(engine, name, progress) if repair else []
    if not again:
        return findings
    done = [each for each in findings if each.level == "repaired"]
    return [*done, *again, *collection.check(deep=deep, progress=progress)]


def _configured_model(engine: Engine) -> ModelReport:
    configured = engine.config.embedding.model
    try:
        embedder = engine.embedders.working()
        what = _tried(embedder)
    except KnowledgeCoreError as error:
        return ModelReport(configured, "", [Finding("unavailable", str(error))])
    warnings = engine.embedders.find_model(AUTO).passed_over if configured == AUTO else ()
    findings = [*(Finding("warning", each) for each in warnings), Finding("ok", what)]
    return ModelReport(configured, embedder.static_contract.model, findings)


def _its_model(engine: Engine, name: str) -> list[Finding]:
    """Return what is wrong with the model of a collection: without its model, nothing is found by meaning."""
    collection = collection_named(engine, name)
    try:
        _tried(engine.embedder_of(collection))
    except KnowledgeCoreError as error:
        return [Finding("unavailable", f"Its model cannot be used: {error}")]
    return []


def _tried(embedder: Embedder) -> str:
    """Embed the probe texts with a model, and return a sentence that it works.

    Raises:
        ModelUnavailable: it does not load, or its vectors are not proper, or not the same each time.
    """
    contract = embedder.contract
    made = embedder.embed(PROBE_TEXTS, Task.DOCUMENT)
    norms = np.linalg.norm(made, axis=1)
    finite = bool(np.isfinite(made).all()) and bool((np.abs(norms - 1) < NORM_TOLERANCE).all())
    if not finite or contract.probe is None or float(np.sum(made * contract.probe, axis=1).min()) < SAME:
        raise ModelUnavailable(
            f"{contract.model} does not give the same proper vector for a text each time. Run `kcore stop`, then try again."
        )
    by = f", run by {embedder.engine}" if embedder.engine else ""
    return f"{contract.model} works: it embeds texts in {contract.dimensions} dimensions{by}."
