"""Fetching from servers of all manners: how they frame a body, and when they hang up."""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError
from kenspeckle.image.decode import decode
from kenspeckle.image.fetch import fetch

BODY = bytes(range(256)) * 700  # several reads long
OPEN = ImageSettings(fetch_private=True, fetch_timeout=30.0, max_bytes=len(BODY))
HASTY = ImageSettings(fetch_private=True, fetch_timeout=0.4)

Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(script: Script) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a request, follows a script, and hangs up: its address, the requests."""
    requests: list[bytes] = []

    def answer(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += line.recv(4096)
            requests.append(request)
            script(line)
            line.shutdown(socket.SHUT_WR)
            while line.recv(4096):  # until the client hangs up too
                pass

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = listener.accept()
                line.settimeout(60)
                workers.append(threading.Thread(target=answer, args=(line,)))
                workers[-1].start()

    workers: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.jpg", requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for worker in (thread, *workers):
                worker.join(60)


def chunked(body: bytes) -> bytes:
    steps = range(0, len(body), 5000)
    parts = [body[step : step + 5000] for step in steps]
    return (
        b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nT: t\r\n\r\n"
    )


def head(protocol: str, *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/{protocol} {status}", *headers, "", ""]).encode()


LENGTH = f"Content-Length: {len(BODY)}"
FRAMES = {
    "1.0, no length": head("1.0") + BODY,
    "1.0, length": head("1.0", LENGTH) + BODY,
    "1.0, kept alive": head("1.0", LENGTH, "Connection: keep-alive") + BODY,
    "1.1, length": head("1.1", LENGTH) + BODY,
    "1.1, length, close": head("1.1", LENGTH, "Connection: close") + BODY,
    "1.1, no length": head("1.1") + BODY,
    "1.1, no length, close": head("1.1", "Connection: close") + BODY,
    "1.1, chunked": head("1.1", "Transfer-Encoding: chunked") + chunked(BODY),
    "1.1, chunked, close": head("1.1", "Transfer-Encoding: chunked", "Connection: close")
    + chunked(BODY),
    "1.1, after 100": head("1.1", status="100 Continue") + head("1.1", LENGTH) + BODY,
}


@pytest.mark.parametrize("frame", FRAMES)
def test_every_frame_of_a_body_is_read(frame: str) -> None:
    with serving(lambda line: line.sendall(FRAMES[frame])) as (url, requests):
        assert fetch(url, OPEN) == BODY
    (request,) = requests
    assert request.startswith(b"GET /a.jpg HTTP/1.1\r\n")
    assert b"\r\nConnection: close\r\n" in request


@pytest.mark.parametrize("frame", FRAMES)
def test_every_frame_of_a_body_is_measured(frame: str) -> None:
    limits = ImageSettings(fetch_private=True, max_bytes=len(BODY) - 1)
    with (
        serving(lambda line: line.sendall(FRAMES[frame])) as (url, _),
        pytest.raises(FetchError, match=f"bytes; expected at most {len(BODY) - 1}"),
    ):
        fetch(url, limits)


@pytest.mark.parametrize("frame", [name for name in FRAMES if "no length" not in name])
def test_a_body_cut_off_is_no_body(frame: str) -> None:
    with (
        serving(lambda line: line.sendall(FRAMES[frame][:-20])) as (url, _),
        pytest.raises(FetchError, match="cut off"),
    ):
        fetch(url, OPEN)


def endless(start: bytes, again: bytes) -> Script:
    def script(line: socket.socket) -> None:
        line.sendall(start)
        while True:
            line.sendall(again)

    return script


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (head("1.0"), b"x" * 4096),
        (head("1.1", "Connection: close"), b"x" * 4096),
        (head("1.1", "Transfer-Encoding: chunked"), b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        # A length below nothing makes http.client read to the end, whatever size was asked for.
        (head("1.1", "Transfer-Encoding: chunked") + b"-1\r\n", b"x" * 4096),
        (head("1.1", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n", b"T: t\r\n" * 700),
        (b"", head("1.1", status="100 Continue") * 100),
    ],
)
def test_endless_answers_are_left(start: bytes, again: bytes) -> None:
    """By the limit of bytes, in time and memory to match, not by the deadline."""
    limits = ImageSettings(fetch_private=True, fetch_timeout=30.0, max_bytes=100_000)
    tracemalloc.start()
    try:
        with (
            serving(endless(start, again)) as (url, _),
            pytest.raises(FetchError, match="more than 100000 bytes; expected at most 100000"),
        ):
            fetch(url, limits)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        head("1.0"),
        head("1.1", "Connection: close"),
        head("1.1", "Connection: close", "Content-Length: 9999"),
        head("1.1", "Transfer-Encoding: chunked") + b"2000\r\n",
    ],
)
def test_drips_are_cut_off_at_the_deadline(start: bytes) -> None:
    def script(line: socket.socket) -> None:
        line.sendall(start)
        for _ in range(2000):
            line.sendall(b"H")
            time.sleep(0.02)

    with serving(script) as (url, _):
        began = time.monotonic()
        with pytest.raises(FetchError, match=r"no whole answer within 0\.4 s"):
            fetch(url, HASTY)
        assert 0.35 < time.monotonic() - began < 20.0


def test_one_deadline_holds_over_all_redirects() -> None:
    def script(line: socket.socket) -> None:
        time.sleep(0.6)
        line.sendall(head("1.0", "Location: /again", status="302 Found"))

    with serving(script) as (url, requests):
        with pytest.raises(FetchError, match=r"/a\.jpg: no whole answer within 1\.5 s"):
            fetch(url, ImageSettings(fetch_private=True, fetch_timeout=1.5))
        assert 2 <= len(requests) <= 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_chain_of_redirects_leads_from_host_to_host(status: int) -> None:
    with serving(lambda line: line.sendall(FRAMES["1.0, no length"])) as (last, asked_last):

        def script(line: socket.socket) -> None:
            left = 3 - len(asked)
            where = "c.example" if left else "d.example"
            onward = url.replace("127.0.0.1", where) if left else last.replace("127.0.0.1", where)
            line.sendall(head("1.1", f"Location: {onward}", status=f"{status} Moved"))

        names = []

        def here(host: str, port: int) -> list[str]:
            names.append(host)
            return ["127.0.0.1"]

        with serving(script) as (url, asked):
            assert fetch(url.replace("127.0.0.1", "a.example"), OPEN, resolver=here) == BODY
    assert names == ["a.example", "c.example", "c.example", "d.example"]
    assert b"\r\nHost: d.example:" in asked_last[0]


@pytest.mark.parametrize("target", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_redirect_is_held_to_the_allowed_hosts(target: str) -> None:
    limits = ImageSettings(fetch_private=True, fetch_allow=("a.example",))
    with serving(lambda line: line.sendall(FRAMES["1.0, no length"])) as (inner, reached):
        onward = inner.replace("127.0.0.1", target)
        moved = head("1.0", f"Location: {onward}", status="302 Found")
        with (
            serving(lambda line: line.sendall(moved)) as (url, _),
            pytest.raises(FetchError, match="is not allowed"),
        ):
            fetch(
                url.replace("127.0.0.1", "a.example"),
                limits,
                resolver=lambda host, port: ["127.0.0.1"],
            )
    assert reached == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "hung up without an answer"),
        (b"\0\1 nothing\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n", "not HTTP"),
        (b"HTTP/1.1 200 " + b"O" * 70_000 + b"\r\n\r\n", "not HTTP"),
        (head("1.1", "Transfer-Encoding: chunked") + b"zz\r\nabc", "cut off"),
        (head("1.1", status="204 No Content"), "status 204"),
        (head("1.1", status="206 Partial Content") + b"x", "status 206"),
    ],
)
def test_odd_answers_are_named(answer: bytes, said: str) -> None:
    with (
        serving(lambda line: line.sendall(answer)) as (url, _),
        pytest.raises(FetchError, match=said),
    ):
        fetch(url, OPEN)


def test_a_server_that_speaks_no_tls_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            line, _ = listener.accept()
            with line, contextlib.suppress(OSError):
                line.sendall(FRAMES["1.0, length"])
                line.recv(4096)

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(FetchError, match=r"no secure connection \([a-z ]+\)"):
            fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", OPEN)
        thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="what a full backlog does is up to the system")
def test_an_address_that_is_silent_leaves_time_for_the_next() -> None:
    """The first of two addresses takes no connection; a full backlog drops what comes."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):
            line = stack.enter_context(socket.socket())
            line.setblocking(False)
            line.connect_ex(("127.0.0.2", port))
        with socket.create_server(("127.0.0.1", port)) as listener:

            def answer() -> None:
                line, _ = listener.accept()
                with line:
                    line.recv(4096)
                    line.sendall(head("1.0") + b"here")

            thread = threading.Thread(target=answer)
            thread.start()
            limits = ImageSettings(fetch_private=True, fetch_timeout=3.0)
            found = fetch(
                f"http://two.example:{port}/",
                limits,
                resolver=lambda h, p: ["127.0.0.2", "127.0.0.1"],
            )
            thread.join()
    assert found == b"here"


def test_no_socket_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    connect = socket.create_connection

    def remembering(*words: object) -> socket.socket:
        opened.append(connect(*words))
        return opened[-1]

    monkeypatch.setattr(socket, "create_connection", remembering)
    for answer in (FRAMES["1.0, no length"], FRAMES["1.1, chunked"], b"junk\r\n\r\n"):
        with (
            serving(lambda line, answer=answer: line.sendall(answer)) as (url, _),
            contextlib.suppress(FetchError),
        ):
            fetch(url, OPEN)
    assert [line.fileno() for line in opened] == [-1, -1, -1]


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_pictures_come_from_the_server_that_python_brings(tmp_path: Path, protocol: str) -> None:
    """`python -m http.server` in a folder, as people try it first."""

    class Folder(http.server.SimpleHTTPRequestHandler):
        protocol_version = protocol

        def log_message(self, *_: object) -> None:
            pass

    file = io.BytesIO()
    Image.effect_noise((300, 200), 60).convert("RGB").save(file, "JPEG")
    (tmp_path / "a b.jpg").write_bytes(file.getvalue())
    handler = functools.partial(Folder, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            assert decode(fetch(f"{address}/a b.jpg", OPEN)).size == (300, 200)
            with pytest.raises(FetchError, match="status 404"):
                fetch(f"{address}/b.jpg", OPEN)
        finally:
            server.shutdown()
            thread.join()
