"""`kenspeckle serve` from its start on: what is checked, what is picked up, what is told."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from drawing import draw
from serving import Process, command, free_port, served
from started import DUMMY, IDENTIFY, identified, until

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.errors import SettingError
from kenspeckle.serve.run import Running, opened
from kenspeckle.serve.service import open_service
from kenspeckle.types import Calibration

pytestmark = pytest.mark.slow


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


def a_name_of_no_machine(folder: Path, place: Path) -> list[object]:
    return ["--host", "a..b", folder / "gallery.ken"]


def beyond_this_machine(folder: Path, place: Path) -> list[object]:
    return ["--host", "0.0.0.0", folder / "gallery.ken"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (not_there, r"nothing\.ken: no such file. .* kenspeckle index FOLDER --out .*nothing\.ken"),
        (no_index, r"gallery\.ken: .*index"),
        (of_another_backbone, "its vectors were made by dummy.*, asked was"),
        (with_a_head_of_another_width, "a head for 5 columns; expected 192"),
        (with_a_head_that_is_not_there, "nothing.pt: "),
        (a_surface_that_is_none, "no surface 'canvas'; expected falcon or analyze"),
        (two_of_one_name, "two galleries are called gallery"),
        (
            an_address_of_another_machine,
            r"--host: 192\.0\.2\.1 \(.+\); expected an address of this machine\n",
        ),
        (a_name_of_no_machine, r"--host: a\.\.b \(.+\); expected an address of this machine\n"),
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


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"CLIP_PROJ": "nope.pt"}, r"nope\.pt, from environment \(CLIP_PROJ\): unreadable"),
        (
            {"KENSPECKLE_SERVE_SURFACES": "falcon, bogus"},
            r"serve\.surfaces, from environment \(KENSPECKLE_SERVE_SURFACES\): no surface 'bogus'",
        ),
        (
            {"IMAGE_EMBED_REQUIRE_GPU": "1"},
            r"models\.device: cpu; expected a GPU, as analyze\.require_gpu, "
            r"from environment \(IMAGE_EMBED_REQUIRE_GPU\), says",
        ),
        (
            {"KENSPECKLE_SERVE_HOST": "192.0.2.1", "KENSPECKLE_SERVE_SURFACES": "falcon:open"},
            r"serve\.host, from environment \(KENSPECKLE_SERVE_HOST\): 192\.0\.2\.1",
        ),
    ],
)
def test_what_the_environment_asks_for_is_refused_by_its_name(
    folder: Path, tmp_path: Path, names: dict[str, str], said: str
) -> None:
    started = Process([folder / "gallery.ken", "--port", free_port()], tmp_path, **names)
    with pytest.raises(AssertionError, match=said):
        started.ready()
    assert started.stop() == 1
    assert len(started.log.read_text().splitlines()) == 1


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
    ("words", "said"),
    [
        (["--port", "70000"], "--port"),
        (["--log-format", "xml"], "--log-format"),
        (["--sim-threshold", "2"], "--sim-threshold"),
        (["--nonsense"], "--nonsense"),
        (["--origin", "null", "--origin", "shop.example"], "--origin: 'shop.example'; expected"),
    ],
)
def test_a_wrong_option_is_exit_code_2(
    index: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    started = Process([index, *words], tmp_path)
    with pytest.raises(AssertionError, match=f"exit code 2(.|\n)*{said}"):
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
    assert service.stopping
    assert [one.fileno() for some, _ in sockets.values() for one in some] == [-1]


def test_a_port_on_which_nothing_listens_is_said(index: Path) -> None:
    for surfaces, said in ((("falcon=:9000",), 1), (("falcon=:9000", "analyze"), 0), ((), 0)):
        asked = replace(DUMMY, serve=ServeSettings(surfaces=surfaces, port=18500))
        service = open_service(asked, [str(index)])
        asyncio.run(service.close())
        assert sum("Nothing listens on port 18500" in note for note in service.notes) == said


def test_a_device_that_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "own.ken"
    with Gallery.create(index, settings=Settings(models=ModelSettings(name="fast"))) as gallery:
        gallery.index(folder / "things")
    names = {"KENSPECKLE_MODELS_NAME": "", "KENSPECKLE_MODELS_DEVICE": "tpu"}
    with command([index], tmp_path, **names) as (base, started):
        models = httpx.get(f"{base}/health").json()["models"]
        (model,) = [one for one in models if one["loaded"]]
        assert model["device"] == "cpu"
        said = started.log.read_text().splitlines()
    assert model["note"].startswith("the CPU is used: device tpu: ")
    assert f"{model['name']}: {model['note']}" in said


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


def test_with_json_every_line_is_an_object(folder: Path, tmp_path: Path) -> None:
    path = uncalibrated(folder, tmp_path / "new.ken")
    words = [path, "--log-format", "json", "--omniparser", "x"]
    with command(words, tmp_path, PYTHONWARNINGS="default") as (base, started):
        httpx.get(f"{base}/health")
    told = [json.loads(line) for line in started.log.read_text().splitlines()]
    notes = [one["message"] for one in told if one["event"] == "note"]
    assert [one.split()[0] for one in notes] == ["--omniparser:", "new", "Stopped."]
    assert started.line.startswith("Ready on "), "for whoever started it"


def test_a_line_of_text_cannot_be_forged(index: Path, tmp_path: Path) -> None:
    with command([index], tmp_path) as (base, started):
        httpx.get(f"{base}/x%20event=forged%1b%5B31m")
    line = next(one for one in started.log.read_text().splitlines() if "forged" in one)
    assert "\x1b" not in line
    assert 'path="/x event=forged' in line
