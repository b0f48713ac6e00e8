"""Tasks about a picture: their checks and their order, what is shared, and how they fail."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysing import ELSEWHERE, FACE_IN_PERSON, PERSON, FixedEngines, scene, vector_of
from hypothesis import given, settings
from hypothesis import strategies as st

from kenspeckle.errors import MissingExtra, ModelError, ModelMissing
from kenspeckle.flows.analyze import Analysis, analyze, failed
from kenspeckle.flows.classifiers import MAP, Classifiers
from kenspeckle.flows.tasks import Result, Task
from kenspeckle.match.classify import Linear, sigmoid, to_json
from kenspeckle.vectors.pipeline import StageTimes

IMAGE = scene()
CLIP, DINO, DETECT = "embed_clip_vit_b_32", "embed_dino_v2", "detect_bounding_box"


@pytest.fixture
def engines() -> FixedEngines:
    return FixedEngines()


@pytest.fixture
def analysis(engines: FixedEngines, tmp_path: Path) -> Analysis:
    return Analysis(engines, Classifiers(str(tmp_path)), max_caption=60)


def one(analysis: Analysis, kind: str, **params: Any) -> Result:
    return analyze(IMAGE, [Task("t", kind, params)], analysis, StageTimes())["t"]


def put(folder: Path, number: int, width: int, **metadata: str) -> np.ndarray:
    weights = np.random.default_rng(number).standard_normal(width)
    name = f"collection_{number}_classifier_2025-01-01.json"
    (folder / name).write_text(to_json(Linear(weights, 0.0, **metadata)))
    return weights


def test_crops_and_boxes_are_made_once(analysis: Analysis, engines: FixedEngines) -> None:
    times = StageTimes()
    person = {"target": "prominent_person"}
    tasks = [
        *(Task(f"d{n}", DETECT, {}) for n in range(3)),
        *(Task(f"c{n}", CLIP, person) for n in range(3)),
        *(Task(f"n{n}", DINO, person) for n in range(3)),
        *(Task(f"w{n}", DINO) for n in range(3)),
        *(Task(f"s{n}", "describe_image", person) for n in range(3)),
    ]
    found = analyze(IMAGE, tasks, analysis, times)
    assert all(result.status == "success" for result in found.values())
    assert engines.calls == {"person": 1, "clip": 1, "dino": 2, "caption": 1}
    assert times.counts == {"detection": 1, "embedding": 3, "description": 1, "crops": 1}
    assert engines.sizes.count((200, 200)) == 3


def test_nothing_is_looked_for_in_the_whole_picture(
    analysis: Analysis, engines: FixedEngines
) -> None:
    found = one(analysis, CLIP, face_context="nonsense")  # only a face has a context
    assert (found.status, found.box, found.crop) == ("success", None, None)
    assert found.data == vector_of(IMAGE, 512, "clip").tolist()
    assert engines.calls == {"clip": 1}
    one(analysis, DETECT, target="prominent_face", face_context="whole_image")
    assert engines.calls == {"clip": 1, "face": 1}


@pytest.mark.parametrize("context", [{}, {"face_context": None}])
def test_a_face_is_looked_for_inside_the_person(
    analysis: Analysis, context: dict[str, Any]
) -> None:
    found = one(analysis, "describe_image", target="prominent_face", **context)
    assert found.box == FACE_IN_PERSON
    assert str(found.crop).startswith("iVBOR")


@pytest.mark.parametrize("context", ["", "person", 5, ["whole_image"], {"a": 1}, True])
def test_an_unknown_context_is_skipped(analysis: Analysis, context: Any) -> None:
    found = one(analysis, DETECT, target="prominent_face", face_context=context)
    assert found.status == "skipped"
    assert "prominent_person, whole_image" in str(found.message)


def test_boxes_never_leave_the_picture(analysis: Analysis, engines: FixedEngines) -> None:
    engines.person = (-40, 250, 900, 310)
    assert one(analysis, DETECT).data == [0, 250, 400, 300]
    engines.face_inside = (-5, -5, 60, 20)
    found = one(analysis, CLIP, target="prominent_face")
    assert found.box == (0, 250, 60, 270)
    engines.person = (390, 290, 395, 290)  # of no height: the weaker one counts
    assert one(analysis, DETECT).data == [0, 0, 9, 9]


def test_a_person_who_fills_the_picture_is_a_person(
    analysis: Analysis, engines: FixedEngines
) -> None:
    engines.person = (0, 0, 400, 300)
    found = one(analysis, CLIP, target="prominent_person")
    assert found.box == (0, 0, 400, 300)
    assert found.crop is not None


def test_the_surest_is_the_prominent_one(analysis: Analysis) -> None:
    assert one(analysis, DETECT).data == list(PERSON)  # a weaker box comes first from the engine


def test_where_no_engine_finds_people(analysis: Analysis, engines: FixedEngines) -> None:
    """A face is looked for everywhere unless somebody says where; all else is skipped."""
    engines.failing["person"] = ModelMissing("detr", "not here", do="Pull it")
    engines.missing = lambda use: "not here" if use == "person" else ""  # type: ignore[method-assign]
    assert one(analysis, DETECT, target="prominent_face").data == list(ELSEWHERE)
    asked = {"target": "prominent_face", "face_context": "prominent_person"}
    for found in (
        one(analysis, DETECT, **asked),
        one(analysis, DETECT),
        one(analysis, CLIP, target="prominent_person"),
    ):
        assert found.status == "skipped"
        assert found.message == "detr: not here. Pull it"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (MissingExtra("captions", "no torch"), "skipped", "captions: no torch"),
        (ModelError("x", "damaged"), "error", "Internal error processing task: x: damaged"),
        (MemoryError("1 GiB at 0x7f"), "error", "Internal error processing task: MemoryError"),
        (ValueError("/srv/secret"), "error", "Internal error processing task: ValueError"),
    ],
)
def test_one_task_fails_alone(
    analysis: Analysis, engines: FixedEngines, error: Exception, status: str, message: str
) -> None:
    engines.failing["dino"] = error
    found = analyze(
        IMAGE, [Task("a", DINO), Task("b", CLIP), Task("c", DINO)], analysis, StageTimes()
    )
    assert [result.status for result in found.values()] == [status, "success", status]
    assert found["a"].message == message
    assert engines.calls["dino"] == 2  # a failure is not kept


def test_captions_have_a_length(analysis: Analysis, engines: FixedEngines) -> None:
    assert one(analysis, "describe_image").data.startswith("a picture of word0")
    one(analysis, "describe_image", max_length=5)
    one(analysis, "describe_image", max_length=60)
    one(analysis, "describe_image", max_length=None)
    assert engines.lengths == [50, 5, 60, 50]
    for wrong in (0, -1, 61, 10**30, 5.5, "5", True, [5]):
        found = one(analysis, "describe_image", max_length=wrong)
        assert found.status == "skipped"
        assert "1 to 60" in str(found.message)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *((value, "success") for value in (42, "42", " 42 ", 42.9, "4_2")),
        *((value, "skipped") for value in (None, "", "abc", "4.2", 10**400, "9" * 5000, 1e300)),
        *((value, "skipped") for value in (float("nan"), float("inf"), 41, -42)),
        *((value, "error") for value in ([42], {"id": 42})),
    ],
)
def test_collections_are_whole_numbers(
    analysis: Analysis, tmp_path: Path, value: Any, status: str
) -> None:
    put(tmp_path, 42, 512)
    assert one(analysis, "classify", collection_id=value).status == status


def test_checks_come_in_their_order(analysis: Analysis, tmp_path: Path) -> None:
    put(tmp_path, 1, 512, region="whole_image", vectors=CLIP)
    said = [
        one(analysis, "nonsense", target="wrong").message,
        one(analysis, "classify", target="wrong", face_context="wrong").message,
        one(analysis, "classify", target="prominent_face", face_context="wrong").message,
        one(analysis, "classify", target="prominent_face").message,
        one(analysis, "classify", target="prominent_face", collection_id=2).message,
        one(analysis, "classify", target="prominent_face", collection_id=1).message,
    ]
    parts = ("type", "target", "face_context", "is missing", "not found for collection_id 2", "")
    for message, part in zip(said, parts, strict=True):
        assert part in (message or "")
    assert said[-1] is None


def test_vectors_of_several_models_are_joined(analysis: Analysis, tmp_path: Path) -> None:
    weights = put(tmp_path, 3, 1280, region="prominent_person", vectors=f"{CLIP}+{DINO}")
    part = IMAGE.crop(PERSON)
    row = np.concatenate([vector_of(part, 512, "clip"), vector_of(part, 768, "dino")])
    found = one(analysis, "classify", collection_id=3)
    assert found.box == PERSON
    assert found.data["probability"] == pytest.approx(sigmoid(float(row.astype(float) @ weights)))


def test_a_face_classifier_needs_a_face(
    analysis: Analysis, engines: FixedEngines, tmp_path: Path
) -> None:
    put(tmp_path, 4, 512, region="prominent_face", vectors=CLIP)
    found = one(analysis, "classify", collection_id=4, face_context="whole_image")
    assert found.box == FACE_IN_PERSON  # as it was trained, whatever is asked
    engines.face_inside = None
    found = one(analysis, "classify", collection_id=4)
    assert found.status == "skipped"
    assert "No prominent face found" in str(found.message)


def test_what_a_classifier_does_not_fit(
    analysis: Analysis, engines: FixedEngines, tmp_path: Path
) -> None:
    put(tmp_path, 5, 768)
    found = one(analysis, "classify", collection_id=5)
    assert found.status == "error"
    assert "512 columns" in str(found.message)
    assert "768" in str(found.message)
    put(tmp_path, 6, 512, region="left_foot", vectors=CLIP)
    put(tmp_path, 7, 1024, region="whole_image", vectors="embed_dino_v3")
    name = "collection_8_classifier_2025-01-01.pkl"
    (tmp_path / name).write_bytes(b"junk")
    (tmp_path / MAP).write_text(json.dumps({"9": {"model_file": "x.json"}}))
    assert one(analysis, "classify", collection_id=6).status == "skipped"
    found = one(analysis, "classify", collection_id=7)
    assert found.status == "skipped"
    assert "embed_dino_v3" in str(found.message)
    found = one(analysis, "classify", collection_id=8)
    assert found.status == "error"
    assert name in str(found.message)
    assert str(tmp_path) not in str(found.message)
    assert one(analysis, "classify", collection_id=9).status == "skipped"


def test_twice_asked_is_said(
    analysis: Analysis, engines: FixedEngines, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = [Task("x", DINO), Task("y", CLIP), Task("x", DETECT)]
    with caplog.at_level(logging.WARNING):
        found = analyze(IMAGE, tasks, analysis, StageTimes())
    assert list(found) == ["x", "y"]
    assert found["x"].data == list(PERSON)
    assert "dino" not in engines.calls
    assert "1 of 3 tasks share ids" in caplog.text


def test_crops_may_be_left_out(analysis: Analysis) -> None:
    times = StageTimes()
    task = Task("t", CLIP, {"target": "prominent_person"})
    found = analyze(IMAGE, [task], analysis, times, crops=False)["t"]
    assert (found.box, found.crop) == (PERSON, None)
    assert "crops" not in times.counts


def test_one_task_may_leave_its_crop_out(analysis: Analysis) -> None:
    person = {"target": "prominent_person"}
    tasks = [Task("a", CLIP, {**person, "include_crop": False}), Task("b", CLIP, person)]
    found = analyze(IMAGE, tasks, analysis, StageTimes())
    assert (found["a"].box, found["a"].crop) == (PERSON, None)
    assert found["b"].crop is not None


def test_crops_of_one_answer_are_bounded(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = {"target": "prominent_person"}
    tasks = [Task(str(n), DINO, person) for n in range(4)]
    size = len(str(analyze(IMAGE, tasks[:1], analysis, StageTimes())["0"].crop))
    for most, sent in ((size // 2, 1), (2 * size, 2), (4 * size, 4)):
        monkeypatch.setattr("kenspeckle.flows.analyze.MOST_CROPS", most)
        found = analyze(IMAGE, tasks, analysis, StageTimes())
        assert [one.status for one in found.values()] == ["success"] * sent + ["error"] * (4 - sent)
        assert sum(len(one.crop or "") for one in found.values()) == sent * size


def test_no_task_is_begun_once_nobody_waits(analysis: Analysis, engines: FixedEngines) -> None:
    tasks = [Task(str(n), "describe_image", {"max_length": n + 1}) for n in range(9)]
    found = analyze(
        IMAGE, tasks, analysis, StageTimes(), stopped=lambda: engines.calls["caption"] == 2
    )
    assert [one.status for one in found.values()] == ["success"] * 2 + ["error"] * 7


def test_a_picture_that_cannot_be_had_fails_every_task() -> None:
    found = failed([Task("a", DETECT), Task("b", "nonsense"), Task("a", CLIP)], "why")
    assert found == {"a": Result("error", message="why"), "b": Result("error", message="why")}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from([CLIP, DETECT, "classify", "describe_image", "x"]) | st.text(max_size=9),
    params=st.fixed_dictionaries(
        {},
        optional={
            "target": JSON | st.sampled_from(["prominent_face", "prominent_person"]),
            "face_context": JSON,
            "collection_id": JSON,
            "max_length": JSON,
        },
    ),
)
def test_whatever_is_asked_has_a_result(kind: str, params: dict[str, Any]) -> None:
    analysis = Analysis(FixedEngines(), Classifiers("nowhere"))
    found = analyze(IMAGE, [Task("t", kind, params)], analysis, StageTimes())["t"]
    assert found.status in ("success", "skipped", "error")
    assert (found.message is None) is (found.status == "success")
    assert len(found.message or "") < 500
    if found.status == "error":
        assert kind == "classify"
        assert isinstance(params["collection_id"], list | dict)
