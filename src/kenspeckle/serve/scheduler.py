"""One bounded queue and a few caller threads for each model.

Whoever answers requests hands in work (a function) and awaits its value; the event loop never
decodes, never runs a model. The whole pipeline of a picture is one piece of work.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from kenspeckle.errors import KenspeckleError, ModelError, ServiceBusy

T = TypeVar("T")

LEARN = 0.1
"""Weight of the newest work in the running mean of its seconds."""

LEAST_WAIT, MOST_WAIT = 0.1, 60.0
"""Bounds of what a refused caller is told to wait, seconds."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How much work came to which end since the start."""

    done: int = 0
    failed: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass(eq=False, slots=True)
class _Task:
    """Work that waits or runs, and the future of whoever awaits it."""

    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    def deliver(self, value: Any, error: BaseException | None) -> None:
        """Answer from a caller thread. A loop that is closed by now has nobody to hear it."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.settle, value, error)

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Answer on the loop; one who has left, or was answered, is not answered again."""
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(value)


class Scheduler:
    """Runs work on `callers` threads; at most `queue` pieces wait, more are refused.

    Work starts in the order it came. Whoever stops waiting takes their work out of the queue. What
    one piece of work raises reaches its own caller alone, and no thread ends of it. The threads
    start with the first work. May be used from several event loops at once.
    """

    def __init__(self, name: str, *, callers: int, queue: int) -> None:
        self.name = name
        self._callers, self._queue = max(1, callers), max(1, queue)
        self._waiting: OrderedDict[_Task, None] = OrderedDict()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._resting: list[threading.Condition] = []
        self._threads: list[threading.Thread] = []
        self._shift = 0
        """A thread of a former one goes home."""
        self._running, self._stopping, self._ended = 0, False, False
        self._seconds, self._failure, self._tally = 0.0, "", Tally()
        self._away: deque[float] = deque(maxlen=self.capacity)

    # What it says of itself

    @property
    def callers(self) -> int:
        """Pieces of work done at once."""
        return self._callers

    @property
    def capacity(self) -> int:
        """Most pieces of work it holds, running and waiting."""
        return self._callers + self._queue

    @property
    def depth(self) -> int:
        """Pieces of work that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Pieces of work that are being done."""
        return self._running

    @property
    def full(self) -> bool:
        """Whether work handed in now would be refused."""
        return self._stopping or len(self._waiting) + self._running >= self.capacity

    @property
    def rate(self) -> float:
        """Pieces of work a second when all callers are busy, by the latest ones; 0: not known."""
        return self._callers / self._seconds if self._seconds else 0.0

    @property
    def last_failure(self) -> str:
        """The latest failure that was the model's or ours: when (UTC) and what; empty for none.

        A picture that cannot be read is none.
        """
        return self._failure

    @property
    def tally(self) -> Tally:
        """Counts since the start."""
        return self._tally

    # What it does

    async def run(self, work: Callable[[], T], *, timeout: float | None = None) -> T:
        """The value of `work`, done by a caller thread.

        Raises what it raises, and ServiceBusy when the queue is full, when the service stops, or
        when `timeout` seconds have gone by: then it is not begun, or its value is thrown away.
        """
        loop = asyncio.get_running_loop()
        task = _Task(work, loop, loop.create_future())
        self._enter(task)
        timer = None
        if timeout is not None:
            timer = loop.call_later(timeout, self._expire, task, timeout)
        try:
            value: T = await task.future
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(task)
            del task, timer  # an error whose frames lead back to it would outlive the request
        return value

    def resize(self, callers: int) -> None:
        """Do so many pieces of work at once from now on."""
        with self._lock:
            self._callers = max(1, callers)
            if self._waiting:
                self._staff()
            self._wake_all()

    def dismiss(self) -> None:
        """End the threads if there is nothing to do; the next work starts others.

        Some of what a thread has freed the C library keeps for it alone for as long as it lives.
        May be called from any thread but these.
        """
        with self._lock:
            if self._waiting or self._running:
                return
            self._shift += 1
            gone, self._threads = self._threads, []
            self._wake_all()
        for thread in gone:
            thread.join()

    def busy(self) -> ServiceBusy:
        """What a refused caller is told; counted as a refusal."""
        with self._lock:
            return self._refusal()

    async def close(self, grace: float = 0.0) -> None:
        """Take no more work, and finish what is there within `grace` seconds.

        What then still waits is refused; what still runs ends by itself, unheard of. May be called
        again.
        """
        with self._lock:
            self._stopping = True
        await asyncio.to_thread(self._drained, grace)
        with self._lock:
            self._ended = True
            left = [self._waiting.popitem(last=False)[0] for _ in range(len(self._waiting))]
            for task in left:
                task.deliver(None, self._refusal())
            self._wake_all()
            threads = [] if self._running else self._threads
        for thread in threads:  # none of them works: they end at once
            thread.join(timeout=1.0)

    # Queue

    def _enter(self, task: _Task) -> None:
        with self._lock:
            if self.full:
                raise self._refusal()
            self._waiting[task] = None
            try:
                self._staff()
            except RuntimeError as error:  # the system has no thread for us
                if not self._threads:
                    del self._waiting[task]
                    raise self._refusal() from error
            if self._resting:
                self._resting.pop().notify()

    def _leave(self, task: _Task) -> None:
        with self._lock:
            if task in self._waiting:
                del self._waiting[task]
                self._count(dropped=1)
                self._idle.notify_all()

    def _expire(self, task: _Task, seconds: float) -> None:
        error = ServiceBusy(
            self.name, f"no answer within {seconds:g} s", do="Try again with less at once"
        )
        with self._lock:
            error.retry_after = self._wait()
        task.settle(None, error)

    def _refusal(self) -> ServiceBusy:
        self._count(refused=1)
        if self._stopping:
            error = ServiceBusy(self.name, "the service is stopping", do="Try again later")
        else:
            error = ServiceBusy(
                self.name, f"{len(self._waiting)} pictures wait already", do="Try again later"
            )
        error.retry_after = self._wait()
        self._away.append(time.monotonic() + error.retry_after)
        return error

    def _wait(self) -> float:
        """Seconds until what is here now will be done, by the latest work, and what comes back
        before: who was refused comes again, and being refused costs both sides. Of those as many
        count as there are places, so that nobody can send the others far away. Called with the lock
        held.
        """
        if not self._seconds:
            return 1.0
        now = time.monotonic()
        before = sum(back > now for back in self._away)
        seconds = (len(self._waiting) + self._running + before) * self._seconds / self._callers
        return min(max(seconds, LEAST_WAIT), MOST_WAIT)

    def _drained(self, grace: float) -> bool:
        with self._lock:
            return self._idle.wait_for(lambda: not self._waiting and not self._running, grace)

    # Caller threads

    def _staff(self) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        while len(self._threads) < self._callers:
            name = f"kenspeckle-{self.name}-{len(self._threads)}"
            thread = threading.Thread(
                target=self._serve, args=(self._shift,), name=name, daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def _serve(self, shift: int) -> None:
        bell = threading.Condition(self._lock)
        while (task := self._next(bell, shift)) is not None:
            self._do(task)
            del task  # or an idle thread would keep the last picture

    def _next(self, bell: threading.Condition, shift: int) -> _Task | None:
        """The next piece of work, None at the end.

        A thread without work rests until its bell rings. The one that worked last is woken first:
        its core still has the network in its cache.
        """
        with self._lock:
            while True:
                if self._ended or shift != self._shift:
                    return None
                if self._waiting and self._running < self._callers:
                    self._running += 1
                    return self._waiting.popitem(last=False)[0]
                self._resting.append(bell)
                bell.wait()

    def _wake_all(self) -> None:
        while self._resting:
            self._resting.pop().notify()

    def _do(self, task: _Task) -> None:
        start = time.perf_counter()
        try:
            value = task.work()
        except BaseException as raised:  # its caller hears of it, and the thread goes on
            error = _as_told(raised)
            self._finished(time.perf_counter() - start, error)
            task.deliver(None, error)
            del task, error  # the error's frames lead back to this one
        else:
            self._finished(time.perf_counter() - start)
            task.deliver(value, None)

    def _finished(self, seconds: float, error: Exception | None = None) -> None:
        with self._lock:
            self._running -= 1
            self._seconds += (seconds - self._seconds) * (LEARN if self._seconds else 1.0)
            self._count(done=error is None, failed=error is not None)
            if isinstance(error, ModelError):
                self._fail(str(error))
            elif error is not None and not isinstance(error, KenspeckleError):
                self._fail(type(error).__name__)  # its text may say what was in the picture
            self._idle.notify_all()

    def _fail(self, what: str) -> None:
        self._failure = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {what}"

    def _count(self, *, done: int = 0, failed: int = 0, refused: int = 0, dropped: int = 0) -> None:
        now = self._tally
        self._tally = Tally(
            now.done + done, now.failed + failed, now.refused + refused, now.dropped + dropped
        )


def _as_told(raised: BaseException) -> Exception:
    """What the caller hears, without our frame: an error that would end its task or its loop comes
    inside another."""
    trace = raised.__traceback__
    raised = raised.with_traceback(trace.tb_next if trace else None)
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration | StopAsyncIteration):
        return raised
    told = RuntimeError(f"{type(raised).__name__} in the work of a request")
    told.__cause__ = raised
    return told
