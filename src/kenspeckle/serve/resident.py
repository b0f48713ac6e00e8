"""One thing in memory: loaded by its first use, given back when nobody uses it."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from kenspeckle.errors import KenspeckleError

T = TypeVar("T")

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Standing:
    """What one model is doing. `device` and `note` are those of the latest load, empty before it;
    `idle` counts the seconds since its last use; `failure` says why the latest load failed."""

    name: str
    loaded: bool
    pinned: bool
    users: int
    idle: float
    device: str
    note: str
    failure: str


class Resident(Generic[T]):
    """Something that is loaded when it is used, and can leave memory when nobody uses it."""

    def __init__(
        self,
        name: str,
        load: Callable[[], T],
        close: Callable[[T], None],
        *,
        pinned: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name, self.pinned = name, pinned
        self._load, self._close, self._clock = load, close, clock
        self._lock = threading.Lock()
        self._value: T | None = None
        self._users, self._last = 0, clock()
        self._device = self._note = self._failure = ""

    @contextmanager
    def use(self) -> Iterator[T]:
        """The thing itself, loaded if it is not; it stays until the block is left.

        Raises what loading raises; the next use tries again.
        """
        with self._lock:
            value = self._value = self._value if self._value is not None else self._loaded()
            self._users += 1
        try:
            yield value
        finally:
            with self._lock:
                self._users -= 1
                self._last = self._clock()

    def unload(self, idle_for: float = 0.0) -> bool:
        """Give its memory back if nobody uses it, nor did for that many seconds; whether it did."""
        if self._lock.locked():
            return False  # it is being loaded, which may take long: that is no idling
        with self._lock:
            idle = self._clock() - self._last
            if self._value is None or self._users or idle < idle_for:
                return False
            value, self._value = self._value, None
            try:
                self._close(value)
            except Exception as error:  # it is let go of all the same
                self._failure = _told(error)
        return True

    def standing(self) -> Standing:
        """What it is doing now. Never waits, never loads."""
        return Standing(
            name=self.name,
            loaded=self._value is not None,
            pinned=self.pinned,
            users=self._users,
            idle=max(0.0, self._clock() - self._last),
            device=self._device,
            note=self._note,
            failure=self._failure,
        )

    def _loaded(self) -> T:
        try:
            value = self._load()
        except Exception as error:
            self._failure = _told(error)
            raise
        self._device = str(getattr(value, "device", ""))
        self._note, self._failure = str(getattr(value, "note", "")), ""
        return value


def give_back() -> None:
    """Collect what is unreachable, and hand free memory back to the system where the C library is
    glibc, which otherwise keeps it for later."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _told(error: Exception) -> str:
    """What health may say of a failure: our sentences, of anything else its kind."""
    return str(error) if isinstance(error, KenspeckleError) else type(error).__name__
