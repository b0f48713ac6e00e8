"""A real server, every surface on, against thousands of bad pictures and requests."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import hostile
import httpx2
import pytest
from drawing import draw_folder
from hostile_requests import GALLERY, MAKERS, PICTURE_ROUTES, Asked, kinds, requests
from serving import Process, command, served

from kenspeckle import Gallery
from kenspeckle.config import (
    ImageSettings,
    IndexSettings,
    ModelSettings,
    ServeSettings,
    Settings,
)
from kenspeckle.serve.quiet import PAUSE

COUNT = int(os.environ.get("KENSPECKLE_TEST_HOSTILE", "2000"))
CALLERS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    settings = Settings(models=ModelSettings(name="dummy"))
    draw_folder(place / "things")
    with Gallery.create(place / "things.ken", settings=settings) as gallery:
        gallery.index(place / "things")
    return place


@dataclass(frozen=True)
class Told:
    """What came back."""

    asked: Asked
    status: int
    headers: dict[str, str]
    body: bytes


def send(port: int, asked: Asked) -> Told:
    """Ask on a line of its own, to the letter; status 0 where nothing came back."""
    data = asked.raw or _written(asked)
    with socket.create_connection(("127.0.0.1", port), 60) as line:
        with contextlib.suppress(OSError):
            line.sendall(data)
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := line.recv(65536):
                parts.append(part)
    told = b"".join(parts).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, body = told.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    found = re.fullmatch(r"HTTP/1\.[01] (\d{3})( .*)?", first)
    headers = dict(line.lower().split(": ", 1) for line in rest if ": " in line)
    return Told(asked, int(found[1]) if found else 0, headers, body)


def _written(asked: Asked) -> bytes:
    headers = {"host": "localhost", "connection": "close", **asked.headers}
    body = asked.body
    if headers.get("transfer-encoding") == "chunked":
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif body or asked.method in ("POST", "PUT"):
        headers["content-length"] = str(len(body))
    lines = [f"{asked.method} {asked.path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body


def memory(process: Process) -> int:
    """Resident memory of a process, KiB."""
    status = Path(f"/proc/{process.process.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1])


def flood(port: int, count: int, seed: int) -> list[Told]:
    """So many bad requests, several at once."""
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(lambda asked: send(port, asked), requests(count, seed)))


def judge(told: Told, secrets: list[str]) -> str:
    """What is wrong with an answer, empty for nothing."""
    if told.asked.raw and told.status == 0:
        return ""  # a line that speaks no HTTP may be closed without a word
    if not (200 <= told.status < 500 or (told.status == 503 and "retry-after" in told.headers)):
        return f"status {told.status}"
    text = told.body.decode("latin-1")
    found = [word for word in (*secrets, "Traceback", "site-packages", ".py") if word in text]
    if found and told.asked.path != "/health":  # which tells its operator where things are
        return f"it tells {found}"
    return ""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process")
def test_thousands_of_bad_requests(folder: Path) -> None:
    environment = {"KENSPECKLE_SERVE_BODY_TIMEOUT": "2", "KENSPECKLE_MODELS_OFFLINE": "1"}
    environment["KENSPECKLE_IMAGE_FETCH_ALLOW"] = "nowhere.invalid"
    # The reader of forms leaves it to the collector to close a part that never ended.
    environment["PYTHONWARNINGS"] = "error,ignore:Unclosed file:ResourceWarning"
    with command(["things.ken", "--refs", "things"], folder, **environment) as (base, process):
        port = int(base.rpartition(":")[2])
        flood(port, 50 * len(MAKERS), seed=1)  # what first uses load and pools keep is no leak
        before = _at_rest(process)
        wrong: list[str] = []
        answers: Counter[tuple[str, int]] = Counter()
        for told in flood(port, COUNT, seed=0):
            answers[told.asked.kind, told.status] += 1
            if bad := judge(told, [str(folder)]):
                asked = told.asked
                shown = f"{asked.kind} {asked.method} {asked.path[:80]} {asked.headers}"[:300]
                head = (asked.raw or asked.body)[:200]
                wrong.append(f"{bad}: {shown} {head!r} -> {told.body[:300]!r}")
        assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:20])
        assert answers.total() == COUNT
        assert {kind for kind, _ in answers} == kinds()
        health = httpx2.get(f"{base}/health").json()
        assert (health["phase"], health["requests_in_flight"]) == ("ready", 1)
        assert httpx2.get(f"{base}/readyz").status_code == 200
        photo = (folder / "things" / "thing_3.png").read_bytes()
        named = httpx2.post(f"{base}{GALLERY}/identify", files={"image": ("p", photo)}, timeout=90)
        assert named.status_code == 200, named.text
        after = _at_rest(process)
        print(f"\n{COUNT} requests; memory {before} KiB before, {after} KiB after")
        print(*(f"{kind} {status}: {n}" for (kind, status), n in sorted(answers.items())), sep="\n")
        assert process.process.poll() is None
    assert "event=fault" not in process.log.read_text(encoding="utf-8")
    assert "Traceback" not in process.log.read_text(encoding="utf-8")
    assert after <= before * 1.10


def _at_rest(process: Process) -> int:
    """Memory when nobody has asked for a while, so that what was in use is given back."""
    time.sleep(3 * PAUSE)
    return memory(process)


@pytest.fixture(scope="module")
def base(folder: Path) -> Iterator[str]:
    serve = ServeSettings(max_body=3_000_000, keys=str(folder / "none.keys"))
    index = IndexSettings(refs=str(folder / "things"))
    image = ImageSettings(max_bytes=2_000_000)
    models = ModelSettings(name="dummy", offline=True)
    settings = Settings(models=models, serve=serve, index=index, image=image)
    with served(settings, [folder / "things.ken"]) as (address, _):
        yield address


EACH_ALONE = (f"{GALLERY}/identify/batch", f"{GALLERY}/vectors", "/v1/analyze")
"""Routes for several pictures: one that cannot be used fails alone, inside the answer."""

ROUTES = pytest.mark.parametrize(
    ("path", "name", "fields"), PICTURE_ROUTES, ids=[row[0] for row in PICTURE_ROUTES]
)


def post(base: str, path: str, name: str, fields: dict[str, str], data: bytes) -> httpx2.Response:
    files = {name: ("frame.jpg", data, "image/jpeg")}
    return httpx2.post(f"{base}{path}", files=files, data=fields, timeout=90)


@ROUTES
def test_a_bomb_is_refused_before_it_goes_off(
    base: str, path: str, name: str, fields: dict[str, str]
) -> None:
    start = time.process_time()  # the server is in this process
    told = post(base, path, name, fields, hostile.png_lie(20_000, 20_000))
    assert time.process_time() - start < 5
    if path in EACH_ALONE:
        assert told.status_code == 200
        assert "20000 \\u00d7 20000 pixels" in told.text or "20000 × 20000 pixels" in told.text
    else:
        assert told.status_code == (404 if "confirm" in path else 413), told.text
    assert httpx2.get(f"{base}/livez").status_code == 200


@ROUTES
@pytest.mark.parametrize("size", [2_500_000, 5_000_000])
def test_too_much_is_413(
    base: str, path: str, name: str, fields: dict[str, str], size: int
) -> None:
    told = post(base, path, name, fields, hostile.saved("PNG") + b"\0" * size)
    if path in EACH_ALONE and size < 3_000_000:
        assert told.status_code == 200
        assert "expected at most 2000000" in told.text
    elif "confirm" in path and size < 3_000_000:
        assert told.status_code in (404, 413), told.text
    else:
        assert told.status_code == 413, told.text


@ROUTES
def test_junk_is_the_clients_fault(base: str, path: str, name: str, fields: dict[str, str]) -> None:
    for junk in (b"", b"junk", os.urandom(3000), b"\xff\xd8\xff\xe0" + b"\0" * 50):
        told = post(base, path, name, fields, junk)
        assert 200 <= told.status_code < 500
        assert "Traceback" not in told.text


def test_a_part_that_is_missing(base: str) -> None:
    picture = {"image": ("f", hostile.saved("PNG"))}
    assert httpx2.post(f"{base}/api/falcon", files=picture).status_code == 422
    assert httpx2.post(f"{base}/api/falcon", data={"query": "x"}).status_code == 422
    assert httpx2.post(f"{base}/api/falcon").status_code == 422
    assert httpx2.post(f"{base}{GALLERY}/identify", data={"x": "y"}).status_code in (415, 422)
    assert httpx2.post(f"{base}/analyze_image_upload/").status_code == 422


@pytest.mark.parametrize(
    "name",
    [
        "../things.ken",
        "..%2fthings.ken",
        "%2e%2e/things.ken",
        "..%5cthings.ken",
        "....//things.ken",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "thing_0.png%00",
        "thing_0.png/",
        "./thing_0.png/../../things.ken",
        "notes.txt",
        "link.png",
        "folder/",
        "",
        "none.png",
        "x" * 3000,
    ],
)
def test_only_indexed_pictures_are_shown(base: str, folder: Path, name: str) -> None:
    things = folder / "things"
    (things / "notes.txt").write_text("private", encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        (things / "link.png").symlink_to(folder / "things.ken")
    port = int(base.rpartition(":")[2])
    told = send(port, Asked("refs", "GET", f"/refs/{name}"))
    assert told.status in (400, 404), told.body[:200]
    assert b"SQLite" not in told.body
    assert b"private" not in told.body
    assert send(port, Asked("refs", "GET", "/refs/thing_0.png")).status == 200


def test_health_at_once_while_many_ask(base: str) -> None:
    data = hostile.saved("JPEG", 3)
    slowest = 0.0
    with ThreadPoolExecutor(20) as pool:
        asked = [
            pool.submit(post, base, "/api/falcon", "image", {"query": "x"}, data) for _ in range(60)
        ]
        while not all(one.done() for one in asked):
            start = time.process_time()  # what is done before the answer comes
            assert httpx2.get(f"{base}/health", timeout=60).status_code == 200
            slowest = max(slowest, time.process_time() - start)
    assert {one.result().status_code for one in asked} <= {200, 503}
    assert slowest < 2.0
