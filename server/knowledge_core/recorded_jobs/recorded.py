"""What a recorded job of any kind goes through: its work, and the recording of how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from knowledge_core.engine import Engine
from knowledge_core.errors import Cancelled, Interrupted, KnowledgeCoreError
from knowledge_core.jobs import Job
from knowledge_core.recorded_jobs.calibrating import calibrate_when_due
from knowledge_core.types import JobState


class Report(Protocol):
    """The report of what a recorded job did."""

    def to_json(self) -> str:
        """Return the report as the record keeps it."""
        ...


_Done = TypeVar("_Done", bound=Report)


def run_recorded(
    engine: Engine, name: str, job: Job, do: Callable[[], _Done], finish: Callable[[JobState, str], None]
) -> _Done:
    """Do the work of a recorded job, and record how it ended.

    do: the work. finish: records an end other than "done": the state, and the error or "".

    Raises:
        KnowledgeCoreError: raised by `do`; the job's end is recorded.
    """
    try:
        done = do()
    except Cancelled as stopped:
        finish("interrupted" if isinstance(stopped, Interrupted) else "cancelled", "")
        raise
    except KnowledgeCoreError as error:
        finish("failed", str(error))
        raise
    except Exception:
        finish("failed", "An unexpected error; the log has the details.")
        raise
    engine.collection(name).finish_job(job.id, "done", done.to_json())
    calibrate_when_due(engine, name)
    return done
