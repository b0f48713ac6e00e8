"""Threads of which there are only so many: shares, patience, and clients that leave."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from kenspeckle.errors import ServiceBusy
from kenspeckle.serve.turns import Turns

PATIENCE = 30.0
"""Seconds after which what was to happen never will, on a busy machine too."""


class Slow:
    """Work that lasts until it is let go, and counts its threads."""

    def __init__(self) -> None:
        self.go, self._lock = threading.Event(), threading.Lock()
        self.begun = self.running = self.most = 0

    def __call__(self) -> int:
        with self._lock:
            self.begun, self.running = self.begun + 1, self.running + 1
            self.most = max(self.most, self.running)
        self.go.wait(PATIENCE)
        with self._lock:
            self.running -= 1
        return 7


async def until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_who_leaves_makes_no_room_before_the_thread_ends() -> None:
    async def asked() -> None:
        slow, turns = Slow(), Turns("downloads", 3)
        for number in range(1, 31):
            one = asyncio.create_task(turns.run(slow))
            await until(lambda number=number: slow.begun == min(number, 3))
            await asyncio.sleep(0.002)
            one.cancel()
        await asyncio.sleep(0.05)
        assert (slow.begun, slow.most) == (3, 3)
        slow.go.set()
        await until(lambda: slow.running == 0)
        assert await turns.run(slow) == 7
        assert slow.begun == 4  # of those who left while they waited none was begun

    asyncio.run(asked())


def test_no_asker_has_more_than_a_share() -> None:
    async def asked() -> None:
        slow, turns = Slow(), Turns("downloads", 4, share=1, patience=0.1)
        mine = asyncio.create_task(turns.run(slow, "me"))
        await until(lambda: slow.begun == 1)
        with pytest.raises(ServiceBusy, match="1 of yours") as raised:
            await turns.run(slow, "me")
        assert raised.value.retry_after == 0.1
        assert await turns.run(lambda: 5, "you") == 5
        slow.go.set()
        assert await mine == 7
        assert await turns.run(slow, "me") == 7

    asyncio.run(asked())


def test_who_waits_too_long_is_refused_and_who_waits_less_gets_a_turn() -> None:
    async def asked() -> None:
        slow, turns = Slow(), Turns("downloads", 2, patience=0.2)
        first = [asyncio.create_task(turns.run(slow, name)) for name in "ab"]
        await until(lambda: slow.begun == 2)
        with pytest.raises(ServiceBusy, match="downloads: all that may be under way at once are"):
            await turns.run(slow, "c")
        turns._patience = PATIENCE
        late = asyncio.create_task(turns.run(slow, "d"))
        await asyncio.sleep(0.05)
        slow.go.set()
        assert await asyncio.gather(*first, late) == [7, 7, 7]
        assert slow.most == 2

    asyncio.run(asked())


def test_what_the_work_raises_is_raised_and_its_turn_is_free() -> None:
    async def asked() -> None:
        turns = Turns("downloads", 1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await turns.run(lambda: 1 // 0)
        assert await turns.run(lambda: 5) == 5

    asyncio.run(asked())
