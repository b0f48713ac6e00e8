"""The line to one client: heads that are too large or too slow, requests that ask for another
protocol or wait behind others, and answers that nobody takes.

uvicorn bounds neither how much a client sends before its headers end, nor how long it takes, nor
how many requests it sends ahead, nor how long it leaves an answer lying; and it takes the body of a
request that offers another protocol for the next request. What follows the headers is the guard's.
"""

from __future__ import annotations

import http
import re
from asyncio import TimerHandle, Transport
from typing import TYPE_CHECKING, Any

from kenspeckle.serve import problems
from kenspeckle.serve.limits import HEAD_TIMEOUT, LARGEST_HEAD, MOST_HEADERS, Limits, neighbourhood
from kenspeckle.serve.outbox import Outbox

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_AHEAD = 64
"""Requests that may wait on a line for the answers before theirs."""
LARGEST_AHEAD = 256 * 1024
"""Bytes of such requests after which no more is read until one of them has its turn."""

_OFFERS = (b"upgrade", b"http2-settings")
_WHOLE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
STALLED = 2.0
"""Seconds in which a client has to take a piece of its answer while the service stops."""


def protocol(limits: Limits) -> type[HttpToolsProtocol]:  # noqa: C901  a class of small methods
    """The protocol for uvicorn that keeps to these limits."""
    import httptools
    from uvicorn.protocols.http import flow_control, httptools_impl

    class Flow(flow_control.FlowControl):
        """Reads no further while too much waits that was sent ahead."""

        full = False

        def resume_reading(self) -> None:
            """Read on, as whoever reads a body asks for."""
            if not self.full:
                super().resume_reading()

    class Line(httptools_impl.HttpToolsProtocol):
        """One connection."""

        transport: Any = None  # an Outbox
        _timer: TimerHandle | None = None
        _head = 0
        _pairs = 0
        _begun = False
        _within = False
        _ahead = 0
        _taken = False
        _running: Any = None
        _bad = 400

        def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
            """Take a client, unless there are too many, or too many of its address."""
            super().connection_made(transport)
            self.transport = Outbox(transport, self.loop, limits.body_timeout)
            self.flow = self._flow = Flow(transport)
            who = neighbourhood(self.client[0] if self.client else "")
            if limits.lines.enter(self, who):
                self._wait()
            else:
                self._end(503)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget a client that has left; the base tells it to the latest request alone."""
            self._hurry()
            limits.lines.leave(self)
            if self._running is not None and not self._running.response_complete:
                self._running.disconnected = True
                self._running.message_event.set()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            """Take what the client sent, counted wherever it is neither whole head nor body."""
            if self.transport.is_closing():
                return
            idle = self.cycle is None or self.cycle.response_complete
            if idle and self._timer is None:
                self._wait()
            self._unset_keepalive_if_required()
            self._head += len(data)
            self._parse(data)
            if self._head > LARGEST_HEAD and not self.transport.is_closing():
                self._end(431)
            if self.pipeline:
                self._ahead += len(data)
                self._flow.full = self._ahead > LARGEST_AHEAD
                if self._flow.full:
                    self.flow.pause_reading()

        def _parse(self, data: bytes) -> None:
            """Read on. A head that offers another protocol is read once more without the offer,
            which may be ignored (RFC 9110, 7.8): the parser would take its body for that protocol's
            """
            while True:
                try:
                    self.parser.feed_data(data)
                except httptools.HttpParserError:
                    self.send_400_response("")
                except httptools.HttpParserUpgrade as offer:
                    if self.parser.get_method() == b"CONNECT":
                        self.send_400_response("")
                        return
                    head = _without_offer(self.parser, self.url, self.headers)
                    data = head + data[offer.args[0] :]
                    self.parser = httptools.HttpRequestParser(self)
                    self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                    continue
                return

        def on_header(self, name: bytes, value: bytes) -> None:
            """Count headers. Those after the body are dropped: the guard has gone on without."""
            self._pairs += 1
            if self._pairs > MOST_HEADERS:
                self._bad = 431
                raise ValueError("too many headers")
            if not self._within:
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            """The head is whole: the guard goes on."""
            if self.parser.should_upgrade():
                return
            if len(self.pipeline) >= MOST_AHEAD:
                self._bad = 429
                raise ValueError("too many requests sent ahead")
            self._hurry()
            self._unset_keepalive_if_required()
            limits.lines.ask(self)
            self._head, self._within = 0, True
            self.scope["state"]["give_up"] = self.give_up
            if not self.url.startswith((b"/", b"*")):
                self.url = _named(self.headers, self.url)
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            """A piece of the body, which the guard counts; the first is handed on uncopied."""
            self._head = 0
            if self.cycle.body or self.cycle.response_complete:
                super().on_body(body)
                return
            self.cycle.body = body  # type: ignore[assignment]  # read alone, and added to
            if len(body) > flow_control.HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self.cycle.message_event.set()

        def on_message_begin(self) -> None:
            """A new request on this line."""
            self._pairs, self._begun, self._within = 0, True, False
            super().on_message_begin()

        def on_message_complete(self) -> None:
            """The body is whole. Where it was answered before, the line now waits for the next."""
            if self.parser.should_upgrade():
                return
            self._begun = self._within = False
            if self.cycle.response_complete:
                self._hurry()
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )
            super().on_message_complete()

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            self._running = cycle
            super()._start_asgi_task(cycle, app)

        def on_response_complete(self) -> None:
            """An answer is written; whoever does not take it in time is left."""
            self.transport.flush()
            self.transport.expect()
            super().on_response_complete()
            if not self.pipeline and self._ahead:
                self._ahead, self._flow.full = 0, False
                self.flow.resume_reading()
            if self.cycle.response_complete:
                limits.lines.rest(self)

        def resume_writing(self) -> None:
            """The client takes what is written to it."""
            self._taken = True
            super().resume_writing()

        def hasten(self, before: int = 0) -> None:
            """The service stops: leave a client once it takes nothing for `STALLED` seconds.

            `before` are the bytes that lay here for it at the last look.
            """
            left = self.transport.get_write_buffer_size()
            if before and left >= before and not self._taken:
                self.transport.abort()
            elif left or not self.transport.is_closing():
                self._taken = False
                self.loop.call_later(STALLED, self.hasten, left)

        def give_up(self) -> None:
            """Leave a client that takes nothing of an answer that is still being written."""
            if self._running is not None:
                self._running.disconnected = True
            self.transport.abort()

        def give_way(self) -> None:
            """Leave a client that has connected once more."""
            if self.transport.get_write_buffer_size():
                self.transport.abort()
            elif self._running is not None and not self._head:
                self.transport.close()  # it was answered, and has asked nothing since
            else:
                self._end(503)

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002  our words say as much
            """Say that this is no request of HTTP."""
            self._end(self._bad)

        def _wait(self) -> None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT, self._late)

        def _hurry(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            """Nothing began in time, or the rest of what was answered did not come."""
            if self.transport.is_closing():
                return
            if self._running is not None and (self._within or not self._begun):
                self.transport.close()  # what we said now would answer the next request
            else:
                self._end(408)

        def _end(self, status: int) -> None:
            """Answer, where no other answer has begun, and close."""
            self._hurry()
            cycle = self._running
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(_answer(status))
            self.transport.close()

    return Line


def _without_offer(parser: Any, target: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """A head as it came, without the offer of another protocol."""
    version = parser.get_http_version().encode("ascii")
    lines = [b"%s %s HTTP/%s" % (parser.get_method(), target, version)]
    for name, value in headers:
        if name == b"connection":
            words = [word.strip() for word in value.split(b",")]
            value = b", ".join(word for word in words if word.lower() not in _OFFERS)
        if name not in _OFFERS and (value or name != b"connection"):
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


def _named(headers: list[tuple[bytes, bytes]], target: bytes) -> bytes:
    """Let a whole address in the first line stand for the name in `Host`, which is not to be
    believed then (RFC 9112, 3.2.2); the address with its path, which is `/` where it has none."""
    found = _WHOLE.match(target)
    places = [place for place, (name, _) in enumerate(headers) if name == b"host"]
    if len(places) == 1:
        headers[places[0]] = (b"host", found[1] if found else b"")
    if found is None or target[found.end() :].startswith(b"/"):
        return target
    return b"%s/%s" % (found[0], target[found.end() :])


def _answer(status: int) -> bytes:
    """A whole answer to what is no whole request."""
    content = problems.body(status, _WORDS[status])
    head = [
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}",
        f"content-type: {problems.PROBLEM}",
        f"content-length: {len(content)}",
        "connection: close",
        *(["retry-after: 1"] if status in (429, 503) else []),
    ]
    return "\r\n".join([*head, "", ""]).encode("ascii") + content


_WORDS = {
    400: "this is no request of HTTP",
    408: f"the request did not begin within {HEAD_TIMEOUT:g} s",
    429: f"at most {MOST_AHEAD} requests may wait on one line",
    431: f"at most {MOST_HEADERS} headers of {LARGEST_HEAD} bytes together",
    503: "too many connections",
}
