"""The kinds of recorded jobs, in one table, which is complete once it is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from knowledge_core.engine import Engine
from knowledge_core.jobs import Job
from knowledge_core.recorded_jobs import index_job, reembed_job
from knowledge_core.types import ReportProgress
from knowledge_core.verbs.index_report import IndexReport
from knowledge_core.verbs.reembed import ReembedReport


@dataclass(frozen=True)
class Kind:
    """A kind of recorded job.

    work: makes the work that continues an interrupted job, from the engine and the collection's name.
    outcome: makes the outcome of a job that is done, from its recorded report.
    """

    work: Callable[[Engine, str], Callable[[Job, ReportProgress], object]]
    outcome: Callable[[str], object]


KINDS: Mapping[str, Kind] = {
    index_job.KIND: Kind(index_job.work, IndexReport.from_json),
    reembed_job.KIND: Kind(reembed_job.work, ReembedReport.from_json),
}
