"""The bus: order, replay, listeners that do not keep up, and an end."""

from __future__ import annotations

import asyncio
from threading import Thread

import pytest

from kenspeckle.errors import ServiceBusy
from kenspeckle.serve.events import Bus, Event, Subscription


def happened(subject: str = "", kind: str = "noted", *, lasting: bool = False) -> Event:
    return Event(kind, {"of": subject}, subject=subject, lasting=lasting)


async def heard(listener: Subscription, count: int) -> list[Event]:
    return [await asyncio.wait_for(anext(listener), 30) for _ in range(count)]


def subjects(events: list[Event]) -> list[str]:
    return [one.subject for one in events]


def test_every_listener_hears_everything_in_one_order() -> None:
    async def scene() -> None:
        bus = Bus()
        listeners = [bus.subscribe() for _ in range(3)]
        threads = [
            Thread(target=lambda n=n: [bus.publish(happened(f"{n}-{i}")) for i in range(50)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        told = [await heard(listener, 200) for listener in listeners]
        assert told[0] == told[1] == told[2]
        assert [one.number for one in told[0]] == list(range(1, 201))
        for thread in threads:
            thread.join()

    asyncio.run(scene())


def test_who_comes_back_hears_what_it_missed() -> None:
    async def scene() -> None:
        bus = Bus()
        first = bus.publish(happened("a"))
        bus.publish(happened("b"))
        assert subjects(await heard(bus.subscribe(first.id), 1)) == ["b"]
        assert subjects(await heard(bus.subscribe(f"{bus.run}-0"), 2)) == ["a", "b"]

    asyncio.run(scene())


def test_who_comes_anew_hears_what_lasts() -> None:
    async def scene() -> None:
        bus = Bus()
        bus.publish(happened("a", "appeared", lasting=True))
        bus.publish(happened("b", "appeared", lasting=True))
        bus.publish(happened("a", "gone"))
        listener = bus.subscribe()
        bus.publish(happened("c"))
        assert subjects(await heard(listener, 2)) == ["b", "c"]

    asyncio.run(scene())


def test_a_gap_is_told_and_what_lasts_is_not_lost_in_it() -> None:
    async def scene() -> None:
        bus = Bus(kept=3)
        bus.publish(happened("first"))
        bus.publish(happened("standing", "appeared", lasting=True))
        for number in range(5):
            bus.publish(happened(str(number)))
        told = await heard(bus.subscribe(f"{bus.run}-1"), 5)
        assert told[0].kind == "missed"
        assert told[0].data["count"] == 3
        assert subjects(told[1:]) == ["standing", "2", "3", "4"]

    asyncio.run(scene())


@pytest.mark.parametrize("last", ["ffffffff-3", "3", "-", "x-y", "é", "-" * 50, "1" * 5000])
def test_an_id_of_another_run_or_of_none_is_told_so(last: str) -> None:
    async def scene() -> None:
        bus = Bus()
        bus.publish(happened("a", "appeared", lasting=True))
        told = await heard(bus.subscribe(last), 2)
        assert (told[0].kind, told[0].data["count"]) == ("missed", None)
        assert told[1].subject == "a"

    asyncio.run(scene())


def test_a_slow_listener_loses_the_oldest_and_is_told_how_many() -> None:
    async def scene() -> None:
        bus = Bus(queue=4)
        slow, other = bus.subscribe(), bus.subscribe()
        for number in range(4):
            bus.publish(happened(str(number)))
        assert subjects(await heard(other, 4)) == ["0", "1", "2", "3"]
        for number in range(4, 10):
            bus.publish(happened(str(number)))
        told = await heard(slow, 5)
        assert (told[0].kind, told[0].data["count"]) == ("missed", 6)
        assert subjects(told[1:]) == ["6", "7", "8", "9"]

    asyncio.run(scene())


def test_what_was_missed_is_counted_once_and_never_forgotten() -> None:
    """Whoever comes back to a full log hears all of it, and what is gone adds up."""

    async def scene() -> None:
        bus = Bus(kept=5, queue=5)
        for number in range(20):
            bus.publish(happened(str(number)))
        told = await heard(bus.subscribe(f"{bus.run}-2"), 6)
        assert [told[0].data.get("count"), *subjects(told[1:])] == [
            13,
            "15",
            "16",
            "17",
            "18",
            "19",
        ]
        slow = bus.subscribe(f"{bus.run}-2")
        for number in range(20, 24):
            bus.publish(happened(str(number)))
        told = await heard(slow, 3)
        assert told[0].data["count"] == 13 + 3
        assert subjects(told[1:]) == ["18", "19"]

    asyncio.run(scene())


def test_only_what_is_wanted_is_told() -> None:
    async def scene() -> None:
        bus = Bus()
        bus.publish(happened("a", "appeared", lasting=True))
        listener = bus.subscribe("", lambda event: event.subject == "b")
        bus.publish(happened("a", "gone"))
        bus.publish(happened("b"))
        assert subjects(await heard(listener, 1)) == ["b"]

    asyncio.run(scene())


def test_silence_is_broken_by_a_heartbeat() -> None:
    async def scene() -> None:
        bus = Bus()
        listener = bus.subscribe(heartbeat=0.01)
        assert [one.kind for one in await heard(listener, 2)] == ["heartbeat", "heartbeat"]
        bus.publish(happened("a"))
        assert subjects(await heard(listener, 1)) == ["a"]

    asyncio.run(scene())


def test_a_listener_that_leaves_leaves_nothing_behind() -> None:
    async def scene() -> None:
        bus = Bus(listeners=1)
        listener = bus.subscribe()
        with pytest.raises(ServiceBusy, match="1 listen already"):
            bus.subscribe()
        listener.close()
        assert bus.listeners == 0
        bus.publish(happened("a"))
        bus.subscribe().close()

    asyncio.run(scene())


def test_no_asker_takes_all_the_places() -> None:
    async def scene() -> None:
        bus = Bus(listeners=8)
        mine = [bus.subscribe(asker="me") for _ in range(4)]
        with pytest.raises(ServiceBusy, match="4 of yours listen already"):
            bus.subscribe(asker="me")
        for count in (2, 1, 1):
            for _ in range(count):
                bus.subscribe(asker=f"another {count} {bus.listeners}")
        with pytest.raises(ServiceBusy, match="8 listen already"):
            bus.subscribe(asker="you")
        mine[0].close()
        bus.subscribe(asker="you").close()

    asyncio.run(scene())


def test_closing_tells_what_waits_and_ends() -> None:
    async def scene() -> None:
        bus = Bus()
        listener = bus.subscribe()
        bus.publish(happened("a"))
        bus.close()
        assert subjects([one async for one in listener]) == ["a"]
        with pytest.raises(ServiceBusy, match="stopping"):
            bus.subscribe()

    asyncio.run(scene())


def test_a_loop_that_is_gone_harms_nobody() -> None:
    bus = Bus()

    async def scene() -> None:
        bus.subscribe()

    asyncio.run(scene())
    assert bus.publish(happened("a")).number == 1


def test_a_loop_that_closes_in_that_moment_keeps_nothing_from_others() -> None:
    class Closing:
        """A loop that is closed between a look at it and a call."""

        def is_closed(self) -> bool:
            return False

        def call_soon_threadsafe(self, *_: object) -> None:
            raise RuntimeError("Event loop is closed")

    async def scene() -> None:
        bus = Bus()
        bus.subscribe()._loop = Closing()  # type: ignore[assignment]
        other = bus.subscribe()
        bus.publish(happened("a"))
        assert subjects(await heard(other, 1)) == ["a"]

    asyncio.run(scene())
