"""Sizes, rates, numbers and times, against a real server and clients that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from guarded import PATIENCE, Behind, drained, guarded
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.config import ServeSettings
from kenspeckle.errors import (
    FetchError,
    GalleryError,
    IndexBusy,
    KenspeckleError,
    MissingExtra,
    NotEnrolled,
    PictureError,
    PictureTooLarge,
    ServiceBusy,
    SpaceMismatch,
)
from kenspeckle.serve import exchange, keys, limits, outbox, problems, quiet, wire
from kenspeckle.serve.limits import MOST_HEADERS, Limits, neighbourhood

MAX = 1_000_000
SOON = 20.0
"""Seconds that a busy machine stays below, and no wait that is long does."""


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    limits: dict[str, Any] = {"max_body": MAX, "body_timeout": 60.0, "timeout": 60.0}
    with guarded(tmp_path / "keys", connections=8, **limits) as served:
        yield served


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Behind]:
    """With little time for bodies and requests."""
    limits: dict[str, Any] = {"max_body": MAX, "body_timeout": 0.6, "timeout": 1.0}
    with guarded(tmp_path / "keys", connections=8, **limits) as served:
        yield served


def wait_for(check: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < until
        time.sleep(0.01)


def chunks(size: int, piece: int = 10_000) -> Iterator[bytes]:
    for start in range(0, size, piece):
        yield b"x" * min(piece, size - start)


# Bodies


@pytest.mark.parametrize("size", [0, 1, 65_536, MAX])
def test_bodies_within_the_limit_arrive_whole(behind: Behind, size: int) -> None:
    with httpx2.Client(base_url=behind.base) as client:
        assert client.post("/v1/echo", content=b"x" * size).json()["bytes"] == size
        assert client.post("/v1/echo", content=chunks(size)).json()["bytes"] == size
    assert behind.settled()


def test_a_body_that_says_it_is_too_long_is_not_read(behind: Behind) -> None:
    head = f"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX + 1}\r\n\r\n"
    start = time.monotonic()
    with behind.line() as line:
        line.sendall(head.encode())
        told = line.recv(65536)
        assert time.monotonic() - start < SOON
    assert told.startswith(b"HTTP/1.1 413 ")
    found = f"request: {MAX + 1} bytes; expected at most {MAX} (serve.max_body). "
    assert found.encode() in told
    assert behind.settled()


def test_a_body_without_a_length_is_counted(behind: Behind) -> None:
    told = httpx2.post(f"{behind.base}/v1/echo", content=chunks(20 * MAX))
    assert told.status_code == 413
    assert told.headers["content-type"] == "application/problem+json"
    assert told.json()["request_id"] == told.headers["x-request-id"]
    found = f"request: more than {MAX} bytes; expected at most {MAX} (serve.max_body). "
    assert told.json()["detail"].startswith(found)
    assert behind.settled()


def test_too_many_values_are_counted_and_told(behind: Behind) -> None:
    told = httpx2.post(f"{behind.base}/v1/json", content=b"[" + b"1," * 200_000)
    assert told.status_code == 413
    assert "more than 200000 values; expected at most 200000" in told.json()["detail"]


def test_the_sender_of_too_much_reads_why(behind: Behind) -> None:
    told = httpx2.post(f"{behind.base}/api/falcon", content=b"x" * (20 * MAX))
    assert told.status_code == 413
    assert told.headers["content-type"] == "application/json"
    assert isinstance(told.json()["detail"], str)


def test_nobody_waits_for_a_slow_body(hasty: Behind) -> None:
    with hasty.line() as line:
        line.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
        start = time.monotonic()
        told = line.recv(65536)
        assert told.startswith(b"HTTP/1.1 408 ")
        assert 0.4 < time.monotonic() - start < SOON
    assert hasty.settled()


def test_a_body_that_drips_has_no_more_time(hasty: Behind) -> None:
    with hasty.line() as line:
        line.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n")
        start = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - start < SOON:
                line.sendall(b"x")
                time.sleep(0.05)
        assert drained(line).startswith(b"HTTP/1.1 408 ")
    assert hasty.settled()


def test_a_client_that_leaves_in_its_body_is_forgotten(behind: Behind) -> None:
    for _ in range(20):
        with behind.line() as line:
            line.sendall(
                b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nab"
            )
    assert behind.settled()
    assert behind.faults == []


def test_what_is_held_at_once_has_a_bound(tmp_path: Path) -> None:
    bodies = Limits(ServeSettings(max_body=1000)).bodies
    assert bodies.hold(bodies.most - 10)
    assert not bodies.hold(11)
    assert bodies.hold(10)
    bodies.release(bodies.most)
    assert bodies.held == 0


# Heads


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/echo HTTP/1.1\r\n" + b"A: b\r\n" * (MOST_HEADERS + 1), 431),
        (b"GET /v1/echo HTTP/1.1\r\nA: " + b"x" * 200_000, 431),
        (b"GET /v1/echo HTTP/1.1\r\nA: " + b"x" * 40_000 + b"\r\n", 431),
        (b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\nHost: localhost\r\n", 414),
        (b"GET /v1/echo?" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n", 414),
        (b"GET /" + b"x" * 300_000, 431),
        (b"GET /v1/echo%00 HTTP/1.1\r\nHost: localhost\r\n", 400),
        (b"GET /v1/echo%0d%0aX HTTP/1.1\r\nHost: localhost\r\n", 400),
        (b"nonsense\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n", 400),
        (b"GET /v1/echo HTTP/1.1\r\nHost: localhost\r\nA\x00b: c\r\n", 400),
        (b"GET /v1/echo HTTP/9.9\r\n", 400),
        (b"GET http://[bad/ HTTP/1.1\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n", 404),
        (b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n", 400),
        (b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e3\r\n", 400),
        (b"POST /v1/echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"POST /v1/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n", 400),
        (b"POST /v1/echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n", 400),
        (
            b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 20 + b"\r\n",
            400,
        ),
    ],
)
def test_heads(behind: Behind, head: bytes, status: int) -> None:
    told = behind.ask(head + b"Connection: close\r\n\r\n")
    assert told.startswith(f"HTTP/1.1 {status} ".encode()), told[:200]
    assert b"Traceback" not in told
    assert behind.settled()
    assert httpx2.get(f"{behind.base}/health").status_code == 200
    assert behind.faults == []


def test_a_head_that_is_too_large_is_told_with_what_may_be(behind: Behind) -> None:
    path = httpx2.get(f"{behind.base}/{'x' * 5_000}")
    assert "a path of 5001 bytes, a query of 0; expected at most 4096 and" in path.json()["detail"]
    many = httpx2.get(f"{behind.base}/v1/read", headers={"X-A": "x" * 32_700})
    assert many.status_code == 431
    assert re.search(
        r"headers: \d+ of 32\d{3} bytes; expected at most 100 of", many.json()["detail"]
    )


def test_headers_after_the_body_are_counted(behind: Behind) -> None:
    told = behind.ask(
        b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"A: b\r\n" * 500
        + b"\r\n"
    )
    assert b" 431 " in told.partition(b"\r\n")[0] or told == b""
    assert behind.settled()


def test_a_head_has_its_time(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_TIMEOUT", 1.5)
    with behind.line() as silent, behind.line() as slow:
        slow.sendall(b"GET /v1/echo HT")
        start = time.monotonic()
        assert drained(silent).startswith(b"HTTP/1.1 408 ")
        assert drained(slow).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - start < SOON
    with behind.line() as dripping:
        with contextlib.suppress(OSError):
            for letter in b"GET /v1/echo HTTP/1.1\r\nA: " + b"x" * 100:
                dripping.sendall(bytes([letter]))
                time.sleep(0.02)
        assert drained(dripping).startswith((b"HTTP/1.1 408 ", b""))
    with behind.line() as again:
        again.sendall(b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b'"read"' in again.recv(65536)
        again.sendall(b"\r\n")  # keeps a line of uvicorn's open for ever
        start = time.monotonic()
        drained(again)
        assert time.monotonic() - start < SOON


def refusals(lines: list[socket.socket], seconds: float) -> int:
    """How many of some lines say next that there are too many."""
    told, _, _ = select.select(lines, [], [], seconds)
    return sum(line.recv(65536).startswith(b"HTTP/1.1 503 ") for line in told)


def test_many_lines_that_ask_nothing(behind: Behind) -> None:
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(behind.line()) for _ in range(behind.limits.sockets + 4)]
        refused, until = 0, time.monotonic() + PATIENCE
        while refused < 4 and time.monotonic() < until:
            refused += refusals(lines, 0.1)
        assert refused + refusals(lines, 0.3) == 4
    until = time.monotonic() + PATIENCE
    while behind.lines and time.monotonic() < until:
        time.sleep(0.01)
    assert httpx2.get(f"{behind.base}/health").status_code == 200


# Numbers and rates


def test_more_than_the_connections_are_refused_at_once(behind: Behind) -> None:
    def ask(_: int) -> tuple[int, float, str]:
        start = time.monotonic()
        told = httpx2.get(f"{behind.base}/v1/slow?seconds=3")
        return told.status_code, time.monotonic() - start, told.headers.get("retry-after", "")

    with ThreadPoolExecutor(14) as pool:
        answers = list(pool.map(ask, range(14)))
    refused = [one for one in answers if one[0] == 503]
    assert len(refused) >= 6
    assert all(after == "1" for _, _, after in refused)
    assert sum(status == 200 for status, _, _ in answers) >= 8
    assert behind.settled()


def test_the_rate_counts_for_each_key(tmp_path: Path) -> None:
    first = keys.create(tmp_path / "keys", "first")
    second = keys.create(tmp_path / "keys", "second")
    with guarded(tmp_path / "keys", rate=2.0) as behind, httpx2.Client() as client:
        behind.limits._clock = lambda: 1000.0

        def ask(key: str) -> Any:
            return client.get(f"{behind.base}/v1/read", headers={"X-API-Key": key})

        told = [ask(first) for _ in range(8)]
        statuses = [one.status_code for one in told]
        assert statuses[:4] == [200] * 4
        assert 429 in statuses
        late = next(one for one in told if one.status_code == 429)
        after = int(late.headers["retry-after"])
        assert after >= 1
        assert f"at most 2 a second (serve.rate). Come back in {after} s" in late.json()["detail"]
        assert ask(second).status_code == 200
        assert client.get(f"{behind.base}/health").status_code == 200
        wrong = [ask("ksp_wrong").status_code for _ in range(12)]
        assert wrong[0] == 401
        assert 429 in wrong


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.floats(0.1, 50))
def test_nobody_gets_more_than_the_rate(pauses: list[float], rate: float) -> None:
    now = [0.0]
    limits = Limits(ServeSettings(rate=rate), clock=lambda: now[0])
    passed, start = 0, now[0]
    for pause in pauses:
        now[0] += pause
        wait = limits.wait("somebody")
        passed += not wait
        if wait:
            assert wait <= 1 / rate + 1e-6
    assert passed <= max(1.0, 2 * rate) + (now[0] - start) * rate + 1e-6
    assert passed >= 1


def test_who_waits_as_told_is_let_in() -> None:
    now = [0.0]
    limits = Limits(ServeSettings(rate=3.0), clock=lambda: now[0])
    for _ in range(50):
        wait = limits.wait("somebody")
        if wait:
            now[0] += wait + 1e-9
            assert limits.wait("somebody") == 0


def test_strangers_are_forgotten_in_time() -> None:
    limits = Limits(ServeSettings(rate=1.0))
    for number in range(30_000):
        limits.wait(str(number))
    assert len(limits._buckets) <= 10_000


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "unknown", False),
    ],
)
def test_neighbourhoods(one: str, other: str, same: bool) -> None:
    assert (neighbourhood(one) == neighbourhood(other)) is same


# Time, and clients that leave


def test_a_request_has_its_time(hasty: Behind) -> None:
    start = time.monotonic()
    told = httpx2.get(f"{hasty.base}/v1/slow?seconds=60")
    assert time.monotonic() - start < SOON
    assert told.status_code == 503
    assert told.headers["retry-after"]
    assert "cancelled" in hasty.seen
    assert hasty.faults == []
    assert hasty.settled()


def test_work_for_a_client_that_left_is_ended(behind: Behind) -> None:
    with behind.line() as line:
        line.sendall(b"GET /v1/slow?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until = time.monotonic() + PATIENCE
        while "begun" not in behind.seen and time.monotonic() < until:
            time.sleep(0.01)
    assert behind.settled()
    assert behind.seen == ["begun", "cancelled"]
    assert behind.faults == []


def test_a_stream_of_events_may_last(hasty: Behind) -> None:
    start = time.monotonic()
    told = httpx2.get(f"{hasty.base}/v1/events")
    assert told.text.count("data:") == 4
    assert time.monotonic() - start > 1.0  # longer than a request may take
    assert hasty.settled()


def test_a_client_that_does_not_take_its_answer_is_left(hasty: Behind) -> None:
    with hasty.line() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(b"GET /v1/large?size=50000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until = time.monotonic() + PATIENCE
        while not hasty.lines and time.monotonic() < until:
            time.sleep(0.01)
        while hasty.lines and time.monotonic() < until:
            time.sleep(0.01)
        assert not hasty.lines
    assert hasty.settled()


def begun(behind: Behind, line: socket.socket, room: int, body: bytes = b"") -> Any:
    """Ask for a large answer on a line that takes little ahead; what answers there."""
    head = b"GET /v1/large?size=50000000 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    line.sendall(head % len(body) + body)
    wait_for(lambda: behind.limits.entered == 1)
    assert behind.server is not None
    return next(iter(behind.server.server_state.connections))


@pytest.mark.parametrize("body", [b"", b"hi"])
def test_a_large_answer_is_handed_over_as_it_is_taken(behind: Behind, body: bytes) -> None:
    with behind.line() as line:
        one = begun(behind, line, 4096, body)
        wait_for(lambda: behind.on_loop(lambda: one.flow.write_paused))
        assert behind.on_loop(one.transport.get_write_buffer_size) < exchange.LARGE
    assert behind.settled()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may keep more unsent")
def test_it_is_seen_what_a_client_takes_of_a_large_answer(behind: Behind) -> None:
    with behind.line() as line:
        one = begun(behind, line, 65536)

        def handed_over() -> int:
            written: int = behind.on_loop(lambda: one.transport._written)
            return written

        before = -1
        while before != handed_over():
            before = handed_over()
            time.sleep(0.2)
        taken = 0
        while taken < 2 * outbox.PIECE:
            taken += len(line.recv(65536))
        wait_for(lambda: handed_over() > before)
    assert behind.settled()


def test_a_listener_that_does_not_read_is_left(
    hasty: Behind, caplog: pytest.LogCaptureFixture
) -> None:
    with hasty.line() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(b"GET /v1/flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(64).startswith(b"HTTP/1.1 200 ")
        wait_for(lambda: not hasty.lines)
    assert hasty.settled()
    assert caplog.text == ""


def test_whoever_takes_one_answer_after_another_gets_them_whole(tmp_path: Path) -> None:
    size = 3_000_000
    ask = b"GET /v1/large?size=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size
    with guarded(tmp_path / "keys", body_timeout=2.0) as steady, steady.line() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        start = time.monotonic()
        while time.monotonic() - start < 3.0:  # longer than one of them may take
            line.sendall(ask)
            head, _, body = line.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            left = size - len(body)
            while left:
                part = line.recv(min(left, 262_144))
                assert part, f"{left} bytes short"
                left -= len(part)
                time.sleep(0.01)


def test_whoever_takes_a_large_answer_too_slowly_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 30_000_000
    monkeypatch.setattr(exchange, "SLOWEST", size)
    with guarded(tmp_path / "keys", body_timeout=1.0) as steady, steady.line() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        line.sendall(b"GET /v1/large?size=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size)
        left = size
        with contextlib.suppress(ConnectionError):
            while left > 0 and (part := line.recv(65536)):
                left -= len(part)
                time.sleep(0.02)  # a piece in a twelfth of a second, the whole in nine
        assert left > 0
        assert steady.settled()


def test_large_answers_count_among_what_is_held(behind: Behind) -> None:
    size = 50_000_000
    ask = b"GET /v1/large?size=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size
    behind.limits.answers.each = size + 1
    with behind.line() as one, behind.line() as other:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(ask)
        wait_for(lambda: behind.limits.answers.held == size)
        other.sendall(ask)
        told = other.recv(65536)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after" in told
        other.sendall(ask.replace(b"GET", b"HEAD"))
        assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert behind.limits.bodies.held == 0
    assert behind.settled()
    assert behind.faults == []


def test_answers_that_nobody_takes_keep_nobody_from_asking(behind: Behind) -> None:
    size = behind.limits.answers.most = 50_000_000
    with behind.line() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(b"GET /v1/large?size=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size)
        wait_for(lambda: behind.limits.answers.held == size)
        told = httpx2.post(f"{behind.base}/v1/echo", content=b"x" * MAX)
        assert told.json()["bytes"] == MAX
    assert behind.settled()


def test_pipelined_requests_are_each_answered(behind: Behind) -> None:
    one = b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /v1/read HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert behind.ask(one * 30 + last).count(b'"read"') == 31


def test_a_stopping_service_takes_no_more(behind: Behind) -> None:
    behind.limits.stopping = True
    told = httpx2.get(f"{behind.base}/v1/read")
    assert told.status_code == 503
    assert int(told.headers["retry-after"]) >= 1
    assert httpx2.get(f"{behind.base}/health").status_code == 200


def test_a_body_that_is_still_coming_is_sent_away_when_the_service_stops(behind: Behind) -> None:
    with behind.line() as line, behind.line() as later:
        line.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
        wait_for(lambda: behind.limits.bodies.held == 3)
        behind.on_loop(behind.limits.stop)
        told = drained(line)  # within the time of a test's patience: its own time is as long
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"the service is stopping" in told
        assert b"connection: close" in told
        later.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
        assert later.recv(65536).startswith(b"HTTP/1.1 503 ")
    assert behind.settled()


def test_a_body_that_is_still_coming_at_the_very_end_is_sent_away(behind: Behind) -> None:
    with behind.line() as line:
        line.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
        wait_for(lambda: behind.limits.bodies.held == 3)
        assert behind.server is not None
        tasks = behind.server.server_state.tasks
        behind.on_loop(lambda: [task.cancel() for task in list(tasks)])
        told = drained(line)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"the service is stopping" in told
    assert behind.settled()
    assert behind.faults == []


def test_a_body_that_comes_in_a_moment_is_answered_while_the_service_stops(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINGER", PATIENCE)
    with behind.line() as line:
        line.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
        wait_for(lambda: behind.limits.bodies.held == 3)
        behind.on_loop(behind.limits.stop)
        line.sendall(b"defghi")
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert behind.settled()


def test_who_takes_nothing_while_the_service_stops_is_left(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "STALLED", 10 * PATIENCE)
    with behind.line() as line:
        one = begun(behind, line, 4096)
        wait_for(lambda: behind.on_loop(lambda: one.flow.write_paused))
        left = behind.on_loop(one.transport.get_write_buffer_size)
        assert left > 0
        behind.on_loop(one.hasten)  # the first look
        behind.on_loop(lambda: one.hasten(left + 1))  # it took a byte
        assert behind.lines == 1
        behind.on_loop(lambda: one.hasten(left))  # it took none
        wait_for(lambda: not behind.lines)
    assert behind.settled()


# Memory


def test_whoever_asks_how_it_is_keeps_no_memory_from_being_given_back(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = threading.Event()
    monkeypatch.setattr(quiet, "give_back", given.set)
    for _ in range(3):
        httpx2.get(f"{behind.base}/health")
    assert behind.limits.entered == 0
    with httpx2.stream("GET", f"{behind.base}/v1/endless"):
        wait_for(lambda: (behind.limits.running, behind.limits.working) == (1, 0))
        assert behind.limits.entered == 1

        async def resting() -> None:
            task = asyncio.create_task(quiet.rest(behind.limits, pause=0.01))
            while not given.is_set():
                behind.limits.running += 1  # a probe, seen while it is answered
                await asyncio.sleep(0.01)
                behind.limits.running -= 1
            task.cancel()

        asyncio.run(asyncio.wait_for(resting(), PATIENCE))
    assert behind.settled()


# Answers


def test_every_answer_has_the_usual_headers(behind: Behind) -> None:
    for path in ("/v1/read", "/v1/none", "/health", "/v1/error?kind=busy"):
        told = httpx2.get(f"{behind.base}{path}")
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["x-frame-options"] == "DENY"
        assert told.headers["referrer-policy"] == "no-referrer"
        assert "default-src" in told.headers["content-security-policy"]
        assert told.headers["cache-control"] == "no-store"
        assert len(told.headers["x-request-id"]) == 32
    page = httpx2.get(f"{behind.base}/v1/page").headers["content-security-policy"]
    assert "default-src 'self'" in page
    assert "script-src" not in page


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-123_x.Y", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a\x1b[31m", False),
        ("<script>", False),
    ],
)
def test_a_sane_id_is_kept(behind: Behind, given: str, kept: bool) -> None:
    raw = given.encode().replace(b"\x1b", b"\xe9")
    told = httpx2.get(f"{behind.base}/v1/read", headers={"X-Request-ID": raw})  # type: ignore[dict-item]
    assert (told.headers["x-request-id"] == given) is kept


def test_a_fault_tells_nothing(behind: Behind) -> None:
    told = httpx2.get(f"{behind.base}/v1/fault")
    assert told.status_code == 500
    assert told.json()["detail"] == "a fault of this service; its log has the id"
    assert "secret" not in told.text
    assert "Zero" not in told.text
    assert isinstance(behind.faults[0], ZeroDivisionError)
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"{behind.base}/v1/late-fault")
    assert behind.settled()


@pytest.mark.parametrize(
    "content",
    [b"{", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"\xff", b"null"],
)
def test_bad_json(behind: Behind, content: bytes) -> None:
    told = httpx2.post(
        f"{behind.base}/v1/json", content=content, headers={"Content-Type": "application/json"}
    )
    assert told.status_code in (200, 400, 422)
    assert behind.faults == []
    json.loads(told.content)


# What errors become


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotEnrolled("a", "not here"), 404),
        (PictureError("a", "junk"), 400),
        (PictureTooLarge("a", "9 pixels"), 413),
        (FetchError("a", "refused"), 400),
        (IndexBusy("a", "busy"), 409),
        (SpaceMismatch("a", "another"), 409),
        (MissingExtra("a", "not installed"), 422),
        (ServiceBusy("a", "busy"), 503),
        (KenspeckleError("a", "b"), 400),
    ],
)
def test_status_of_errors(error: KenspeckleError, status: int) -> None:
    assert problems.status_of(error) == status
    assert ("Retry-After" in problems.headers_of(error)) == (status == 503)


def every_error(kind: type[KenspeckleError] = KenspeckleError) -> Iterator[type[KenspeckleError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every_error(below)


def test_no_error_of_ours_is_a_fault() -> None:
    for kind in every_error():
        status = problems.status_of(kind("a", "b"))
        assert 400 <= status < 500 or status == 503


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (GalleryError("/srv/a/things.ken", "held"), "things.ken: held"),
        (
            GalleryError("things.ken", "/home/ann/x.lock is no lock"),
            "things.ken: x.lock is no lock",
        ),
        (GalleryError(r"C:\Users\ann\things.ken", "held"), "things.ken: held"),
        (PictureError("a/b.jpg", "3 bytes"), "a/b.jpg: 3 bytes"),
        (
            KenspeckleError("n/m", "1/2 of http://h/a/b"),
            "n/m: 1/2 of http://h/a/b",
        ),
    ],
)
def test_no_folder_of_this_machine_is_told(error: KenspeckleError, told: str) -> None:
    assert problems.told(error) == told


def test_every_address_fails_alike() -> None:
    errors = [
        FetchError("http://10.0.0.1/", "a private or reserved address"),
        FetchError("http://nosuch.example/", "no such host"),
        FetchError("http://h/", "status 403", expected="200"),
        FetchError("http://h/", "unreachable (Connection refused)"),
        FetchError("http://h/", "no whole answer within 20 s"),
    ]
    assert len({problems.told(error) for error in errors}) == 1


def test_errors_of_routes(behind: Behind) -> None:
    busy = httpx2.get(f"{behind.base}/v1/error?kind=busy")
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    assert busy.json()["type"] == "urn:kenspeckle:service-busy"
    held = httpx2.get(f"{behind.base}/v1/error?kind=gallery")
    assert held.status_code == 409
    assert "/srv" not in held.text
    fetched = httpx2.get(f"{behind.base}/v1/error?kind=fetch")
    assert fetched.status_code == 400
    assert "10.0.0.7" not in fetched.text
    assert "private" not in fetched.text
    missing = httpx2.get(f"{behind.base}/v1/slow?seconds=x")
    assert missing.status_code == 422
    assert missing.json()["errors"][0]["loc"] == ["query", "seconds"]
    assert httpx2.get(f"{behind.base}/v1/none").json()["status"] == 404
    assert httpx2.put(f"{behind.base}/v1/read").status_code == 405


def test_the_service_answers_others_while_one_is_slow(behind: Behind) -> None:
    slow = threading.Thread(target=lambda: httpx2.get(f"{behind.base}/v1/slow?seconds=3"))
    slow.start()
    until = time.monotonic() + PATIENCE
    while "begun" not in behind.seen and time.monotonic() < until:
        time.sleep(0.01)
    assert httpx2.get(f"{behind.base}/health").status_code == 200
    assert behind.seen == ["begun"]
    slow.join()
