"""Threads of which there are only so many, for work that mostly waits for somebody else."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from kenspeckle.errors import ServiceBusy

T = TypeVar("T")

DOWNLOADS = 16
"""Addresses fetched at once: they wait for others, and must not hold the model's threads."""
SHARE = 4
"""Of them for one key, or for one address of clients without a key."""
PATIENCE = 5.0
"""Seconds for which a picture waits until it may be fetched."""
CHANGES = 4
"""Changes of one gallery that wait for its file or for each other; more wait before they take a
thread."""
ALL_CHANGES = 8 * CHANGES
"""Those of all galleries: one whose file is held up keeps no other from being changed."""
LOCKED = 2.0
"""Seconds from its coming for which a change waits for another process that writes."""


class Turns:
    """Runs work on at most `most` threads at once, at most `share` of them for one asker.

    A thread counts until its work ends, also when nobody waits for the value any more: a client
    that leaves makes no room. Who finds none waits up to `patience` seconds, and is refused then.
    For one event loop.
    """

    def __init__(
        self, name: str, most: int, *, share: int | None = None, patience: float = math.inf
    ) -> None:
        self._name, self._free, self._share = name, most, share or most
        self._patience = None if math.isinf(patience) else patience
        self._taken: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}

    async def run(self, work: Callable[[], T], asker: str = "") -> T:
        """The value of work, done on a thread. Raises what it raises, and ServiceBusy."""
        await self._enter(asker)
        try:
            # The limiter of its own: ours are counted here, and hold up nobody else's threads.
            task = asyncio.ensure_future(run_sync(work, limiter=anyio.CapacityLimiter(1)))
        except BaseException:
            self._leave(asker)
            raise
        task.add_done_callback(partial(self._ended, asker))
        return await asyncio.shield(task)

    async def _enter(self, asker: str) -> None:
        if self._may(asker):
            self._take(asker)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = asker
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # given while it was leaving
                self._leave(asker)
            if isinstance(error, TimeoutError):
                raise self._busy(asker) from None
            raise
        finally:
            self._waiting.pop(turn, None)

    def _may(self, asker: str) -> bool:
        return self._free > 0 and self._taken[asker] < self._share

    def _take(self, asker: str) -> None:
        self._free -= 1
        self._taken[asker] += 1

    def _ended(self, asker: str, task: asyncio.Future[T]) -> None:
        if not task.cancelled():
            task.exception()  # heard, also where nobody waits for it
        self._leave(asker)

    def _leave(self, asker: str) -> None:
        self._free += 1
        self._taken[asker] -= 1
        if not self._taken[asker]:
            del self._taken[asker]
        for turn, other in list(self._waiting.items()):
            if not turn.done() and self._may(other):
                self._take(other)
                turn.set_result(None)

    def _busy(self, asker: str) -> ServiceBusy:
        if self._taken[asker] >= self._share:
            found = f"{self._share} of yours are under way already"
        else:
            found = "all that may be under way at once are"
        error = ServiceBusy(self._name, found, do="Try again later, with less at once")
        error.retry_after = self._patience or 1.0
        return error


def downloads() -> Turns:
    """The threads of a service that fetch pictures, for all of its ports and surfaces."""
    return Turns("downloads", DOWNLOADS, share=SHARE, patience=PATIENCE)


def changes() -> Turns:
    """The threads of a service that change indexes; who asks for one is a gallery."""
    return Turns("changes", ALL_CHANGES, share=CHANGES)
