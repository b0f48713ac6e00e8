"""A folder that stands in for a model is asked what it holds; modes are spaces of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kenspeckle.config import MODES, ModelSettings, Settings, load
from kenspeckle.engines import files, table
from kenspeckle.engines.build import build
from kenspeckle.errors import ModelError, SettingError, SpaceMismatch
from kenspeckle.flows.opened import matching_embedder, new_manifest
from kenspeckle.vectors.embed import open_embedder

VISION = {"num_hidden_layers": 24, "patch_size": 14, "image_size": 224, "hidden_size": 1024}
CLIP_L = {"model_type": "clip", "projection_dim": 768, "vision_config": VISION}
DINO_SMALL = {
    "model_type": "dinov2",
    "hidden_size": 384,
    "image_size": 518,
    "num_hidden_layers": 12,
    "patch_size": 14,
}
SIGLIP = {"model_type": "siglip", "vision_config": {"model_type": "siglip_vision_model"}}
SIGLIP2 = {**SIGLIP, "text_config": {"vocab_size": 256_000}}


def held(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"size": 224, "do_normalize": False, "do_center_crop": True})
    )
    return folder


@pytest.mark.parametrize(
    ("config", "model"),
    [
        (CLIP_L, "clip-vit-l-14"),
        (DINO_SMALL, "dinov2-small"),
        (SIGLIP, "siglip-base"),
        (SIGLIP2, "siglip2-base"),
    ],
)
def test_a_folder_with_the_model_asked_for_is_taken(
    tmp_path: Path, config: dict[str, Any], model: str
) -> None:
    folder = held(tmp_path / "any name", config)
    row = table.find(model)
    assert build(folder) == row.build
    found = files.locate(row, ModelSettings(name=model, folder=str(folder), home=str(tmp_path)))
    assert found.weights == folder
    assert found.width == row.width


@pytest.mark.parametrize(
    ("config", "model", "other"),
    [
        (DINO_SMALL, "clip-vit-l-14", "dinov2: layers 12"),
        (DINO_SMALL, "dinov2-base", "width 384"),
        ({**CLIP_L, "vision_config": {**VISION, "image_size": 336}}, "clip-vit-l-14", "side 336"),
        (SIGLIP, "siglip2-base", "words 32000"),
        ({"model_type": "made-up"}, "dinov2-base", "made-up"),
        ({}, "dinov2-base", "unknown"),
    ],
)
def test_a_folder_with_another_model_is_refused_and_both_are_named(
    tmp_path: Path, config: dict[str, Any], model: str, other: str
) -> None:
    folder = held(tmp_path / model, config)
    with pytest.raises(ModelError) as caught:
        open_embedder(ModelSettings(name=model, folder=str(folder), home=str(tmp_path)))
    assert other in str(caught.value)
    assert model in caught.value.expected


def test_of_a_model_outside_the_table_nobody_can_tell(tmp_path: Path) -> None:
    folder = held(tmp_path / "folder", CLIP_L)
    with pytest.raises(ModelError, match="nobody here can tell"):
        open_embedder(ModelSettings(name="some/model", folder=str(folder), home=str(tmp_path)))


def test_a_folder_without_a_checkpoint_and_built_in_models_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="models pull"):
        open_embedder(
            ModelSettings("clip-vit-l-14", folder=str(tmp_path / "empty"), home=str(tmp_path))
        )
    folder = held(tmp_path / "folder", CLIP_L)
    assert open_embedder(ModelSettings("default", folder=str(folder))).width == 384


def test_the_former_names_of_the_folder_are_read(tmp_path: Path) -> None:
    names = {"LOGO_CLIP_MODEL_DIR": "older", "LOGO_EMBEDDING_MODEL_DIR": "newer"}
    assert load(environ=names, folder=tmp_path)[0].models.folder == "newer"


def test_every_mode_is_a_space_of_its_own() -> None:
    opened = {mode: open_embedder(ModelSettings("default", mode=mode)) for mode in MODES}
    spaces = {embedder.space_id for embedder in opened.values()}
    # This model squashes already: by another filter, and after a reduction by boxes.
    assert len(spaces) == len(MODES)
    assert opened["default"].space_id == open_embedder().space_id
    assert opened["default"].cohort is not None
    assert opened["letterbox"].cohort is None, "its vectors were made by the model's own recipe"
    image = Image.new("RGB", (300, 100), (200, 30, 30))
    vectors = {mode: embedder.vector(image) for mode, embedder in opened.items()}
    assert float(vectors["letterbox"] @ vectors["default"]) < 0.99


def test_a_mode_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"models\.mode"):
        load({"models.mode": "squash"}, environ={}, folder=tmp_path)


def test_a_gallery_remembers_its_mode() -> None:
    settings = Settings(models=ModelSettings("dummy", mode="letterbox"))
    made_by = open_embedder(settings.models)
    manifest = new_manifest(made_by, settings)
    again = matching_embedder("gallery", manifest, Settings())
    assert again.space_id == made_by.space_id != open_embedder(ModelSettings("dummy")).space_id
    with pytest.raises(SpaceMismatch, match=r"with fit letterbox.* with fit stretch"):
        matching_embedder("gallery", manifest, Settings(models=ModelSettings(mode="stretch")))
