"""One request and its answer: the body read within limits, the answer with its usual headers."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kenspeckle.serve import problems
from kenspeckle.serve.limits import LINGER, Limits, Room
from kenspeckle.serve.outbox import PIECE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

_STREAM = b"text/event-stream"
_USUAL: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
_NO_PAGE = b"default-src 'none'; frame-ancestors 'none'"
_PAGE = b"default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
_PAGE += b"object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
_OPAQUE = (b"multipart/", b"image/", b"application/octet-stream")
"""Bodies whose size is the measure of the work they make."""
MOST_VALUES = 200_000
"""Commas and opening brackets of any other body: a value of JSON takes two bytes to send, and a
hundred times as much to hold."""
LARGE = 1024 * 1024
"""Bytes of an answer beyond which it is sent in pieces, and held until they are taken."""
SLOWEST = 64 * 1024
"""Bytes a second of such an answer that a client takes at least, with `body_timeout` to begin."""
STOPPING = "the service is stopping"
_FULL = "too much is being sent at once"
_PATIENCE = 64
"""How much of a body that is refused, or that nobody waits for, is thrown away, in MiB."""


class Refusal(Exception):
    """Why a request is answered by nobody behind the guard."""

    def __init__(
        self, status: int, detail: str, *, wait: float = 0.0, headers: Iterable[Any] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, list(headers)
        if wait or status == 503:
            after = problems.seconds(wait or problems.RETRY_AFTER).encode()
            self.headers.append((b"retry-after", after))


class Exchange:
    """A request on its way in and its answer on the way out.

    `native` answers refusals as problem details, `embedding` lets pages of other origins show what
    is answered, `unread` says that a body is still to come, `heedless` that nobody waits for it,
    `keeps` that the line outlives an answer that did not wait for the body, `who` is whose share
    of what may be held it takes, `extra` are headers that every answer gets.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._scope, self._receive, self._send, self._limits = scope, receive, send, limits
        self.native, self.embedding, self.unread = True, False, False
        self.heedless, self.keeps, self.who = False, False, ""
        self.extra: Headers = [(b"x-request-id", scope["state"]["request_id"].encode())]
        self._parts: deque[bytes] = deque()
        self._held, self._owed, self._fresh = 0, 0, True
        self._until = math.inf
        self._counted, self._works = False, False
        self._started, self._complete, self._left = False, False, False
        self._lasts, self._spoilt, self._flooded = False, False, False
        kind = next((v for k, v in scope["headers"] if k == b"content-type"), b"").lower()
        self._values = -1 if kind.startswith(_OPAQUE) else 0
        self._gone, self._ended = asyncio.Event(), asyncio.Event()
        self._clock: asyncio.Timeout | None = None

    # In

    def enter(self, *, work: bool = True) -> None:
        """Count among those that are answered now, and where it is `work` among those that use
        memory. Raises Refusal when there are too many."""
        if self._limits.running >= self._limits.connections:
            raise Refusal(503, "too many requests at once")
        self._limits.running += 1
        self._limits.entered += work
        self._limits.working += work
        self._counted, self._works = True, work

    def close(self) -> None:
        """Give back what it held."""
        self._limits.running -= self._counted
        self._rests()
        self._limits.bodies.release(self._held, self.who)
        self._limits.answers.release(self._owed, self.who)
        self._counted, self._held, self._owed = False, 0, 0
        self._parts.clear()

    def _rests(self) -> None:
        """Count no more among those that use memory."""
        self._limits.working -= self._works
        self._works = False

    async def run(self, app: ASGIApp, length: int | None) -> None:
        """Read the body, of so many bytes where that is known, and let `app` answer.

        Ends early when the client leaves. Raises Refusal, and what `app` raises.
        """
        task, method = asyncio.current_task(), self._scope["method"]
        assert task is not None  # noqa: S101  a server runs every request as a task
        watch: asyncio.Future[None] | None = None
        try:
            if length != 0 and not self.heedless:
                await self._read(length)
            if self._left:
                return
            watch = asyncio.ensure_future(self._watch(task))
            async with asyncio.timeout(self._limits.timeout) as self._clock:
                await app(self._scope, self._next, self._answer)
            if self._spoilt:
                raise RuntimeError("a route answered with a status of a fault")
        except asyncio.CancelledError:
            if self._flooded:
                await self.refuse(Refusal(413, f"more than {_PATIENCE} MiB beside a {method}"))
            elif not self._left:  # the server ends, and grace is over: nobody lingers
                self.unread = False
                await self.refuse(Refusal(503, STOPPING, wait=5.0))
            task.uncancel()
        except TimeoutError:
            if self._clock is None or not self._clock.expired():
                raise
            if not self._started:
                raise Refusal(503, f"no answer within {self._limits.timeout:g} s") from None
        finally:
            if watch is not None:
                watch.cancel()

    async def _read(self, length: int | None) -> None:
        """The whole body, counted before more is read of it.

        What has arrived is held, not what is announced: announcing costs nothing.
        """
        most = self._limits.max_body
        if length is not None:
            self._check(length, most, f"{length} bytes")
            if not self._limits.bodies.free(length, self.who):
                raise Refusal(503, _FULL)
        try:
            async with asyncio.timeout(self._limits.body_timeout) as clock:
                self._limits.arrives(clock)
                try:
                    await self._take(most)
                finally:
                    self._limits.arrived(clock)
        except TimeoutError:
            if self._limits.stopping:
                raise Refusal(503, STOPPING, wait=5.0) from None
            found = f"the request did not arrive within {self._limits.body_timeout:g} s"
            raise Refusal(408, found) from None

    async def _take(self, most: int) -> None:
        """The parts of the body, until the last one or until the client leaves."""
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._left = True
                return
            part = message.get("body", b"")
            size += len(part)
            self._check(size, most, f"more than {most} bytes")
            self._count(part)
            self._hold(self._limits.bodies, len(part))
            self._held += len(part)
            if part:
                self._parts.append(part)
            more = message.get("more_body", False)
        self.unread = False

    def _check(self, size: int, most: int, found: str) -> None:
        if size > most:
            expected = f"expected at most {most} (serve.max_body)"
            raise Refusal(413, f"request: {found}; {expected}. Send less at once")

    def _count(self, part: bytes) -> None:
        if self._values >= 0:
            self._values += part.count(b",") + part.count(b"[") + part.count(b"{")
            if self._values > MOST_VALUES:
                expected = f"expected at most {MOST_VALUES}. Send pictures as files"
                raise Refusal(413, f"request: more than {MOST_VALUES} values; {expected}")

    def _hold(self, room: Room, count: int) -> None:
        if not room.hold(count, self.who):
            raise Refusal(503, _FULL)

    async def _next(self) -> Message:
        """What `app` receives: the body in the parts it came in, then nothing until the end."""
        if self._parts or self._fresh:
            self._fresh = False
            part = self._parts.popleft() if self._parts else b""
            return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _watch(self, task: asyncio.Task[Any]) -> None:
        """End the work for a client that leaves; a body that nobody waits for is thrown away."""
        left = _PATIENCE * 1024 * 1024
        while left >= 0:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                self._ended.set()
        self._ended.set()
        self._gone.set()
        if not self._complete:
            self._flooded, self._left = left < 0, left >= 0
            task.cancel()

    # Out

    async def _answer(self, message: Message) -> None:
        """What `app` sends, with the headers that every answer has."""
        if self._spoilt:
            return
        if message["type"] == "http.response.start":
            status: int = message["status"]
            if status >= 500 and status != 503:  # its text may tell what nobody should know
                self._spoilt = True
                return
            headers = self._headers(message.get("headers", ()), status)
            self._started = True
            message = {**message, "headers": headers}
        elif not message.get("more_body", False):
            self._complete = True
            if self.unread:
                await self._hand_over({**message, "more_body": True})
                await self._thrown_away()
                message = {"type": "http.response.body", "body": b""}
        await self._hand_over(message)

    async def _hand_over(self, message: Message) -> None:
        if self._lasts:
            await self._in_pieces(message)
        else:
            await self._send(message)

    async def _in_pieces(self, message: Message) -> None:
        """Send what may be much or take long: a client has to take each piece of it in time, and
        only then the next one is handed over."""
        body, more = message.get("body", b""), message.get("more_body", False)
        clock = asyncio.get_running_loop().time
        try:
            for start in range(0, len(body) or 1, PIECE):
                some, rest = body[start : start + PIECE], len(body) > start + PIECE
                until = min(clock() + self._limits.body_timeout, self._until)
                async with asyncio.timeout_at(until):
                    await self._send({**message, "body": some, "more_body": more or rest})
        except TimeoutError:
            self._left = True
            if give_up := self._scope["state"].get("give_up"):
                give_up()
            raise asyncio.CancelledError from None

    async def _thrown_away(self) -> None:
        """Until the rest of the body has come and gone, for a moment at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._ended.wait()

    def _headers(self, given: Iterable[tuple[bytes, bytes]], status: int) -> Headers:
        headers = list(given)
        if self.unread and not self.keeps:
            headers.append((b"connection", b"close"))
        there = {name.lower(): value for name, value in headers}
        kind = there.get(b"content-type", b"")
        if kind.startswith(_STREAM):
            self._rests()
        length = int(there.get(b"content-length", b"0"))
        if length > LARGE and self._scope["method"] != "HEAD":
            self._hold(self._limits.answers, length)
            self._owed = length
            patience = self._limits.body_timeout + length / SLOWEST
            self._until = asyncio.get_running_loop().time() + patience
        self._lasts = kind.startswith(_STREAM) or length > LARGE
        if self._lasts and self._clock is not None:
            self._clock.reschedule(None)
        if status == 503 and b"retry-after" not in there:
            headers.append((b"retry-after", problems.seconds(problems.RETRY_AFTER).encode()))
        if b"content-security-policy" not in there:
            policy = _PAGE if kind.startswith(b"text/html") else _NO_PAGE
            headers.append((b"content-security-policy", policy))
        if b"cache-control" not in there:
            headers.append((b"cache-control", b"no-store"))
        if b"cross-origin-resource-policy" not in there:
            who = b"cross-origin" if self.embedding else b"same-origin"
            headers.append((b"cross-origin-resource-policy", who))
        return [*headers, *_USUAL, *self.extra]

    async def plainly(self, status: int, headers: Headers) -> None:
        """An answer without a body."""
        self._started = self._complete = True
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": self._headers(headers, status),
        }
        await self._send(start)
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, refusal: Refusal) -> None:
        """Say why not; the rest of what the client sends is thrown away for a moment."""
        if self._started:
            return
        await self._say(refusal.status, refusal.detail, refusal.headers)

    async def fail(self) -> None:
        """Say that something went wrong that should not have, and nothing more."""
        if not self._started:
            await self._say(500, "a fault of this service; its log has the id", [])

    async def _say(self, status: int, detail: str, headers: Headers) -> None:
        self._started = self._complete = True
        content = problems.body(
            status,
            detail,
            path=self._scope["path"],
            request_id=self._scope["state"]["request_id"],
        )
        kind = problems.PROBLEM if self.native else problems.PLAIN
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(content)).encode()),
            *headers,
        ]
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": self._headers(headers, status),
        }
        await self._send(start)
        last = {"type": "http.response.body", "body": content, "more_body": self.unread}
        await self._send(last)
        if self.unread:
            await self._linger()
            await self._send({"type": "http.response.body", "body": b""})

    async def _linger(self) -> None:
        """Read on for a moment, or the system would tear the line down with our answer on it."""
        left = _PATIENCE * 1024 * 1024
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while left > 0:
                    message = await self._receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
                    left -= len(message.get("body", b""))
