"""Long work: its states, its lanes, cancelling, failing, forgetting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from threading import Event, Thread
from typing import Any

import pytest

from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError, InputError, NotEnrolled, ServiceBusy
from kenspeckle.serve.jobs import Job, Jobs, Tell, Work
from kenspeckle.serve.work import fetching

PATIENCE = 30.0
"""Seconds after which what was to happen never will, on a busy machine too."""


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


def ended(jobs: Jobs, job: Job) -> Job:
    return until(jobs, job, lambda one: one.ended)


def until(jobs: Jobs, job: Job, wanted: Any) -> Job:
    deadline = time.monotonic() + PATIENCE
    while not wanted(jobs.get(job.id)):
        assert time.monotonic() < deadline, jobs.get(job.id)
        time.sleep(0.002)
    return jobs.get(job.id)


def stepping(tell: Tell) -> Mapping[str, Any]:
    """Work that goes on until it is cancelled."""
    for step in range(100_000):
        tell(step, 100_000, f"step {step}")
        time.sleep(0.001)
    return {}


def test_a_job_runs_and_keeps_what_it_came_to(jobs: Jobs) -> None:
    def work(tell: Tell) -> Mapping[str, Any]:
        tell(1, 2, "a.jpg")
        return {"added": 2}

    job = ended(jobs, jobs.start("index", work, gallery="g", owner="me"))
    assert (job.state, dict(job.result), job.done, job.at) == ("done", {"added": 2}, 1, "a.jpg")
    assert job.created <= job.started <= job.finished
    assert jobs.list() == [job]


def test_an_expected_failure_is_one_sentence_and_a_fault_tells_nothing(jobs: Jobs, caplog) -> None:
    def refused(_: Tell) -> Mapping[str, Any]:
        raise InputError("photos", "no such folder")

    def broken(_: Tell) -> Mapping[str, Any]:
        raise RuntimeError("a secret of the inside")

    job = ended(jobs, jobs.start("index", refused))
    assert (job.state, job.error) == ("failed", "photos: no such folder")
    job = ended(jobs, jobs.start("index", broken))
    assert job.state == "failed"
    assert "secret" not in job.error
    assert "a secret of the inside" in caplog.text
    assert ended(jobs, jobs.start("index", lambda _: {})).state == "done"


def test_what_runs_stops_at_its_next_step(jobs: Jobs) -> None:
    job = jobs.start("index", stepping)
    until(jobs, job, lambda one: one.done > 3)
    assert jobs.cancel(job.id).cancelling
    job = ended(jobs, job)
    assert (job.state, job.cancelling) == ("cancelled", False)
    assert jobs.cancel(job.id) == job, "what has ended stays as it is"


@pytest.mark.parametrize("raised", [InputError("photos", "gone"), RuntimeError()])
def test_what_was_answered_before_a_job_failed_stays(jobs: Jobs, raised: Exception) -> None:
    answers: list[Mapping[str, Any]] = []

    def work(tell: Tell) -> Mapping[str, Any]:
        tell(0, 2, "a")
        answers.append({"photo": "a"})
        raise raised

    job = ended(jobs, jobs.start("identify", work, answers=answers))
    assert (job.state, list(job.answers)) == ("failed", [{"photo": "a"}])


def test_a_job_that_is_cancelled_counts_the_step_it_finished(jobs: Jobs) -> None:
    stopped = Event()

    def work(tell: Tell) -> Mapping[str, Any]:
        tell(0, 2, "a")
        assert stopped.wait(PATIENCE)
        tell(1, 2, "b")
        return {}

    job = jobs.start("identify", work)
    until(jobs, job, lambda one: one.at == "a")
    jobs.cancel(job.id)
    stopped.set()
    job = ended(jobs, job)
    assert (job.state, job.done, job.at) == ("cancelled", 1, "a")


def test_what_waits_never_begins(jobs: Jobs) -> None:
    first = jobs.start("index", stepping, lane="g")
    second = jobs.start("index", lambda _: pytest.fail("it ran"), lane="g")
    assert second.state == "waiting"
    assert jobs.cancel(second.id).state == "cancelled"
    jobs.cancel(first.id)
    ended(jobs, first)
    assert jobs.get(second.id).started == ""


def test_one_lane_is_one_after_another_and_others_pass(jobs: Jobs) -> None:
    gate = Event()

    def held(_: Tell) -> Mapping[str, Any]:
        assert gate.wait(PATIENCE)
        return {}

    first = jobs.start("index", held, lane="g")
    second = jobs.start("index", lambda _: {}, lane="g")
    other = jobs.start("index", lambda _: {}, lane="h")
    assert ended(jobs, other).state == "done"
    assert (jobs.get(first.id).state, jobs.get(second.id).state) == ("running", "waiting")
    gate.set()
    assert ended(jobs, second).started >= ended(jobs, first).finished


def test_so_many_wait_and_so_many_are_remembered() -> None:
    jobs = Jobs(threads=1, waiting=2, kept=3)
    running = jobs.start("index", stepping)
    for _ in range(2):
        jobs.start("index", lambda _: {})
    with pytest.raises(ServiceBusy, match="2 wait already"):
        jobs.start("index", lambda _: {})
    jobs.cancel(running.id)
    for job in jobs.list():
        ended(jobs, job)
    last = [ended(jobs, jobs.start("index", lambda _: {})) for _ in range(4)][-3:]
    assert jobs.list() == last[::-1]
    with pytest.raises(NotEnrolled, match="not known here"):
        jobs.get(running.id)
    jobs.close()


def test_closing_stops_everything_and_takes_no_more() -> None:
    jobs = Jobs(threads=1)
    running, waiting = jobs.start("index", stepping), jobs.start("index", stepping)
    jobs.close()
    assert {jobs.get(running.id).state, jobs.get(waiting.id).state} == {"cancelled"}
    with pytest.raises(ServiceBusy, match="stopping"):
        jobs.start("index", stepping)


def told_of(jobs: Jobs, work: Work) -> list[tuple[str, int]]:
    """What a listener hears of a job with this work: kinds of events, and steps done."""

    async def scene() -> list[tuple[str, int]]:
        listener = jobs.bus.subscribe()
        jobs.start("index", work)
        told = []
        async for event in listener:
            told.append((event.kind, event.data["job"].done))
            if event.data["job"].ended:
                listener.close()
                return told
        return told

    return asyncio.run(scene())


def test_steps_are_told_on_the_bus(jobs: Jobs) -> None:
    def work(tell: Tell) -> Mapping[str, Any]:
        for step in range(1, 4):
            tell(step, 3, "")
            time.sleep(0.25)
        return {}

    told = told_of(jobs, work)
    assert told[:2] == [("waiting", 0), ("running", 0)]
    assert told[-1] == ("done", 3)
    assert ("running", 3) in told


def test_what_stays_as_it_is_is_told_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kenspeckle.serve.jobs.BETWEEN", 0.0)

    def work(tell: Tell) -> Mapping[str, Any]:
        for step in (1, 1, 2, 2, 2):
            tell(step, 2, "")
        return {}

    assert [one for one in told_of(jobs, work) if one[0] == "running"] == [
        ("running", 0),
        ("running", 1),
        ("running", 2),
    ]


def test_no_asker_fills_the_queue() -> None:
    """Whoever holds one key does not keep the others out, however much it asks for."""
    jobs = Jobs(threads=1, waiting=8)
    running = jobs.start("identify", stepping, asker="reader")
    for _ in range(4):
        jobs.start("identify", lambda _: {}, asker="reader")
    with pytest.raises(ServiceBusy, match="4 of yours wait already"):
        jobs.start("identify", lambda _: {}, asker="reader")
    assert jobs.start("index", lambda _: {}, asker="owner").state == "waiting"
    jobs.cancel(running.id)
    for job in jobs.list():
        ended(jobs, job)
    jobs.close()


def test_askers_take_turns() -> None:
    jobs, order, gate = Jobs(threads=1), list[str](), Event()

    def noted(name: str) -> Any:
        def work(_: Tell) -> Mapping[str, Any]:
            assert gate.wait(PATIENCE)
            order.append(name)
            return {}

        return work

    for number in range(4):
        jobs.start("identify", noted(f"reader {number}"), asker="reader")
    for number in range(2):
        jobs.start("index", noted(f"owner {number}"), asker="owner")
    gate.set()
    for job in jobs.list():
        ended(jobs, job)
    assert order == ["reader 0", "owner 0", "reader 1", "owner 1", "reader 2", "reader 3"]
    jobs.close()


def test_a_job_without_a_thread_fails_and_the_next_one_goes_on(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = Thread.start, list[str]()

    def start(thread: Thread) -> None:
        if not refused:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(Thread, "start", start)
    first = jobs.start("index", lambda _: {}, lane="g")
    assert (first.state, first.error) == ("failed", "no thread was to be had; start it again")
    assert first.finished
    assert ended(jobs, jobs.start("index", lambda _: {}, lane="g")).state == "done"
    assert refused == [f"job-{first.id}"]


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_ends_a_job_its_lane_is_free_for_the_next_one(
    jobs: Jobs, raised: BaseException
) -> None:
    def leaves(_: Tell) -> Mapping[str, Any]:
        raise raised

    first = jobs.start("index", leaves, lane="g")
    second = jobs.start("index", lambda _: {}, lane="g")
    assert ended(jobs, second).state == "done"
    assert jobs.get(first.id).state == "failed"
    assert first.id in jobs.get(first.id).error


def test_a_job_fetches_for_so_long_and_no_longer() -> None:
    fetched = fetching(ImageSettings(), 1e-9)
    with pytest.raises(FetchError):
        fetched("http://127.0.0.1:9/a.png")
    with pytest.raises(InputError, match="no time was left to fetch it"):
        fetched("http://127.0.0.1:9/a.png")
