"""Batches across callers, for devices that gain from them.

Whoever comes first runs the device on what waits at that moment; what arrives meanwhile is the next
batch. No timer and no thread of its own: an idle device never waits for company.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kenspeckle.types import Float32


@dataclass(eq=False, slots=True)
class _Waiting:
    planes: Float32
    row: Float32 | None = None
    error: BaseException | None = None


class Gather:
    """Calls `run` on batches of at most `limit` of the pictures that callers hand in."""

    def __init__(self, run: Callable[[Float32], Float32], limit: int) -> None:
        self._run, self._limit = run, limit
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._waiting: deque[_Waiting] = deque()

    def row(self, planes: Float32) -> Float32:
        """Features `(F,)` of one prepared picture `(3, side, side)`; waits for them."""
        mine = _Waiting(planes)
        with self._lock:
            self._waiting.append(mine)
        while mine.row is None and mine.error is None:
            with self._turn:
                if mine.row is None and mine.error is None:
                    self._batch()
        if mine.row is None:
            raise mine.error or RuntimeError("no row")
        return mine.row

    def _batch(self) -> None:
        with self._lock:
            count = min(self._limit, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
        try:
            rows = self._run(np.stack([one.planes for one in batch]))
        except BaseException as error:  # each caller must hear of it, or it would wait for ever
            for one in batch:
                one.error = error
            return
        for one, row in zip(batch, rows, strict=True):
            one.row = row
