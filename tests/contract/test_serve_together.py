"""What holds where several surfaces meet in one service, section by section of its contract.

The checklists of the single surfaces run in `test_serve_falcon.py` and `test_serve_analyze.py`,
each against a server with every surface on one port.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from drawing import draw, draw_folder
from serving import Process, command, free_port, served

from kenspeckle import Gallery, __version__
from kenspeckle.config import ModelSettings, ServeSettings, Settings
from kenspeckle.errors import SettingError
from kenspeckle.serve.keys import create
from kenspeckle.serve.surfaces import Surface, by_port, read_surfaces, usual_port

FIELDS = {
    *("phase", "model_loaded", "device", "index_size", "has_projection", "has_yolo"),
    *("sim_threshold", "margin_threshold", "requests_served", "last_query"),
}
"""What `/health` of the replaced service said."""
OURS = {"version", "galleries", "models", "queues", "access", "surfaces", "requests_in_flight"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("together")
    things = draw_folder(place / "things")
    settings = Settings(models=ModelSettings(name="dummy"))
    with Gallery.create(place / "gallery.ken", settings=settings) as gallery:
        gallery.index(things)
    return place


def settings(folder: Path, *surfaces: str, **more: object) -> Settings:
    serve = ServeSettings(surfaces=surfaces, keys=str(folder / "keys.json"), **more)  # type: ignore[arg-type]
    models = ModelSettings(name="dummy", home=str(folder / "home"), offline=True)
    return Settings(models=models, serve=serve)


@pytest.fixture(scope="module")
def every(folder: Path) -> Iterator[str]:
    with served(settings(folder), [folder / "gallery.ken"]) as (base, _):
        yield base


# 0. One sub-application a surface


def test_0_every_surface_is_on_where_none_is_named() -> None:
    assert [one.name for one in read_surfaces(())] == ["falcon", "analyze"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("falcon", Surface("falcon")),
        ("analyze:open", Surface("analyze", open=True)),
        ("falcon=:9000", Surface("falcon", port=9000)),
        ("falcon=:9000:open", Surface("falcon", port=9000, open=True)),
        ("analyze=/vision", Surface("analyze", prefix="/vision")),
        ("analyze=/a/b:open", Surface("analyze", prefix="/a/b", open=True)),
    ],
)
def test_0_how_a_surface_is_named(written: str, read: Surface) -> None:
    assert read_surfaces([written]) == (read,)


@pytest.mark.parametrize(
    "written",
    [
        *("", "nothing", "falcon=", "falcon=9000", "falcon=:0", "falcon=:70000", "falcon=:-1"),
        *(
            "falcon=vision",
            "falcon=/",
            "falcon=//x",
            "falcon=/x/",
            "falcon=/v1",
            "falcon=/health/x",
        ),
        *("falcon:closed", "falcon:open:open", "falcon=/a b", "falcon=/../x", "falcon\n"),
    ],
)
def test_0_a_surface_that_is_none(written: str) -> None:
    with pytest.raises(SettingError, match="--surface"):
        read_surfaces([written])


def test_0_a_surface_is_on_once() -> None:
    with pytest.raises(SettingError, match="falcon is named twice"):
        read_surfaces(["falcon", "falcon=:9000"])


def test_0_the_native_api_is_always_on(every: str) -> None:
    document = httpx.get(f"{every}/v1/openapi.json").json()
    assert document["info"] == {**document["info"], "title": "Kenspeckle", "version": __version__}
    page = httpx.get(f"{every}/v1/docs")
    assert page.status_code == 200
    assert "/v1/openapi.json" in page.text


@pytest.mark.parametrize(
    ("name", "path"), [("falcon", "/api/falcon"), ("analyze", "/analyze_image/")]
)
def test_0_each_surface_has_a_document_of_its_own(every: str, name: str, path: str) -> None:
    document = httpx.get(f"{every}/openapi/{name}.json").json()
    others = httpx.get(f"{every}/openapi/v1.json").json()
    assert path in document["paths"]
    assert path not in others["paths"]


def test_0_a_surface_below_a_prefix_has_all_its_paths_there(folder: Path) -> None:
    asked = settings(folder, "analyze=/vision", "falcon")
    with served(asked, [folder / "gallery.ken"]) as (base, _):
        assert httpx.get(f"{base}/vision/available_operations/").status_code == 200
        assert httpx.get(f"{base}/available_operations/").status_code == 404
        assert "/analyze_image/" in httpx.get(f"{base}/vision/openapi.json").json()["paths"]
        assert "/vision/openapi.json" in httpx.get(f"{base}/vision/docs").text
        assert "/api/falcon" in httpx.get(f"{base}/openapi.json").json()["paths"]


def test_0_a_surface_of_several_galleries_answers_from_the_first(folder: Path) -> None:
    second = folder / "second.ken"
    with Gallery.create(second, settings=settings(folder)) as gallery:
        gallery.add(folder / "things/thing_0.png", label="only one")
    with served(settings(folder), [f"shelf={second}", folder / "gallery.ken"]) as (base, _):
        answered = httpx.get(f"{base}/health").json()
    assert answered["index_size"] == 1
    assert list(answered["galleries"]) == ["shelf", "gallery"]
    second.unlink()


# 1. Paths that collide


def test_1_the_first_surface_owns_the_root(folder: Path, every: str) -> None:
    assert "references" in httpx.get(f"{every}/").text
    assert httpx.get(f"{every}/").headers["content-type"].startswith("text/plain")
    with served(settings(folder, "analyze"), [folder / "gallery.ken"]) as (base, _):
        assert "/v1/docs" in httpx.get(f"{base}/").text


def test_1_the_first_surface_owns_the_documents(folder: Path, every: str) -> None:
    assert "/api/falcon" in httpx.get(f"{every}/openapi.json").json()["paths"]
    with served(settings(folder, "analyze", "falcon"), [folder / "gallery.ken"]) as (base, _):
        assert "/analyze_image/" in httpx.get(f"{base}/openapi.json").json()["paths"]
        assert "/api/falcon" in httpx.get(f"{base}/openapi/falcon.json").json()["paths"]
        assert httpx.get(f"{base}/docs").status_code == 200
        assert httpx.get(f"{base}/redoc").status_code == 200


def test_1_health_has_the_ten_fields_and_ours_with_falcon_on(every: str) -> None:
    answered = httpx.get(f"{every}/health").json()
    assert set(answered) >= FIELDS | OURS
    assert (answered["phase"], answered["model_loaded"], answered["last_query"]) == (
        "ready",
        True,
        "",
    )
    assert answered["index_size"] == 6
    with_slash = httpx.get(f"{every}/health/").json()
    assert set(with_slash) == set(answered)


def test_1_health_is_ours_without_falcon(folder: Path) -> None:
    with served(settings(folder, "analyze"), [folder / "gallery.ken"]) as (base, _):
        answered = httpx.get(f"{base}/health").json()
    assert set(answered) >= OURS
    assert "sim_threshold" not in answered


def test_1_a_surface_below_a_prefix_has_its_health_there(folder: Path) -> None:
    """Clients put `/health` behind the address that they know, and send no key with it."""
    keys = folder / "prefixed-keys.json"
    create(keys, "mine", ["read"])
    asked = settings(folder, "falcon=/f", "analyze=/a/b")
    asked = replace(asked, serve=replace(asked.serve, keys=str(keys)))
    with served(asked, [folder / "gallery.ken"]) as (base, _):
        for path in ("/f/health", "/f/health/"):
            told = httpx.get(f"{base}{path}")
            assert told.status_code == 200
            assert set(told.json()) >= FIELDS | OURS
        told = httpx.get(f"{base}/a/b/health")
        assert (told.status_code, told.json()["phase"]) == (200, "ready")
        assert set(told.json()) >= OURS
        assert "sim_threshold" not in told.json()
        assert httpx.post(f"{base}/f/health").status_code == 405


def test_1_what_nobody_has_is_answered_as_by_the_owner(every: str) -> None:
    answered = httpx.get(f"{every}/no/such/path")
    assert (answered.status_code, answered.json()) == (404, {"detail": "Not Found"})
    answered = httpx.get(f"{every}/v1/no/such/path")
    assert answered.status_code == 404
    assert answered.headers["content-type"] == "application/problem+json"
    assert httpx.delete(f"{every}/health").status_code == 405


def test_1_a_port_of_surfaces_below_prefixes_has_nothing_else(folder: Path) -> None:
    with served(settings(folder, "analyze=/vision"), [folder / "gallery.ken"]) as (base, service):
        assert httpx.get(f"{base}/anything/at/all").status_code == 404
        assert httpx.get(f"{base}/docs", follow_redirects=True).status_code == 200
        assert "/galleries" in httpx.get(f"{base}/openapi.json").json()["paths"]
    assert not [route for _, route, _ in service.metrics.requests if "anything" in route]


# 2. Ports


@pytest.mark.parametrize(
    ("written", "port", "expected"),
    [
        ((), 0, {8500: ["falcon", "analyze"]}),
        (("falcon",), 0, {8500: ["falcon"]}),
        (("analyze",), 0, {8000: ["analyze"]}),
        (("analyze", "falcon"), 0, {8500: ["analyze", "falcon"]}),
        (("analyze",), 1234, {1234: ["analyze"]}),
        (("falcon", "analyze=:8000"), 0, {8500: ["falcon"], 8000: ["analyze"]}),
        (("analyze=:8000",), 0, {8000: ["analyze"]}),
        (("falcon=:9000", "analyze=:9000"), 0, {9000: ["falcon", "analyze"]}),
    ],
)
def test_2_which_ports_are_listened_on(
    written: tuple[str, ...], port: int, expected: dict[int, list[str]]
) -> None:
    found = by_port(read_surfaces(written), port)
    assert {number: [one.name for one in shown] for number, shown in found.items()} == expected


def test_2_the_port_of_no_surface_is_the_usual_one() -> None:
    assert usual_port(()) == 8500


def test_2_two_ports_of_one_service(folder: Path) -> None:
    first, second = free_port(), free_port()
    asked = settings(folder, "falcon", f"analyze=:{second}", port=first)
    with served(asked, [folder / "gallery.ken"]):

        def status(port: int, path: str) -> int:
            return httpx.get(f"http://127.0.0.1:{port}{path}").status_code

        assert [status(port, "/api/info") for port in (first, second)] == [200, 404]
        assert [status(port, "/available_operations/") for port in (first, second)] == [404, 200]
        assert [status(port, "/v1/openapi.json") for port in (first, second)] == [200, 200]
        assert [status(port, "/health") for port in (first, second)] == [200, 200]


# 3. First contact


def test_3_no_key_on_loopback_until_the_first_is_made(folder: Path) -> None:
    asked = settings(folder)
    keys = folder / "first-contact.json"
    asked = replace(asked, serve=replace(asked.serve, keys=str(keys)))
    page = {"Origin": "http://localhost:3030"}
    with served(asked, [folder / "gallery.ken"]) as (base, _):
        assert httpx.get(f"{base}/v1/galleries").status_code == 200
        allowed = httpx.get(f"{base}/api/info", headers=page)
        assert allowed.headers["access-control-allow-origin"] == page["Origin"]
        assert "no key is asked" in httpx.get(f"{base}/health").json()["access"]
        key = create(keys, "mine", ["read"])
        assert httpx.get(f"{base}/v1/galleries").status_code == 401
        refused = httpx.get(f"{base}/api/info", headers=page)
        assert refused.status_code == 401
        assert "access-control-allow-origin" not in refused.headers
        with_key = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{base}/v1/galleries", headers=with_key).status_code == 200
        assert httpx.get(f"{base}/api/info", headers=with_key).status_code == 200
        assert "a key is asked" in httpx.get(f"{base}/health").json()["access"]
        assert httpx.get(f"{base}/metrics").status_code == 401
        assert httpx.get(f"{base}/metrics", headers=with_key).status_code == 200
        for path in ("/livez", "/readyz", "/health", "/docs", "/v1/docs", "/v1/openapi.json"):
            assert httpx.get(f"{base}{path}").status_code == 200, path


@pytest.mark.slow
def test_3_another_address_needs_a_key_or_open_surfaces(folder: Path, tmp_path: Path) -> None:
    index = folder / "gallery.ken"
    keys = tmp_path / "keys.json"
    words = ["--port", free_port(), "--host", "0.0.0.0", "--keys", keys, index]
    refused = Process(words, tmp_path)
    with pytest.raises(AssertionError, match="no key was made"):
        refused.ready()
    refused.stop()
    words = ["--host", "0.0.0.0", "--keys", keys, "--surface", "falcon:open", index]
    with command(words, tmp_path) as (base, started):
        assert "a key is asked, except by falcon" in started.line
        port = base.rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.1:{port}/api/info").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/v1/galleries").status_code == 401
    create(keys, "mine", ["read"])
    with command(["--host", "0.0.0.0", "--keys", keys, index], tmp_path) as (base, started):
        assert "a key is asked" in started.line


@pytest.mark.slow
def test_3_the_line_at_the_start_says_that_no_key_is_asked(folder: Path, tmp_path: Path) -> None:
    with command(["--keys", tmp_path / "keys", folder / "gallery.ken"], tmp_path) as (
        base,
        started,
    ):
        assert "no key is asked" in started.line
        assert "gallery (6)" in started.line
        assert base.startswith("http://127.0.0.1:")
        assert started.stop(signal.SIGINT) == 0


# 4. Environment names


@pytest.mark.slow
def test_4_the_names_of_the_replaced_service_count(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    prices = {"currency": "USD", "prices": {}}
    (tmp_path / "prices.json").write_text(json.dumps(prices))
    (tmp_path / ".env").write_text("CLIP_MARGIN_THRESHOLD=0.11\nCARD_PRICES=prices.json\n")
    names = {
        "CARD_INDEX": str(folder / "gallery.ken"),
        "REFS_DIR": str(folder / "things"),
        "PORT": str(port),
        "CLIP_SIM_THRESHOLD": "0.61",
        "CARD_PRICES_FX_USD_PER_JPY": "0.0075",
    }
    started = Process([], tmp_path, **names)
    try:
        assert started.ready() == f"http://127.0.0.1:{port}"
        answered = httpx.get(f"http://127.0.0.1:{port}/health").json()
    finally:
        assert started.stop() == 0
    assert (answered["sim_threshold"], answered["margin_threshold"]) == (0.61, 0.11)
    assert (answered["index_size"], answered["fx"]["rate"]) == (6, 0.0075)


@pytest.mark.slow
def test_4_a_name_of_ours_wins(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    started = Process([folder / "gallery.ken"], tmp_path, PORT="1", KENSPECKLE_SERVE_PORT=str(port))
    try:
        assert started.ready().endswith(f":{port}")
    finally:
        started.stop()


@pytest.mark.slow
def test_4_the_flags_of_the_replaced_service_count(folder: Path, tmp_path: Path) -> None:
    words = ["--index", folder / "gallery.ken", "--refs", folder / "things", "--no-yolo"]
    words += ["--sim-threshold", "0.6", "--margin-threshold", "0.1", "--yolo-conf", "0.1"]
    words += ["--prices", "none.json", "--omniparser", "x", "--host", "127.0.0.1"]
    with command(words, tmp_path) as (base, started):
        answered = httpx.get(f"{base}/health").json()
    assert (answered["sim_threshold"], answered["margin_threshold"]) == (0.6, 0.1)
    assert "--omniparser: ignored" in started.log.read_text()


# 6. An index without a model name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (512, "clip|CLIP|vit|ViT"),
        (256, "a projection head behind|no head is given"),
        (100, "names no model"),
    ],
)
def test_6_an_index_of_the_former_system_is_refused_with_both_sides(
    tmp_path: Path, columns: int, said: str
) -> None:
    rows = np.eye(4, columns, dtype=np.float32)
    names = np.array(["A", "B", "C", "D"], dtype=object)
    np.savez(tmp_path / "card_index.npz", embeddings=rows, names=names, filenames=names)
    env = {"KENSPECKLE_MODELS_NAME": "", "KENSPECKLE_MODELS_OFFLINE": "yes"}
    started = Process(["--port", free_port()], tmp_path, **env)
    with pytest.raises(AssertionError, match=said) as refused:
        started.ready()
    text = str(refused.value)
    assert text.startswith("exit code 1")
    assert f"{columns} columns" in text
    assert "kenspeckle index" in text
    assert "Traceback" not in text
    started.stop()


# The surfaces beside each other


def test_pictures_are_answered_by_every_surface_at_once(folder: Path, every: str) -> None:
    photo = (folder / "things/thing_4.png").read_bytes()
    part = {"image": ("frame.jpg", photo, "image/jpeg")}
    native = httpx.post(f"{every}/v1/galleries/-/identify", files=part, timeout=90).json()
    assert native["decision"]["label"] == "thing 4"
    falcon = httpx.post(f"{every}/api/falcon", files=part, data={"query": "x"}, timeout=90).json()
    assert falcon["query"] == "x"
    assert falcon["image_size"] == [240, 240]
    tasks = json.dumps([{"operation_id": "a", "type": "detect_bounding_box"}])
    analysed = httpx.post(
        f"{every}/analyze_image_upload/",
        files={"image_file": ("a.png", photo)},
        data={"tasks_json": tasks},
        timeout=90,
    )
    assert set(analysed.json()["results"]) == {"a"}


def test_a_stranger_is_none_of_them_on_the_native_api(tmp_path: Path, every: str) -> None:
    draw(99).save(tmp_path / "other.png")
    part = {"image": ("other.png", (tmp_path / "other.png").read_bytes())}
    answered = httpx.post(f"{every}/v1/galleries/-/identify", files=part, timeout=90).json()
    assert answered["decision"]["known"] is False
