"""What somebody says who may have to wait, without waiting for it: else what was said before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 0.5
"""Seconds for which an answer is waited for: those who look after a service ask again, and end what
does not answer them."""


class Latest(Generic[T]):
    """The latest answer of `ask`, which is asked by one thread at a time; `clock` counts seconds.

    May be used from any thread.
    """

    def __init__(
        self, ask: Callable[[], T], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._asked: Future[T] | None = None
        self._begun = 0.0
        self._told: Future[T] | None = None

    def now(self) -> T | None:
        """What it says, where that takes no longer than `PATIENCE`; else what it said the last
        time, None where it never did. Raises what it raised."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._begin()
            asked = self._asked
            left = self._begun + PATIENCE - self._clock()
        if asked is not None:
            wait([asked], max(0.0, left))
            if asked.done():
                self._told = asked
        return self._told.result() if self._told is not None else None

    @property
    def held(self) -> float:
        """For how many seconds it has been asked without an answer."""
        asked = self._asked
        return 0.0 if asked is None or asked.done() else self._clock() - self._begun

    def _begin(self) -> None:
        """Ask on a thread of its own; where the system has none, what was said before stands."""
        asked: Future[T] = Future()
        thread = threading.Thread(
            target=self._run, args=(asked,), name="kenspeckle-look", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return
        self._asked, self._begun = asked, self._clock()

    def _run(self, asked: Future[T]) -> None:
        try:
            asked.set_result(self._ask())
        except BaseException as error:  # whoever wants to know hears of it
            asked.set_exception(error)
