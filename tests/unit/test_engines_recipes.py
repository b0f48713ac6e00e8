"""Recipes from files: ours beside an ONNX file, and those of checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kenspeckle.engines import recipes
from kenspeckle.errors import ModelError
from kenspeckle.types import Recipe

CLIP = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}
SIGLIP = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 224},
}
DINO = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": {"shortest_edge": 256},
}


def processor(folder: Path, data: Any) -> Recipe:
    (folder / "preprocessor_config.json").write_text(json.dumps(data))
    return recipes.from_processor(folder)


@pytest.mark.parametrize(
    ("data", "side", "fit", "short"),
    [
        (CLIP, 224, "crop", 0),
        ({**CLIP, "size": {"shortest_edge": 224}}, 224, "crop", 0),
        (SIGLIP, 224, "stretch", 0),
        (DINO, 224, "crop", 256),
        ({**SIGLIP, "size": 384}, 384, "stretch", 0),
    ],
)
def test_checkpoints(tmp_path: Path, data: Any, side: int, fit: str, short: int) -> None:
    recipe = processor(tmp_path, data)
    assert (recipe.side, recipe.fit, recipe.short) == (side, fit, short)
    for channel in range(3):
        assert recipe.mean[channel] == pytest.approx(255 * data["image_mean"][channel])
        assert recipe.std[channel] == pytest.approx(255 * data["image_std"][channel])


def test_inside_the_configuration_of_a_whole_processor(tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": SIGLIP}))
    assert recipes.from_processor(tmp_path).fit == "stretch"


@pytest.mark.parametrize("inner", [[], "text", None, 3])
def test_a_processor_that_is_no_object_is_refused(tmp_path: Path, inner: Any) -> None:
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": inner}))
    with pytest.raises(ModelError, match="an object"):
        recipes.from_processor(tmp_path)


def test_without_rescale_or_normalise(tmp_path: Path) -> None:
    plain = processor(tmp_path, {**SIGLIP, "do_normalize": False})
    assert (plain.mean, plain.std) == ((0, 0, 0), (pytest.approx(255),) * 3)
    raw = processor(tmp_path, {**SIGLIP, "do_rescale": False})
    assert raw.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    "data",
    [
        {**SIGLIP, "do_resize": False},
        {**SIGLIP, "do_pad": True, "pad_size": {"height": 256, "width": 256}},
        {**DINO, "do_pad": True},
        {**SIGLIP, "resample": 0},
        {**SIGLIP, "size": {"height": 224, "width": 200}},
        {**SIGLIP, "size": {"shortest_edge": 224}},
        {**SIGLIP, "size": {"longest_edge": 224}},
        {**SIGLIP, "image_std": [0.5, 0.5]},
        {**SIGLIP, "image_std": [0, 0, 0]},
        {**SIGLIP, "image_mean": "none"},
        {**DINO, "size": {"shortest_edge": 100}},
        {**SIGLIP, "rescale_factor": 0},
        {**SIGLIP, "size": {"height": float("inf"), "width": float("inf")}},
        {**SIGLIP, "resample": [3]},
        {**SIGLIP, "size": None},
        {**SIGLIP, "image_mean": None},
        {},
        [],
    ],
)
def test_what_a_recipe_cannot_say_is_refused(tmp_path: Path, data: Any) -> None:
    with pytest.raises(ModelError):
        processor(tmp_path, data)


def test_padding_that_pads_nothing(tmp_path: Path) -> None:
    """Captioners of the BLIP kin say `do_pad` of pictures that are squares by then."""
    assert processor(tmp_path, {**SIGLIP, "do_pad": True}) == processor(tmp_path, SIGLIP)


def test_beside_an_onnx_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(ModelError, match=r"net\.onnx\.json beside it.*\"side\": 224"):
        recipes.beside(path)
    data = {"side": 96, "fit": "letterbox", "resample": "lanczos", "fill": 114}
    (tmp_path / "net.onnx.json").write_text(json.dumps(data))
    assert recipes.beside(path) == Recipe(96, "letterbox", "lanczos", fill=114)
    (tmp_path / "net.onnx.json").unlink()
    processor(tmp_path, SIGLIP)
    assert recipes.beside(path).side == 224


def test_the_example_in_the_error_works() -> None:
    recipe = recipes.from_fields(json.loads(recipes._EXAMPLE), "example")
    assert recipe.side == 224


@pytest.mark.parametrize(
    "data",
    [
        {"fit": "crop"},
        {"side": 0},
        {"side": "wide"},
        {"side": 8, "fit": "squash"},
        {"side": 8, "resample": "nearest"},
        {"side": 8, "mean": [1, 2]},
        {"side": 8, "std": [0, 1, 1]},
        {"side": 8, "code": "import os"},
        {"side": float("inf")},
        {"side": 8, "fill": float("inf")},
    ],
)
def test_wrong_fields_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        recipes.from_fields(data, "file")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"[" * 100_000])
def test_damaged_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ModelError):
        recipes.read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("config", "width"),
    [
        ({"model_type": "clip", "projection_dim": 768, "vision_config": {"hidden_size": 1}}, 768),
        ({"model_type": "siglip", "vision_config": {"hidden_size": 1152}}, 1152),
        ({"model_type": "dinov2", "hidden_size": 384}, 384),
        ({"model_type": "swin", "hidden_sizes": [1, 2]}, 0),
        ({"model_type": "other", "vision_config": {"hidden_size": 7}}, 0),
        ({"vision_config": {"hidden_size": 7}}, 0),
        ({"model_type": ["clip"], "hidden_size": -3}, 0),
        ({"model_type": "clip", "projection_dim": "wide"}, 0),
        ({"model_type": "siglip", "vision_config": {"hidden_size": [7]}}, 0),
    ],
)
def test_width_by_the_config(tmp_path: Path, config: dict[str, Any], width: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert recipes.checkpoint_width(tmp_path) == width
