"""Events of a real server: what appears and goes, once for each time, told to all who listen."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from listening import Listener, listening
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, ServeSettings, Settings
from kenspeckle.serve.events import Event
from kenspeckle.serve.keys import create, revoke
from kenspeckle.serve.service import Service

SETTINGS = Settings(
    models=ModelSettings(name="dummy"), serve=ServeSettings(patience=3.0, surfaces=("falcon",))
)
FRAMES = 12
"""More than the votes of one view need to give a name."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, drawn) -> Path:
    folder = tmp_path_factory.mktemp("things")
    for number in range(8):
        drawn(number).save(folder / f"thing_{number}.png")
    with Gallery.create(folder / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder)
    return folder / "things.ken"


@pytest.fixture
def server(index: Path) -> Iterator[tuple[str, Service]]:
    with served(replace(SETTINGS, serve=replace(SETTINGS.serve)), [index]) as found:
        yield found


@pytest.fixture
def photo(drawn) -> Callable[[int], bytes]:
    def taken(number: int) -> bytes:
        file = io.BytesIO()
        drawn(number).rotate(3).save(file, "PNG")
        return file.getvalue()

    return taken


def play(base: str, data: bytes, stream: str, frames: int = FRAMES, gallery: str = "-") -> None:
    with httpx2.Client(base_url=base) as client:
        for _ in range(frames):
            answer = client.post(
                f"/v1/galleries/{gallery}/identify",
                params={"stream": stream},
                files={"image": ("frame.png", data)},
            )
            assert answer.status_code == 200, answer.text


def kinds(listener: Listener) -> list[str]:
    return [one.kind for one in listener.of("appeared", "gone")]


def test_an_item_appears_once_and_is_gone_once(server, photo):
    base, _ = server
    with (
        listening(f"{base}/v1/events") as all_of_it,
        listening(f"{base}/v1/galleries/things/events") as of_one,
    ):
        play(base, photo(3), "door", 2 * FRAMES)
        for listener in (all_of_it, of_one):
            listener.wait(lambda listener=listener: len(kinds(listener)) == 2)
            assert kinds(listener) == ["appeared", "gone"]
        appeared, gone = all_of_it.of("appeared", "gone")
        assert appeared.data["gallery"] == "things"
        assert (appeared.data["stream"], appeared.data["item"]) == ("door", "thing 3")
        assert appeared.data["label"] == "thing 3"
        assert 0 < appeared.data["confidence"] <= 1
        assert appeared.data["time"] < gone.data["time"]
        assert gone.data["frames"] == 2 * FRAMES
        assert gone.data["seconds"] > 0


@pytest.mark.slow
def test_a_stranger_and_a_photo_of_no_stream_are_no_events(server, photo):
    base, service = server
    with listening(f"{base}/v1/events") as listener, httpx2.Client(base_url=base) as client:
        play(base, photo(99), "door")
        for _ in range(FRAMES):
            client.post("/v1/galleries/-/identify", files={"image": ("a.png", photo(3))})
        time.sleep(0.3)
        assert kinds(listener) == []
        assert len(service.streams) == 1


@pytest.mark.slow
def test_two_cameras_and_a_second_visit(server, photo):
    base, _ = server
    with listening(f"{base}/v1/events") as listener:
        play(base, photo(1), "left")
        play(base, photo(1), "right")
        listener.wait(lambda: kinds(listener).count("gone") == 2)
        play(base, photo(1), "left")
        listener.wait(lambda: len(kinds(listener)) == 6)
        assert [one.data["stream"] for one in listener.of("appeared")] == ["left", "right", "left"]


@pytest.mark.slow
def test_who_was_cut_off_hears_what_it_missed(server, photo):
    base, service = server
    with listening(f"{base}/v1/events") as listener:
        play(base, photo(1), "door")
        listener.wait(lambda: "appeared" in kinds(listener))
        last = listener.of("appeared")[0].id
    play(base, photo(2), "window")
    deadline = time.monotonic() + 60
    while service.bus.listeners and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.bus.listeners == 0, "a client that leaves leaves nothing behind"
    with listening(f"{base}/v1/events", **{"Last-Event-ID": last}) as again:
        again.wait(lambda: len(kinds(again)) >= 3)
        assert again.of("appeared")[0].data["stream"] == "window"
        assert last not in [one.id for one in again.events]


def test_who_comes_late_hears_what_is_there(server, photo):
    base, _ = server
    play(base, photo(1), "door")
    with listening(f"{base}/v1/events") as listener:
        listener.wait(lambda: kinds(listener))
        assert listener.of("appeared")[0].data["item"] == "thing 1"


@pytest.mark.slow
def test_a_frame_may_say_its_own_time(server, photo):
    base, _ = server
    with listening(f"{base}/v1/events") as listener, httpx2.Client(base_url=base) as client:
        for step in range(60):
            client.post(
                "/v1/galleries/-/identify",
                params={"stream": "clip", "at": step / 10},
                files={"image": ("a.png", photo(1 if step < 30 else 99))},
            )
        listener.wait(lambda: kinds(listener) == ["appeared", "gone"])
        assert listener.of("gone")[0].data["seconds"] == pytest.approx(2.9)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"stream": "x" * 101}, 422),
        ({"stream": "a\nb"}, 400),
        ({"stream": "a", "at": "nan"}, 422),
        ({"stream": "a", "at": "never"}, 422),
    ],
)
def test_a_bad_name_or_time_is_refused(server, photo, query, status):
    base, service = server
    answer = httpx2.post(
        f"{base}/v1/galleries/-/identify", params=query, files={"image": ("a.png", photo(1))}
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(service.streams) == 0


class Idler:
    """A client that asks for events and does not read them."""

    def __init__(self, base: str) -> None:
        host, _, port = base.removeprefix("http://").partition(":")
        self.line = socket.create_connection((host, int(port)), timeout=60)
        self.line.sendall(f"GET /v1/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        while b"retry: " not in self.line.recv(65536):
            pass

    def read_on(self, until: bytes) -> bytes:
        """Read at last."""
        heard = b""
        while until not in heard:
            more = self.line.recv(1 << 20)
            assert more, "the line ended"
            heard = heard[-len(until) :] + more if len(heard) > 1 << 22 else heard + more
        return heard


def large(number: int, kind: str = "noted") -> Event:
    return Event(kind, {"item": f"{number}", "more": "x" * 100_000}, "things", f"{number}")


@pytest.mark.slow
def test_who_reads_too_slowly_loses_the_oldest_and_is_told(server):
    base, service = server
    idler = Idler(base)
    try:
        for number in range(1200):
            service.bus.publish(large(number))
        service.bus.publish(Event("last", {}, "things"))
        heard = idler.read_on(b"event: last")
        assert b"event: last" in heard
    finally:
        idler.line.close()
    with listening(f"{base}/v1/events", **{"Last-Event-ID": f"{service.bus.run}-1"}) as other:
        other.wait(lambda: other.of("missed"))
        assert other.of("missed")[0].data["count"] > 600


@pytest.mark.slow
def test_who_never_reads_is_left(index):
    serve = replace(SETTINGS.serve, body_timeout=0.5)
    with served(replace(SETTINGS, serve=serve), [index]) as (base, service):
        idler = Idler(base)
        try:
            deadline = time.monotonic() + 60
            while service.bus.listeners:
                assert time.monotonic() < deadline
                service.bus.publish(large(0))
                time.sleep(0.005)
        finally:
            idler.line.close()
        assert httpx2.get(f"{base}/livez").status_code == 200
        assert service.limits.running == 0


def test_no_gallery_of_that_name_no_events(server):
    base, _ = server
    assert httpx2.get(f"{base}/v1/galleries/nothing/events").status_code == 404


def test_when_the_service_stops_nobody_is_kept_waiting(index, photo):
    with served(replace(SETTINGS, serve=replace(SETTINGS.serve)), [index]) as (base, _):
        listener = Listener(f"{base}/v1/events")
        listener.wait(lambda: listener.status == 200)
        began = time.monotonic()
    assert time.monotonic() - began < SETTINGS.serve.grace / 2
    listener.wait(lambda: listener.ended)
    listener.close()


def test_too_many_listeners_are_told_to_come_back(server):
    base, service = server
    service.bus._most = 1
    with listening(f"{base}/v1/events"):
        answer = httpx2.get(f"{base}/v1/events")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1


def test_a_listener_is_cut_off_when_its_key_is_revoked(index, tmp_path):
    """And one without a key when the first key is made."""
    keys = tmp_path / "keys.json"
    serve = replace(SETTINGS.serve, keys=str(keys))
    with served(replace(SETTINGS, serve=serve), [index]) as (base, service):
        with listening(f"{base}/v1/events") as nobody:
            secret = create(keys, "camera", ["read"])
            service.bus.publish(Event("appeared", {"item": "mug"}, "things"))
            nobody.wait(lambda: nobody.ended)
            assert nobody.of("appeared") == []
        create(keys, "other", ["read"])
        own = {"Authorization": f"Bearer {secret}"}
        with listening(f"{base}/v1/galleries/things/events", **own) as listener:
            service.bus.publish(Event("appeared", {"item": "mug"}, "things"))
            listener.wait(lambda: listener.of("appeared"))
            revoke(keys, "camera")
            service.bus.publish(Event("gone", {"item": "mug"}, "things"))
            listener.wait(lambda: listener.ended)
            assert listener.of("gone") == []


def test_a_frame_that_is_no_picture_takes_no_place(server):
    base, service = server
    service.streams._most = 4
    with httpx2.Client(base_url=base) as client:
        for number in range(8):
            at = f"/v1/galleries/-/identify?stream=s{number}"
            assert client.post(at, files={"image": ("a.png", b"x")}).status_code == 400
    assert len(service.streams) == 0
