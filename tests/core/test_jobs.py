import threading

import pytest

from knowledge_core.errors import Cancelled, Interrupted, InvalidInput
from knowledge_core.jobs import Jobs
from knowledge_core.types import Progress


def test_a_job_ends_with_its_outcome():
    job = Jobs().start("index", "default", lambda job, report: 42)
    assert job.wait(5)
    assert (job.state, job.outcome) == ("done", 42)


def test_a_refusal_of_ours_is_its_error_in_its_own_words():
    def work(job, report):
        raise InvalidInput("limit is 0; it must be from 1 to 100.")

    job = Jobs().start("index", "default", work)
    assert job.wait(5)
    assert (job.state, job.error) == ("failed", "limit is 0; it must be from 1 to 100.")


def test_an_unexpected_error_wakes_who_waits_and_tells_nothing_private():
    def work(job, report):
        raise RuntimeError("/secret/path")

    job = Jobs().start("index", "default", work)
    assert job.wait(5)
    assert job.state == "failed"
    assert "secret" not in job.error


def test_a_cancelled_job_stops_at_its_next_report():
    entered = threading.Event()

    def work(job, report):
        entered.set()
        while True:
            report(Progress(3, 10, "indexing"))

    job = Jobs().start("index", "default", work)
    entered.wait(5)
    job.cancel()
    assert job.wait(5)
    assert job.state == "cancelled"
    assert job.progress.done == 3


def test_stopping_ends_running_jobs_as_interrupted():
    jobs = Jobs()

    def work(job, report):
        while True:
            report(Progress(0, 1, "indexing"))

    job = jobs.start("index", "default", work)
    jobs.stop()
    assert job.state == "interrupted"


def test_a_listener_hears_every_report_and_the_end():
    heard, entered, go = [], threading.Event(), threading.Event()

    def work(job, report):
        entered.set()
        go.wait(5)
        report(Progress(1, 2, "x"))

    job = Jobs().start("index", "default", work)
    entered.wait(5)
    with job.heard(lambda: heard.append((job.progress.done, job.state))):
        go.set()
        assert job.wait(5)
    assert heard == [(1, "running"), (1, "done")]


def test_no_job_starts_while_the_process_is_ending():
    jobs = Jobs()
    jobs.stop()
    with pytest.raises(Interrupted):
        jobs.start("index", "default", lambda job, report: None)


def test_progress_raises_cancelled_so_that_the_work_unwinds():
    seen = []

    def work(job, report):
        job.cancel()
        try:
            report(Progress(1, 2, "x"))
        except Cancelled:
            seen.append("unwound")
            raise

    assert Jobs().start("index", "default", work).wait(5)
    assert seen == ["unwound"]
