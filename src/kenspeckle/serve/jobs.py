"""Work that takes longer than a request: started, watched, cancelled, and remembered for a while.

A job is a value; every step of it makes a new one and is told on the jobs' own bus. Jobs live in
this process: what they have committed stays when it ends, their records do not.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock, Thread
from types import MappingProxyType
from typing import Any, Literal

from kenspeckle.errors import KenspeckleError, NotEnrolled, ServiceBusy
from kenspeckle.serve.events import Bus, Event
from kenspeckle.serve.problems import told
from kenspeckle.serve.shares import room

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"done", "failed", "cancelled"})
BETWEEN = 0.2
"""Seconds between two events about the progress of one job."""

log = logging.getLogger("kenspeckle.jobs")


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of long work, as it stands; `number` counts them within one run of the service.

    `done` of `total` steps are finished, `at` is the latest one's name. `result` is what it came
    to, `error` the sentence that says why it failed. `cancelling` says that it was asked to stop
    and has not yet. `answers` is what its work has to say piece by piece: it grows until the job
    has ended, however it ends, and nothing in it changes.
    """

    id: str
    number: int
    kind: str
    gallery: str
    owner: str
    created: str
    state: State = "waiting"
    started: str = ""
    finished: str = ""
    done: int = 0
    total: int = 0
    at: str = ""
    cancelling: bool = False
    error: str = ""
    result: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    answers: Sequence[Mapping[str, Any]] = field(default=(), compare=False, repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED


Tell = Callable[[int, int, str], None]
"""`tell(done, total, name)`: progress. The work has to let what this raises pass: so it ends."""
Work = Callable[[Tell], Mapping[str, Any]]


class _Cancelled(Exception):
    """The job was asked to stop."""


@dataclass(slots=True)
class _Entry:
    """What the table holds of a job: its work until it has ended, the name of its lane, who asked
    for it, as which of all it was started, and when it was told as what."""

    job: Job
    work: Work | None
    lane: str
    asker: str
    turn: int = 0
    told: float = 0.0
    shown: Job | None = None


class Jobs:
    """Runs jobs on threads of their own, `threads` at once, those of one lane one after another.

    At most `waiting` wait, of which no asker has more than are left for others, and askers take
    turns. The last `kept` that have ended are remembered.
    """

    def __init__(self, *, threads: int = 2, waiting: int = 64, kept: int = 100) -> None:
        self._most, self._room, self._kept = threads, waiting, kept
        self._lock, self._closed, self._number, self._turn = Lock(), False, 0, 0
        self._table: dict[str, _Entry] = {}
        self._threads: dict[str, Thread] = {}
        self.bus = Bus(kept=1024, queue=1024)

    def start(
        self,
        kind: str,
        work: Work,
        *,
        gallery: str = "",
        owner: str = "",
        lane: str = "",
        asker: str = "",
        answers: Sequence[Mapping[str, Any]] = (),
    ) -> Job:
        """Accept a job; it runs as soon as a thread is free and nothing else of its lane runs.

        `answers` is what the work fills as it goes on; it is kept as long as the job is remembered.
        ServiceBusy when too many wait, or too many of `asker` where that is told, or the service is
        stopping.
        """
        with self._lock:
            self._admit(asker)
            self._number += 1
            job = Job(
                secrets.token_hex(8), self._number, kind, gallery, owner, _now(), answers=answers
            )
            entry = self._table[job.id] = _Entry(job, work, lane, asker)
            self._tell(entry)
            self._pump()
            return entry.job

    def get(self, identifier: str) -> Job:
        """The job of that id. NotEnrolled if there is none, or it was long ago."""
        with self._lock:
            return self._entry(identifier).job

    def list(self) -> list[Job]:
        """All jobs that are remembered, the newest first."""
        with self._lock:
            return [entry.job for entry in reversed(self._table.values())]

    def cancel(self, identifier: str) -> Job:
        """Ask a job to stop: one that waits stops at once, one that runs at its next step.

        One that has ended stays as it is. NotEnrolled.
        """
        with self._lock:
            entry = self._entry(identifier)
            self._stop(entry)
            return entry.job

    def close(self, grace: float = 10.0) -> None:
        """Ask all to stop, wait for them `grace` seconds, and take no more."""
        with self._lock:
            self._closed = True
            threads = list(self._threads.values())
            for entry in list(self._table.values()):
                self._stop(entry)
        deadline = time.monotonic() + grace
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        self.bus.close()

    def _entry(self, identifier: str) -> _Entry:
        """Called with the lock held."""
        try:
            return self._table[identifier]
        except KeyError:
            raise NotEnrolled(
                f"job {identifier!r}", "not known here", do="See the list of jobs"
            ) from None

    def _stop(self, entry: _Entry) -> None:
        """Called with the lock held."""
        if entry.job.state == "waiting":
            self._end(entry, state="cancelled")
        elif entry.job.state == "running" and not entry.job.cancelling:
            entry.job = replace(entry.job, cancelling=True)
            self._tell(entry)

    def _admit(self, asker: str) -> None:
        """Refuse a job that may not wait; called with the lock held. ServiceBusy."""
        waiting = [one.asker for one in self._table.values() if one.job.state == "waiting"]
        own = waiting.count(asker) if asker else 0
        if self._closed:
            found = "stopping"
        elif len(waiting) >= self._room:
            found = f"{len(waiting)} wait already"
        elif not room(own, len(waiting), self._room):
            found = f"{own} of yours wait already"
        else:
            return
        raise ServiceBusy("jobs", found, do="Try again later")

    def _pump(self) -> None:
        """Start what may run; called with the lock held."""
        while (entry := self._next()) is not None:
            self._turn += 1
            entry.turn = self._turn
            entry.job = replace(entry.job, state="running", started=_now())
            name = f"job-{entry.job.id}"
            thread = Thread(target=self._run, args=(entry,), name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                log.exception("job %s got no thread", entry.job.id)
                self._end(entry, state="failed", error="no thread was to be had; start it again")
                continue
            self._threads[entry.job.id] = thread
            self._tell(entry)

    def _next(self) -> _Entry | None:
        """The job to be started now: of those that may run, the oldest of the asker that had its
        turn longest ago. Called with the lock held."""
        table = self._table.values()
        running = [entry for entry in table if entry.job.state == "running"]
        if len(running) >= self._most:
            return None
        lanes, last = {entry.lane for entry in running if entry.lane}, Counter[str]()
        for entry in table:
            last[entry.asker] = max(last[entry.asker], entry.turn)
        free = [e for e in table if e.job.state == "waiting" and e.lane not in lanes]
        return min(free, key=lambda entry: last[entry.asker], default=None)

    def _run(self, entry: _Entry) -> None:
        identifier, work = entry.job.id, entry.work
        assert work is not None  # noqa: S101  it is let go of when the job has ended

        def tell(done: int, total: int, name: str) -> None:
            self._progress(entry, done, total, name)

        end: dict[str, Any]
        try:
            end = {"state": "done", "result": MappingProxyType(dict(work(tell)))}
        except _Cancelled:
            end = {"state": "cancelled"}
        except KenspeckleError as error:
            end = {"state": "failed", "error": told(error)}
        except BaseException:  # whatever it is, its lane is for the next one
            log.exception("job %s ended by a fault", identifier)
            end = {
                "state": "failed",
                "error": f"a fault of the service; its log names {identifier}",
            }
        with self._lock:
            self._threads.pop(identifier, None)
            self._end(entry, **end)
            self._pump()

    def _progress(self, entry: _Entry, done: int, total: int, name: str) -> None:
        with self._lock:
            if entry.job.cancelling:  # the step before was finished, the one named never begins
                entry.job = replace(entry.job, done=done, total=total)
                raise _Cancelled
            entry.job = replace(entry.job, done=done, total=total, at=name)
            if entry.job != entry.shown and time.monotonic() - entry.told >= BETWEEN:
                self._tell(entry)

    def _end(self, entry: _Entry, **changes: Any) -> None:
        """Write how a job ended, and forget the oldest; called with the lock held."""
        entry.job = replace(entry.job, finished=_now(), cancelling=False, **changes)
        entry.work = None
        self._tell(entry)
        ended = [one for one, other in self._table.items() if other.job.ended]
        for identifier in ended[: max(len(ended) - self._kept, 0)]:
            del self._table[identifier]

    def _tell(self, entry: _Entry) -> None:
        entry.told, entry.shown = time.monotonic(), entry.job
        job = entry.job
        self.bus.publish(Event(job.state, {"job": job}, job.gallery, job.id, lasting=not job.ended))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
