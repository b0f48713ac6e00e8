"""What happens, told to whoever listens: a bounded log, and a bounded queue for each listener.

Events are numbered within one run of the service; an id is `RUN-NUMBER`, so that a listener that
comes back after a restart is told that it has missed something instead of waiting for a number
that may never come. Publishing never waits: a listener that does not keep up loses its oldest
events and is told how many.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from types import MappingProxyType
from typing import Any, Self

from kenspeckle.errors import ServiceBusy
from kenspeckle.serve.shares import room

HEARTBEAT = 15.0
"""Seconds of silence after which a listener hears that the line is still open."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    `subject` is what it is about (an appearance, a job). An event that is `lasting` stands until
    the next one of its subject: who begins to listen is told it first. `id` is given by the bus.
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    gallery: str = ""
    subject: str = ""
    lasting: bool = False
    id: str = ""
    number: int = 0


Wanted = Callable[[Event], bool]


def _everything(_: Event) -> bool:
    return True


class Bus:
    """Takes events from any thread and hands them to every listener, in one order for all.

    `kept` events are remembered for who comes back, `queue` wait for one listener, and there are
    at most `listeners`, of whom no asker is more than are left for others.
    """

    def __init__(self, *, kept: int = 512, queue: int = 512, listeners: int = 256) -> None:
        self._lock, self._number = Lock(), 0
        self._log: deque[Event] = deque(maxlen=kept)
        self._standing: dict[str, Event] = {}
        self._listeners: dict[Subscription, str] = {}
        self._queue, self._most, self._closed = queue, listeners, False
        self.run = secrets.token_hex(4)

    def publish(self, event: Event) -> Event:
        """Tell everybody; the event with its id. Never waits. After `close` nobody is told."""
        with self._lock:
            self._number += 1
            event = replace(event, number=self._number, id=f"{self.run}-{self._number}")
            self._log.append(event)
            if event.lasting:
                self._standing[event.subject] = event
            else:
                self._standing.pop(event.subject, None)
            for listener in self._listeners:
                listener.offer(event)
        return event

    def subscribe(
        self,
        last_id: str = "",
        wants: Wanted = _everything,
        *,
        asker: str = "",
        heartbeat: float = HEARTBEAT,
    ) -> Subscription:
        """Listen from now on, inside a running event loop; close what it returns.

        With the id of the last event heard, what came after it is told first; without one, what
        lasts at this moment. ServiceBusy when too many listen, or too many of `asker` where that is
        told, or the service is stopping.
        """
        with self._lock:
            self._admit(asker)
            first = [one for one in self._before(last_id) if one.kind == "missed" or wants(one)]
            listener = Subscription(self._leave, wants, self._queue, heartbeat, first)
            self._listeners[listener] = asker
        return listener

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def close(self) -> None:
        """End every subscription once it has told what is waiting; nobody can begin to listen."""
        with self._lock:
            self._closed = True
            for listener in self._listeners:
                listener.end()

    def _before(self, last_id: str) -> Iterator[Event]:
        """What a new listener is told first; called with the lock held."""
        if not last_id:
            yield from self._standing.values()
            return
        run, _, number = last_id.rpartition("-")
        if run != self.run or not number.isascii() or not number.isdigit() or len(number) > 18:
            yield missed(None, "the service was started anew")
            yield from self._standing.values()
            return
        last = int(number)
        oldest = self._log[0].number if self._log else self._number + 1
        if oldest > last + 1:
            yield missed(oldest - last - 1, "that is longer ago than the service remembers")
        yield from (one for one in self._standing.values() if last < one.number < oldest)
        yield from (one for one in self._log if one.number > last)

    def _admit(self, asker: str) -> None:
        """Refuse whoever may not listen now; called with the lock held. ServiceBusy."""
        taken = len(self._listeners)
        own = sum(one == asker for one in self._listeners.values()) if asker else 0
        if self._closed:
            found = "stopping"
        elif taken >= self._most:
            found = f"{taken} listen already"
        elif not room(own, taken, self._most):
            found = f"{own} of yours listen already"
        else:
            return
        raise ServiceBusy("events", found, do="Try again later")

    def _leave(self, listener: Subscription) -> None:
        with self._lock:
            self._listeners.pop(listener, None)


class Subscription:
    """The events for one listener: an asynchronous iterator that has to be closed.

    Between events it yields one of kind `heartbeat` now and then, and one of kind `missed` where
    events had to be dropped.
    """

    def __init__(
        self,
        leave: Callable[[Subscription], None],
        wants: Wanted,
        queue: int,
        heartbeat: float,
        first: Iterable[Event] = (),
    ) -> None:
        self._leave, self._wants, self._heartbeat = leave, wants, heartbeat
        self._waiting = deque(first)
        self._queue, self._dropped, self._ended, self._lock = queue, 0, False, Lock()
        self._loop, self._ready = asyncio.get_running_loop(), asyncio.Event()

    def offer(self, event: Event) -> None:
        """Put an event into the queue if it is wanted; the bus calls it, from any thread."""
        if not self._wants(event):
            return
        with self._lock:
            if len(self._waiting) >= self._queue:
                oldest = self._waiting.popleft()
                self._dropped += (oldest.data["count"] or 0) if oldest.kind == "missed" else 1
            self._waiting.append(event)
        self._wake()

    def end(self) -> None:
        """No more events after those that wait; from any thread."""
        self._ended = True
        self._wake()

    def close(self) -> None:
        """Stop listening and forget what waits."""
        self._leave(self)
        with self._lock:
            self._waiting.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while (event := self._next()) is None:
            if self._ended:
                raise StopAsyncIteration
            try:
                await asyncio.wait_for(self._ready.wait(), self._heartbeat)
            except TimeoutError:
                return Event("heartbeat")
            self._ready.clear()
        return event

    def _next(self) -> Event | None:
        with self._lock:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                return missed(dropped, "they came faster than they were read")
            return self._waiting.popleft() if self._waiting else None

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that is closed by now has nobody to tell
            self._loop.call_soon_threadsafe(self._ready.set)


def missed(count: int | None, why: str) -> Event:
    """Says that `count` events will not be told; None is a number that nobody knows."""
    return Event("missed", {"count": count, "why": why})
