"""How `kenspeckle serve` ends: what is finished, what is sent away, what holds it up no longer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx
import pytest
import uvicorn
from engines import Device, opener
from serving import command, free_port, served, serving
from started import DUMMY, IDENTIFY, identified, until

from kenspeckle import Gallery
from kenspeckle.config import ServeSettings
from kenspeckle.engines.base import Engine
from kenspeckle.engines.table import find
from kenspeckle.errors import ModelError
from kenspeckle.serve.access import open_access
from kenspeckle.serve.app import build
from kenspeckle.serve.pool import Models
from kenspeckle.serve.run import Running, opened
from kenspeckle.serve.service import Service, open_service
from kenspeckle.store.open import open_store
from kenspeckle.vectors.embed import ModelEmbedder

pytestmark = pytest.mark.slow


def half(base: str, picture: Path) -> tuple[socket.socket, bytes]:
    """A request of which half has been sent, and the other half."""
    data = picture.read_bytes()
    head = f"POST {IDENTIFY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    whole = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
    line = socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), 60)
    line.sendall(whole[: len(whole) // 2])
    return line, whole[len(whole) // 2 :]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_has_not_arrived_is_sent_away(
    folder: Path, index: Path, tmp_path: Path, how: int
) -> None:
    with command([index], tmp_path) as (base, started):
        line, _ = half(base, folder / "things/thing_3.png")
        until(lambda: httpx.get(f"{base}/health").json()["requests_in_flight"] == 2)
        started.process.send_signal(how)
        answer = line.makefile("rb").read()
        line.close()
        assert b" 503 " in answer.split(b"\r\n")[0]
        assert b"the service is stopping" in answer
        assert b"retry-after: 5" in answer
        assert started.process.wait(60) == 0
    assert "Stopped." in started.log.read_text()


def test_what_runs_is_finished_and_what_comes_is_sent_away(folder: Path, index: Path) -> None:
    begun, may = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        begun.set()
        assert may.wait(60)

    models = Models(opener=opener(Device(before=wait)))
    picture = folder / "things/thing_3.png"
    asked = replace(DUMMY, serve=ServeSettings(preload=False, grace=120))
    gallery = Gallery(open_store(index), asked, models.embedder)
    service = Service(asked, {"gallery": gallery}, models, open_access(asked, index))
    port, ready = free_port(), threading.Event()
    running = Running(service, opened(asked, port))
    base = f"http://127.0.0.1:{port}"
    with ThreadPoolExecutor(2) as pool:
        served = pool.submit(running.run, ready.set)
        assert ready.wait(60)
        answer = pool.submit(identified, base, picture)
        assert begun.wait(60)
        running.stop()
        until(lambda: httpx.get(f"{base}/health").json()["phase"] == "stopping")
        refused = identified(base, picture)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert httpx.get(f"{base}/readyz").status_code == 503
        assert httpx.get(f"{base}/livez").status_code == 200
        may.set()
        assert answer.result(60).json()["decision"]["candidates"][0]["label"] == "thing 3"
        served.result(60)


def test_nobody_holds_up_the_end(folder: Path, index: Path, tmp_path: Path) -> None:
    """One sends half a body, another takes none of its answers: neither is waited for."""
    with command([index], tmp_path, KENSPECKLE_SERVE_GRACE="60") as (base, started):
        line, _ = half(base, folder / "things/thing_3.png")
        with line, socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", int(base.rpartition(":")[2])))
            deaf.sendall(60 * b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: httpx.get(f"{base}/health").json()["requests_in_flight"] == 3)
            begun = time.monotonic()
            assert started.stop() == 0
            assert time.monotonic() - begun < 50  # two seconds, where the machine is free


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_service_that_nobody_reads_serves_and_ends_well(
    index: Path, tmp_path: Path, closed: str
) -> None:
    port = free_port()
    words = f"exec {sys.executable} -m kenspeckle serve {index} --port {port} --model dummy"
    env = {**os.environ, "HOME": str(tmp_path)}
    with subprocess.Popen(["bash", "-c", f"{words} {closed}"], cwd=tmp_path, env=env) as process:
        try:
            until(lambda: answers(f"http://127.0.0.1:{port}/readyz") or process.poll() is not None)
            assert process.poll() is None
        finally:
            process.terminate()
        assert process.wait(60) == 0


def test_a_log_that_nobody_reads_holds_up_no_end(index: Path, tmp_path: Path) -> None:
    port = free_port()
    words = ["-m", "kenspeckle", "serve", str(index), "--port", str(port), "--model", "dummy"]
    env = {**os.environ, "HOME": str(tmp_path)}
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with (
        ours,
        theirs,
        subprocess.Popen([sys.executable, *words], cwd=tmp_path, env=env, stderr=theirs) as process,
    ):
        try:
            base = f"http://127.0.0.1:{port}"
            until(lambda: answers(f"{base}/readyz") or process.poll() is not None)
            with httpx.Client() as client:
                assert all(client.get(f"{base}/v1/galleries").is_success for _ in range(200))
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=60).is_success
    except httpx.TransportError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address of this machine")
def test_a_second_signal_does_not_wait(index: Path, tmp_path: Path) -> None:
    env = {"KENSPECKLE_IMAGE_FETCH_ALLOW": "127.0.0.0/8", "KENSPECKLE_SERVE_GRACE": "120"}
    env |= {"KENSPECKLE_IMAGE_FETCH_TIMEOUT": "120", "KENSPECKLE_SERVE_TIMEOUT": "120"}
    with (
        socket.create_server(("127.0.0.2", 0)) as silent,
        ThreadPoolExecutor(1) as pool,
        command([index], tmp_path, **env) as (base, started),
    ):
        silent.settimeout(60)
        address = f"http://127.0.0.2:{silent.getsockname()[1]}/x.png"
        asked = pool.submit(httpx.post, f"{base}{IDENTIFY}", json={"url": address}, timeout=90)
        asking, _ = silent.accept()  # it has begun, and will not end by itself
        started.process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{base}/health").json()["phase"] == "stopping")
        begun = time.monotonic()
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(60) == 0
        assert time.monotonic() - begun < 60
        asking.close()
        assert asked.exception(60) is not None or asked.result().status_code == 503


def test_a_service_stops_for_its_own_program_too(index: Path) -> None:
    before = threading.active_count()
    with served(DUMMY, [index]) as (base, _):
        assert httpx.get(f"{base}/livez").status_code == 200
    until(lambda: threading.active_count() <= before + 1)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base}/livez")


@pytest.mark.parametrize("times", [1, 2])
def test_who_is_told_to_stop_does_not_wait_until_the_model_is_loaded(
    folder: Path, index: Path, times: int
) -> None:
    loading, go_on = threading.Event(), threading.Event()

    def load(*_: object) -> tuple[Engine, str]:
        loading.set()
        assert go_on.wait(120)
        return Device(), ""

    models = Models(opener=lambda asked: ModelEmbedder(find("dummy"), asked, load))
    gallery = Gallery(open_store(index), DUMMY, models.embedder)
    service = Service(DUMMY, {"gallery": gallery}, models, open_access(DUMMY, index))
    service.warm_up()
    port, said = free_port(), list[str]()
    running = Running(service, opened(DUMMY, port))
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(running.run, lambda: said.append("ready"))
        try:
            assert loading.wait(60)
            until(lambda: answers(f"http://127.0.0.1:{port}/livez"))
            assert httpx.get(f"http://127.0.0.1:{port}/readyz").text == "loading\n"
            for _ in range(times):
                running._loop.call_soon_threadsafe(running._signalled)  # type: ignore[union-attr]
            served.result(60)
        finally:
            go_on.set()
    assert (said, service.ready) == ([], False)


def test_a_model_that_cannot_be_loaded_ends_the_start(index: Path) -> None:
    def load(*_: object) -> tuple[Engine, str]:
        raise ModelError("dummy", "it is broken")

    models = Models(opener=lambda asked: ModelEmbedder(find("dummy"), asked, load))
    gallery = Gallery(open_store(index), DUMMY, models.embedder)
    access = open_access(DUMMY, index)
    service = Service(DUMMY, {"gallery": gallery}, models, access)
    service.warm_up()
    with pytest.raises(ModelError, match="it is broken"), serving(service):
        pass


def test_a_server_that_cannot_start_leaves_no_socket_open(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def startup(*_: object, **__: object) -> None:
        raise OSError("no more files")

    monkeypatch.setattr(uvicorn.Server, "startup", startup)
    service = open_service(DUMMY, [str(index)])
    sockets = opened(DUMMY, free_port())
    with pytest.raises(OSError, match="no more files"):
        Running(service, sockets).run()
    assert [one.fileno() for some, _ in sockets.values() for one in some] == [-1]


def test_another_server_can_run_the_application(folder: Path, index: Path) -> None:
    service = open_service(DUMMY, [str(index)])
    port = free_port()
    config = uvicorn.Config(build(service), port=port, lifespan="on", log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    base = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{base}/readyz").status_code == 200
    assert identified(base, folder / "things/thing_0.png").status_code == 200
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()
    assert service.stopping
