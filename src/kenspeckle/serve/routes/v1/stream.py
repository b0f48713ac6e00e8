"""Server-sent events: how the events of a bus are written to a client that listens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Header
from starlette.responses import StreamingResponse

from kenspeckle.serve.events import Event, Subscription

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

RETRY = 2000
"""Milliseconds after which a client that was cut off comes back."""
KIND = "text/event-stream"

LastId = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        max_length=64,
        description="The id of the last event heard: what came after it is told first.",
    ),
]

Shown = Callable[[Event], Mapping[str, Any]]


class Stream(StreamingResponse):
    """An answer that lasts as long as a client listens and `may`, or until an event is the `last`.

    When the client leaves, nothing of it stays.
    """

    def __init__(
        self,
        listener: Subscription,
        shown: Shown,
        may: Callable[[], bool],
        last: Callable[[Event], bool] = lambda _: False,
    ) -> None:
        self._listener = listener
        super().__init__(
            told(listener, shown, may, last),
            media_type=KIND,
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell events until nobody listens."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._listener.close()


async def told(
    listener: Subscription,
    shown: Shown,
    may: Callable[[], bool],
    last: Callable[[Event], bool] = lambda _: False,
) -> AsyncIterator[bytes]:
    """What goes over the line. Before each event, and each sign that the line is open, it is asked
    whether the client `may` hear it; one that may not hears no more."""
    yield f"retry: {RETRY}\n\n".encode()
    async for event in listener:
        if not may():
            return
        yield written(event, shown)
        if last(event):
            return


def written(event: Event, shown: Shown) -> bytes:
    r"""One event as it goes over the line.

    >>> written(Event("gone", {"item": "mug"}, id="a-1"), lambda event: event.data)
    b'id: a-1\nevent: gone\ndata: {"item": "mug"}\n\n'
    """
    own = event.kind in ("heartbeat", "missed")
    data = json.dumps(dict(event.data if own else shown(event)), allow_nan=False)
    number = f"id: {event.id}\n" if event.id else ""
    return f"{number}event: {event.kind}\ndata: {data}\n\n".encode()
