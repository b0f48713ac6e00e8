"""When nobody asks for a moment, memory that requests have used goes back to the system."""

from __future__ import annotations

import asyncio

from kenspeckle.serve.limits import Limits
from kenspeckle.serve.resident import give_back

PAUSE = 3.0
"""Seconds without a request after which memory is given back."""


async def rest(limits: Limits, pause: float = PAUSE) -> None:
    """Give memory back once after each time of work, for as long as this is awaited."""
    seen = given = 0
    while True:
        await asyncio.sleep(pause)
        quiet = limits.entered == seen and not limits.running
        seen = limits.entered
        if quiet and seen != given:
            given = seen
            await asyncio.to_thread(give_back)
