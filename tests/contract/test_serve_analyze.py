"""The surface `analyze` against its contract: its checklist, an item a test, by number.

Items 5, 6 and 12 need checkpoints and stand in `test_serve_analyze_models.py`, item 25 with the
command that captions folders.
"""

from __future__ import annotations

import base64
import json
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from analysing import (
    ELSEWHERE,
    FACE_IN_PERSON,
    KEYS,
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
from skimage import data as shipped
from sklearn.linear_model import LogisticRegression

from kenspeckle.config import (
    AnalyzeSettings,
    ImageSettings,
    ModelSettings,
    ServeSettings,
    Settings,
)
from kenspeckle.match.classify import Linear, sigmoid, to_json

DETECT, CLIP, DINO = "detect_bounding_box", "embed_clip_vit_b_32", "embed_dino_v2"
WHOLE_FACE = {"target": "prominent_face", "face_context": "whole_image"}
PICTURE = packed(scene())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("analyze")
    (made / "trained").mkdir()
    small_index(made)
    return made


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    return Settings(
        image=ImageSettings(max_bytes=8 * 1024 * 1024, fetch_timeout=60.0, fetch_private=True),
        models=ModelSettings(name="dummy", home=str(folder / "home"), offline=True),
        serve=ServeSettings(max_body=10 * 1024 * 1024),
        analyze=AnalyzeSettings(classifiers=str(folder / "trained")),
    )


@pytest.fixture(scope="module")
def _engines() -> FixedEngines:
    return FixedEngines()


@pytest.fixture(scope="module")
def _base(folder: Path, settings: Settings, _engines: FixedEngines) -> Iterator[str]:
    with served(settings, [folder / "gallery.ken"], analysis=_engines) as (base, _):
        yield base


@pytest.fixture
def engines(_engines: FixedEngines) -> FixedEngines:
    _engines.reset()
    return _engines


@pytest.fixture
def client(_base: str, engines: FixedEngines) -> Iterator[Client]:
    with Client(_base) as asking:
        yield asking


@pytest.fixture
def trained(folder: Path) -> Iterator[Path]:
    yield folder / "trained"
    for path in (folder / "trained").iterdir():
        path.unlink()


def portrait() -> bytes:
    return packed(Image.fromarray(shipped.astronaut()), "JPEG", quality=95)


def coffee() -> bytes:
    return packed(Image.fromarray(shipped.coffee()), "JPEG", quality=95)


def crop_of(result: dict[str, object]) -> Image.Image:
    text = str(result["cropped_image_base64"])
    assert text.startswith("iVBOR")
    return Image.open(BytesIO(base64.b64decode(text, validate=True)))


def test_item_1_operations(client: Client) -> None:
    answer = client.http.get("/available_operations/")
    assert answer.status_code == 200
    told = answer.json()["operations"]
    three = ["whole_image", "prominent_person", "prominent_face"]
    assert {
        name: (one["allowed_targets"], one["default_target"]) for name, one in told.items()
    } == {
        DETECT: (three[1:], "prominent_person"),
        CLIP: (three, "whole_image"),
        DINO: (three, "whole_image"),
        "classify": (three, "whole_image"),
        "describe_image": (three, "whole_image"),
    }
    keys = {"description", "allowed_targets", "default_target"}
    assert all(set(one) == keys for one in told.values())
    assert "fixed-clip" in told[CLIP]["description"]


@pytest.fixture(scope="module")
def real(folder: Path) -> Iterator[Client]:
    """A server with the engines of this package, as far as they need no other files."""
    models = ModelSettings(name="dummy", home=str(folder / "home"), offline=True)
    with (
        served(Settings(models=models), [folder / "gallery.ken"]) as (base, _),
        Client(base) as asking,
    ):
        yield asking


@pytest.fixture(scope="module")
def people(folder: Path, assets: Path) -> Iterator[Client]:
    """A server that finds people, too."""
    models = ModelSettings(name="dummy", home=str(folder / "home"), offline=True)
    person = str(assets / "models/nanodet-m-416/nanodet-m-416.onnx")
    analyze = AnalyzeSettings(person=person, person_score=0.4, clip="dummy")
    with (
        served(Settings(models=models, analyze=analyze), [folder / "gallery.ken"]) as (base, _),
        Client(base) as asking,
    ):
        yield asking


@pytest.mark.assets
def test_item_2_person_of_the_portrait(people: Client) -> None:
    found = people.one(portrait(), DETECT)
    x0, y0, x1, y1 = found["data"]
    assert found["status"] == "success"
    assert all(type(value) is int for value in found["data"])
    assert 0 <= x0 < x1 <= 512
    assert 0 <= y0 < y1 <= 512
    assert found["cropped_image_bbox"] is found["cropped_image_base64"] is None


@pytest.mark.assets
def test_item_3_face_of_the_portrait_is_inside_the_person(people: Client) -> None:
    found = people.results(
        portrait(), task("p", DETECT), task("f", DETECT, target="prominent_face")
    )
    (x0, y0, x1, y1), (a, b, c, d) = found["p"]["data"], found["f"]["data"]
    assert x0 <= (a + c) / 2 <= x1
    assert y0 <= (b + d) / 2 <= y1


def test_items_3_and_4_with_the_detector_of_this_package(real: Client) -> None:
    """Without a detector of people a face is looked for everywhere, unless somebody says where."""
    x0, y0, x1, y1 = real.one(portrait(), DETECT, target="prominent_face")["data"]
    assert 160 < (x0 + x1) / 2 < 280
    assert 60 < (y0 + y1) / 2 < 180
    found = real.one(coffee(), DETECT, target="prominent_face")
    assert (found["status"], found["data"]) == ("success", None)
    said = real.one(portrait(), DETECT, target="prominent_face", face_context="prominent_person")
    assert said["status"] == "skipped"
    assert "kenspeckle models pull detr-resnet-50" in said["error_message"]
    told = real.http.get("/available_operations/").json()["operations"]
    assert "Unavailable" in told["describe_image"]["description"]
    assert "Unavailable" in told[DETECT]["description"]


@pytest.mark.assets
def test_item_4_no_face_in_the_scene(people: Client) -> None:
    found = people.one(coffee(), DETECT, target="prominent_face")
    assert (found["status"], found["data"]) == ("success", None)


def test_item_7_a_crop_shows_the_box(client: Client) -> None:
    found = client.one(PICTURE, CLIP, target="prominent_person")
    assert found["cropped_image_bbox"] == list(PERSON)
    crop = crop_of(found)
    assert (crop.mode, crop.size) == ("RGB", (200, 200))
    part = scene().crop(PERSON)
    assert np.array_equal(np.asarray(crop), np.asarray(part))
    assert np.array_equal(np.float32(found["data"]), vector_of(part, 512, "clip"))


@pytest.mark.assets
def test_items_7_and_8_on_the_portrait_and_the_scene(people: Client) -> None:
    """With real detectors; what makes the vectors does not matter here."""
    person = people.one(portrait(), DETECT)["data"]
    found = people.one(portrait(), CLIP, target="prominent_person")
    assert found["cropped_image_bbox"] == person
    part = Image.open(BytesIO(portrait())).convert("RGB").crop(person)
    assert np.array_equal(np.asarray(crop_of(found)), np.asarray(part))
    found = people.results(coffee(), task("p", CLIP, target="prominent_person"), task("w", CLIP))
    assert found["p"] == found["w"]
    assert found["p"]["status"] == "success"


def test_item_8_nobody_there_is_the_whole_picture(client: Client, engines: FixedEngines) -> None:
    engines.person = None
    found = client.results(PICTURE, task("p", CLIP, target="prominent_person"), task("w", CLIP))
    assert found["p"] == found["w"]
    assert found["p"]["status"] == "success"
    assert found["p"]["cropped_image_bbox"] is found["p"]["cropped_image_base64"] is None
    assert engines.calls == {"person": 1, "clip": 1}


@pytest.mark.parametrize("kind", [CLIP, DINO, "describe_image"])
def test_item_9_no_face_is_skipped(client: Client, engines: FixedEngines, kind: str) -> None:
    engines.face_inside = engines.face_outside = None
    found = client.results(PICTURE, task("my id", kind, target="prominent_face"))["my id"]
    assert (found["status"], found["data"]) == ("skipped", None)
    assert "No prominent face found" in found["error_message"]
    assert "my id" in found["error_message"]


def test_item_10_where_a_face_is_looked_for(client: Client, engines: FixedEngines) -> None:
    engines.person = None
    found = client.one(PICTURE, DETECT, target="prominent_face", face_context="prominent_person")
    assert found["data"] == list(ELSEWHERE)
    engines.reset()
    engines.face_inside = None
    found = client.one(PICTURE, DETECT, target="prominent_face")
    assert (found["status"], found["data"]) == ("success", None)
    assert client.one(PICTURE, DETECT, **WHOLE_FACE)["data"] == list(ELSEWHERE)
    assert engines.calls == {"person": 1, "face": 2}


def test_item_11_what_is_not_known_is_skipped(client: Client) -> None:
    found = client.results(
        PICTURE,
        task("a", "make_coffee"),
        task("b", DETECT, target="whole_image"),
        task("c", CLIP, target=["x"]),
        task("d", CLIP),
    )
    assert [one["status"] for one in found.values()] == ["skipped"] * 3 + ["success"]
    assert "Unsupported operation type 'make_coffee'" in found["a"]["error_message"]
    for part in ("Unsupported target 'whole_image'", DETECT, "prominent_person, prominent_face"):
        assert part in found["b"]["error_message"]
    assert "Unsupported target" in found["c"]["error_message"]


def test_item_13_which_collection(client: Client) -> None:
    found = client.results(
        PICTURE,
        task("none", "classify"),
        task("text", "classify", collection_id="abc"),
        task("unknown", "classify", collection_id=4711),
        task("list", "classify", collection_id=[1]),
    )
    assert [one["status"] for one in found.values()] == ["skipped"] * 3 + ["error"]
    assert all(one["data"] is None for one in found.values())
    assert "Classifier not found for collection_id 4711" in found["unknown"]["error_message"]


def test_item_14_classifiers_of_a_folder(client: Client, trained: Path) -> None:
    rng = np.random.default_rng(5)
    rows = {name: rng.standard_normal(512) / 4 for name in ("old", "new", "best")}

    def put(stamp: str, name: str) -> str:
        path = trained / f"collection_42_classifier_{stamp}.json"
        path.write_text(to_json(Linear(rows[name], 0.25)))
        return path.name

    put("2025-06-01", "old")
    put("2025-06-02_101500", "new")
    best = put("2025-01-01_000000", "best")

    def check(name: str, **params: object) -> None:
        found = client.results(
            PICTURE,
            task("c", "classify", collection_id="42", **params),
            task("e", CLIP, **params),
        )
        score = float(np.float64(found["e"]["data"]) @ rows[name]) + 0.25
        told = found["c"]["data"]
        assert told["probability"] == pytest.approx(sigmoid(score), abs=1e-4)
        assert told["is_in_collection"] is (told["probability"] > 0.5)
        assert found["c"]["cropped_image_bbox"] == found["e"]["cropped_image_bbox"]
        assert found["c"]["cropped_image_base64"] == found["e"]["cropped_image_base64"]

    check("new")  # no map: the latest date
    (trained / "best_models.json").write_text(json.dumps({"42": best}))
    check("best", target="prominent_person")  # a string: CLIP on the part asked about
    entry = {"model_file": best, "derivative_type": "whole_image", "embedding_type": CLIP}
    (trained / "best_models.json").write_text(json.dumps({"42": {**entry, "dimensionality": 512}}))
    check("best")
    (trained / "best_models.json").write_text(json.dumps({"42": "collection_42_gone.json"}))
    check("new")  # the file of the map is gone


@pytest.mark.parametrize("way", ["joblib", "pickle"])
def test_item_14_classifiers_of_scikit_learn(client: Client, trained: Path, way: str) -> None:
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((80, 512)) * 10 / 512**0.5
    model = LogisticRegression(C=0.1, solver="liblinear", class_weight="balanced")
    model.fit(rows, rows[:, 0] > 0)
    path = trained / "collection_8_classifier_2025-06-02_101500.pkl"
    joblib.dump(model, path) if way == "joblib" else path.write_bytes(pickle.dumps(model))
    found = client.results(PICTURE, task("c", "classify", collection_id=8), task("e", CLIP))
    row = np.array([found["e"]["data"]])
    told = found["c"]["data"]
    assert told["probability"] == pytest.approx(model.predict_proba(row)[0, 1], abs=1e-4)
    assert told["is_in_collection"] is bool(model.predict(row)[0])


def test_item_15_metadata_says_which_vector_of_which_part(client: Client, trained: Path) -> None:
    weights = np.random.default_rng(6).standard_normal(768)
    name = "collection_7_classifier_2025-06-01_000000.json"
    (trained / name).write_text(to_json(Linear(weights, 0.0)))
    entry = {"model_file": name, "derivative_type": "prominent_face", "embedding_type": DINO}
    (trained / "best_models.json").write_text(json.dumps({"7": entry}))
    found = client.one(PICTURE, "classify", collection_id=7, target="prominent_person")
    assert found["cropped_image_bbox"] == list(FACE_IN_PERSON)
    face = scene().crop(FACE_IN_PERSON)
    assert np.array_equal(np.asarray(crop_of(found)), np.asarray(face))
    row = vector_of(face, 768, "dino").astype(np.float64)
    assert found["data"]["probability"] == pytest.approx(sigmoid(float(row @ weights)), abs=1e-6)


def test_item_16_a_picture_that_cannot_be_had(
    client: Client, folder: Path, settings: Settings
) -> None:
    broken = bytes(range(256)) * 9
    tasks = task("a", DETECT), task("b", "nonsense")
    with (
        site(gives(b"nothing here", 404)) as (missing, _),
        site(gives(broken)) as (wrong, _),
    ):
        for answer, said in (
            (
                client.upload(broken, *tasks),
                "Failed to process base image: Could not process uploaded image:",
            ),
            (
                client.url(missing + "/p.jpg", *tasks),
                "Failed to download or process base image: Could not download image from URL:",
            ),
            (
                client.url(wrong + "/p.jpg", *tasks),
                "Failed to download or process base image: Could not process image:",
            ),
        ):
            assert answer.status_code == 200
            for one in answer.json()["results"].values():
                assert (one["status"], one["data"]) == ("error", None)
                assert one["error_message"].startswith(said)
        strict = replace(settings, analyze=replace(settings.analyze, documented_400=True))
        strict = replace(strict, serve=replace(strict.serve, port=0))
        with (
            served(strict, [folder / "gallery.ken"], analysis=FixedEngines()) as (base, _),
            Client(base) as asking,
        ):
            for answer, said in (
                (asking.upload(broken, *tasks), "Could not process uploaded image:"),
                (asking.url(missing, *tasks), "Could not download image from URL:"),
                (asking.url(wrong), "Could not process image:"),
            ):
                assert answer.status_code == 400
                assert answer.json()["detail"].startswith(said)


@pytest.mark.parametrize("tasks", ["not json", "5", "null", "{}", '""', '[{"type":"x"}]', "[[]]"])
def test_item_17_tasks_that_are_none(client: Client, tasks: str) -> None:
    answer = client.sent(PICTURE, tasks)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Invalid tasks JSON format or structure:")


def test_item_17_requests_that_are_none(client: Client) -> None:
    here = "/analyze_image_upload/"
    asked = [
        client.http.post(here, data={"tasks_json": "[]"}),
        client.http.post(here, files={"image_file": ("a", PICTURE)}),
        client.http.post(here, files={"image_file": ("a", PICTURE)}, data={"tasks_json": ""}),
        client.http.post("/analyze_image/", content=b"not json"),
        client.http.post("/analyze_image/", json={"tasks": []}),
        client.url("ftp://example.com/a.jpg"),
        client.url("data:image/png;base64,AAAA"),
        client.url("file:///etc/passwd"),
        client.url(""),
        client.url("a.jpg"),
        client.url("http://example.com/" + "a" * 2083),
        client.url("http://example.com/", {**task("t", CLIP), "operation_id": 5}),
        client.url("http://example.com/", {**task("t", CLIP), "params": []}),
    ]
    for answer in asked:
        assert answer.status_code == 422, answer.text
        faults = answer.json()["detail"]
        assert faults
        assert all({"type", "loc", "msg", "input"} <= set(fault) for fault in faults)


def test_a_body_of_no_content_type_is_json(client: Client) -> None:
    with site(gives(PICTURE)) as (base, asked):
        body = json.dumps({"image_url": base, "tasks": [task("t", DETECT)]}).encode()

        def sent(**headers: str) -> Any:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return client.http.post("/analyze_image/", content=body, headers=named)

        assert "content-type" not in sent().request.headers
        for answer in (sent(), sent(content_type=""), sent(content_type="application/x+json")):
            assert answer.status_code == 200, answer.text
            assert answer.json()["results"]["t"]["data"] == list(PERSON)
        form = "application/x-www-form-urlencoded"
        assert sent(content_type=form).status_code == 422
        assert sent(content_type="text/plain").status_code == 422
        # a page can send such a body without being let to: it has to be let to ask, too
        before = len(asked)
        assert sent(origin="http://elsewhere.example").status_code == 403
        assert sent(origin="null").status_code == 403
        assert len(asked) == before


def test_item_18_echo(client: Client) -> None:
    with site(gives(PICTURE)) as (base, asked):
        port = base.rpartition(":")[2]
        answer = client.url(f"  HTTP://LOCALHOST:{port}/a b.png?x=1#f ", task("t", DETECT))
        assert answer.json()["image_url"] == f"http://localhost:{port}/a%20b.png?x=1#f"
        assert set(answer.json()["results"]["t"]) == KEYS
        assert answer.json()["results"]["t"]["data"] == list(PERSON)
        assert client.url(base).json() == {"image_url": f"{base}/", "results": {}}
        assert asked == ["/a%20b.png?x=1", "/"]
    sent = client.upload(PICTURE, task("t", DETECT), name="my picture.png").json()
    assert sent["image_url"] == "uploaded:my picture.png"
    assert set(sent) == {"image_url", "results"}
    assert set(sent["results"]["t"]) == KEYS


def test_item_19_of_two_with_one_id_the_last_counts(client: Client, engines: FixedEngines) -> None:
    found = client.results(PICTURE, task("x", DINO), task("y", "describe_image"), task("x", DETECT))
    assert list(found) == ["x", "y"]
    assert found["x"]["data"] == list(PERSON)
    assert engines.calls == {"person": 1, "caption": 1}


def test_item_20_found_once(client: Client, engines: FixedEngines, trained: Path) -> None:
    line = Linear(np.ones(512), 0.0)
    (trained / "collection_1_classifier_2025-01-01.json").write_text(to_json(line))
    person = {"target": "prominent_person"}
    found = client.results(
        PICTURE,
        task("d", DETECT),
        task("c", CLIP, **person),
        task("n", DINO, **person),
        task("k", "classify", collection_id=1, **person),
    )
    assert engines.calls == {"person": 1, "clip": 1, "dino": 1}
    crops = {found[name]["cropped_image_base64"] for name in ("c", "n", "k")}
    assert len(crops) == 1
    assert None not in crops
    engines.reset()
    found = client.results(
        PICTURE, task("p", DETECT, target="prominent_face"), task("w", DETECT, **WHOLE_FACE)
    )
    assert found["p"]["data"] == list(FACE_IN_PERSON)
    assert found["w"]["data"] == list(ELSEWHERE)


def test_item_21_without_the_slash(client: Client) -> None:
    with site(gives(PICTURE)) as (base, _):
        asked = {"image_url": base, "tasks": [task("t", DETECT)]}
        whole = client.http.post("/analyze_image/", json=asked).json()
        again = client.http.post("/analyze_image", json=asked, follow_redirects=True).json()
    assert whole == again
    assert client.http.get("/available_operations", follow_redirects=True).status_code == 200


def test_item_22_addresses_that_are_not_asked(
    client: Client, folder: Path, settings: Settings
) -> None:
    guarded = replace(
        settings,
        image=replace(settings.image, fetch_private=False),
        serve=replace(settings.serve, port=0),
    )
    with (
        site(gives(PICTURE)) as (base, asked),
        served(guarded, [folder / "gallery.ken"], analysis=FixedEngines()) as (own, _),
        Client(own) as asking,
    ):
        port, said = base.rpartition(":")[2], set()
        for address in (
            base,
            f"http://localhost:{port}/",
            f"http://[::1]:{port}/",
            f"http://2130706433:{port}/",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.0.0.1/",
            "http://no-such-host.invalid/",
        ):
            answer = asking.url(address, task("t", DETECT))
            assert answer.status_code == 200
            said.add(answer.json()["results"]["t"]["error_message"])
        assert len(said) == 1  # nothing tells one from the other
        assert not asked
        assert client.url(base, task("t", DETECT)).json()["results"]["t"]["status"] == "success"
        assert len(asked) == 1


def bomb(side: int = 20_000) -> bytes:
    """A PNG of one grey, 20,000 pixels a side: few bytes, much memory."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = side.to_bytes(4) * 2 + bytes([8, 0, 0, 0, 0])
    rows = zlib.compress(bytes((side + 1) * 64), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_item_23_too_large(client: Client) -> None:
    for data in (bomb(), PICTURE + bytes(9 * 1024 * 1024), bytes(11 * 1024 * 1024)):
        start = time.process_time()  # the server is in this process
        answer = client.upload(data, task("t", DETECT))
        assert time.process_time() - start < 1
        assert answer.status_code == 413
    with site(gives(bomb())) as (base, _):
        assert client.url(base, task("t", DETECT)).status_code == 413
    assert client.one(PICTURE, DETECT)["data"] == list(PERSON)


def test_item_24_a_slow_address_holds_nobody_up(client: Client) -> None:
    go = threading.Event()

    def slowly(handler: object) -> None:
        go.wait(60)
        gives(PICTURE)(handler)  # type: ignore[arg-type]

    with site(slowly) as (base, asked), ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(client.url, base, task("t", DETECT)) for _ in range(4)]
        while len(asked) < 4:
            time.sleep(0.01)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            assert client.http.get("/available_operations/").status_code == 200
            seconds.append(time.perf_counter() - start)
        assert client.one(PICTURE, DETECT)["data"] == list(PERSON)
        assert not any(one.done() for one in slow)
        go.set()
        assert {one.result().json()["results"]["t"]["status"] for one in slow} == {"success"}
    assert min(seconds) < 5


def test_a_slow_model_does_not_hold_up_what_asks_none(
    client: Client, engines: FixedEngines
) -> None:
    engines.seconds = 4.0
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.one, PICTURE, DETECT) for _ in range(8)]
        until = time.monotonic() + 60
        while not engines.calls["person"] and time.monotonic() < until:
            time.sleep(0.01)
        client.http.get("/available_operations/")
        assert not any(one.done() for one in asked)
        engines.seconds = 0.0
        assert all(one.result()["status"] == "success" for one in asked)
