"""Squares of the preprocessing modes, as `tools/golden_squares.py` wrote them with Pillow alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from kenspeckle.engines.recipes import in_mode
from kenspeckle.types import Recipe
from kenspeckle.vectors.preprocess import fitted, tensor

ROOT = Path(__file__).parent.parent.parent


def maker():
    path = ROOT / "tools" / "golden_squares.py"
    spec = importlib.util.spec_from_file_location("golden_squares", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = maker()


@pytest.mark.parametrize("model", TOOL.MODELS)
@pytest.mark.parametrize("mode", TOOL.MODES)
@pytest.mark.parametrize("name", TOOL.SIZES)
def test_squares_are_the_stored_ones(name: str, mode: str, model: str) -> None:
    short, side = TOOL.MODELS[model]
    own = Recipe(side, "crop", short=0 if short == side else short)
    picture = TOOL.drawn(TOOL.SIZES[name])
    with np.load(TOOL.FILE, allow_pickle=False) as stored:
        golden = stored[f"{name} {model} {mode}"]
    found = np.asarray(fitted(picture, in_mode(own, mode)))
    assert found.shape == (side, side, 3)
    np.testing.assert_array_equal(found[:: TOOL.STEP, :: TOOL.STEP], golden)
    whole = TOOL.square(picture, mode, short, side)
    np.testing.assert_array_equal(found, np.asarray(whole))


@pytest.mark.parametrize("mode", ["legacy-letterbox", "legacy-stretch"])
def test_legacy_of_a_large_picture_knows_no_reduction(mode: str) -> None:
    picture = TOOL.drawn((2400, 1500))
    recipe = in_mode(Recipe(224, "crop"), mode)
    expected = TOOL.square(picture, mode, 224, 224)
    planes = tensor(picture, recipe, full=picture.size)
    np.testing.assert_array_equal(planes, np.asarray(expected, np.float32).transpose(2, 0, 1) / 255)
