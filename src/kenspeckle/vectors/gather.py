"""Batches across callers, for devices that gain from them.

Whoever comes first runs the device on what waits at that moment; what arrives meanwhile is the next
batch, run by one of those who wait. No timer and no thread of its own: an idle device never waits
for company.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kenspeckle.errors import ModelError
from kenspeckle.types import Float32


@dataclass(eq=False, slots=True)
class _Caller:
    """Who waits for `missing` rows, and is woken with all of them or to run the next batch."""

    missing: int
    leads: bool = False
    woken: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False, slots=True)
class _Waiting:
    planes: Float32
    caller: _Caller
    row: Float32 | None = None
    error: BaseException | None = None


class Gather:
    """Calls `run` on batches of at most `limit` of the pictures that callers hand in.

    One batch runs at a time. A batch that fails is run again picture by picture, so that only the
    callers whose pictures fail alone hear of it.
    """

    def __init__(self, run: Callable[[Float32], Float32], limit: int) -> None:
        self._run, self._limit = run, limit
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._led = False

    def row(self, planes: Float32) -> Float32:
        """Features `(F,)` of one prepared picture `(3, side, side)`; waits for them."""
        row: Float32 = self.rows(planes[None])[0]
        return row

    def rows(self, planes: Float32) -> Float32:
        """Features `(B, F)` of prepared pictures `(B, 3, side, side)`; waits for them.

        Raises what `run` raises of the first that fails.
        """
        caller = _Caller(len(planes))
        mine = [_Waiting(one, caller) for one in planes]
        with self._lock:
            self._waiting.extend(mine)
            caller.leads, self._led = not self._led, True
        try:
            if not caller.leads:
                caller.woken.wait()
            while caller.missing:  # woken to lead
                self._batch()
        finally:
            self._leave(caller)
        rows = []
        for one in mine:
            if one.row is None:
                raise one.error or RuntimeError("no row")
            rows.append(one.row)
        return np.stack(rows)

    def _leave(self, caller: _Caller) -> None:
        """Let the next in the queue lead. One who was interrupted takes its pictures along."""
        with self._lock:
            if caller.missing:
                self._waiting = deque(one for one in self._waiting if one.caller is not caller)
            if not caller.leads:
                return
            if self._waiting:
                following = self._waiting[0].caller
                following.leads = True
                following.woken.set()
            else:
                self._led = False

    def _batch(self) -> None:
        with self._lock:
            count = min(self._limit, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
        error = self._answer(batch)
        if error is not None:
            for one in batch:  # each must hear of it, or it would wait for ever
                one.error = error if len(batch) == 1 else self._answer([one])
        for one in batch:
            one.caller.missing -= 1
            if not one.caller.missing:
                one.caller.woken.set()

    def _answer(self, batch: list[_Waiting]) -> BaseException | None:
        """Run them together and give each its row; what was raised instead."""
        try:
            rows = self._run(np.stack([one.planes for one in batch]))
            if len(rows) != len(batch):
                raise ModelError("model", f"{len(rows)} rows for {len(batch)} pictures")
        except BaseException as error:
            return error
        for one, row in zip(batch, rows, strict=True):
            one.row = row
        return None
