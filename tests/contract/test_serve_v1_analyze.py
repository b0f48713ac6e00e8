"""`/v1/analyze`: several pictures, a model per task, everything typed."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from analysing import (
    FACE_IN_PERSON,
    PERSON,
    FixedEngines,
    gives,
    packed,
    scene,
    site,
    small_index,
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
from kenspeckle.engines import files
from kenspeckle.errors import SettingError
from kenspeckle.match.classify import Linear, to_json
from kenspeckle.serve.service import open_service

PLAIN = {"content-type": "application/json"}
ONE, TWO = packed(scene()), packed(scene(seed=4))
FACE = {"id": "face", "type": "detect_bounding_box", "target": "prominent_face"}
CLIP = {"id": "clip", "type": "embed_clip_vit_b_32", "target": "prominent_person"}
DINO = {"id": "dino", "type": "embed_dino_v2"}
CAPTION = {"id": "words", "type": "describe_image", "max_length": 3}


@pytest.fixture(scope="module")
def engines() -> FixedEngines:
    return FixedEngines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("analyze")
    small_index(made)
    line = Linear(np.ones(512), 0.0)
    (made / "collection_1_classifier_2025-01-01.json").write_text(to_json(line))
    return made


@pytest.fixture(scope="module")
def client(folder: Path, engines: FixedEngines) -> Iterator[httpx.Client]:
    settings = Settings(
        image=ImageSettings(fetch_private=True),
        models=ModelSettings(name="dummy", home=str(folder), offline=True),
        serve=ServeSettings(max_tasks=12),
        analyze=AnalyzeSettings(classifiers=str(folder)),
    )
    with (
        served(settings, [folder / "gallery.ken"], analysis=engines) as (base, _),
        httpx.Client(base_url=f"{base}/v1", timeout=60) as asking,
    ):
        yield asking


@pytest.fixture(autouse=True)
def _anew(engines: FixedEngines) -> None:
    engines.reset()


def sent(
    client: httpx.Client, tasks: Any, *pictures: bytes, path: str = "/analyze", **fields: str
) -> httpx.Response:
    parts = [("image", (f"{n}.png", data, "image/png")) for n, data in enumerate(pictures)]
    return client.post(path, files=parts, data={"tasks": json.dumps(tasks), **fields})


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_several_pictures_each_task(client: httpx.Client, engines: FixedEngines) -> None:
    found = told(sent(client, [FACE, CLIP, CAPTION], ONE, TWO, crops="true"))
    assert [one["name"] for one in found["pictures"]] == ["0.png", "1.png"]
    assert found["failed"] == 0
    assert {"processing", "detection", "embedding", "description"} <= set(found["stages"])
    for seed, one in zip((3, 4), found["pictures"], strict=True):
        assert (one["image_size"], one["problem"]) == ([400, 300], None)
        face, clip, words = one["results"]
        assert face["detections"][0] == {
            "box": list(FACE_IN_PERSON), "score": 0.9, "label": "face"
        }  # fmt: skip
        assert face["model"] == "fixed-face"
        part = scene(seed=seed).crop(PERSON)
        assert clip["vector"] == vector_of(part, 512, "clip").tolist()
        assert (clip["box"], clip["model"]) == (list(PERSON), "fixed-clip")
        crop = Image.open(BytesIO(base64.b64decode(clip["crop"])))
        assert np.array_equal(np.asarray(crop), np.asarray(part))
        assert words["caption"] == "a picture of word0 word1"
        assert (words["box"], words["crop"], words["vector"]) == (None, None, None)
    assert engines.calls == {"person": 2, "face": 2, "clip": 2, "caption": 2}


def test_pictures_by_address_and_as_base64(client: httpx.Client) -> None:
    with site(gives(ONE)) as (base, _):
        pictures = [{"url": base}, {"data": base64.b64encode(TWO).decode(), "name": "two"}]
        found = told(client.post("/analyze", json={"pictures": pictures, "tasks": [CLIP]}))
        single = told(client.post("/analyze", json={"url": base, "tasks": [CLIP]}))
    assert [one["name"] for one in found["pictures"]] == [base, "two"]
    assert all(one["results"][0]["crop"] is None for one in found["pictures"])
    assert single["pictures"][0]["results"] == found["pictures"][0]["results"]


def test_a_picture_that_cannot_be_used_fails_alone(client: httpx.Client) -> None:
    found = told(sent(client, [FACE], ONE, b"junk", TWO))
    assert found["failed"] == 1
    assert [one["problem"] is None for one in found["pictures"]] == [True, False, True]
    broken = found["pictures"][1]
    assert (broken["name"], broken["results"], broken["image_size"]) == ("1.png", [], None)
    assert broken["problem"]["status"] == 400


def test_base64_that_cannot_be_read_fails_alone(client: httpx.Client) -> None:
    good = {"data": base64.b64encode(ONE).decode()}
    body = {"pictures": [good, {"data": "!!"}, good], "tasks": [CLIP]}
    found = told(client.post("/analyze", json=body))
    assert found["failed"] == 1
    assert [one["problem"] is None for one in found["pictures"]] == [True, False, True]
    problem = found["pictures"][1]["problem"]
    assert problem["status"] == 422
    assert problem["errors"][0]["loc"] == ["body", "pictures", 1, "data"]
    none = client.post("/analyze", json={"pictures": [], "tasks": [CLIP]})
    assert none.json()["detail"] == "body.pictures: no picture; send at least one"


def test_a_classifier_and_a_task_that_is_skipped(client: httpx.Client) -> None:
    tasks = [
        {"id": "yes", "type": "classify", "collection_id": 1},
        {"id": "no", "type": "classify", "collection_id": 2},
    ]
    yes, no = told(sent(client, tasks, ONE))["pictures"][0]["results"]
    assert 0 <= yes["classification"]["probability"] <= 1
    assert yes["model"] == "fixed-clip"
    assert (no["status"], no["classification"]) == ("skipped", None)
    assert "collection_id 2" in no["message"]


def test_operations_and_their_models(client: httpx.Client) -> None:
    found = client.get("/analyze/operations").json()["operations"]
    clip = next(one for one in found if one["type"] == "embed_clip_vit_b_32")
    assert clip["models"] == [
        {"use": "clip", "name": "fixed-clip", "available": True, "missing": ""}
    ]


def test_a_model_that_nobody_knows_stops_the_start(folder: Path) -> None:
    settings = Settings(
        models=ModelSettings(name="dummy", home=str(folder)), analyze=AnalyzeSettings(person="nope")
    )
    with pytest.raises(SettingError, match=r"^analyze\.person: 'nope': no model has this name"):
        open_service(settings, [str(folder / "gallery.ken")])


def test_where_models_lie_is_told_to_nobody(folder: Path, tmp_path: Path) -> None:
    finder, words = tmp_path / "models" / "finder.onnx", tmp_path / "models" / "clip"
    words.mkdir(parents=True)
    (words / "config.json").write_text("{}")
    shutil.copy(files.WEIGHTS / "yunet_n_dynamic.onnx", finder)
    settings = Settings(
        models=ModelSettings(name="dummy", home=str(tmp_path / "home"), offline=True),
        analyze=AnalyzeSettings(
            face=str(finder), clip=str(words), person=str(tmp_path / "people.onnx")
        ),
    )
    face = {**FACE, "face_context": "whole_image"}
    with (
        served(settings, [folder / "gallery.ken"]) as (base, service),
        httpx.Client(base_url=base, timeout=60) as asking,
    ):
        found = told(sent(asking, [face, CLIP, DINO], ONE, path="/v1/analyze"))
        paths = ("/v1/analyze/operations", "/available_operations/")
        texts = [json.dumps(found), *(asking.get(path).text for path in paths)]
    (note,) = [one for one in service.notes if one.startswith("analyze.person: ")]
    assert note.endswith(" Its tasks are skipped until it is there.")
    first, second, third = found["pictures"][0]["results"]
    assert (first["status"], first["model"]) == ("success", "finder.onnx"), first
    assert (second["status"], third["status"]) == ("skipped", "skipped")
    for text in texts:
        assert str(tmp_path) not in text
        assert tmp_path.name not in text
    # `clip` alone is another model: that of the table
    assert '"name":"clip (analyze.clip)"' in texts[1]
    assert "By clip (analyze.clip)." in texts[2]
    assert "people.onnx, finder.onnx. Unavailable for target person: people.onnx:" in texts[2]


@pytest.mark.parametrize(
    "tasks",
    [
        *([], {}, "x", [{}], [{**FACE, "type": "x"}], [{**FACE, "id": ""}], [{**FACE, "id": 5}]),
        *([{**FACE, "more": 1}], [FACE, FACE], [{**FACE, "target": "foot"}]),
        *([{"id": "c", "type": "classify"}], [{**CAPTION, "max_length": 0}]),
        [{"id": "c", "type": "classify", "collection_id": 1, "model": "clip"}],
        [{**FACE, "id": str(n)} for n in range(13)],
    ],
)
def test_tasks_that_are_none(client: httpx.Client, tasks: Any) -> None:
    body = {"data": base64.b64encode(ONE).decode(), "tasks": tasks}
    for answer in (sent(client, tasks, ONE), client.post("/analyze", json=body)):
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


def test_requests_that_are_none(client: httpx.Client) -> None:
    asked = [
        sent(client, [FACE]),
        client.post("/analyze", files={"image": ("a", ONE)}),
        sent(client, [FACE], ONE, crops="perhaps"),
        sent(client, [FACE], ONE, other="x"),
        client.post("/analyze", data={"image": "x", "tasks": json.dumps([FACE])}),
        client.post("/analyze", content=b"[" * 100_000, headers=PLAIN),
        client.post("/analyze", json={"data": "###", "tasks": [FACE]}),
        client.post("/analyze", json={"tasks": [FACE]}),
    ]
    assert {answer.status_code for answer in asked} <= {400, 415, 422}, [a.text for a in asked]


def test_bodies_of_another_kind(client: httpx.Client) -> None:
    body = json.dumps({"url": "http://example.com/", "tasks": [FACE]})
    for kind in ("text/plain", "image/png", "application/x-www-form-urlencoded"):
        answer = client.post("/analyze", content=body, headers={"content-type": kind})
        assert answer.status_code == 415, answer.text


def test_a_task_may_name_models_of_the_table_alone(folder: Path) -> None:
    models = ModelSettings(name="dummy", home=str(folder / "home"), offline=True)
    (folder / "secret").mkdir(exist_ok=True)
    with (
        served(Settings(models=models), [folder / "gallery.ken"]) as (base, _),
        httpx.Client(base_url=f"{base}/v1", timeout=60) as asking,
    ):
        said = set()
        for name in (str(folder / "secret"), str(folder / "nothing"), "../x.onnx", "some/hub"):
            tasks = [{**CLIP, "target": "whole_image", "model": name}]
            one = told(sent(asking, tasks, ONE))["pictures"][0]["results"][0]
            assert one["status"] == "skipped"
            said.add(one["message"].replace(name, "").replace(Path(name).name, ""))
        assert len(said) == 1
        tasks = [{**CLIP, "target": "whole_image", "model": "dummy"}]
        one = told(sent(asking, tasks, ONE))["pictures"][0]["results"][0]
        assert (one["status"], one["model"], len(one["vector"])) == ("success", "dummy", 192)
        tasks = [{**CLIP, "target": "whole_image", "model": "yunet"}]
        one = told(sent(asking, tasks, ONE))["pictures"][0]["results"][0]
        assert one["status"] == "skipped"
        assert "a model of boxes; expected one of features" in one["message"]
        tasks = [{**FACE, "model": "yunet", "face_context": "whole_image"}]
        assert told(sent(asking, tasks, ONE))["pictures"][0]["results"][0]["model"] == "yunet"


@pytest.mark.parametrize(
    ("way", "slow", "quick"),
    [("caption", [CAPTION, FACE], FACE), ("vector", [DINO, CLIP], FACE)],
    ids=["captions", "vectors"],
)
def test_a_slow_model_holds_up_nobody_who_asks_for_another(
    client: httpx.Client,
    engines: FixedEngines,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    slow: list[dict[str, Any]],
    quick: dict[str, Any],
) -> None:
    go, begun, usual = threading.Event(), threading.Semaphore(0), getattr(engines, way)

    def waits(*asked: Any, **named: Any) -> Any:
        begun.release()
        go.wait(60)
        return usual(*asked, **named)

    monkeypatch.setattr(engines, way, waits)
    with ThreadPoolExecutor(8) as pool:
        try:
            several = [pool.submit(sent, client, slow, ONE) for _ in range(8)]
            assert begun.acquire(timeout=60)
            answer = sent(client, [quick], TWO)
            assert answer.status_code == 200, answer.text
            assert not any(one.done() for one in several)
        finally:
            go.set()
        rows = [one.result().json()["pictures"][0]["results"] for one in several]
    assert {one["status"] for row in rows for one in row} == {"success"}


def test_every_model_has_its_queue(folder: Path) -> None:
    models = ModelSettings(name="dummy", home=str(folder / "home"), offline=True)
    asked: dict[str, list[dict[str, Any]]] = {
        "clip:dummy": [{**CLIP, "target": "whole_image", "model": "dummy"}, FACE],
        "face:yunet": [FACE],
        "dino:dinov2-base": [{**DINO, "model": "no such model"}],
        "person:detr-resnet-50": [FACE, {**FACE, "id": "p", "target": "prominent_person"}],
        "caption:blip-large": [DINO, CAPTION, CLIP, FACE],
    }
    queues: list[set[str]] = []
    with (
        served(Settings(models=models), [folder / "gallery.ken"]) as (base, _),
        httpx.Client(base_url=base, timeout=60) as asking,
    ):
        for tasks in asked.values():
            answer = asking.post(
                "/v1/analyze",
                files=[("image", ("a.png", ONE, "image/png"))],
                data={"tasks": json.dumps(tasks)},
            )
            told(answer)
            queues.append({one["model"] for one in asking.get("/health").json()["queues"]})
    assert [new - old for old, new in pairwise([queues[0] - {"clip:dummy"}, *queues])] == [
        {name} for name in asked
    ]


def test_a_model_by_any_of_its_names_is_held_once(folder: Path) -> None:
    models = ModelSettings(name="dummy", home=str(folder / "home"), offline=True)
    names = ["dummy", "DUMMY", " Dummy", "dummY "]
    tasks = [{**CLIP, "id": name, "target": "whole_image", "model": name} for name in names]
    with (
        served(Settings(models=models), [folder / "gallery.ken"]) as (base, service),
        httpx.Client(base_url=f"{base}/v1", timeout=60) as asking,
    ):
        found = told(sent(asking, tasks, ONE))["pictures"][0]["results"]
        held = [one.name for one in service.models.standings()]
    assert [one["status"] for one in found] == ["success"] * len(names)
    assert held.count("clip:dummy") == 1
