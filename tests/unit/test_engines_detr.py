"""Detectors of a few layers, made here, against transformers' own answer."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
from PIL import Image

from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table
from kenspeckle.engines.boxes import from_logits
from kenspeckle.engines.transformers_detector import TransformersDetector
from kenspeckle.errors import ModelError, ModelMissing
from kenspeckle.regions.detect import detector
from kenspeckle.vectors.admit import drawn_pictures

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

Made = tuple[Path, Any, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("detr")
    return (folder, *checkpoints.detr(folder))


def own(made: Made, image: Image.Image) -> tuple[Any, Any]:
    """What the network says of a picture, and transformers' reading of it, the surest first."""
    _, network, processor = made
    with torch.inference_mode():
        answer = network(**processor(images=image, return_tensors="pt"))
    read = processor.post_process_object_detection(
        answer, threshold=0.0, target_sizes=[(image.height, image.width)]
    )[0]
    order = torch.argsort(read["scores"], descending=True, stable=True)
    return answer, {name: values[order].numpy() for name, values in read.items()}


def test_queries_are_read_as_transformers_reads_them(made: Made) -> None:
    image = drawn_pictures(1, side=200)[0].crop((0, 0, 200, 150))
    answer, read = own(made, image)
    logits, boxes = answer.logits[0].numpy(), answer.pred_boxes[0].numpy()
    found = from_logits(logits, boxes, len(checkpoints.KINDS), image.size, 0.0)
    assert np.abs(found.scores - read["scores"]).max() < 1e-6
    assert np.abs(found.corners - read["boxes"]).max() < 1e-3
    assert np.array_equal(found.kinds, read["labels"])


@pytest.mark.parametrize("size", [(120, 80), (80, 100), (90, 200)])
def test_boxes_of_a_picture_are_transformers_own(made: Made, size: tuple[int, int]) -> None:
    image = drawn_pictures(1, seed=4, side=200)[0].crop((0, 0, *size))
    _, read = own(made, image)
    found = TransformersDetector(made[0]).detect(image, 0.0)
    assert np.abs(found.scores - read["scores"]).max() < 5e-3
    assert np.abs(found.corners - read["boxes"]).max() < 0.01 * max(size)


KIN = (checkpoints.yolos, checkpoints.rt_detr, checkpoints.conditional_detr)


@pytest.mark.parametrize("make", KIN, ids=lambda make: make.__name__)
def test_the_surest_box_of_other_kin(make: Any, tmp_path: Path) -> None:
    """Those whose kinds have a sigmoid each are read for the best kind of each box alone."""
    network, processor = make(tmp_path)
    image = drawn_pictures(1, seed=4, side=200)[0].crop((0, 0, 150, 100))
    with torch.inference_mode():
        pixels = processor(images=image, return_tensors="pt")["pixel_values"]
        answer = network(pixel_values=pixels)
    read = processor.post_process_object_detection(
        answer, threshold=0.0, target_sizes=[(image.height, image.width)]
    )[0]
    best = int(read["scores"].argmax())
    found = TransformersDetector(tmp_path).detect(image, 0.0)
    assert found.scores[0] == pytest.approx(float(read["scores"][best]), abs=1e-4)
    assert found.corners[0] == pytest.approx(read["boxes"][best].numpy(), abs=0.5)
    assert found.kinds[0] == int(read["labels"][best])


def in_the_layout_of_timm(made: Made, folder: Path, name: str) -> Path:
    """The same checkpoint as its publisher would have saved it."""
    from safetensors.numpy import load_file, save_file

    arrays = {}
    for key, value in load_file(made[0] / "model.safetensors").items():
        head, trunk, rest = key.partition("conv_encoder.model.")
        rest = rest.replace("embedder.embedder.convolution", "conv1")
        rest = rest.replace("embedder.embedder.normalization", "bn1")
        rest = re.sub(
            r"encoder\.stages\.(\d)\.layers", lambda found: f"layer{int(found[1]) + 1}", rest
        )
        rest = re.sub(r"layer\.(\d)\.conv\w+", lambda found: f"conv{int(found[1]) + 1}", rest)
        rest = re.sub(r"layer\.(\d)\.norm\w+", lambda found: f"bn{int(found[1]) + 1}", rest)
        rest = rest.replace("shortcut.convolution", "downsample.0")
        rest = rest.replace("shortcut.normalization", "downsample.1")
        arrays[head + trunk + rest] = value
    folder.mkdir()
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((made[0] / "config.json").read_text())
    config |= {"use_timm_backbone": True, "backbone": name, "backbone_config": None}
    config |= {"dilation": False, "use_pretrained_backbone": True, "backbone_kwargs": None}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(  # the form of the first of these checkpoints
        '{"size": 80, "max_size": 133, "do_normalize": true, "do_resize": true, '
        '"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}'
    )
    return folder


def test_a_trunk_in_the_names_of_timm(made: Made, tmp_path: Path) -> None:
    folder = in_the_layout_of_timm(made, tmp_path / "timm", "resnet18")
    names = (folder / "model.safetensors").read_bytes()[:20000]
    assert b"conv_encoder.model.layer4.1.bn2.running_var" in names
    assert b"conv_encoder.model.layer2.0.downsample.0.weight" in names
    image = drawn_pictures(1, side=120)[0]
    one, other = TransformersDetector(made[0]), TransformersDetector(folder)
    expected, found = one.detect(image, 0.0), other.detect(image, 0.0)
    assert np.array_equal(found.corners, expected.corners)
    assert np.array_equal(found.scores, expected.scores)


@pytest.mark.slow
def test_the_trunk_of_the_usual_person_detector(tmp_path: Path) -> None:
    """Bottlenecks of 50 layers, as in `facebook/detr-resnet-50`."""
    plain = tmp_path / "plain"
    made = (plain, *checkpoints.detr(plain, "bottleneck"))
    folder = in_the_layout_of_timm(made, tmp_path / "timm", "resnet50")
    image = drawn_pictures(1, side=120)[0]
    expected = TransformersDetector(plain).detect(image, 0.0)
    found = TransformersDetector(folder).detect(image, 0.0)
    assert np.array_equal(found.corners, expected.corners)


def test_people_by_the_folder_of_a_checkpoint(made: Made) -> None:
    image = drawn_pictures(1, side=150)[0]
    found = detector(str(made[0]), ModelSettings(), "person", 0.1).detect(image)
    assert found
    assert all(one.label == "person" and one.score >= 0.1 for one in found)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= one.box[0] < one.box[2] <= 150 for one in found)


@pytest.mark.parametrize("size", [(1, 1), (5000, 2), (3, 700)])
def test_pictures_of_any_shape(made: Made, size: tuple[int, int]) -> None:
    found = detector(str(made[0]), ModelSettings(), "person", 0.0)
    for one in found.detect(Image.new("RGB", size, (90, 120, 60))):
        assert 0 <= one.box[0] < one.box[2] <= size[0]
        assert 0 <= one.box[1] < one.box[3] <= size[1]


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"height": 100, "width": 90}, "no square"),
        ({"shortest_edge": 100_000, "longest_edge": 200_000}, "1 to 2048"),
        ({"shortest_edge": "wide"}, "ValueError"),
        ([800], "TypeError"),
    ],
)
def test_sizes_that_are_none(made: Made, tmp_path: Path, size: Any, said: str) -> None:
    for path in made[0].iterdir():
        (tmp_path / path.name).symlink_to(path)
    own = tmp_path / "preprocessor_config.json"
    own.unlink()
    own.write_text(json.dumps({"size": size}))
    with pytest.raises(ModelError, match=said):
        TransformersDetector(tmp_path)


def test_a_checkpoint_of_another_kind(tmp_path: Path) -> None:
    checkpoints.dinov2(tmp_path)
    with pytest.raises(ModelError, match="transformers cannot load it"):
        detector(str(tmp_path), ModelSettings(), "person").detect(Image.new("RGB", (40, 40)))


def test_an_empty_home(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="models pull org/some-detector"):
        detector("org/some-detector", ModelSettings(home=str(tmp_path)), "person")


@pytest.mark.slow
def test_real_weights() -> None:
    """Where KENSPECKLE_TEST_MODELS names a folder of pulled models."""
    home = os.environ.get("KENSPECKLE_TEST_MODELS", "")
    chosen = ModelSettings(home=home, offline=True)
    if not home or not files.installed(table.find("detr-resnet-50"), chosen):
        pytest.skip("KENSPECKLE_TEST_MODELS names no folder that holds detr-resnet-50")
    data = pytest.importorskip("skimage.data")
    found = detector("detr-resnet-50", chosen, "person", 0.5)
    best, *_ = found.detect(Image.fromarray(data.astronaut()))
    assert best.score > 0.9
    assert best.box[0] < 223 < best.box[2]
    assert best.box[1] < 120 < best.box[3]
    assert found.detect(Image.fromarray(data.coffee())) == []
