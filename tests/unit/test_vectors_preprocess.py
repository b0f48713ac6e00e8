"""Preprocessing against Pillow alone, and what the reduction may cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kenspeckle.config import ModelSettings
from kenspeckle.types import Recipe
from kenspeckle.vectors.embed import open_embedder
from kenspeckle.vectors.preprocess import factor, fitted, reduced, tensor

DEFAULT = Recipe(288, mean=(127.0,) * 3, std=(128.0,) * 3)
CLIP = Recipe(
    224,
    "crop",
    mean=(122.7709383, 116.7460125, 104.09373615),
    std=(68.5005327, 66.6321579, 70.32316305),
)


def camera(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with detail at every scale, as a lens draws it, and some sensor noise."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    side = 4
    while side < max(width, height):
        layer = random.uniform(0, 255, (side, side, 3)).astype(np.uint8)
        large = Image.fromarray(layer).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(large, np.float32) - 127) / (side / 4) ** 0.8
        side *= 2
    total += random.normal(0, 1, total.shape)
    return Image.fromarray(np.clip(total * 0.6 + 127, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [(150, 150), (288, 288), (640, 480), (575, 575), (348, 1024)])
def test_default_is_pillows_squash_to_the_bit(size: tuple[int, int]) -> None:
    picture = camera(*size)
    squashed = picture.resize((288, 288), Image.Resampling.BICUBIC)
    expected = ((np.asarray(squashed, np.float32) - 127) / 128).transpose(2, 0, 1)
    found = tensor(picture, DEFAULT)
    assert found.flags.c_contiguous
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("size", [(300, 225), (225, 301), (224, 224), (400, 447), (90, 60)])
def test_crop_is_clips_own(size: tuple[int, int]) -> None:
    picture = camera(*size)
    width, height = size
    short = min(size)
    resized = picture.resize(
        (int(224 * width / short), int(224 * height / short)), Image.Resampling.BICUBIC
    )
    left, top = round((resized.width - 224) / 2.0), round((resized.height - 224) / 2.0)
    expected = resized.crop((left, top, left + 224, top + 224))
    assert fitted(picture, CLIP).tobytes() == expected.tobytes()


def test_crop_may_resize_beyond_its_side_first() -> None:
    picture = camera(500, 400)
    recipe = replace(CLIP, short=256)
    resized = picture.resize((320, 256), Image.Resampling.BICUBIC)
    assert fitted(picture, recipe).tobytes() == resized.crop((48, 16, 272, 240)).tobytes()


@pytest.mark.parametrize("size", [(300, 225), (225, 301), (224, 224), (7, 200)])
def test_letterbox_is_a_centred_square_then_lanczos(size: tuple[int, int]) -> None:
    picture = camera(*size)
    side = max(size)
    square = Image.new("RGB", (side, side), (0, 0, 0))
    square.paste(picture, ((side - size[0]) // 2, (side - size[1]) // 2))
    expected = square.resize((224, 224), Image.Resampling.LANCZOS)
    recipe = Recipe(224, "letterbox", "lanczos")
    assert fitted(picture, recipe).tobytes() == expected.tobytes()


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (1, 9_000_000), (3000, 2)])
def test_extreme_shapes_cost_little(fit: str, size: tuple[int, int]) -> None:
    recipe = Recipe(64, fit)  # type: ignore[arg-type]
    planes = tensor(Image.new("RGB", size, (255, 255, 255)), recipe)
    assert planes.shape == (3, 64, 64)
    if fit != "letterbox" or size == (1, 1):
        assert planes.min() == planes.max() == 1


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 400))
def test_factor_is_the_largest_that_keeps_twice_the_side(w: int, h: int, side: int) -> None:
    by = factor((w, h), side)
    assert by >= 1
    assert by == 1 or min(w, h) / by >= 2 * side
    assert min(w, h) / (by + 1) < 2 * side


@settings(max_examples=30)
@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from(["stretch", "crop", "letterbox"]))
def test_every_size_becomes_the_square(width: int, height: int, fit: str) -> None:
    recipe = Recipe(48, fit)  # type: ignore[arg-type]
    assert fitted(Image.new("RGB", (width, height)), recipe).size == (48, 48)


def test_reduced_keeps_small_pictures_as_they_are() -> None:
    small = camera(575, 700)
    assert reduced(small, 288) is small
    assert reduced(camera(1200, 1300), 288).size == (600, 650)


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(401, 307), (307, 403), (129, 130), (100, 90), (1, 900)])
def test_reduced_by_the_caller_is_the_same(fit: str, size: tuple[int, int]) -> None:
    """`index` reduces once for vector, thumbnail and views; `identify` hands in the whole photo."""
    picture = camera(*size)
    recipe = Recipe(32, fit)  # type: ignore[arg-type]
    early = tensor(reduced(picture, recipe.side), recipe, full=picture.size)
    assert np.array_equal(early, tensor(picture, recipe))


def test_a_size_that_does_not_fit_is_not_believed() -> None:
    picture = camera(150, 120)
    recipe = Recipe(32)
    assert np.array_equal(tensor(picture, recipe, full=(9999, 777)), tensor(picture, recipe))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1153, 1500), (1701, 1301), (2309, 1733), (4032, 3024)])
def test_reduction_is_within_the_grain_of_the_model(size: tuple[int, int]) -> None:
    """Half a grey level a value on average; the int8 network moves as far by one level here and
    there, whatever causes it."""
    engine = open_embedder()._loaded()  # type: ignore[attr-defined]
    picture = camera(*size)
    assert factor(picture.size, 288) > 1
    small, full = (tensor(picture, replace(DEFAULT, reduce=flag)) for flag in (True, False))
    assert float(np.abs(small - full).mean()) * 128 <= 0.5
    one, other = (engine.run(planes[None])[0] for planes in (small, full))
    assert float(one @ other) >= 0.998


@pytest.mark.assets
@pytest.mark.parametrize(("name", "least"), [("fp32", 0.999), ("int8", 0.998)])
def test_reduction_on_real_photos(assets: Path, name: str, least: float) -> None:
    folder = assets / "models" / "efflite0-288-gem-w384"
    path = folder / f"efflite0-288-gem-w384-{name}.onnx"
    engine = open_embedder(ModelSettings(name=str(path)))._loaded()  # type: ignore[attr-defined]
    tried = 0
    for file in sorted((assets / "data" / "coins" / "scenes").glob("*.jpg")):
        picture = Image.open(file).convert("RGB")
        if factor(picture.size, 288) == 1:
            continue
        rows = [
            engine.run(tensor(picture, replace(DEFAULT, reduce=flag))[None])[0]
            for flag in (True, False)
        ]
        assert float(rows[0] @ rows[1]) >= least
        tried += 1
    assert tried >= 4
