"""A real server with more to do than it can, clients that leave, and models that nobody asks."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from engines import Device, opener
from serving import command, serving

from kenspeckle import Gallery
from kenspeckle.catalog.naming import named_by_file
from kenspeckle.config import (
    IdentifySettings,
    IndexSettings,
    ModelSettings,
    ServeSettings,
    Settings,
)
from kenspeckle.serve.access import open_access
from kenspeckle.serve.pool import Models
from kenspeckle.serve.service import Service
from kenspeckle.store.open import open_store
from kenspeckle.vectors.admit import drawn_pictures

if TYPE_CHECKING:
    from PIL.Image import Image

IDENTIFY = "/v1/galleries/-/identify"
JPEG = {"Content-Type": "image/jpeg"}
PATIENCE = 60.0
"""Seconds after which what was to happen never will, on a busy machine too."""


def jpeg(image: Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """References drawn from a seed, and an index of them by the model `dummy`."""
    place = tmp_path_factory.mktemp("load")
    (place / "refs").mkdir()
    for number, image in enumerate(drawn_pictures(4)):
        image.save(place / "refs" / f"thing-{number}.png")
    settings = replace(
        Settings(), models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False)
    )
    with Gallery.create(place / "things.ken", settings=settings) as gallery:
        gallery.index(place / "refs")
    return place


@pytest.fixture(scope="module")
def photo() -> bytes:
    return jpeg(drawn_pictures(2)[1])


class Held(Device):
    """A device whose calls stand still until it is let go, once it is told to hold."""

    def __init__(self) -> None:
        super().__init__(device="cpu", before=self._hold)
        self.free, self.inside = threading.Event(), threading.Event()
        self.free.set()

    def _hold(self, batch: object) -> None:
        self.inside.set()
        assert self.free.wait(PATIENCE)


@pytest.fixture
def device() -> Held:
    return Held()


@pytest.fixture
def base(folder: Path, device: Held) -> Iterator[str]:
    """A server with one caller and two places in its queue."""
    settings = replace(
        Settings(),
        serve=ServeSettings(queue=2, timeout=PATIENCE),
        models=ModelSettings(home=str(folder / "home")),
        identify=IdentifySettings(regions="whole"),
    )
    models = Models(queue=2, callers=1, opener=opener(device))
    index = folder / "things.ken"
    gallery = Gallery(open_store(index, named=named_by_file), settings, models.embedder)
    service = Service(settings, {"things": gallery}, models, open_access(settings, index))
    with serving(service) as address:
        yield address


def until(condition: object, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def queue(base: str) -> dict[str, int]:
    (found,) = httpx2.get(f"{base}/health").json()["queues"]
    return dict(found)


def test_what_is_too_much_is_refused_at_once_and_the_rest_is_answered(
    base: str, device: Held, photo: bytes
) -> None:
    def ask(_: int) -> tuple[int, float, httpx2.Response]:
        start = time.perf_counter()
        got = httpx2.post(f"{base}{IDENTIFY}", content=photo, headers=JPEG, timeout=2 * PATIENCE)
        return got.status_code, time.perf_counter() - start, got

    assert ask(0)[0] == 200
    device.free.clear()
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask, n) for n in range(12)]
        until(lambda: sum(one.done() for one in asked) == 9)
        assert (queue(base)["depth"], queue(base)["running"]) == (2, 1)
        assert httpx2.get(f"{base}/livez").status_code == 200
        device.free.set()
        answers = [one.result(PATIENCE) for one in asked]
    refused = [answer for answer in answers if answer[0] != 200]
    assert len(refused) == 9
    for status, seconds, answer in refused:
        assert status == 503
        assert seconds < PATIENCE / 2  # those that are held are answered in double that
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["content-type"] == "application/problem+json"
        assert "wait already" in answer.json()["detail"]
    assert ask(0)[0] == 200
    assert (queue(base)["depth"], queue(base)["running"]) == (0, 0)


def test_while_the_queue_is_full_no_body_is_waited_for(
    base: str, device: Held, photo: bytes
) -> None:
    def ask(_: int) -> int:
        got = httpx2.post(f"{base}{IDENTIFY}", content=photo, headers=JPEG, timeout=2 * PATIENCE)
        return got.status_code

    assert ask(0) == 200
    device.free.clear()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, n) for n in range(3)]
        until(lambda: queue(base)["depth"] == 2 and queue(base)["running"] == 1)
        line = socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])))
        head = f"POST {IDENTIFY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
        line.sendall(f"{head}Content-Length: 30000000\r\n\r\n".encode())
        line.settimeout(PATIENCE)
        told = line.recv(4096)
        line.close()
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in told.lower()
        assert httpx2.get(f"{base}/v1/galleries").status_code == 200
        device.free.set()
        assert [one.result(PATIENCE) for one in asked] == [200] * 3


def test_nothing_is_done_for_a_client_that_has_left(base: str, device: Held, photo: bytes) -> None:
    def send() -> socket.socket:
        line = socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])))
        head = f"POST {IDENTIFY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
        line.sendall(f"{head}Content-Length: {len(photo)}\r\n\r\n".encode() + photo)
        return line

    with send() as first:
        assert b" 200 " in first.recv(4096)  # the model is loaded now
    device.inside.clear()
    device.calls.clear()
    device.free.clear()
    stays = send()
    assert device.inside.wait(PATIENCE)
    leaves = [send(), send()]
    until(lambda: queue(base)["depth"] == 2)
    for line in leaves:
        line.close()
    until(lambda: queue(base)["depth"] == 0)
    device.free.set()
    assert b" 200 " in stays.recv(4096)
    stays.close()
    until(lambda: queue(base)["running"] == 0)
    assert len(device.calls) == 1


def test_a_bad_picture_fails_alone_among_many(base: str, photo: bytes) -> None:
    bodies = [photo, photo[:200], b"no picture", photo]
    statuses = [
        httpx2.post(f"{base}{IDENTIFY}", content=body, headers=JPEG).status_code
        for body in bodies * 3
    ]
    assert statuses == [200, 400, 400, 200] * 3
    assert queue(base)["last_failure"] == ""


def resident(process: int) -> float:
    """Resident memory of a process, MB of 10^6 bytes."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError("no VmRSS")


FACES = [
    {
        "operation_id": "face",
        "type": "detect_bounding_box",
        "params": {"target": "prominent_face"},
    }
]

LEFT = 60.0
"""MB that may stay of what requests and models took: above all what is not code of libraries."""

Ask = Callable[[str, bytes], httpx2.Response]


def whole(base: str, data: bytes) -> httpx2.Response:
    return httpx2.post(f"{base}{IDENTIFY}", content=data, headers=JPEG, timeout=2 * PATIENCE)


def regions(base: str, data: bytes) -> httpx2.Response:
    address = f"{base}{IDENTIFY}?regions=auto"
    return httpx2.post(address, content=data, headers=JPEG, timeout=2 * PATIENCE)


def faces(base: str, data: bytes) -> httpx2.Response:
    return httpx2.post(
        f"{base}/analyze_image_upload/",
        files={"image_file": ("photo.jpg", data, "image/jpeg")},
        data={"tasks_json": json.dumps(FACES)},
        timeout=2 * PATIENCE,
    )


def frame(base: str, data: bytes) -> httpx2.Response:
    return httpx2.post(
        f"{base}/api/falcon",
        files={"image": ("photo.jpg", data, "image/jpeg")},
        data={"query": "what is this"},
        timeout=2 * PATIENCE,
    )


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """An index of six things by the model that is in the package, and photos of them."""
    place = tmp_path_factory.mktemp("idle")
    (place / "refs").mkdir()
    images = drawn_pictures(6, side=900)
    for number, image in enumerate(images):
        image.save(place / "refs" / f"thing-{number}.png")
    with Gallery.create(place / "things.ken") as gallery:
        gallery.index(place / "refs")
    return place / "things.ken", [jpeg(image) for image in images]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say")
@pytest.mark.parametrize(
    "ways",
    [
        pytest.param((whole,), id="identify"),
        pytest.param((regions,), id="regions"),
        pytest.param((faces,), id="faces"),
        pytest.param((frame,), id="frames"),
        pytest.param((whole, regions, faces, frame), id="all"),
    ],
)
def test_an_idle_model_gives_its_memory_back_and_the_next_request_works(
    tmp_path: Path, six: tuple[Path, list[bytes]], ways: tuple[Ask, ...]
) -> None:
    index, photos = six
    quick = {"KENSPECKLE_SERVE_IDLE_GRACE": "3", "KENSPECKLE_SERVE_PRELOAD": "no"}
    environment = {**quick, "KENSPECKLE_MODELS_NAME": "", "OMP_NUM_THREADS": "1"}
    with command([index], tmp_path, **environment) as (base, started):

        def ask(way: Ask, data: bytes) -> dict[str, Any]:
            got = way(base, data)
            assert got.status_code == 200, got.text
            return dict(got.json())

        def loaded() -> bool:
            told = httpx2.get(f"{base}/health").json()["models"]
            return any(one["loaded"] for one in told)

        assert not loaded()
        before = resident(started.process.pid)
        asked = [(way, photo) for photo in photos * 3 for way in ways]
        with ThreadPoolExecutor(6) as pool:
            first = list(pool.map(lambda pair: ask(*pair), asked))
        assert loaded()
        until(lambda: not loaded())
        until(lambda: resident(started.process.pid) - before <= LEFT)
        again = ask(*asked[0])
        assert again.get("decision") == first[0].get("decision")
        assert loaded()
