"""Somebody who listens to server-sent events, in a thread of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import httpx2

PATIENCE = 60.0


@dataclass(frozen=True)
class Heard:
    """One event as it came over the line."""

    kind: str
    data: dict[str, Any]
    id: str = ""


class Listener:
    """Collects what an address tells, until it is closed or the server ends it."""

    def __init__(self, address: str, headers: dict[str, str] | None = None) -> None:
        self.events: list[Heard] = []
        self.status, self.ended = 0, False
        self._client = httpx2.Client(timeout=httpx2.Timeout(PATIENCE))
        self._thread = Thread(target=self._listen, args=(address, headers or {}), daemon=True)
        self._thread.start()

    def _listen(self, address: str, headers: dict[str, str]) -> None:
        fields: dict[str, str] = {}
        try:
            with self._client.stream("GET", address, headers=headers) as answer:
                self.status = answer.status_code
                for line in answer.iter_lines():
                    if line:
                        name, _, value = line.partition(": ")
                        fields[name] = value
                    elif "event" in fields:
                        data = json.loads(fields["data"])
                        self.events.append(Heard(fields["event"], data, fields.get("id", "")))
                        fields = {}
        except (httpx2.HTTPError, RuntimeError):
            pass  # closed from this side, or cut off from the other
        self.ended = True

    def of(self, *kinds: str) -> list[Heard]:
        """What was heard of these kinds so far."""
        return [one for one in self.events if one.kind in kinds]

    def wait(self, wanted: Callable[[], Any], seconds: float = PATIENCE) -> None:
        """Until something is so."""
        deadline = time.monotonic() + seconds
        while not wanted():
            assert time.monotonic() < deadline, self.events
            time.sleep(0.01)

    def close(self) -> None:
        """Leave."""
        self._client.close()
        self._thread.join(PATIENCE)


@contextmanager
def listening(address: str, **headers: str) -> Iterator[Listener]:
    """Listen to an address inside a block."""
    one = Listener(address, headers)
    try:
        one.wait(lambda: one.status or one.ended)
        yield one
    finally:
        one.close()
