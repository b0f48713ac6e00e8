"""Addresses that a server is asked to fetch: nothing of ours is reached, and nothing is told."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hostile
import httpx2
import pytest
from drawing import draw_folder
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ImageSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.serve import problems

NATIVE = "/v1/galleries/-"
TASKS = [
    {
        "operation_id": "a",
        "type": "detect_bounding_box",
        "params": {"target": "prominent_face", "face_context": "whole_image"},
    }
]
TIMEOUT = 3.0
SOON = 20.0
"""Seconds less than a host that drips goes on for, and that a busy machine stays below."""


@dataclass
class Host:
    """A web server on an address of this machine that counts who comes."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def host(address: str, answer: Callable[[Any], None]) -> Iterator[Host]:
    """Serve on a free port of an address; `answer` writes what is answered."""
    found = Host("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that leaves is no news."""

    with Server((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        found.url = f"http://{address}:{server.server_address[1]}"
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def gives(body: bytes) -> Callable[[Any], None]:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


picture = gives(hostile.saved("PNG"))


def status(number: int, **headers: str) -> Callable[[Any], None]:
    def answer(handler: Any) -> None:
        handler.send_response(number)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def drip(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1200):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def endless(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65536)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("addresses")
    draw_folder(place / "things")
    with Gallery.create(place / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(place / "things")
    return place


SETTINGS = Settings(
    models=ModelSettings(name="dummy", offline=True),
    image=ImageSettings(fetch_timeout=TIMEOUT, max_bytes=2_000_000),
)


@contextlib.contextmanager
def server(
    folder: Path, *allowed: str, timeout: float = TIMEOUT, form: str = "text"
) -> Iterator[httpx2.Client]:
    image = replace(SETTINGS.image, fetch_allow=allowed, fetch_timeout=timeout)
    settings = replace(SETTINGS, image=image, serve=ServeSettings(log_format=form))
    with (
        served(settings, [folder / "things.ken"]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx2.Client]:
    with server(folder) as made:
        yield made


def native(client: httpx2.Client, url: str) -> tuple[int, str]:
    told = client.post(f"{NATIVE}/identify", json={"url": url})
    body = told.json()
    return told.status_code, body.get("detail", "")


def analyze(client: httpx2.Client, url: str) -> tuple[int, str]:
    told = client.post("/analyze_image/", json={"image_url": url, "tasks": TASKS})
    body = told.json()
    if told.status_code != 200:
        return told.status_code, json.dumps(body)
    return 200, body["results"]["a"]["error_message"] or ""


OURS = (
    *("http://127.0.0.1:{port}/x", "http://localhost:{port}/x", "http://[::1]:{port}/x"),
    *("http://[::ffff:127.0.0.1]:{port}/", "http://2130706433:{port}/", "http://0x7f.1:{port}/"),
    *("http://0:{port}/", "http://0.0.0.0:{port}/", "http://127.1:{port}/"),
    *("http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.1.1:8080/"),
    *("http://172.16.9.9/", "http://100.64.0.1/", "http://[fd00::1]/", "http://[fe80::1]/"),
    *("http://224.0.0.1/", "http://255.255.255.255/", "http://[64:ff9b::7f00:1]/"),
    *("http://[2002:7f00:1::]/", "http://nosuch.invalid/"),
)


@pytest.mark.parametrize("ask", [native, analyze])
def test_nothing_of_ours_is_reached_and_all_is_told_alike(
    client: httpx2.Client, ask: Callable[[httpx2.Client, str], tuple[int, str]]
) -> None:
    """An open port, a closed one, a name that is not there: nobody can tell them apart."""
    with host("127.0.0.1", picture) as inner:
        port = inner.url.rpartition(":")[2]
        urls = [url.format(port=port) for url in (*OURS, "http://127.0.0.1:1/x")]
        with ThreadPoolExecutor(4) as pool:
            told = set(pool.map(lambda url: ask(client, url), urls))
        assert inner.asked == []
    assert len(told) == 1
    code, text = told.pop()
    assert problems.NOT_FETCHED in text
    assert code == (400 if ask is native else 200)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1:70/_x",
        "data:image/png;base64,AAAA",
        "http://ann:secret@127.0.0.1/",
        "//127.0.0.1/x",
        "/etc/passwd",
        "http://127.0.0.1:99999/",
        "http://a b/",
        "\\\\127.0.0.1\\x",
        "",
    ],
)
def test_no_other_scheme(client: httpx2.Client, url: str) -> None:
    for path, body in (
        (f"{NATIVE}/identify", {"url": url}),
        (f"{NATIVE}/vectors", {"url": url}),
        (f"{NATIVE}/search", {"url": url}),
        ("/analyze_image/", {"image_url": url, "tasks": TASKS}),
    ):
        told = client.post(path, json=body)
        assert told.status_code in (200, 400, 422), told.text
        if told.status_code != 422:
            assert problems.NOT_FETCHED in told.text
        assert "root:" not in told.text


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address of this machine")
def test_a_redirect_to_us_is_not_followed(folder: Path) -> None:
    with host("127.0.0.1", picture) as inner:
        targets = (inner.url + "/x", inner.url.replace("127.0.0.1", "localhost"), "file:///etc/x")
        for target in targets:
            with (
                host("127.0.0.2", status(302, Location=target)) as outer,
                server(folder, "127.0.0.2/32") as client,
            ):
                assert problems.NOT_FETCHED in native(client, outer.url)[1]
                assert problems.NOT_FETCHED in analyze(client, outer.url)[1]
                assert len(outer.asked) == 2
        assert inner.asked == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address of this machine")
def test_what_is_on_the_list_is_fetched(folder: Path) -> None:
    with host("127.0.0.2", picture) as outer, server(folder, "127.0.0.0/8") as client:
        assert native(client, outer.url)[0] == 200
        assert analyze(client, outer.url) == (200, "")
        name = outer.url.replace("127.0.0.2", "127.0.0.3")
        assert native(client, name) == (400, problems.NOT_FETCHED)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address of this machine")
@pytest.mark.parametrize(
    "answer", [drip, endless, status(404), status(500), status(302, Location="http://127.0.0.2:1/")]
)
def test_hosts_that_behave_badly(folder: Path, answer: Callable[[Any], None]) -> None:
    with host("127.0.0.2", answer) as outer, server(folder, "127.0.0.2/32") as client:
        start = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            slow = pool.submit(native, client, outer.url)
            other = pool.submit(analyze, client, outer.url)
            time.sleep(0.1)
            assert client.get("/available_operations/").status_code == 200
            assert client.get("/livez").status_code == 200
            assert answer is not drip or not slow.done()
            assert slow.result() == (400, problems.NOT_FETCHED)
            assert problems.NOT_FETCHED in other.result()[1]
        assert time.monotonic() - start < TIMEOUT + SOON


def test_a_name_that_leads_to_us(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name whose address is this machine's, as anybody may enter in the DNS."""
    from kenspeckle.image import line

    real = line.socket.getaddrinfo

    def entered(name: object, *rest: Any, **more: Any) -> Any:
        wanted = "127.0.0.1" if name in ("evil.example", b"evil.example") else name
        return real(wanted, *rest, **more)

    monkeypatch.setattr(line.socket, "getaddrinfo", entered)
    with host("127.0.0.1", picture) as inner, server(folder) as client:
        url = inner.url.replace("127.0.0.1", "evil.example")
        assert native(client, url) == (400, problems.NOT_FETCHED)
        assert problems.NOT_FETCHED in analyze(client, url)[1]
        assert inner.asked == []
    with (
        host("127.0.0.1", picture) as inner,
        server(folder, "evil.example", "10.0.0.0/8") as client,
    ):
        assert native(client, inner.url.replace("127.0.0.1", "evil.example"))[0] == 400
        assert inner.asked == []


Ask = Callable[[httpx2.Client, str], tuple[int, str]]
WHY = (
    ("{host}/gone/%0Ax?key=s3cret#s3cret", "{host}/gone/%0Ax", "status 404; expected 200"),
    ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x", "unreachable ("),
    ("http://10.0.0.1/x", "http://10.0.0.1/x", "host 10.0.0.1 is not allowed. Add it to image."),
    ("http://nosuch.invalid/", "http://nosuch.invalid/", "unreachable ("),
    ("http://ann:s3cret@127.0.0.1/a", "http://127.0.0.1/a", "an address with a user name"),
)
"""What is asked for, how the log names it, and how it says what is wrong."""


def failures(said: str, form: str, event: str = "picture_failed") -> list[dict[str, Any]]:
    """What the lines of a log about an event say, by default those of pictures that failed."""
    lines = said.splitlines()
    assert all(line.isascii() and line.isprintable() for line in lines)
    if form == "json":
        return [one for one in map(json.loads, lines) if one["event"] == event]
    assert all(line.startswith("time=") for line in lines)
    pairs = [dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)) for line in lines]
    plain = [{k: json.loads(v) if v[:1] == '"' else v for k, v in one.items()} for one in pairs]
    return [one for one in plain if one["event"] == event]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("ask", [native, analyze])
def test_the_log_says_what_the_client_is_not_told(
    folder: Path, capfd: pytest.CaptureFixture[str], ask: Ask, form: str
) -> None:
    allowed = ("127.0.0.1", ".invalid")
    with (
        host("127.0.0.1", status(404)) as inner,
        server(folder, *allowed, timeout=60, form=form) as client,
    ):
        for url, _, _ in WHY:
            assert problems.NOT_FETCHED in ask(client, url.format(host=inner.url))[1]
    told = failures(said := capfd.readouterr().err, form)
    assert len(told) == len(WHY)
    for one, (_, source, reason) in zip(told, WHY, strict=True):
        assert one["source"] == source.format(host=inner.url)
        assert one["reason"].startswith(reason)
        assert (one["error"], one["level"]) == ("FetchError", "warning")
    finished = failures(said, form, "request_finished")
    assert [one["req_id"] for one in told] == [one["req_id"] for one in finished]
    assert "s3cret" not in said


def test_the_log_says_what_text_is_that_names_no_host(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = {
        "": "empty address",
        "s3cret": "not an address",
        "file:///etc/s3cret": "file address",
        "data:image/png;base64,s3cret": "data address",
    }
    with server(folder, "127.0.0.1") as client:
        for url in odd:
            assert problems.NOT_FETCHED in native(client, url)[1]
    told = failures(said := capfd.readouterr().err, "text")
    assert [one["source"] for one in told] == list(odd.values())
    assert all(one["reason"].endswith("; expected http:// or https://") for one in told)
    assert "s3cret" not in said


@pytest.mark.parametrize("ask", [native, analyze])
def test_the_log_tells_a_host_that_is_too_slow(
    folder: Path, capfd: pytest.CaptureFixture[str], ask: Ask
) -> None:
    with host("127.0.0.1", drip) as inner, server(folder, "127.0.0.1", timeout=0.5) as client:
        assert problems.NOT_FETCHED in ask(client, inner.url)[1]
    (one,) = failures(capfd.readouterr().err, "text")
    assert one["reason"].startswith("no whole answer within 0.5 s")


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_names_the_hop_of_a_redirect_that_is_refused(
    folder: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    onward = status(302, Location="http://ann:s3cret@10.0.0.1/in?key=s3cret")
    with (
        host("127.0.0.1", onward) as outer,
        server(folder, "127.0.0.1", timeout=60, form=form) as client,
    ):
        assert problems.NOT_FETCHED in analyze(client, outer.url + "/out")[1]
    (one,) = failures(said := capfd.readouterr().err, form)
    assert one["source"] == outer.url + "/out"
    assert one["reason"].startswith("http://10.0.0.1/in: ")
    assert "s3cret" not in said


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_says_why_a_picture_cannot_be_read(
    folder: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    """Nor is the name of an uploaded file in it, nor what was in the file."""
    junk = b"s3cret is no picture"
    with (
        host("127.0.0.1", gives(junk)) as inner,
        server(folder, "127.0.0.1", timeout=60, form=form) as client,
    ):
        assert analyze(client, inner.url + "/x?s3cret")[0] == 200
        sent = {"image_file": ("s3cret\nevent=forged.png", junk)}
        tasks = {"tasks_json": json.dumps(TASKS)}
        assert client.post("/analyze_image_upload/", files=sent, data=tasks).status_code == 200
        wish = {"id": "a", "type": "detect_bounding_box"}
        several = {"pictures": [{"url": inner.url + "/y"}], "tasks": [wish]}
        assert client.post("/v1/analyze", json=several).json()["failed"] == 1
    told = failures(said := capfd.readouterr().err, form)
    assert [one["source"] for one in told] == [inner.url + "/x", "upload", inner.url + "/y"]
    assert {one["error"] for one in told} == {"PictureError"}
    assert all(one["reason"] for one in told)
    assert "s3cret" not in said


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("written", ["\n", "\x1b[31m", "\u2028", '" event=', "\ud800", "\x00"])
def test_no_address_writes_a_line_of_its_own(
    folder: Path, capfd: pytest.CaptureFixture[str], form: str, written: str
) -> None:
    with server(folder, form=form) as client:
        for url in (f"http://10.0.0.1/{written}forged", f"http://a{written}forged.invalid/"):
            sent = json.dumps({"url": url}).encode("ascii")
            kind = {"Content-Type": "application/json"}
            client.post(f"{NATIVE}/identify", content=sent, headers=kind)
    said = capfd.readouterr().err
    told = failures(said, form)
    assert len(said.splitlines()) == 2 + len(told)
    assert all(one["error"] == "FetchError" for one in told)
