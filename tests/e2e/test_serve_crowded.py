"""One who holds things up holds up nobody else: writers, slow addresses, clients that leave."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx2
import pytest
from drawing import draw
from listening import listening
from serving import free_port, served

from kenspeckle import Gallery
from kenspeckle.config import ImageSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.serve import turns
from kenspeckle.serve.keys import create
from kenspeckle.serve.service import Service

THINGS = "/v1/galleries/things"
SETTINGS = Settings(
    models=ModelSettings(name="dummy"),
    image=ImageSettings(fetch_private=True, fetch_timeout=60.0),
    serve=ServeSettings(),
)


def png(seed: int) -> bytes:
    out = io.BytesIO()
    draw(seed).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    (tmp_path / "refs").mkdir()
    for seed in range(3):
        draw(seed).save(tmp_path / "refs" / f"thing {seed}.png")
    with Gallery.create(tmp_path / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(tmp_path / "refs")
    return tmp_path / "things.ken"


@pytest.fixture
def client(index: Path) -> Iterator[httpx2.Client]:
    with (
        served(replace(SETTINGS), [index]) as (base, _),
        httpx2.Client(base_url=base, timeout=120) as made,
    ):
        yield made


class _Slow(BaseHTTPRequestHandler):
    go: ClassVar[threading.Event]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/slow"):
            self.go.wait(60)
        body = png(1)
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def origin() -> Iterator[tuple[str, type[_Slow]]]:
    """A server that answers below `/slow` only when it is let go."""
    kind = type("Slow", (_Slow,), {"go": threading.Event(), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kind
    finally:
        kind.go.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def identified(client: httpx2.Client) -> None:
    answer = client.post(f"{THINGS}/identify", files={"image": ("p.png", png(1))})
    assert answer.status_code == 200, answer.text


@pytest.mark.slow
def test_who_waits_for_another_writer_holds_up_no_answers(
    client: httpx2.Client, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gallery.writing, "__defaults__", (60.0,))  # they wait until it is free

    def confirm(number: int) -> int:
        photo = {"image": ("p.png", png(50 + number))}
        answer = client.post(f"{THINGS}/confirm", params={"key": "thing 1"}, files=photo)
        return answer.status_code

    identified(client)
    with ThreadPoolExecutor(12) as pool:
        with Gallery.open(index, settings=SETTINGS, write=True):
            confirms = [pool.submit(confirm, number) for number in range(12)]
            time.sleep(0.5)
            for _ in range(5):
                identified(client)
            assert not any(one.done() for one in confirms)
        codes = {one.result() for one in confirms}
    assert 201 in codes <= {201, 409}


@pytest.mark.slow
def test_clients_that_leave_free_no_thread_that_still_fetches(
    client: httpx2.Client, origin: tuple[str, type[_Slow]]
) -> None:
    address, kind = origin
    body = json.dumps({"url": f"{address}/slow"}).encode()
    head = f"POST {THINGS}/identify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json"
    message = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    place = (client.base_url.host, client.base_url.port or 80)
    for _ in range(60):
        with socket.create_connection(place) as leaving:
            leaving.sendall(message)
            time.sleep(0.01)
    until(lambda: len(kind.asked) > 0)
    time.sleep(0.2)
    assert 0 < len(kind.asked) <= turns.SHARE
    late = client.post(f"{THINGS}/identify", json={"url": f"{address}/quick"})
    assert late.status_code == 503, late.text
    assert int(late.headers["retry-after"]) > 0
    assert "of yours" in late.json()["detail"]
    kind.go.set()
    quick = {"url": f"{address}/quick"}
    until(lambda: client.post(f"{THINGS}/identify", json=quick).status_code == 200)


@pytest.mark.slow
def test_slow_addresses_of_one_hold_up_nobody_elses(
    index: Path, origin: tuple[str, type[_Slow]], tmp_path: Path
) -> None:
    from kenspeckle.serve import keys

    address, kind = origin
    file = tmp_path / "keys"
    secrets = [keys.create(file, name, ["read"]) for name in ("greedy", "modest")]
    asked = replace(SETTINGS, serve=replace(SETTINGS.serve, keys=str(file)))
    greedy, modest = ({"authorization": f"Bearer {secret}"} for secret in secrets)
    with (
        served(asked, [index]) as (base, _service),
        httpx2.Client(base_url=base, timeout=120) as client,
        ThreadPoolExecutor(16) as pool,
    ):

        def ask(headers: dict[str, str], path: str) -> int:
            wish = {"url": f"{address}/{path}"}
            return client.post(f"{THINGS}/identify", json=wish, headers=headers).status_code

        several = [pool.submit(ask, greedy, "slow") for _ in range(16)]
        until(lambda: kind.asked.count("/slow") == turns.SHARE)
        time.sleep(0.5)
        assert ask(modest, "quick") == 200
        until(lambda: sum(one.done() for one in several) == 16 - turns.SHARE)
        kind.go.set()
        codes = [one.result() for one in several]
        assert codes.count(503) == 16 - turns.SHARE


def test_what_may_be_fetched_at_once_is_for_all_ports_and_surfaces(
    index: Path, origin: tuple[str, type[_Slow]]
) -> None:
    address, kind = origin
    first, second = free_port(), free_port()
    serve = replace(SETTINGS.serve, port=first, surfaces=("falcon", f"analyze=:{second}"))
    with (
        served(replace(SETTINGS, serve=serve), [index]) as (_, service),
        httpx2.Client(timeout=120) as client,
        ThreadPoolExecutor(4) as pool,
    ):

        def ask(port: int, path: str, **wish: object) -> int:
            return client.post(f"http://127.0.0.1:{port}{path}", json=wish).status_code

        slow = {"url": f"{address}/slow"}
        held = [pool.submit(ask, first, f"{THINGS}/identify", **slow) for _ in range(4)]
        until(lambda: kind.asked.count("/slow") == turns.SHARE)
        service.downloads._patience = 0.05
        task = {"operation_id": "a", "type": "detect_bounding_box"}
        analyze = {"image_url": f"{address}/more", "tasks": [task]}
        for port in (first, second):
            assert ask(port, f"{THINGS}/identify", url=f"{address}/more") == 503
        assert ask(second, "/analyze_image/", **analyze) == 503
        assert kind.asked == ["/slow"] * turns.SHARE
        kind.go.set()
        assert [one.result() for one in held] == [200] * 4
        assert ask(second, f"{THINGS}/identify", url=f"{address}/more") == 200


def test_changes_of_all_ports_wait_together(index: Path) -> None:
    first, second = free_port(), free_port()
    serve = replace(SETTINGS.serve, port=first, surfaces=("falcon", f"analyze=:{second}"))
    begun, go = [], threading.Event()
    with (
        served(replace(SETTINGS, serve=serve), [index]) as (_, service),
        httpx2.Client(timeout=120) as client,
        ThreadPoolExecutor(2 * turns.CHANGES) as pool,
    ):
        gallery = service.gallery()
        writing = gallery.writing

        def held(*given: object) -> object:
            begun.append(1)
            assert go.wait(60)
            return writing(*given)

        gallery.writing = held  # type: ignore[method-assign,assignment]
        asked = [
            pool.submit(
                client.delete, f"http://127.0.0.1:{port}{THINGS}/items/thing%20{number % 3}"
            )
            for number in range(turns.CHANGES)
            for port in (first, second)
        ]
        until(lambda: len(begun) == turns.CHANGES and len(service.changes._waiting) == 4)
        assert len(begun) == turns.CHANGES
        go.set()
        assert sorted(one.result().status_code for one in asked)[:3] == [200] * 3


@pytest.fixture
def keyed(index: Path) -> Iterator[tuple[str, Service, dict[str, str], dict[str, str]]]:
    """A service with two keys: its address, itself, and the headers of a reader and of an owner."""
    keys = index.parent / "keys.json"
    reader, owner = (
        {"Authorization": f"Bearer {create(keys, name, scopes)}"}
        for name, scopes in (("reader", ("read",)), ("owner", ("read", "write")))
    )
    serve = replace(SETTINGS.serve, keys=str(keys))
    with served(replace(SETTINGS, serve=serve), [index]) as (base, service):
        yield base, service, reader, owner


def test_one_key_does_not_fill_the_queue_of_jobs(keyed, origin) -> None:
    base, _, reader, owner = keyed
    address, slow = origin
    photos = {"kind": "identify", "urls": [f"{address}/slow"]}
    with httpx2.Client(base_url=base, timeout=120) as client:
        said = [client.post(f"{THINGS}/jobs", json=photos, headers=reader) for _ in range(34)]
        assert [one.status_code for one in said] == [202] * 33 + [503]
        assert "32 of yours wait already" in said[-1].json()["detail"]
        mine = client.post(f"{THINGS}/jobs", json={"kind": "index"}, headers=owner)
        assert mine.status_code == 202, mine.text
        for one in said[:-1]:
            client.delete(f"/v1/jobs/{one.json()['id']}", headers=reader)
        slow.go.set()


def test_frames_of_another_key_are_no_frames_of_a_stream(keyed) -> None:
    base, service, reader, owner = keyed
    frame = {"image": ("a.png", png(1))}
    with httpx2.Client(base_url=base, timeout=120) as client:
        at = f"{THINGS}/identify?stream=door&at="
        assert client.post(at + "1e300", files=frame, headers=reader).status_code in (400, 422)
        assert len(service.streams) == 0
        for who in (reader, owner, reader):
            assert client.post(at + "2.5", files=frame, headers=who).status_code == 200
        assert len(service.streams) == 2


def test_one_key_does_not_take_all_places_of_listeners_or_streams(keyed) -> None:
    base, service, reader, owner = keyed
    service.bus._most = service.streams._most = 4
    service.streams._patience = 1e9
    events, frame = f"{base}/v1/events", {"image": ("a.png", png(1))}
    with httpx2.Client(base_url=base, timeout=120) as client:

        def ask(stream: str, who: dict[str, str]) -> int:
            at = f"{THINGS}/identify?stream={stream}"
            return client.post(at, files=frame, headers=who).status_code

        assert [ask(f"s{number}", reader) for number in range(3)] == [200, 200, 503]
        assert ask("door", owner) == 200
        with listening(events, **reader), listening(events, **reader):
            assert client.get(events, headers=reader).status_code == 503
            with listening(events, **owner) as listener:
                assert listener.status == 200
                service.bus.close()  # so that nobody waits for the next heartbeat
