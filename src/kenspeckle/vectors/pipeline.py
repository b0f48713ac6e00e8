"""Pictures through one worker a core, results in order, memory bounded, every stage timed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from kenspeckle import _threads
from kenspeckle.errors import KenspeckleError

S = TypeVar("S")
R = TypeVar("R")

WINDOW = 8
"""Sources waiting for each caller: one large picture must not leave the other callers idle."""


class StageTimes:
    """Seconds and counts per stage, added up over all callers. Safe to share between threads.

    >>> times = StageTimes()
    >>> with times.stage("decode"):
    ...     pass
    >>> times.counts
    {'decode': 1}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside under this name; an error counts too."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float, count: int = 1) -> None:
        """Add time that was measured elsewhere."""
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds
            self._counts[name] = self._counts.get(name, 0) + count

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per stage, summed over callers, in order of first use."""
        with self._lock:
            return dict(self._seconds)

    @property
    def counts(self) -> dict[str, int]:
        """How often each stage ran."""
        with self._lock:
            return dict(self._counts)


_UNTIMED = nullcontext()


def timed(times: StageTimes | None, name: str) -> AbstractContextManager[None]:
    """Time what happens inside, or do nothing where nobody asks."""
    return times.stage(name) if times is not None else _UNTIMED


@dataclass(frozen=True, slots=True)
class Done(Generic[S, R]):
    """What became of one source: a value, or the error that stopped it."""

    source: S
    value: R | None
    error: KenspeckleError | None = None


def _one(source: S, work: Callable[[S], R], stop: threading.Event) -> Done[S, R]:
    if stop.is_set():
        return Done(source, None, KenspeckleError(str(source), "not done: stopped before it"))
    try:
        return Done(source, work(source))
    except KenspeckleError as error:
        failed = error
    except Exception as cause:  # a picture fails alone, whatever it fails of
        failed = KenspeckleError(str(source), f"{type(cause).__name__}: {cause}")
    # A traceback would keep the frames it passed, and the bytes of every failed picture with them.
    failed.__cause__ = failed.__context__ = None
    return Done(source, None, failed.with_traceback(None))


def pooled(sources: Iterable[S], work: Callable[[S], R], callers: int = 0) -> Iterator[Done[S, R]]:
    """Do `work` on every source by `callers` threads (0: one a core); yield results in order.

    `callers` sources are worked on and at most `WINDOW` times as many wait, done or not begun, so
    memory does not grow with their number; sources are read as they are needed. An error of one
    source is its result, and the others go on. Closing the iterator, or an interrupt, finishes the
    work in hand and starts no more.
    """
    count = _threads.callers(callers)
    window: deque[Future[Done[S, R]]] = deque()
    stop = threading.Event()
    pool = ThreadPoolExecutor(count, thread_name_prefix="kenspeckle")
    try:
        for source in sources:
            window.append(pool.submit(_one, source, work, stop))
            if len(window) >= WINDOW * count:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
