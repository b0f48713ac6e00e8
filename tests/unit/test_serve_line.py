"""What strangers send beside a request: bodies that are announced, further heads, trailers."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from guarded import PATIENCE, Behind, drained, guarded

from kenspeckle.config import ServeSettings
from kenspeckle.errors import ServiceBusy
from kenspeckle.serve import keys, wire
from kenspeckle.serve.access import Access
from kenspeckle.serve.jobs import Job
from kenspeckle.serve.limits import Limits
from kenspeckle.serve.routes.v1.jobs import visible

MAX = 1_000_000
SOON = 20.0
"""Seconds that no wait of the service's takes, and that a busy machine stays below."""
CHUNKED = b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    with guarded(
        tmp_path / "keys", connections=16, max_body=MAX, body_timeout=60.0, timeout=60.0
    ) as served:
        yield served


# Bodies


def test_announcing_holds_nothing(behind: Behind) -> None:
    behind.limits.bodies.most = behind.limits.bodies.each = 4 * MAX
    head = f"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(behind.line()).sendall(head.encode())
        until = time.monotonic() + PATIENCE
        while behind.limits.running < 8 and time.monotonic() < until:
            time.sleep(0.01)
        assert (behind.limits.running, behind.limits.bodies.held) == (8, 0)
        assert httpx2.post(f"{behind.base}/v1/echo", content=b"x" * MAX).json()["bytes"] == MAX
    assert behind.settled()


@pytest.mark.parametrize("path", ["/health", "/v1/read"])
@pytest.mark.parametrize("said", [b"Content-Length: 41943040", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_nobody_waits_for_the_body_of_a_question(
    behind: Behind, monkeypatch: pytest.MonkeyPatch, method: bytes, said: bytes, path: str
) -> None:
    monkeypatch.setattr("kenspeckle.serve.exchange.LINGER", 2.0)
    head = b"%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (method, path.encode(), said)
    with behind.line() as line:
        start = time.monotonic()
        line.sendall(head)
        told = line.recv(65536)
        assert time.monotonic() - start < 2.0
        assert told.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 405 "))
        assert b"connection: close" in told.lower()
        drained(line)
        assert time.monotonic() - start < SOON
    assert behind.settled()


def test_a_body_of_what_everybody_may_see_is_not_read(behind: Behind) -> None:
    with behind.line() as line:
        line.sendall(b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize("size", [10, 300_000, 3_000_000])
def test_whoever_sends_one_gets_the_answer(behind: Behind, size: int) -> None:
    head = b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
    start = time.monotonic()
    told = behind.ask(head + b"x" * size)
    assert told.startswith(b"HTTP/1.1 200 ")
    assert told.endswith(b'"read"')
    assert time.monotonic() - start < SOON
    assert behind.settled()
    assert behind.faults == []


def test_a_flood_beside_a_question_ends(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kenspeckle.serve.exchange._PATIENCE", 1)
    head = b"GET /v1/slow?seconds=60 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
    with behind.line() as line:
        line.sendall(head + b"x" * 1_500_000)
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert behind.seen == ["begun", "cancelled"]
    assert behind.settled()


def test_nobody_holds_everything() -> None:
    bodies = Limits(ServeSettings(max_body=1000)).bodies
    assert bodies.hold(bodies.each, "one")
    assert not bodies.hold(1, "one")
    assert bodies.hold(bodies.each - 5, "other")
    bodies.release(bodies.each, "one")
    assert bodies.hold(7, "one")
    bodies.release(7, "one")
    bodies.release(bodies.each - 5, "other")
    assert (bodies.held, bodies._own) == (0, {})


def test_more_than_a_share_is_refused(behind: Behind) -> None:
    behind.limits.bodies.each = 500_000
    with behind.line() as line:
        line.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n\r\n")
        line.sendall(b"x" * 400_000)
        until = time.monotonic() + PATIENCE
        while behind.limits.bodies.held < 400_000 and time.monotonic() < until:
            time.sleep(0.01)
        told = httpx2.post(f"{behind.base}/v1/echo", content=b"x" * 300_000)
        assert told.status_code == 503
        assert told.headers["retry-after"]
        assert httpx2.post(f"{behind.base}/v1/echo", content=b"x" * 90_000).status_code == 200
    assert behind.settled()
    assert behind.limits.bodies._own == {}


def _echo(size: int) -> bytes:
    return b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size


@pytest.mark.parametrize("size", [10, 900_000])
def test_who_is_to_come_back_keeps_the_line(behind: Behind, size: int) -> None:
    behind.busy = ServiceBusy("model", "64 pictures wait already")
    with behind.line() as line:
        line.sendall(_echo(size) + b"x" * size)
        told = line.recv(65536)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in told
        assert b"connection: close" not in told
        behind.busy = None
        line.sendall(_echo(3) + b"abc")
        assert b'"bytes":3' in line.recv(65536)
    assert behind.settled()
    assert behind.faults == []


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 2000000", b"Transfer-Encoding: chunked", b"Content-Length: 10x"],
)
def test_a_line_whose_rest_is_large_or_unknown_is_closed(behind: Behind, rest: bytes) -> None:
    behind.busy = ServiceBusy("model", "64 pictures wait already")
    told = behind.ask(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % rest)
    assert told.startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 400 "))
    assert b"connection: close" in told.lower()


def test_a_refusal_that_no_waiting_helps_closes_the_line(behind: Behind) -> None:
    head = b"POST /v1/echo HTTP/1.1\r\nHost: elsewhere\r\nContent-Length: 3\r\n\r\nabc"
    told = behind.ask(head)
    assert told.startswith(b"HTTP/1.1 421 ")
    assert b"connection: close" in told


def test_a_refused_body_that_never_ends_loses_the_line(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kenspeckle.serve.exchange.LINGER", 0.2)
    monkeypatch.setattr("kenspeckle.serve.wire.HEAD_TIMEOUT", 1.0)
    behind.busy = ServiceBusy("model", "64 pictures wait already")
    with behind.line() as line:
        line.sendall(_echo(1000))
        start = time.monotonic()
        with contextlib.suppress(OSError):
            while behind.lines and time.monotonic() < start + SOON:
                line.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - start < SOON
        assert drained(line).startswith(b"HTTP/1.1 503 ")
    assert behind.settled()


def test_who_asks_before_sending_reconnects(behind: Behind) -> None:
    behind.busy = ServiceBusy("model", "64 pictures wait already")
    head = _echo(10)[:-2] + b"Expect: 100-continue\r\n\r\n"
    told = behind.ask(head)  # and the body is never sent
    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in told


def test_what_comes_late_of_a_refused_body_does_not_answer_the_next(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kenspeckle.serve.exchange.LINGER", 0.05)
    monkeypatch.setattr("kenspeckle.serve.wire.HEAD_TIMEOUT", 0.5)
    behind.busy = ServiceBusy("model", "64 pictures wait already")
    with behind.line() as line:
        line.sendall(_echo(10))
        assert line.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert behind.settled()  # no more of it is waited for
        line.sendall(b"x" * 4)
        line.sendall(b"x" * 6)
        time.sleep(1.0)  # what would be said of a late head has been said
        behind.busy = None
        line.sendall(_echo(3) + b"abc")
        assert b'"bytes":3' in line.recv(65536)


def test_the_rest_of_a_refused_body_sets_no_clock_to_the_next_answer(behind: Behind) -> None:
    behind.busy = ServiceBusy("model", "64 pictures wait already")
    head = b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    with behind.line() as line:
        line.sendall(head + b"abc")
        assert line.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert behind.server is not None
        (one,) = behind.server.server_state.connections
        one.timeout_keep_alive = 0.2  # type: ignore[attr-defined]
        line.sendall(b"defghi" + b"GET /v1/slow?seconds=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert behind.settled()


def test_an_empty_line_after_a_request_is_no_request(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kenspeckle.serve.wire.HEAD_TIMEOUT", 0.2)
    with behind.line() as line:
        line.sendall(_echo(3) + b"abc")
        assert b'"bytes":3' in line.recv(65536)
        line.sendall(b"\r\n")
        assert drained(line) == b""


# Offers of another protocol


INNER = b"POST /v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"x"])
@pytest.mark.parametrize("apart", [False, True])
def test_the_body_of_an_offer_is_its_body(behind: Behind, offer: bytes, apart: bool) -> None:
    head = _echo(len(INNER))[:-2] + (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    last = b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with behind.line() as line:
        if apart:
            line.sendall(head % offer)
            behind.until(lambda: behind.limits.running)
            line.sendall(INNER + last)
        else:
            line.sendall(head % offer + INNER + last)
        told = drained(line)
    assert b'"bytes":%d' % len(INNER) in told
    assert told.count(b"HTTP/1.1 200 OK") == 2
    assert told.endswith(b'"read"')
    assert behind.seen == []


def test_offers_that_come_in_pieces_and_in_chunks(behind: Behind) -> None:
    head = b"POST /v1/echo HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n" + CHUNKED
    text = head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with behind.line() as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(text)):
            line.sendall(text[number : number + 1])
        told = drained(line)
    assert b'"bytes":5' in told
    assert told.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("before", [b"", b"GET /v1/read HTTP/1.1\r\n"])
def test_an_offer_changes_nothing_for_what_comes_after(behind: Behind, before: bytes) -> None:
    offer = b"Upgrade: h2c\r\nConnection: %sUpgrade\r\n\r\n"
    read = b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\n"
    last = read + b"Connection: close\r\n\r\n" if before else read + offer % b"close, "
    first = before + b"Host: localhost\r\n" + offer % b"" if before else b""
    told = behind.ask(first + last + read + b"\r\n")
    assert told.count(b"HTTP/1.1 200 ") == told.count(b"HTTP/1.1 ") == (2 if before else 1)


def test_a_tunnel_is_refused(behind: Behind) -> None:
    told = behind.ask(b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n" + INNER)
    assert told.startswith(b"HTTP/1.1 400 ")
    assert told.count(b"HTTP/1.1") == 1
    assert behind.seen == []


# Requests sent ahead


def test_no_more_than_a_few_requests_wait_on_a_line(behind: Behind) -> None:
    slow = b"GET /v1/slow?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    read = b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert behind.ask(slow + read * 65).startswith(b"HTTP/1.1 429 ")
    assert behind.settled()
    last = b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert behind.ask(read * 64 + last).count(b'"read"') == 65


def test_bodies_sent_ahead_are_left_with_their_sender(behind: Behind) -> None:
    slow = b"GET /v1/slow?seconds=2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with behind.line() as line:
        line.sendall(slow + _echo(MAX))
        sent, until = 0, time.monotonic() + 1.5
        line.setblocking(False)
        while sent < MAX and time.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                sent += line.send(b"x" * min(65536, MAX - sent))
        held = behind.on_loop(_waiting(behind))
        assert held < 3 * wire.LARGEST_AHEAD
        line.setblocking(True)
        line.settimeout(PATIENCE)
        line.sendall(b"x" * (MAX - sent))
        told = b""
        while b'"bytes":%d' % MAX not in told:
            told += line.recv(65536)
    assert behind.settled()


def _waiting(behind: Behind) -> Callable[[], int]:
    """How many bytes of bodies lie with lines whose request has not had its turn."""

    def counted() -> int:
        assert behind.server is not None
        lines: list[Any] = list(behind.server.server_state.connections)
        return sum(len(cycle.body) for one in lines for cycle, _ in one.pipeline)

    return counted


# Heads and trailers


def test_a_head_behind_a_running_request_has_its_bound(behind: Behind) -> None:
    with behind.line() as line:
        line.sendall(b"GET /v1/slow?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        start = time.monotonic()
        with contextlib.suppress(OSError):
            line.sendall(b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 600_000)
        told = drained(line)
        assert time.monotonic() - start < SOON
        assert told == b"" or told.startswith(b"HTTP/1.1 431 ")
    assert behind.settled()


def test_nothing_is_said_amid_a_stream(behind: Behind) -> None:
    with behind.line() as line:
        line.sendall(b"GET /v1/endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
        with contextlib.suppress(OSError):
            line.sendall(b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 600_000)
        assert b"431" not in drained(line)
    assert behind.settled()


def test_whoever_leaves_with_a_request_in_wait_is_forgotten(behind: Behind) -> None:
    with behind.line() as line:
        line.sendall(b"GET /v1/endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
        line.sendall(b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
    assert behind.settled()


@pytest.mark.parametrize(
    "rest",
    [b"1\r\na\r\n0\r\nX: " + b"a" * 600_000, b"1;" + b"a" * 600_000],
    ids=["trailer", "extension"],
)
def test_what_is_neither_head_nor_body_has_its_bound(behind: Behind, rest: bytes) -> None:
    with behind.line() as line:
        line.sendall(b"POST /v1/echo HTTP/1.1\r\n" + CHUNKED)
        start = time.monotonic()
        with contextlib.suppress(OSError):
            line.sendall(rest)
        told = drained(line)
        assert time.monotonic() - start < SOON
        assert told == b"" or told.startswith(b"HTTP/1.1 431 ")
    assert behind.settled()


def test_trailers_are_no_headers(behind: Behind) -> None:
    body = b"1\r\n{\r\n1\r\n}\r\n0\r\nContent-Type: application/json\r\n\r\n"
    last = b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    plain = b"POST /v1/json HTTP/1.1\r\nX-Request-ID: a\r\n" + CHUNKED
    told = behind.ask(plain + body + last)
    assert told.startswith(b"HTTP/1.1 422 ")
    assert told.endswith(b'"read"')


# Pages


@pytest.mark.parametrize("origin", ["http://[", "http://]", "http://[::1", "http://[x]", "\xe9"])
def test_an_origin_that_is_none(behind: Behind, origin: str) -> None:
    headers = {"Origin": origin.encode("latin-1"), "Host": "localhost"}
    asked = {**headers, "Access-Control-Request-Method": b"POST"}
    assert httpx2.post(f"{behind.base}/api/falcon", headers=headers).status_code == 403  # type: ignore[arg-type]
    assert httpx2.options(f"{behind.base}/api/falcon", headers=asked).status_code == 403  # type: ignore[arg-type]
    assert httpx2.get(f"{behind.base}/health", headers=headers).status_code == 200  # type: ignore[arg-type]
    assert behind.faults == []


# Keys


def test_a_name_given_anew_sees_no_jobs_of_the_old_key(tmp_path: Path) -> None:
    place, mounted = tmp_path / "keys", tmp_path / "ann"
    mounted.write_text("m" * 40, encoding="ascii")
    old = keys.create(place, "ann")
    access = Access(place, first=mounted)
    before, first = access.principal(old, "v1"), access.principal("m" * 40, "v1")
    keys.revoke(place, "ann")
    new = keys.create(place, "ann")
    access.refresh()
    after = access.principal(new, "v1")
    assert before is not None
    assert after is not None
    assert first is not None
    assert before.name == after.name == first.name
    assert len({before.id, after.id, first.id}) == 3
    job = Job("1", 1, "identify", "g", before.id, "")
    assert visible(job, before)
    assert not visible(job, after)


# Connections


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Behind]:
    """With room for 24 connections, eight of them for one address."""
    with guarded(tmp_path / "keys", connections=12, per_address=8) as served:
        yield served


def connected(behind: Behind, stack: contextlib.ExitStack, source: str) -> socket.socket:
    """A line from another address of this machine."""
    place = ("127.0.0.1", behind.port)
    return stack.enter_context(socket.create_connection(place, PATIENCE, (source, 0)))


ELSEWHERE = pytest.mark.skipif(sys.platform != "linux", reason="other loopback addresses")
PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@ELSEWHERE
def test_half_heads_of_one_address_shut_nobody_out(shared: Behind) -> None:
    with contextlib.ExitStack() as stack:
        half = [connected(shared, stack, "127.0.0.2") for _ in range(60)]
        for line in half:
            with contextlib.suppress(OSError):
                line.sendall(b"GET /v1/echo HTTP/1.1\r\nHo")
        shared.until(lambda: shared.lines <= 8)
        for source in ("127.0.0.1", "127.0.0.3", "127.0.0.2"):
            for _ in range(3):
                line = connected(shared, stack, source)
                line.sendall(PROBE)
                assert drained(line).startswith(b"HTTP/1.1 200 "), source
        early = drained(half[0])
        assert early.startswith(b"HTTP/1.1 503 ") or not early, "the oldest went"
    shared.until(lambda: not len(shared.limits.lines))
    assert shared.limits.lines._own == shared.limits.lines._waiting == {}


def test_what_is_being_answered_never_gives_way(shared: Behind) -> None:
    with contextlib.ExitStack() as stack:
        asking = [connected(shared, stack, "127.0.0.1") for _ in range(8)]
        for line in asking:
            line.sendall(b"GET /v1/slow?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        shared.until(lambda: len(shared.seen) == 8)
        assert drained(connected(shared, stack, "127.0.0.1")).startswith(b"HTTP/1.1 503 ")
        assert shared.limits.running == 8
        asking[0].close()
        shared.until(lambda: len(shared.limits.lines) == 7)
        line = connected(shared, stack, "127.0.0.1")
        line.sendall(PROBE)
        assert drained(line).startswith(b"HTTP/1.1 200 ")


def test_an_answered_line_gives_way_to_a_new_one(shared: Behind) -> None:
    with contextlib.ExitStack() as stack:
        kept = [connected(shared, stack, "127.0.0.1") for _ in range(8)]
        for line in kept:
            line.sendall(b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
        line = connected(shared, stack, "127.0.0.1")
        line.sendall(PROBE)
        assert drained(line).startswith(b"HTTP/1.1 200 ")
        assert kept[0].recv(65536) == b"", "closed without a word"
        kept[1].sendall(PROBE)
        assert drained(kept[1]).startswith(b"HTTP/1.1 200 ")


def test_the_usual_share_leaves_room_for_others_and_for_many_clients() -> None:
    limits = Limits(ServeSettings())
    assert 128 < limits.lines._each < limits.connections < limits.sockets
    assert Limits(ServeSettings(connections=8, per_address=1000)).lines._each == 16


# Names of hosts


@pytest.mark.parametrize(
    ("first", "hosts", "status"),
    [
        (b"/v1/read", [b"localhost"], 200),
        (b"/v1/read", [b"evil.example", b"localhost"], 400),
        (b"/v1/read", [b"localhost", b"localhost"], 400),
        (b"/v1/read", [], 400),
        (b"http://localhost/v1/read", [b"localhost"], 200),
        (b"HTTP://127.0.0.1:80/v1/read", [b"evil.example"], 200),
        (b"http://[::1]:80/v1/read", [b"localhost"], 200),
        (b"http://evil.example/v1/read", [b"localhost"], 421),
        (b"http://evil.example:80/v1/read", [b"localhost"], 421),
        (b"http://evil.example/v1/read", [b"localhost", b"localhost"], 400),
        (b"http://localhost/v1/read", [], 400),
        (b"http://x@localhost/v1/read", [b"localhost"], 421),
    ],
)
def test_one_name_of_a_host_counts(
    behind: Behind, first: bytes, hosts: list[bytes], status: int
) -> None:
    lines = [b"GET %s HTTP/1.1" % first, *(b"Host: " + one for one in hosts), b"Connection: close"]
    told = behind.ask(b"\r\n".join([*lines, b"", b""]))
    assert told.startswith(b"HTTP/1.1 %d " % status)


def test_a_whole_address_needs_no_path(behind: Behind) -> None:
    for target in (b"http://localhost", b"http://localhost?x=1"):
        told = behind.ask(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
        assert told.startswith(b"HTTP/1.1 404 ")
