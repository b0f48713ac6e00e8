"""Faces and people: the built-in detector on real photos, others by their path, and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kenspeckle.config import AnalyzeSettings, ModelSettings, Settings
from kenspeckle.engines import files, table
from kenspeckle.engines.onnx_detector import OnnxDetector
from kenspeckle.errors import ModelError, ModelMissing, UnsafeFile
from kenspeckle.regions.detect import Detection, detector, open_detector
from kenspeckle.vectors.embed import open_embedder

FACE = (178, 64, 269, 176)
"""The astronaut's face, as a person would frame it give or take fourteen pixels."""


def photo(name: str) -> Image.Image:
    data = pytest.importorskip("skimage.data")
    return Image.fromarray(getattr(data, name)())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(models=ModelSettings(home=str(tmp_path / "home")))


def near(box: tuple[int, ...], other: tuple[float, ...], by: float) -> bool:
    return all(abs(a - b) <= by for a, b in zip(box, other, strict=True))


@pytest.mark.parametrize("factor", [0.15, 0.25, 1.0, 3.0, 7.0])
def test_a_face_at_any_size_of_its_picture(settings: Settings, factor: float) -> None:
    portrait = photo("astronaut")
    size = (round(portrait.width * factor), round(portrait.height * factor))
    found = open_detector("face", settings).detect(portrait.resize(size))
    assert len(found) == 1
    assert near(found[0].box, tuple(edge * factor for edge in FACE), max(14 * factor, 3))
    assert found[0].label == "face"
    assert found[0].score > 0.6


def test_a_face_that_fills_its_picture(settings: Settings) -> None:
    close = photo("astronaut").crop((175, 70, 275, 180)).resize((1600, 1760))
    (found,) = open_detector("face", settings).detect(close)
    x0, y0, x1, y1 = found.box
    assert 0 <= x0 < x1 <= 1600
    assert 0 <= y0 < y1 <= 1760
    assert (x1 - x0) * (y1 - y0) > 0.4 * 1600 * 1760


def test_two_faces_the_surer_first(settings: Settings) -> None:
    portrait = photo("astronaut")
    pair = Image.new("RGB", (1024, 512))
    pair.paste(portrait, (0, 0))
    pair.paste(portrait.resize((256, 256)), (640, 128))
    found = open_detector("face", settings).detect(pair)
    assert [one.box[0] < 512 for one in found] == [True, False]
    assert found[0].score >= found[1].score


@pytest.mark.parametrize("name", ["coffee", "rocket", "coins"])
def test_no_face_where_there_is_none(settings: Settings, name: str) -> None:
    assert open_detector("face", settings).detect(photo(name).convert("RGB")) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (5000, 2), (31, 33)])
def test_pictures_of_any_shape(settings: Settings, size: tuple[int, int]) -> None:
    assert open_detector("face", settings).detect(Image.new("RGB", size, (90, 120, 60))) == []


def test_many_callers_find_the_same_while_the_memory_is_given_back(settings: Settings) -> None:
    portrait, found = photo("astronaut"), open_detector("face", settings)
    first = found.detect(portrait)

    def look(n: int) -> list[Detection]:
        if n % 5 == 0:
            found.close()
        return found.detect(portrait)

    with ThreadPoolExecutor(4) as pool:
        assert all(one == first for one in pool.map(look, range(20)))
    found.close()
    assert not found.loaded
    assert found.detect(portrait) == first
    assert found.loaded


def test_nothing_is_loaded_before_it_is_asked(settings: Settings) -> None:
    assert not open_detector("face", settings).loaded


def test_a_device_that_is_not_there_leaves_the_work_to_the_cpu(settings: Settings) -> None:
    elsewhere = replace(settings, models=replace(settings.models, device="nonsense"))
    found = open_detector("face", elsewhere)
    assert found.note == ""
    assert found.detect(photo("astronaut"))
    assert "the CPU is used" in found.note


def test_opening_loads_no_runtime() -> None:
    """A service lists what it could do without paying for it."""
    code = (
        "import sys, kenspeckle.cli.caption, kenspeckle.vectors.raw, kenspeckle.flows.describe\n"
        "from kenspeckle.config import Settings\n"
        "from kenspeckle.regions.detect import open_detector\n"
        "open_detector('face', Settings())\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'cv2', 'safetensors'}\n"
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_what_is_not_here_says_how_to_get_it(settings: Settings) -> None:
    pytest.importorskip("torch")
    with pytest.raises(ModelMissing, match="kenspeckle models pull detr-resnet-50"):
        open_detector("person", settings)


def test_what_makes_features_finds_nothing(settings: Settings) -> None:
    with pytest.raises(ModelError, match="a model of features; expected a detector"):
        detector("default", settings.models, "person")
    with pytest.raises(ModelError, match="a model of boxes; expected one that makes features"):
        open_embedder(ModelSettings(name="yunet"))


def test_a_damaged_detector_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = table.find("yunet")
    data = bytearray((files.WEIGHTS / row.source).read_bytes())
    data[-9] ^= 1
    (tmp_path / row.source).write_bytes(data)
    monkeypatch.setattr(files, "WEIGHTS", tmp_path)
    with pytest.raises(ModelError, match="sha256"):
        open_detector("face", settings).detect(Image.new("RGB", (40, 40)))
    (tmp_path / row.source).unlink()
    with pytest.raises(ModelMissing, match="Install it anew"):
        open_detector("face", settings)


# Other files, by their path


def ready_made(path: Path, outputs: dict[str, np.ndarray[Any, Any]], side: int | str = 64) -> Path:
    """A network that answers the same to every picture."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    nodes, infos, stored = [], [], []
    for name, value in outputs.items():
        stored.append(onnx.numpy_helper.from_array(value, f"{name}_kept"))
        nodes.append(helper.make_node("Identity", [f"{name}_kept"], [name]))
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        infos.append(helper.make_tensor_value_info(name, kind, value.shape))
    given = helper.make_tensor_value_info("picture", types.FLOAT, (1, 3, side, side))
    graph = helper.make_graph(nodes, "net", [given], infos, stored)
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def rows(*values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


LAYOUTS = {
    "detr": {
        "logits": rows([[-9, 9, -9], [-9, 2, -9], [9, -9, -9]]),
        "pred_boxes": rows([[0.5, 0.5, 0.5, 0.5], [0.2, 0.2, 0.1, 0.1], [0.5, 0.5, 1, 1]]),
    },
    "boxes": {
        "boxes": rows([16, 16, 48, 48], [9.6, 9.6, 16, 16], [0, 0, 64, 64]),
        "labels": np.array([1, 1, 0], np.int64),
        "scores": rows(0.99, 0.9, 0.99),
    },
    "yolo": {
        "output0": rows(
            [[32, 32, 32, 32, 0.01, 0.99, 0], [33, 32, 32, 32, 0.01, 0.95, 0],
             [12.8, 12.8, 6.4, 6.4, 0, 0.9, 0], [32, 32, 64, 64, 0.99, 0, 0],
             *([[0, 0, 1, 1, 0, 0, 0]] * 9)]
        ).transpose(0, 2, 1),
    },
}  # fmt: skip


@pytest.mark.parametrize("side", [64, "side"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_families_of_files(tmp_path: Path, layout: str, side: int | str) -> None:
    path = ready_made(tmp_path / "net.onnx", LAYOUTS[layout], side)
    (tmp_path / "labels.txt").write_text("N/A\nPerson\nbicycle\n")
    if side == "side":
        (tmp_path / "net.onnx.json").write_text(json.dumps({"side": 64}))
    found = detector(str(path), ModelSettings(), "person").detect(Image.new("RGB", (128, 128)))
    assert [one.box for one in found] == [(32, 32, 96, 96), (19, 19, 32, 32)]
    assert [one.label for one in found] == ["person", "person"]
    assert found[0].score > 0.98


def test_kinds_are_called_as_the_checkpoint_says(tmp_path: Path) -> None:
    path = ready_made(tmp_path / "net.onnx", LAYOUTS["detr"])
    with pytest.raises(ModelError, match="kinds without names; expected person"):
        detector(str(path), ModelSettings(), "person").detect(Image.new("RGB", (9, 9)))
    (tmp_path / "config.json").write_text('{"id2label": {"0": "cat", "1": "dog"}}')
    with pytest.raises(ModelError, match="it finds cat, dog; expected person"):
        detector(str(path), ModelSettings(), "person").detect(Image.new("RGB", (9, 9)))
    dog = detector(str(path), ModelSettings(), "dog", 0.6).detect(Image.new("RGB", (64, 64)))
    assert dog[0].box == (16, 16, 48, 48)


@pytest.mark.parametrize(
    "corners",
    [
        (-9, -9, 700, 700),
        (60, 60, 60, 90),
        (70, 70, 90, 90),
        (float("nan"), 0, 9, 9),
        (50, 9, 5, 20),
    ],
    ids=["beyond", "thin", "outside", "nan", "backwards"],
)
def test_boxes_are_pixels_of_the_picture(tmp_path: Path, corners: tuple[float, ...]) -> None:
    made = {"boxes": rows(corners), "labels": np.array([0]), "scores": rows(0.9)}
    path = ready_made(tmp_path / "net.onnx", made)
    (tmp_path / "labels.txt").write_text("face\n")
    found = detector(str(path), ModelSettings(), "face").detect(Image.new("RGB", (64, 64)))
    assert [one.box for one in found] == ([(0, 0, 64, 64)] if corners[0] == -9 else [])


def test_files_that_are_no_detectors(tmp_path: Path) -> None:
    path = ready_made(tmp_path / "net.onnx", {"embedding": np.zeros((1, 9), np.float32)})
    with pytest.raises(ModelError, match="expected a detector like yunet"):
        OnnxDetector(path)
    (tmp_path / "junk.onnx").write_bytes(b"junk" * 99)
    with pytest.raises((ModelError, UnsafeFile)):
        OnnxDetector(tmp_path / "junk.onnx")
    with pytest.raises(ModelMissing, match="no such file"):
        detector(str(tmp_path / "none.onnx"), ModelSettings(), "person")


# The person detector of the assets


@pytest.fixture
def people(settings: Settings, assets: Path) -> Settings:
    path = assets / "models" / "nanodet-m-416" / "nanodet-m-416.onnx"
    return replace(settings, analyze=AnalyzeSettings(person=str(path), person_score=0.3))


@pytest.mark.assets
@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_a_person_holds_the_face(people: Settings, factor: float) -> None:
    portrait = photo("astronaut")
    size = (round(portrait.width * factor), round(portrait.height * factor))
    best, *_ = open_detector("person", people).detect(portrait.resize(size))
    x0, y0, x1, y1 = (edge / factor for edge in best.box)
    assert x0 < (FACE[0] + FACE[2]) / 2 < x1
    assert y0 < (FACE[1] + FACE[3]) / 2 < y1
    assert best.label == "person"


@pytest.mark.assets
def test_no_person_in_a_cup(people: Settings) -> None:
    assert open_detector("person", people).detect(photo("coffee")) == []
