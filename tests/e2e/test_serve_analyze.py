"""The surface `analyze` against bad requests, and what it promises beside its contract."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from analysing import (
    PERSON,
    Client,
    FixedEngines,
    gives,
    packed,
    scene,
    site,
    small_index,
    task,
    vector_of,
)
from PIL import Image
from serving import served

from kenspeckle.config import (
    AnalyzeSettings,
    ImageSettings,
    ModelSettings,
    ServeSettings,
    Settings,
)
from kenspeckle.errors import SettingError
from kenspeckle.serve.service import open_service

DETECT, CLIP = "detect_bounding_box", "embed_clip_vit_b_32"
PICTURE = packed(scene())
HERE = "/analyze_image_upload/"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("analyze")
    small_index(made)
    return made


def settings(folder: Path, **serve: Any) -> Settings:
    return Settings(
        image=ImageSettings(fetch_private=True, fetch_timeout=30.0),
        models=ModelSettings(name="dummy", home=str(folder / "home"), offline=True),
        serve=ServeSettings(surfaces=("analyze",), **serve),
        analyze=AnalyzeSettings(classifiers=str(folder)),
    )


@pytest.fixture(scope="module")
def engines() -> FixedEngines:
    return FixedEngines()


@pytest.fixture(scope="module")
def client(folder: Path, engines: FixedEngines) -> Iterator[Client]:
    with (
        served(settings(folder), [folder / "gallery.ken"], analysis=engines) as (base, _),
        Client(base) as asking,
    ):
        yield asking


@pytest.fixture(autouse=True)
def _healthy(client: Client, engines: FixedEngines) -> Iterator[None]:
    """Whatever was sent, the next picture is answered."""
    engines.reset()
    yield
    engines.reset()
    assert client.one(PICTURE, DETECT)["data"] == list(PERSON)


def test_documents_and_paths_of_the_surface(client: Client) -> None:
    document = client.http.get("/openapi.json").json()
    assert document["info"]["title"] == "Advanced Image Analysis API"
    assert document["info"]["version"] == "0.3.0"
    assert set(document["paths"]) == {"/analyze_image/", HERE, "/available_operations/"}
    assert client.http.get("/docs").status_code == 200
    assert client.http.get("/redoc").status_code == 200
    missing, verb = client.http.get("/nothing"), client.http.get("/analyze_image/")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    assert (verb.status_code, verb.json()) == (405, {"detail": "Method Not Allowed"})


LISTED = [
    *("[" * 100_000, '{"a":' * 50_000, "[1e999]", "[NaN]", '["\\ud800"]', "\x00", "[]]"),
    json.dumps([task(str(n), DETECT) for n in range(10_000)]),
    json.dumps([{"operation_id": 5, "type": DETECT}]),
    json.dumps([{"operation_id": "a", "type": None}]),
    json.dumps([{"operation_id": "a", "type": DETECT, "params": 5}]),
    json.dumps([{"operation_id": "\ud800", "type": DETECT}]),
]


@pytest.mark.parametrize("text", LISTED, ids=range(len(LISTED)))
def test_tasks_that_are_none(client: Client, text: str) -> None:
    answer = client.sent(PICTURE, text)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"].startswith("Invalid tasks JSON format or structure:")
    assert len(answer.content) < 4000
    body = f'{{"image_url": "http://example.com/", "tasks": {text}}}'
    answer = client.http.post(
        "/analyze_image/", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert len(answer.content) < 4000


@pytest.mark.parametrize(
    "params",
    [
        '{"target": [[[[[[1]]]]]]}',
        '{"target": 1e999}',
        '{"target": NaN}',
        '{"target": "\\u0000\\u001b[31m"}',
        '{"face_context": {"a": []}, "target": "prominent_face"}',
        '{"unknown": "' + "x" * 100_000 + '"}',
        "null",
    ],
)
def test_odd_parameters_are_no_fault(client: Client, params: str) -> None:
    answer = client.sent(PICTURE, f'[{{"operation_id": "", "type": "{CLIP}", "params": {params}}}]')
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][""]["status"] in ("success", "skipped")


def test_ids_come_back_as_they_were_sent(client: Client) -> None:
    names = ["", " ", "\x00", "é\u2028😀", "a" * 10_000, "__proto__", "\x1b[31m"]
    found = client.results(PICTURE, *(task(name, "nothing") for name in names))
    assert list(found) == names


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"--\r\n\r\n"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name="),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 5000 + b"\r\n\r\n--b--"),
        ("multipart/form-data; boundary=b; charset=nothing", b"--b--\r\n"),
        ("application/x-www-form-urlencoded", b"image_file=x&tasks_json=[]"),
        ("application/json", b"{}"),
        ("text/plain", b"[]"),
        ("\x80\xff", b"[]"),
    ],
)
def test_forms_that_are_none(client: Client, head: str, body: bytes) -> None:
    for path in (HERE, "/analyze_image/"):
        answer = client.http.post(
            path, content=body, headers={"content-type": head.encode("latin-1")}
        )
        assert answer.status_code in (400, 422), answer.text
        assert "detail" in answer.json()


def test_parts_of_another_kind(client: Client) -> None:
    asked = [
        client.http.post(HERE, data={"image_file": "text", "tasks_json": "[]"}, files={"a": b"b"}),
        client.http.post(HERE, files={"image_file": ("a", PICTURE), "tasks_json": ("b", b"[]")}),
        client.http.post(HERE, files=[("image_file", ("a", PICTURE))] * 20),
        client.http.post(HERE, files={"a": b"b"}, data={f"f{n}": "x" for n in range(100)}),
    ]
    assert [one.status_code for one in asked] == [422, 422, 400, 400]


@pytest.mark.parametrize("name", ["a\r\nb", "..\\..\\x", "\x1b]0;x\x07", "é😀", "x" * 500, "é"])
def test_names_of_files_are_only_shown(client: Client, name: str) -> None:
    answer = client.upload(PICTURE, task("t", DETECT), name=name)
    assert answer.status_code == 200, answer.text
    assert answer.json()["image_url"].startswith("uploaded:")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF....WEBP", b"%PDF-1.7"),
        *(PICTURE[:500], PICTURE[:-200], packed(scene(), "JPEG")[:4000], b"<svg/>"),
    ],
)
def test_pictures_that_are_none(client: Client, data: bytes) -> None:
    found = client.results(data, task("a", DETECT), task("b", CLIP))
    for one in found.values():
        assert one["status"] == "error"
        assert one["error_message"].startswith(
            "Failed to process base image: Could not process uploaded image: "
        )
    assert client.results(data) == {}


def test_a_small_picture_has_its_answers(client: Client, engines: FixedEngines) -> None:
    engines.person = engines.face_inside = engines.face_outside = None
    dot = packed(Image.new("RGB", (1, 1)))
    found = client.results(dot, task("p", DETECT), task("v", CLIP, target="prominent_person"))
    assert [one["status"] for one in found.values()] == ["success", "success"]


def test_a_picture_is_seen_as_it_is_stored(client: Client, folder: Path) -> None:
    """No rotation, alpha dropped; with the setting on, rotated."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = packed(scene(), "PNG", exif=exif)
    assert client.one(data, CLIP)["data"] == vector_of(scene(), 512, "clip").tolist()
    ghost = scene().convert("RGBA")
    ghost.putalpha(0)
    assert client.one(packed(ghost), CLIP)["data"] == vector_of(scene(), 512, "clip").tolist()
    asked = settings(folder)
    turned = Settings(
        image=asked.image,
        models=asked.models,
        serve=asked.serve,
        analyze=AnalyzeSettings(rotate=True),
    )
    with (
        served(turned, [folder / "gallery.ken"], analysis=FixedEngines()) as (base, _),
        Client(base) as asking,
    ):
        upright = scene().transpose(Image.Transpose.ROTATE_270)
        assert asking.one(data, CLIP)["data"] == vector_of(upright, 512, "clip").tolist()


def test_too_much_at_once_is_told_to_come_back(folder: Path) -> None:
    slow = FixedEngines()
    slow.seconds = 0.4
    with (
        served(settings(folder, queue=2), [folder / "gallery.ken"], analysis=slow) as (base, _),
        Client(base) as asking,
        ThreadPoolExecutor(24) as pool,
    ):
        asked = [pool.submit(asking.upload, PICTURE, task("t", DETECT)) for _ in range(24)]
        answers = [one.result() for one in asked]
        codes = {answer.status_code for answer in answers}
        assert codes == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) >= 1
                assert "detail" in answer.json()


def test_a_client_that_leaves_is_not_worked_for(client: Client, engines: FixedEngines) -> None:
    engines.seconds = 0.3
    form = client.http.build_request(
        "POST",
        HERE,
        files={"image_file": ("a.png", PICTURE)},
        data={"tasks_json": json.dumps([task("t", DETECT)])},
    )
    body = form.read()
    head = (
        f"POST {HERE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: {form.headers['content-type']}\r\n\r\n"
    )
    address = (client.http.base_url.host, client.http.base_url.port)
    for _ in range(20):
        with socket.create_connection(address) as line:
            line.sendall(head.encode() + body)
    time.sleep(1.0)
    engines.seconds = 0.0
    assert engines.calls["person"] < 15


def test_long_work_ends_when_nobody_waits_for_it(folder: Path) -> None:
    slow = FixedEngines()
    slow.seconds = 0.2
    with (
        served(settings(folder, timeout=0.5), [folder / "gallery.ken"], analysis=slow) as (base, _),
        Client(base) as asking,
    ):
        tasks = [task(str(n), "describe_image", max_length=n + 1) for n in range(40)]
        answer = asking.upload(PICTURE, *tasks)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        time.sleep(0.5)
        begun = slow.calls["caption"]
        assert begun < 8
        time.sleep(0.5)
        assert slow.calls["caption"] == begun


def test_a_slow_or_endless_address(folder: Path) -> None:
    def drips(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(600):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.1)

    short = Settings(
        image=ImageSettings(fetch_private=True, fetch_timeout=0.5, max_bytes=200_000),
        models=ModelSettings(name="dummy", home=str(folder / "home"), offline=True),
    )
    with (
        served(short, [folder / "gallery.ken"], analysis=FixedEngines()) as (base, _),
        Client(base) as asking,
        site(drips) as (slow, _),
        site(gives(bytes(300_000))) as (large, _),
    ):
        for address in (slow, large):
            start = time.perf_counter()
            answer = asking.url(address, task("t", DETECT))
            assert time.perf_counter() - start < 30
            assert answer.json()["results"]["t"]["status"] == "error"


@pytest.mark.slow
def test_a_gpu_that_is_required_and_missing(folder: Path) -> None:
    for device in ("cpu", "cuda", "nothing"):
        wanted = Settings(
            models=ModelSettings(name="dummy", home=str(folder / "home"), device=device),
            analyze=AnalyzeSettings(require_gpu=True),
        )
        with pytest.raises(SettingError, match="require_gpu"):
            open_service(wanted, [str(folder / "gallery.ken")])


@pytest.mark.slow
def test_engines_are_kept_like_models(folder: Path) -> None:
    """Loaded when they are used, listed with the others, gone after a while without use."""
    wanted = Settings(
        models=ModelSettings(name="dummy", home=str(folder / "home"), offline=True),
        serve=ServeSettings(idle_grace=3.0),
    )
    with (
        served(wanted, [folder / "gallery.ken"]) as (base, service),
        Client(base) as asking,
    ):

        def loaded() -> bool:
            return {one.name: one.loaded for one in service.models.standings()}["face:yunet"]

        assert not loaded()
        params = {"target": "prominent_face", "face_context": "whole_image"}
        assert asking.one(PICTURE, DETECT, **params)["status"] == "success"
        assert loaded()
        until = time.monotonic() + 60
        while loaded() and time.monotonic() < until:
            time.sleep(0.05)
        assert not loaded()
        assert asking.one(PICTURE, DETECT, **params)["status"] == "success"
    pinned = Settings(models=wanted.models, serve=ServeSettings(pinned=("face:yunet",)))
    with served(pinned, [folder / "gallery.ken"]) as (_, service):
        standings = service.models.standings()
        assert {one.name for one in standings if one.pinned} == {"face:yunet"}
        assert {one.name for one in standings if one.loaded} == {"dummy", "face:yunet"}


def test_an_engine_that_cannot_be_loaded_is_told_of(folder: Path) -> None:
    broken = folder / "broken.onnx"
    broken.write_bytes(b"junk")
    wanted = Settings(
        models=ModelSettings(name="dummy", home=str(folder / "home"), offline=True),
        analyze=AnalyzeSettings(person=str(broken)),
    )
    with (
        served(wanted, [folder / "gallery.ken"]) as (base, service),
        Client(base) as asking,
    ):
        found = asking.results(PICTURE, task("a", DETECT), task("b", "nothing"))
        assert [one["status"] for one in found.values()] == ["error", "skipped"]
        assert found["a"]["error_message"].startswith("Internal error processing task: broken.onnx")
        assert str(folder) not in found["a"]["error_message"]
        (standing,) = [one for one in service.models.standings() if one.name == "person:broken"]
        assert not standing.loaded
        assert "broken.onnx" in standing.failure


def test_the_log_says_how_long_each_stage_took(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "secret-name"
    with (
        served(
            settings(folder, log_format="json"), [folder / "gallery.ken"], analysis=FixedEngines()
        ) as (base, _),
        Client(base) as asking,
    ):
        asking.upload(
            PICTURE,
            task(secret, CLIP, target="prominent_person"),
            task("b", "describe_image"),
            name=secret,
        )
        asking.http.post(HERE + f"?key={secret}")
    said = capfd.readouterr().err
    lines = [json.loads(line) for line in said.splitlines() if "request_finished" in line]
    first = next(line for line in lines if line["status"] == 200)
    assert {"processing", "detection", "embedding", "description", "other", "total"} <= set(first)
    assert secret not in said
