"""Memory that requests have used goes back to the system, and no more is kept than is needed."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys

from kenspeckle.serve.limits import Limits
from kenspeckle.serve.resident import give_back

PAUSE = 3.0
"""Seconds without work after which memory is given back. Whoever asks how the service is, or
listens to events, is no work."""

CORES = 4
"""Cores that share a heap: as fast with one of their own, at 8 clients."""

_ARENAS = -8
"""What glibc calls the setting: `M_ARENA_MAX`."""


def few_heaps() -> None:
    """Let threads share one heap for each four cores, where the C library is glibc.

    It makes eight for each core otherwise, and what many short-lived threads leave in pieces in
    each of them is never whole enough to be given back; of all heaps but the first, the end is
    kept too. `MALLOC_ARENA_MAX` of the environment stands. To be called before there are threads.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_ARENAS, max(1, (os.cpu_count() or 1) // CORES))


async def rest(limits: Limits, pause: float = PAUSE) -> None:
    """Give memory back once after each time of work, for as long as this is awaited."""
    seen = given = 0
    while True:
        await asyncio.sleep(pause)
        quiet = limits.entered == seen and not limits.working
        seen = limits.entered
        if quiet and seen != given:
            given = seen
            await asyncio.to_thread(give_back)
