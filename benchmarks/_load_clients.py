"""Clients of a server, in a process of their own and lean, so that they leave it the cores.

    python -m benchmarks._load_clients JSON ANSWER

Each keeps one connection and sends prepared bytes. `clients` of them ask one request after another
(a closed loop), after a refusal when it says; with `rate` requests are sent at that pace instead,
whether or not the others are answered (an open loop). `/health` is asked beside them twenty times a
second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BOUNDARY = "kenspeckle-load-0123456789abcdef"
HEALTH_PAUSE = 0.05

Answered = Callable[["Line", int, float], None]


@dataclass
class Asked:
    """What is asked: where, the pictures, how, and for how long."""

    base: str
    path: str
    pictures: str
    seconds: float
    clients: int = 1
    rate: float = 0.0
    warm: float = 1.0
    health: bool = True


@dataclass
class Found:
    """Seconds of every answer by its status, in the time that counts; `answered` in all of it."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    health: list[float] = field(default_factory=list)
    lost: int = 0
    answered: int = 0
    most_waiting: int = 0
    measured: float = 0.0


def request(asked: Asked, picture: bytes) -> bytes:
    """A whole request with one picture as a form sends it."""
    head = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
        'name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    body = head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    lines = [
        f"POST {asked.path} HTTP/1.1",
        f"Host: {urlsplit(asked.base).netloc}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Line(asyncio.Protocol):
    """One connection: sends bytes, reads one answer, and tells who asked.

    It is in the set `among` for as long as it is open; `wait` are the seconds after which the
    latest answer says to come back.
    """

    def __init__(self, answered: Answered, among: set[Line]) -> None:
        self._answered, self._among = answered, among
        self._transport: Any = None  # uvloop's is none of asyncio's classes
        self._data, self._start, self._busy = bytearray(), 0.0, False
        self.wait = 0.0

    def ask(self, data: bytes) -> None:
        self._start, self._busy = time.perf_counter(), True
        assert self._transport is not None
        self._transport.write(data)

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._among.add(self)

    def leave(self) -> None:
        """Hang up, whatever is still on its way."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._among.discard(self)
        if self._busy:
            self._busy = False
            self._answered(self, 0, time.perf_counter() - self._start)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = bytes(self._data).partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        if len(body) < _number(lowered, b"content-length"):
            return
        self.wait = _number(lowered, b"retry-after")
        self._data.clear()
        self._busy = False
        if b"connection: close" in lowered and self._transport is not None:
            self._transport.close()
        status = int(head.split(b" ", 2)[1])
        self._answered(self, status, time.perf_counter() - self._start)


def _number(head: bytes, name: bytes) -> float:
    """The number of a header, 0 without one."""
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return float(rest.split(b"\r\n", 1)[0]) if found else 0.0


class Load:
    """One run: connections, the pace, and what comes back."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self.found = asked, Found()
        place = urlsplit(asked.base)
        self._host, self._port = str(place.hostname), int(place.port or 80)
        files = sorted(Path(asked.pictures).iterdir())
        self._requests = [request(asked, path.read_bytes()) for path in files]
        self._turn, self._waiting, self._counts, self._ends = 0, 0, False, False
        self._idle: list[Line] = []
        self._lines: set[Line] = set()

    async def run(self) -> Found:
        work = [asyncio.ensure_future(self._pace() if self._asked.rate else self._closed())]
        if self._asked.health:
            work.append(asyncio.ensure_future(self._ask_health()))
        await asyncio.sleep(self._asked.warm)
        self._counts, start = True, time.perf_counter()
        await asyncio.sleep(self._asked.seconds)
        self._counts, self.found.measured = False, time.perf_counter() - start
        self._ends = True
        await asyncio.gather(*work)
        for line in list(self._lines):
            line.leave()
        while self._lines:
            await asyncio.sleep(0)
        return self.found

    async def _line(self, answered: Answered) -> Line:
        loop = asyncio.get_running_loop()
        made = loop.create_connection(lambda: Line(answered, self._lines), self._host, self._port)
        return (await made)[1]

    def _next(self) -> bytes:
        self._turn += 1
        return self._requests[self._turn % len(self._requests)]

    def _count(self, status: int, seconds: float) -> None:
        self.found.answered += status > 0
        if not self._counts:
            return
        if not status:
            self.found.lost += 1
        self.found.seconds.setdefault(status, []).append(seconds)

    async def _closed(self) -> None:
        """Each client asks again once it is answered; one that lost its line opens another."""
        over = asyncio.Event()
        again_soon: set[asyncio.Task[None]] = set()

        def answered(line: Line, status: int, seconds: float) -> None:
            self._count(status, seconds)
            if self._ends:
                over.set()
            elif line.open and not line.wait:
                line.ask(self._next())
            else:
                task = asyncio.ensure_future(again(line))
                again_soon.add(task)
                task.add_done_callback(again_soon.discard)

        async def again(line: Line | None = None) -> None:
            if line is not None:
                await asyncio.sleep(line.wait)
            if line is None or not line.open:
                line = await self._line(answered)
            line.ask(self._next())

        for _ in range(self._asked.clients):
            await again()
        await over.wait()
        for task in again_soon:
            task.cancel()
        await asyncio.gather(*again_soon, return_exceptions=True)

    async def _pace(self) -> None:
        """Requests at a steady pace; each takes a line that is idle, or a new one."""

        def answered(line: Line, status: int, seconds: float) -> None:
            self._waiting -= 1
            self._count(status, seconds)
            if line.open:
                self._idle.append(line)

        async def ask() -> None:
            while self._idle:
                line = self._idle.pop()
                if line.open:
                    line.ask(self._next())
                    return
            (await self._line(answered)).ask(self._next())

        start, sent = time.perf_counter(), 0
        asks = set()
        while not self._ends:
            while sent < (time.perf_counter() - start) * self._asked.rate:
                sent += 1
                self._waiting += 1
                self.found.most_waiting = max(self.found.most_waiting, self._waiting)
                task = asyncio.ensure_future(ask())
                asks.add(task)
                task.add_done_callback(asks.discard)
            await asyncio.sleep(0.002)
        await asyncio.gather(*asks, return_exceptions=True)

    async def _ask_health(self) -> None:
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def answered(_: Line, status: int, seconds: float) -> None:
            answer.set_result(seconds if status == 200 else -1.0)

        line = await self._line(answered)
        data = f"GET /health HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode()
        while not self._ends:
            answer = asyncio.get_running_loop().create_future()
            line.ask(data)
            seconds = await answer
            if self._counts:
                self.found.health.append(seconds)
            await asyncio.sleep(HEALTH_PAUSE)


def main() -> None:
    import uvloop

    given: dict[str, Any] = json.loads(sys.argv[1])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        busy = time.process_time()
        found = runner.run(Load(Asked(**given)).run())
    told = {
        "seconds": {str(status): values for status, values in found.seconds.items()},
        "health": found.health,
        "lost": found.lost,
        "answered": found.answered,
        "most_waiting": found.most_waiting,
        "measured": found.measured,
        "busy": time.process_time() - busy,
    }
    Path(sys.argv[2]).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
