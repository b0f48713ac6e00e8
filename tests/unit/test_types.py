"""The nouns check themselves when they are made, and survive JSON."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from kenspeckle import types
from kenspeckle.errors import InputError
from kenspeckle.types import (
    Calibration,
    Fingerprint,
    Picture,
    Promise,
    Recipe,
    Reference,
    Region,
    Vectors,
)

RECIPE = Recipe(288, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
FINGERPRINT = Fingerprint("default", "ab" * 32, RECIPE, 384)
CALIBRATION = Calibration(
    score="margin",
    threshold=0.08,
    slope=31.5,
    intercept=-2.0,
    promises=(Promise("general", 0.01, 0.002, 0.04, 600, 300),),
    fpir=0.01,
    regions="whole",
    space_id=FINGERPRINT.space_id,
    items=150,
    references=300,
    change=7,
    date="2024-01-02",
    mated_trials=300,
    named_right=0.91,
    notes=("general strangers take one cohort vector each",),
)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16", "1"])
def test_a_picture_is_rgb(mode):
    with pytest.raises(InputError, match=f"mode {mode}"):
        Picture(Image.new(mode, (2, 2)), "a.png")


def test_a_picture_knows_its_size_and_lends_no_pixels():
    picture = Picture(Image.new("RGB", (3, 2), (1, 2, 3)), "a.png")
    assert picture.size == (3, 2)
    pixels = picture.pixels
    assert (pixels.shape, pixels.dtype, pixels[1, 2].tolist()) == ((2, 3, 3), np.uint8, [1, 2, 3])
    assert picture.image.getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 5, 0), (5, 0, 4, 5), (0, 5, 5, 5)])
def test_a_region_is_not_empty(box):
    with pytest.raises(InputError, match="an empty box"):
        Region(box)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_flat_region_has_four_corners(count):
    with pytest.raises(InputError, match=f"{count} corners"):
        Region((0, 0, 9, 9), corners=tuple((float(i), 0.0) for i in range(count)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"side": 0}, "side 0"),
        ({"side": -1}, "side -1"),
        ({"side": 224, "std": (1.0, 0.0, 1.0)}, "numbers above 0"),
        ({"side": 224, "std": (1.0, -1.0, 1.0)}, "numbers above 0"),
        ({"side": 224, "short": 256}, "short 256"),
        ({"side": 224, "short": 200, "fit": "crop"}, "short 200"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Recipe(**wrong)


CHANGES = [
    {"weights": "cd" * 32},
    {"width": 512},
    {"head": "ef" * 32},
    *(
        {"recipe": dataclasses.replace(RECIPE, **change)}
        for change in (
            {"side": 224},
            {"fit": "letterbox"},
            {"fit": "crop", "short": 300},
            {"resample": "lanczos"},
            {"mean": (0.0, 0.0, 0.0)},
            {"std": (1.0, 1.0, 1.0)},
            {"fill": 128},
            {"reduce": False},
            {"first": "letterbox"},
        )
    ),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_a_vector_changes_the_space(change):
    assert dataclasses.replace(FINGERPRINT, **change).space_id != FINGERPRINT.space_id


def test_every_part_of_a_recipe_is_tried_above():
    tried = {"fit", "short"}
    for change in CHANGES:
        other = change.get("recipe", RECIPE)
        tried |= {
            f.name
            for f in dataclasses.fields(Recipe)
            if getattr(other, f.name) != getattr(RECIPE, f.name)
        }
    assert tried == {f.name for f in dataclasses.fields(Recipe)}


def test_the_name_of_a_model_is_no_part_of_its_space():
    assert dataclasses.replace(FINGERPRINT, model="renamed").space_id == FINGERPRINT.space_id
    assert len(FINGERPRINT.space_id) == 16
    int(FINGERPRINT.space_id, 16)


def test_the_space_of_a_given_fingerprint_never_changes():
    plain = Fingerprint("m", "00" * 32, Recipe(224), 4)
    assert plain.space_id == "ff444b49a705cbe1"


def test_equal_recipes_are_one_space_however_their_numbers_are_written():
    whole = Recipe(224, mean=(0, 0, 0), std=(255, 255, 255))
    assert whole == Recipe(224)
    spaces = {Fingerprint("m", "00" * 32, recipe, 4).space_id for recipe in (whole, Recipe(224))}
    assert len(spaces) == 1


@pytest.mark.parametrize("value", [FINGERPRINT, CALIBRATION])
def test_what_is_stored_comes_back_from_json(value):
    again = type(value).from_dict(json.loads(json.dumps(value.to_dict())))
    assert again == value
    assert again.to_dict() == value.to_dict()


@pytest.mark.parametrize("kind", [Fingerprint, Calibration])
@pytest.mark.parametrize("foreign", [{}, {"recipe": {}, "promises": []}])
def test_foreign_data_is_refused(kind, foreign):
    with pytest.raises((KeyError, TypeError)):
        kind.from_dict(foreign)


def test_a_fingerprint_reads_well():
    assert str(FINGERPRINT) == "default (abababababab, 384 wide)"
    assert "+ head cdcdcdcdcdcd" in str(dataclasses.replace(FINGERPRINT, head="cd" * 32))


@pytest.mark.parametrize(
    "rows",
    [
        np.eye(3),
        np.eye(3, dtype=np.float32)[0],
        np.full((2, 3), np.nan, np.float32),
        np.full((1, 3), np.inf, np.float32),
        np.full((1, 4), 0.6, np.float32),
        np.zeros((1, 4), np.float32),
    ],
)
def test_vectors_are_unit_rows(rows):
    with pytest.raises(InputError, match="vectors"):
        Vectors(rows, "space")


def test_vectors_may_be_none_or_a_little_off():
    assert len(Vectors(np.zeros((0, 4), np.float32), "space")) == 0
    assert len(Vectors(np.eye(4, dtype=np.float32) * np.float32(1.0009), "space")) == 4


@pytest.mark.parametrize(
    ("path", "filename"),
    [
        ("a.jpg", "a.jpg"),
        ("mug/old/a b#.jpg", "a b#.jpg"),
        ("https://shop.example/x/mug.jpg", "mug.jpg"),
    ],
)
def test_the_filename_is_the_last_part_of_the_path(path, filename):
    assert Reference("k", "l", path).filename == filename


def test_references_are_values():
    one = Reference("k", "l", "a.jpg", metadata={"set_code": "A-B1"})
    assert one == Reference("k", "l", "a.jpg", metadata={"set_code": "A-B1"})
    for reference in (one, Reference("k", "l", "a.jpg")):
        assert pickle.loads(pickle.dumps(reference)) == reference
        assert Reference(**json.loads(json.dumps(dataclasses.asdict(reference)))) == reference
    with pytest.raises(TypeError):
        Reference("k", "l", "a.jpg").metadata["x"] = "y"  # type: ignore[index]


def test_every_noun_is_frozen():
    nouns = [kind for kind in vars(types).values() if dataclasses.is_dataclass(kind)]
    assert {"Picture", "Region", "Reference", "Decision"} <= {kind.__name__ for kind in nouns}
    assert all(kind.__dataclass_params__.frozen for kind in nouns)
