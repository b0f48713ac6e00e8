"""Engines of fixed answers that count their calls, and what tests of an analysis need besides."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
from PIL import Image

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.regions.detect import Detection
from kenspeckle.types import Float32

PERSON = (100, 50, 300, 250)
FACE = (10, 20, 60, 80)
"""A face inside the person, in pixels of the person's crop."""
FACE_IN_PERSON = (110, 70, 160, 130)
ELSEWHERE = (320, 10, 380, 90)
"""A face outside the person, in pixels of the whole picture."""
WIDTHS = {"clip": 512, "dino": 768}
KEYS = {"status", "data", "cropped_image_bbox", "cropped_image_base64", "error_message"}


class FixedEngines:
    """The calls of `Engines`. What is found is set by the test; vectors depend on the pixels."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.calls: Counter[str] = Counter()
        self.person: tuple[int, int, int, int] | None = PERSON
        self.face_inside: tuple[int, int, int, int] | None = FACE
        self.face_outside: tuple[int, int, int, int] | None = ELSEWHERE
        self.failing: dict[str, Exception] = {}
        self.widths = dict(WIDTHS)
        self.seconds = 0.0
        self.whole = (400, 300)
        self.lengths: list[int] = []
        self.sizes: list[tuple[int, int]] = []

    def detect(self, use: str, image: Image.Image, model: str = "") -> list[Detection]:
        self._called(use, image)
        if use == "person":
            box = self.person
        else:
            box = self.face_outside if image.size == self.whole else self.face_inside
        weaker = Detection((0, 0, 9, 9), 0.2, use)
        return [] if box is None else [weaker, Detection(box, 0.9, use)]

    def vector(self, use: str, image: Image.Image, model: str = "") -> Float32:
        self._called(use, image)
        return vector_of(image, self.widths[use], use)

    def caption(self, image: Image.Image, max_length: int, model: str = "") -> str:
        self._called("caption", image)
        self.lengths.append(max_length)
        return " ".join(["a picture of", *(f"word{n}" for n in range(100))][:max_length])

    def name(self, use: str) -> str:
        return f"fixed-{use}"

    def missing(self, use: str) -> str:
        return ""

    def _called(self, use: str, image: Image.Image) -> None:
        self.calls[use] += 1
        self.sizes.append(image.size)
        time.sleep(self.seconds)
        if use in self.failing:
            raise self.failing[use]


def vector_of(image: Image.Image, width: int, use: str) -> Float32:
    """A vector of length about 10 that depends on every pixel."""
    seed = int.from_bytes(hashlib.sha256(use.encode() + image.tobytes()).digest()[:8])
    row = np.random.default_rng(seed).standard_normal(width) * 10 / width**0.5
    return row.astype(np.float32)


def scene(size: tuple[int, int] = (400, 300), seed: int = 3) -> Image.Image:
    """A picture of noise in large blocks, unlike any other seed's."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (size[1] // 10, size[0] // 10, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def packed(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    file = BytesIO()
    image.save(file, form, **more)
    return file.getvalue()


def task(name: str, kind: str, **params: Any) -> dict[str, Any]:
    return {"operation_id": name, "type": kind, "params": params}


def small_index(folder: Path) -> Path:
    """An index of one picture by the dummy model: a service needs one."""
    path = folder / "gallery.ken"
    with Gallery.create(path, settings=Settings(models=ModelSettings(name="dummy"))) as gallery:
        gallery.add(packed(scene((60, 60), 9)), label="noise")
    return path


class Client:
    """Asks the surface."""

    def __init__(self, base: str) -> None:
        self.http = httpx.Client(base_url=base, timeout=120)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def upload(self, data: bytes, *tasks: dict[str, Any], name: str = "p.png") -> httpx.Response:
        return self.sent(data, json.dumps(list(tasks)), name)

    def sent(self, data: bytes, tasks: str, name: str = "p.png") -> httpx.Response:
        return self.http.post(
            "/analyze_image_upload/",
            files={"image_file": (name, data, "text/plain")},
            data={"tasks_json": tasks},
        )

    def results(self, data: bytes, *tasks: dict[str, Any]) -> dict[str, Any]:
        answer = self.upload(data, *tasks)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["results"]
        for one in found.values():
            assert set(one) == KEYS
        return found

    def one(self, data: bytes, kind: str, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.results(data, task("t", kind, **params))["t"]
        return found

    def url(self, url: str, *tasks: dict[str, Any]) -> httpx.Response:
        return self.http.post("/analyze_image/", json={"image_url": url, "tasks": list(tasks)})


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def site(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A web server on loopback that answers as it is told: its address, the paths asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def gives(data: bytes, status: int = 200) -> Answer:
    """Answer every request with these bytes."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer
