"""`kenspeckle serve` at its start and its end: what is checked, what is picked up, what is
finished."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import uvicorn
from drawing import draw, draw_folder
from engines import Device, opener
from serving import Process, command, free_port, served, serving

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.engines.base import Engine
from kenspeckle.engines.table import find
from kenspeckle.errors import ModelError, SettingError
from kenspeckle.serve import keys
from kenspeckle.serve.access import open_access
from kenspeckle.serve.app import build
from kenspeckle.serve.lookout import AGAIN, Lookout
from kenspeckle.serve.pool import Models
from kenspeckle.serve.run import Running, opened
from kenspeckle.serve.service import Service, open_service
from kenspeckle.store.open import open_store
from kenspeckle.types import Calibration
from kenspeckle.vectors.embed import ModelEmbedder

pytestmark = pytest.mark.slow

DUMMY = Settings(models=ModelSettings(name="dummy"))
IDENTIFY = "/v1/galleries/-/identify"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("start")
    things = draw_folder(place / "things")
    with Gallery.create(place / "gallery.ken", settings=DUMMY) as gallery:
        gallery.index(things)
    return place


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Path:
    """An index of one's own."""
    return Path(shutil.copy(folder / "gallery.ken", tmp_path / "gallery.ken"))


def identified(base: str, picture: Path) -> httpx.Response:
    part = {"image": (picture.name, picture.read_bytes())}
    return httpx.post(f"{base}{IDENTIFY}", files=part, timeout=90)


# Refusals


def not_there(folder: Path, place: Path) -> list[object]:
    return [place / "nothing.ken"]


def no_index(folder: Path, place: Path) -> list[object]:
    (place / "gallery.ken").write_bytes(b"no index at all")
    return [place / "gallery.ken"]


def of_another_backbone(folder: Path, place: Path) -> list[object]:
    return ["--model", "efflite0-gem-w384", folder / "gallery.ken"]


def with_a_head_of_another_width(folder: Path, place: Path) -> list[object]:
    from safetensors.numpy import save_file

    weights = {
        "net.0.weight": np.eye(7, 5, dtype=np.float32),
        "net.0.bias": np.zeros(7, np.float32),
        "net.2.weight": np.eye(3, 7, dtype=np.float32),
        "net.2.bias": np.zeros(3, np.float32),
    }
    save_file(weights, place / "head.safetensors")
    return ["--projection", place / "head.safetensors", folder / "gallery.ken"]


def with_a_head_that_is_not_there(folder: Path, place: Path) -> list[object]:
    return ["--projection", place / "nothing.pt", folder / "gallery.ken"]


def a_surface_that_is_none(folder: Path, place: Path) -> list[object]:
    return ["--surface", "canvas", folder / "gallery.ken"]


def two_of_one_name(folder: Path, place: Path) -> list[object]:
    return [folder / "gallery.ken", f"gallery={folder / 'gallery.ken'}"]


def an_address_of_another_machine(folder: Path, place: Path) -> list[object]:
    return ["--host", "192.0.2.1", "--surface", "falcon:open", folder / "gallery.ken"]


def beyond_this_machine(folder: Path, place: Path) -> list[object]:
    return ["--host", "0.0.0.0", folder / "gallery.ken"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (not_there, r"nothing\.ken: .*no such file"),
        (no_index, r"gallery\.ken: .*index"),
        (of_another_backbone, "its vectors were made by dummy.*, asked was"),
        (with_a_head_of_another_width, "a head for 5 columns; expected 192"),
        (with_a_head_that_is_not_there, "nothing.pt: "),
        (a_surface_that_is_none, "no surface 'canvas'; expected falcon or analyze"),
        (two_of_one_name, "two galleries are called gallery"),
        (an_address_of_another_machine, r"192\.0\.2\.1: .*expected"),
        (beyond_this_machine, r"0\.0\.0\.0: others can reach it, and no key was made"),
    ],
)
def test_the_start_is_refused_in_one_sentence(
    folder: Path, tmp_path: Path, asked: Callable[[Path, Path], list[object]], said: str
) -> None:
    words = [*asked(folder, tmp_path), "--port", free_port()]
    started = Process(words, tmp_path)
    with pytest.raises(AssertionError, match=said) as refused:
        started.ready()
    assert started.stop() == 1
    text = started.log.read_text()
    assert str(refused.value).startswith("exit code 1")
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("there", [True, False])
def test_a_port_that_is_taken_is_named_before_anything_is_opened(
    index: Path, tmp_path: Path, there: bool
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        started = Process([index if there else tmp_path / "none.ken", "--port", port], tmp_path)
        with pytest.raises(AssertionError, match=f"port {port} of 127.0.0.1: .*--port"):
            started.ready()
        assert started.stop() == 1


@pytest.mark.parametrize(
    "words",
    [["--port", "70000"], ["--log-format", "xml"], ["--sim-threshold", "2"], ["--nonsense"]],
)
def test_a_wrong_option_is_exit_code_2(index: Path, tmp_path: Path, words: list[str]) -> None:
    started = Process([index, *words], tmp_path)
    with pytest.raises(AssertionError, match="exit code 2"):
        started.ready()
    started.stop()


def test_a_port_is_taken_before_anything_is_opened_and_nobody_is_kept_waiting_there(
    index: Path,
) -> None:
    port = free_port()
    sockets = opened(DUMMY, port)
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.1", port)) != 0
    with socket.create_server(("127.0.0.1", port)):  # as another service that starts just now
        service = open_service(DUMMY, [str(index)])
        with pytest.raises(SettingError, match=f"port {port} of 127.0.0.1: .*--port"):
            Running(service, sockets).run()
    assert [one.fileno() for some, _ in sockets.values() for one in some] == [-1]


def test_a_port_on_which_nothing_listens_is_said(index: Path) -> None:
    for surfaces, said in ((("falcon=:9000",), 1), (("falcon=:9000", "analyze"), 0), ((), 0)):
        asked = replace(DUMMY, serve=ServeSettings(surfaces=surfaces, port=18500))
        notes = open_service(asked, [str(index)]).notes
        assert sum("Nothing listens on port 18500" in note for note in notes) == said


# Calibration


def uncalibrated(folder: Path, path: Path) -> Path:
    asked = replace(DUMMY, index=IndexSettings(calibrate=False))
    with Gallery.create(path, settings=asked) as gallery:
        gallery.index(folder / "things")
        assert gallery.calibration is None
    return path


def rule_of(path: Path) -> Calibration | None:
    with Gallery.open(path, settings=DUMMY) as gallery:
        return gallery.calibration


def test_what_was_never_calibrated_is_calibrated_at_the_start(folder: Path, tmp_path: Path) -> None:
    path = uncalibrated(folder, tmp_path / "new.ken")
    with command([path], tmp_path) as (base, started):
        assert httpx.get(f"{base}/health").json()["galleries"]["new"]["calibrated"]
    assert (
        "new was never calibrated: a quick calibration was made and stored"
        in started.log.read_text()
    )
    assert rule_of(path) is not None


def test_an_index_that_may_not_be_written_is_calibrated_for_as_long_as_it_is_served(
    folder: Path, tmp_path: Path
) -> None:
    path = uncalibrated(folder, tmp_path / "new.ken")
    with Gallery.open(path, settings=DUMMY, write=True), served(DUMMY, [path]) as (base, service):
        assert "for as long as this runs" in service.notes[0]
        assert httpx.get(f"{base}/health").json()["galleries"]["new"]["calibrated"]
        answered = identified(base, folder / "things/thing_2.png").json()
        assert answered["decision"]["threshold"] is not None
    assert rule_of(path) is None


def test_a_file_of_the_former_kind_is_not_written(folder: Path, tmp_path: Path) -> None:
    path = uncalibrated(folder, tmp_path / "cards.npz")
    before = path.read_bytes()
    with served(DUMMY, [path]) as (base, _):
        assert httpx.get(f"{base}/health").json()["galleries"]["cards"]["calibrated"]
    assert path.read_bytes() == before


# An index that changes


def test_what_is_enrolled_by_another_process_is_found_at_once(
    folder: Path, index: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new thing.png"
    draw(77).save(new)
    with served(DUMMY, [index]) as (base, _):
        assert identified(base, new).json()["decision"]["label"] != "new thing"
        with Gallery.open(index, settings=DUMMY, write=True) as gallery:
            gallery.add(new)
        found = identified(base, new).json()["decision"]["candidates"][0]
        assert found["label"] == "new thing"
        assert httpx.get(f"{base}/health").json()["galleries"]["gallery"]["references"] == 7


def test_a_file_put_in_its_place_is_answered_from_at_once(
    folder: Path, index: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.ken"
    draw(78).save(tmp_path / "other thing.png")
    with Gallery.create(other, settings=DUMMY) as gallery:
        gallery.add(tmp_path / "other thing.png")
    with served(DUMMY, [index]) as (base, _):
        assert httpx.get(f"{base}/health").json()["index_size"] == 6
        other.replace(index)
        found = identified(base, tmp_path / "other thing.png").json()["decision"]["candidates"]
        assert [one["label"] for one in found] == ["other thing"]


def test_an_index_of_another_model_put_in_its_place_is_opened_with_its_model(
    folder: Path, index: Path, tmp_path: Path
) -> None:
    asked = replace(DUMMY, models=ModelSettings())  # each index names its own model
    other = tmp_path / "other.ken"
    stretched = replace(DUMMY, models=ModelSettings(name="dummy", mode="stretch"))
    with Gallery.create(other, settings=stretched) as gallery:
        gallery.index(folder / "things")
    with served(asked, [index]) as (base, service):
        picture = folder / "things/thing_1.png"
        first = identified(base, picture).json()
        space = service.gallery().store.manifest.fingerprint.space_id
        other.replace(index)
        second = identified(base, picture).json()
        assert service.gallery().store.manifest.fingerprint.space_id != space
        assert first["decision"]["candidates"][0]["label"] == "thing 1"
        assert second["decision"]["candidates"][0]["label"] == "thing 1"


def test_indexes_of_two_models_in_turn_fail_no_request(folder: Path, tmp_path: Path) -> None:
    both = [tmp_path / "plain.ken", tmp_path / "stretched.ken"]
    for path, mode in zip(both, ("", "stretch"), strict=True):
        asked = replace(DUMMY, models=ModelSettings(name="dummy", mode=mode))
        with Gallery.create(path, settings=asked) as gallery:
            gallery.index(folder / "things")
    live = Path(shutil.copy(both[0], tmp_path / "live.ken"))
    picture, ended = folder / "things/thing_5.png", threading.Event()
    answers: list[httpx.Response] = []

    def ask(base: str) -> None:
        while not ended.is_set():
            answers.append(identified(base, picture))

    with served(Settings(), [live]) as (base, _):
        asking = [threading.Thread(target=ask, args=(base,)) for _ in range(3)]
        for thread in asking:
            thread.start()
        for number in range(1, 9):
            before = len(answers)
            time.sleep(0.2)
            until(lambda before=before: len(answers) > before + 1)
            Path(shutil.copy(both[number % 2], tmp_path / "next")).replace(live)
        ended.set()
        for thread in asking:
            thread.join()
    assert len(answers) > 8
    assert {answer.status_code for answer in answers} == {200}
    nearest = {answer.json()["decision"]["candidates"][0]["label"] for answer in answers}
    assert nearest == {"thing 5"}


# What it says of itself


def test_alive_is_told_apart_from_ready(index: Path) -> None:
    with served(DUMMY, [index]) as (base, service):
        assert httpx.get(f"{base}/livez").text == "alive\n"
        assert httpx.get(f"{base}/readyz").text == "ready\n"
        service.ready = False
        answered = httpx.get(f"{base}/readyz")
        assert (answered.status_code, answered.headers["retry-after"]) == (503, "1")
        assert httpx.get(f"{base}/livez").status_code == 200
        assert httpx.get(f"{base}/health").json()["phase"] == "loading"
        service.ready = True


def test_health_says_whether_the_model_is_loaded(folder: Path, index: Path) -> None:
    asked = replace(DUMMY, serve=ServeSettings(preload=False))
    with served(asked, [index]) as (base, _):
        assert httpx.get(f"{base}/health").json()["model_loaded"] is False
        assert identified(base, folder / "things/thing_0.png").status_code == 200
        answered = httpx.get(f"{base}/health").json()
        assert answered["model_loaded"] is True
        assert answered["device"] == "cpu"
        model = next(one for one in answered["models"] if one["name"] == "dummy")
        assert (model["loaded"], model["device_asked"]) == (True, "cpu")


def readiness(base: str) -> tuple[int, str]:
    answered = httpx.get(f"{base}/readyz")
    return answered.status_code, answered.text


def told_of(base: str, name: str = "gallery", **headers: str) -> dict[str, object]:
    answered = httpx.get(f"{base}/health", headers=headers)
    assert answered.status_code == 200
    found: dict[str, object] = answered.json()["galleries"][name]
    return found


@pytest.mark.parametrize("how", ["another file", "written over"])
def test_an_index_that_cannot_be_read_any_more_is_told_at_once(
    folder: Path, index: Path, how: str
) -> None:
    picture, whole = folder / "things/thing_0.png", index.read_bytes()

    def put(content: bytes) -> None:
        if how == "written over":
            index.write_bytes(content)
            return
        beside = index.with_name("beside")
        beside.write_bytes(content)
        beside.replace(index)

    with served(DUMMY, [index, f"other={folder / 'gallery.ken'}"]) as (base, _):
        put(b"no index" * 1000)
        assert readiness(base) == (503, "failing\n")  # before anybody has asked a question
        assert httpx.get(f"{base}/health").json()["phase"] == "failing"
        found = told_of(base)
        assert str(index) in str(found["last_failure"])
        assert found["failing"] is True
        since = str(found["trouble_since"])
        assert abs(datetime.fromisoformat(since).timestamp() - time.time()) < 60
        refused = identified(base, picture)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert told_of(base)["trouble_since"] == since
        assert not told_of(base, "other")["last_failure"]
        put(whole)
        assert readiness(base) == (200, "ready\n")
        assert told_of(base)["trouble_since"] == ""
        assert not told_of(base)["last_failure"]
        assert identified(base, picture).status_code == 200


def test_a_stranger_hears_of_trouble_and_of_no_path(index: Path) -> None:
    asked = replace(DUMMY, serve=ServeSettings(keys=str(index.with_name("keys.json"))))
    key = keys.create(index.with_name("keys.json"), "mine", ("read",))
    with served(asked, [index]) as (base, _):
        index.unlink()
        found = told_of(base)
        assert str(index) not in json.dumps(found)
        assert found["last_failure"]
        assert found["trouble_since"]
        assert str(index) in str(told_of(base, Authorization=f"Bearer {key}")["last_failure"])


@pytest.mark.parametrize("kind", ["ken", "npz"])
def test_an_index_that_was_deleted_is_answered_from_memory_and_not_written(
    folder: Path, index: Path, kind: str
) -> None:
    if kind == "npz":
        with Gallery.open(index, settings=DUMMY) as gallery:
            gallery.export(index := index.with_suffix(".npz"))
    picture, beside = folder / "things/thing_0.png", index.with_name("beside")
    with served(DUMMY, [index]) as (base, service):
        key = service.gallery().items()[0].key
        index.rename(beside)
        found = told_of(base)
        assert "deleted or moved since it was opened" in str(found["last_failure"])
        assert (found["failing"], bool(found["trouble_since"])) == (False, True)
        assert readiness(base) == (200, "ready\n")
        assert identified(base, picture).status_code == 200
        new = index.with_name("new.png")
        draw(99).save(new)
        refused = httpx.post(
            f"{base}/v1/galleries/-/items/{key}/references",
            files={"image": (new.name, new.read_bytes())},
            timeout=90,
        )
        assert refused.status_code == 503, refused.text
        assert "deleted or moved since it was opened" in refused.json()["detail"]
        assert not index.exists()
        beside.rename(index)
        assert told_of(base)["last_failure"] == ""


def test_a_bad_file_is_read_again_when_it_changes_and_else_now_and_then(index: Path) -> None:
    now = [0.0]
    with Gallery.open(index, settings=DUMMY) as gallery:
        lookout = Lookout({"gallery": gallery}, clock=lambda: now[0])
        assert lookout.look() == {}
        whole = index.read_bytes()
        for content, bad in ((b"junk", True), (b"more junk", True), (whole, False)):
            beside = index.with_name("beside")
            beside.write_bytes(content)
            beside.replace(index)
            assert bool(lookout.look()) is bad
        beside.write_bytes(b"junk")
        beside.replace(index)
        (first,) = lookout.look().values()
        gallery.trouble = ""
        lookout.look()
        assert gallery.trouble == ""  # it was not read again
        now[0] += AGAIN
        (again,) = lookout.look().values()
        assert gallery.trouble == first.sentence == again.sentence
        assert again.since == first.since


def test_metrics_count_requests_by_pattern(folder: Path, index: Path) -> None:
    with served(DUMMY, [index]) as (base, _):
        identified(base, folder / "things/thing_0.png")
        for number in range(3):
            httpx.get(f"{base}/nothing/{number}")
        text = httpx.get(f"{base}/metrics").text
    route = "/v1/galleries/{gallery}/identify"
    assert f'kenspeckle_requests_total{{method="POST",route="{route}",status="200"}} 1.0' in text
    assert 'route="(none)",status="404"} 3.0' in text
    assert f'kenspeckle_request_seconds_count{{route="{route}"}} 1.0' in text
    assert 'kenspeckle_references{gallery="gallery"} 6.0' in text
    assert 'kenspeckle_queue_depth{model="dummy"} 0.0' in text
    assert "process_resident_memory_bytes" in text
    assert "nothing/1" not in text


def lines(started: Process, event: str) -> Iterator[dict[str, object]]:
    for line in started.log.read_text().splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            if told["event"] == event:
                yield told


def test_each_request_is_one_line_in_the_log(folder: Path, index: Path, tmp_path: Path) -> None:
    with command([index, "--log-format", "json"], tmp_path) as (base, started):
        secret = "a" * 40
        named = {"X-Request-ID": "mine-1", "Authorization": f"Bearer {secret}"}
        part = {"image": ("my\nsecret.png", (folder / "things/thing_0.png").read_bytes())}
        address = f"{base}{IDENTIFY}?top=1"
        httpx.post(address, files=part, headers=named, timeout=90)
        httpx.get(f"{base}/no/%0Asuch?token=hidden")
    told = list(lines(started, "request_finished"))
    assert told[0]["req_id"] == "mine-1"
    assert (told[0]["route"], told[0]["status"]) == ("/v1/galleries/{gallery}/identify", 200)
    assert (told[0]["path"], told[0]["pid"]) == (IDENTIFY, started.process.pid)
    spent = [told[0][name] for name in ("decode", "embedding", "search", "other", "total")]
    assert all(isinstance(one, float) for one in spent)
    assert told[1]["status"] in (400, 404)
    text = started.log.read_text()
    assert not any(word in text for word in (secret, "hidden", "secret.png", "top=1"))
    assert len(told) == 2


def test_a_line_of_text_cannot_be_forged(index: Path, tmp_path: Path) -> None:
    with command([index], tmp_path) as (base, started):
        httpx.get(f"{base}/x%20event=forged%1b%5B31m")
    line = next(one for one in started.log.read_text().splitlines() if "forged" in one)
    assert "\x1b" not in line
    assert 'path="/x event=forged' in line


# The end


def half(base: str, picture: Path) -> tuple[socket.socket, bytes]:
    """A request of which half has been sent, and the other half."""
    data = picture.read_bytes()
    head = f"POST {IDENTIFY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    whole = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
    line = socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), 60)
    line.sendall(whole[: len(whole) // 2])
    return line, whole[len(whole) // 2 :]


def until(check: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


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
            deaf.sendall(200 * b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: httpx.get(f"{base}/health").json()["requests_in_flight"] == 3)
            begun = time.monotonic()
            assert started.stop() == 0
            assert time.monotonic() - begun < 50  # two seconds, where the machine is free


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
