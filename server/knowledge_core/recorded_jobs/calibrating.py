"""Calibrating a collection after it has grown: at the end of the job that made it grow, or as a job of its own."""

from __future__ import annotations

import logging

from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.storage.collection import Calibration
from knowledge_core.types import ReportProgress, no_progress
from knowledge_core.verbs.calibrate import calibrate, measurement_due, quick

log = logging.getLogger(__name__)

CALIBRATE = "calibrate"  # kind of the job that follows an index call


def calibrate_when_due(engine: Engine, name: str) -> None:
    """Calibrate a collection where that is due: a small one at once, any other one as a job of its own.

    So the first search in a dozen notes is as good as the next one, and nobody waits where calibrating takes long. The job
    is not recorded: if it is cut off, calibration is due again after the next index call.
    """
    try:
        with engine.collection(name).view() as view:
            wanted, at_once = measurement_due(view), quick(view)
        if wanted and at_once:
            _calibrated(engine, name, no_progress)
        elif wanted and not any(job.kind == CALIBRATE and job.collection == name for job in engine.jobs.running()):
            engine.jobs.start(CALIBRATE, name, lambda job, report: _calibrated(engine, name, report))
    except KnowledgeCoreError as error:
        # The model is busy, the process is ending, or the collection was deleted meanwhile.
        log.info("%s is not calibrated for now: %s", name, error)


def _calibrated(engine: Engine, name: str, report: ReportProgress) -> Calibration:
    collection = engine.collection(name)
    return calibrate(collection, engine.embedder_of(collection), report)
