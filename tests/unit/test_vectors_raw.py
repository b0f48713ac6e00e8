"""Raw features: transformers' own numbers, prepared as the services did whose classifiers know
them."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
from PIL import Image

from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table
from kenspeckle.errors import ModelError, ModelMissing
from kenspeckle.types import Float32, Recipe
from kenspeckle.vectors.admit import drawn_pictures
from kenspeckle.vectors.raw import at_training, raw_features

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PICTURES = [image.crop((0, 0, 120, 80)) for image in drawn_pictures(3, side=120)]
"""Short side to 32 makes 48 × 32, whose middle is the same however it is rounded."""


def own(network: Any, processor: Any, image: Image.Image) -> Float32:
    """Image projection of CLIP, or the class token of DINOv2 after its last norm."""
    pixels = np.asarray(processor(images=image, return_tensors="np")["pixel_values"])
    with torch.inference_mode():
        given = torch.from_numpy(pixels)
        if hasattr(network, "get_image_features"):
            answer = network.get_image_features(pixel_values=given)
            rows = getattr(answer, "pooler_output", answer)
        else:
            rows = network(pixel_values=given).last_hidden_state[:, 0]
    row: Float32 = rows[0].numpy()
    return row


@pytest.mark.parametrize("make", [checkpoints.clip, checkpoints.dinov2], ids=["clip", "dinov2"])
def test_features_are_transformers_own(make: Any, tmp_path: Path) -> None:
    network, processor = make(tmp_path)
    features = raw_features(str(tmp_path), ModelSettings())
    for image in PICTURES:
        row, expected = features.vector(image), own(network, processor, image)
        assert row.shape == (features.width,)
        assert row.dtype == np.float32
        assert np.abs(row - expected).max() < 1e-4 * np.abs(expected).max()
        assert abs(np.linalg.norm(row) - 1) > 0.1, "scaled to length 1"


def test_a_large_picture_is_resized_in_one_step(tmp_path: Path) -> None:
    """Our recipes average boxes of pixels first; the services did not."""
    network, processor = checkpoints.clip(tmp_path)
    image = drawn_pictures(1, side=640)[0]
    row = raw_features(str(tmp_path), ModelSettings()).vector(image)
    expected = own(network, processor, image)
    assert np.abs(row - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_activation_is_the_one_of_the_weights(tmp_path: Path) -> None:
    """CLIP's weights were trained with QuickGELU: under another function they say other things."""
    rows = []
    for name in ("quick_gelu", "gelu"):
        folder = tmp_path / name
        network, processor = checkpoints.clip(folder, activation=name)
        rows.append(raw_features(str(folder), ModelSettings()).vector(PICTURES[0]))
        assert np.abs(rows[-1] - own(network, processor, PICTURES[0])).max() < 1e-3
    assert np.abs(rows[0] - rows[1]).max() > 1e-2
    config = json.loads((tmp_path / "quick_gelu" / "config.json").read_text())
    config["vision_config"].pop("hidden_act")  # the first of these checkpoints does not say
    (tmp_path / "quick_gelu" / "config.json").write_text(json.dumps(config))
    again = raw_features(str(tmp_path / "quick_gelu"), ModelSettings()).vector(PICTURES[0])
    assert np.array_equal(again, rows[0])


def test_the_side_of_dinov2_is_that_of_its_training(tmp_path: Path) -> None:
    checkpoints.dinov2(tmp_path)
    published = Recipe(13, "crop", short=15)
    recipe = at_training(tmp_path, published)
    assert (recipe.side, recipe.short, recipe.fit, recipe.reduce) == (32, 0, "crop", True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["image_size"] = [518, 518]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="image_size"):
        at_training(tmp_path, published)


def test_many_callers_get_the_same_while_the_memory_is_given_back(tmp_path: Path) -> None:
    checkpoints.clip(tmp_path)
    features = raw_features(str(tmp_path), ModelSettings())
    assert not features.loaded
    first = [features.vector(image) for image in PICTURES]

    def ask(n: int) -> bool:
        if n % 7 == 0:
            features.close()
        return bool(np.abs(features.vector(PICTURES[n % 3]) - first[n % 3]).max() < 1e-5)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(30)))


def test_the_embedded_model_has_raw_features_too() -> None:
    row = raw_features("default", ModelSettings()).vector(PICTURES[0])
    assert row.shape == (384,)


def test_what_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="kenspeckle models pull clip-vit-b-32"):
        raw_features("openai/clip-vit-base-patch32", ModelSettings(home=str(tmp_path)))
    with pytest.raises(ModelError, match="a model of boxes"):
        raw_features("yunet", ModelSettings())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "lengths"), [("clip-vit-b-32", 512, (7, 14)), ("dinov2-base", 768, (20, 80))]
)
def test_real_weights(name: str, width: int, lengths: tuple[int, int]) -> None:
    """Where KENSPECKLE_TEST_MODELS names a folder of pulled models."""
    home = os.environ.get("KENSPECKLE_TEST_MODELS", "")
    chosen = ModelSettings(home=home, offline=True)
    if not home or not files.installed(table.find(name), chosen):
        pytest.skip(f"KENSPECKLE_TEST_MODELS names no folder that holds {name}")
    features = raw_features(name, chosen)
    photo = Image.fromarray(pytest.importorskip("skimage.data").astronaut())
    row = features.vector(photo)
    assert row.shape == (width,)
    assert lengths[0] < np.linalg.norm(row) < lengths[1]
