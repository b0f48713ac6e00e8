"""Reading a recipe from the files of a model: ours beside an ONNX file, or a checkpoint's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

from kenspeckle.config import MODES
from kenspeckle.errors import InputError, ModelError
from kenspeckle.types import Recipe

MAX_JSON = 4 * 1024 * 1024
"""Largest JSON file of a model that is read, bytes."""

_EXAMPLE = (
    '{"side": 224, "fit": "stretch", "resample": "bicubic", '
    '"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}'
)
_RESAMPLE: dict[Any, Literal["lanczos", "bilinear", "bicubic"]] = {
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}
_SQUARES: dict[str, Literal["stretch", "letterbox"]] = {
    "stretch": "stretch",
    "letterbox": "letterbox",
}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises ModelError when it is missing, too large or no object."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise ModelError(path, "too large", expected=f"at most {MAX_JSON} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(path, f"unreadable ({error})", expected="a JSON file") from error
    if not isinstance(data, dict):
        raise ModelError(path, type(data).__name__, expected="a JSON object")
    return data


def beside(path: Path) -> Recipe:
    """The recipe of a local ONNX file.

    Taken from `<file>.json` beside it (the fields of `Recipe`), else from a
    `preprocessor_config.json` in its folder. Raises ModelError that says what to write.
    """
    own = path.with_name(path.name + ".json")
    if own.is_file():
        return from_fields(read_json(own), str(own))
    if (path.parent / "preprocessor_config.json").is_file():
        return from_processor(path.parent)
    raise ModelError(
        path,
        "nothing says how pictures are prepared for it",
        expected=f"{own.name} beside it",
        do=f"Write it like this, mean and std in units of 0 … 255: {_EXAMPLE}",
    )


def from_fields(data: Mapping[str, Any], thing: str) -> Recipe:
    """A recipe from plain data that bears the names of its fields. Raises ModelError."""
    known = {field.name for field in fields(Recipe)}
    unknown = sorted(set(data) - known)
    if unknown or "side" not in data:
        found = f"unknown {', '.join(unknown)}" if unknown else "no side"
        raise ModelError(thing, found, expected=f"{', '.join(sorted(known))}; like {_EXAMPLE}")
    values = dict(data)
    try:
        for name in ("mean", "std"):
            if name in values:
                values[name] = _three(values[name])
        if values.get("first", "") not in ("", "stretch", "letterbox"):
            raise ValueError("first is stretch, letterbox or empty")
        for name in ("side", "fill", "short"):
            if name in values:
                values[name] = int(values[name])
        if values.get("fit", "stretch") not in ("stretch", "letterbox", "crop"):
            raise ValueError("fit is stretch, letterbox or crop")
        if values.get("resample", "bicubic") not in _RESAMPLE.values():
            raise ValueError("resample is bicubic, bilinear or lanczos")
        return Recipe(**values)
    except (TypeError, ValueError, ArithmeticError, InputError) as error:
        raise ModelError(thing, str(error), expected=f"a recipe like {_EXAMPLE}") from error


def in_mode(recipe: Recipe, mode: str) -> Recipe:
    """The recipe of a model under another way to make a picture square, at the model's own side.

    `letterbox` pads with black, `stretch` squashes, both by one Lanczos pass and without a crop
    after it; empty and `default` keep the model's recipe. The modes that begin with `legacy-` do as
    the former bench did, to the pixel: 224 × 224 first, whatever the model's side, then all of the
    model's recipe; no mode of theirs reduces by boxes. Raises InputError for an unknown mode.

    >>> in_mode(Recipe(336, "crop", short=360), "letterbox").fit
    'letterbox'
    """
    if mode in ("", "default"):
        return recipe
    if mode not in MODES:
        raise InputError("models.mode", repr(mode), expected=", ".join(MODES))
    former, square = mode.startswith("legacy-"), _SQUARES.get(mode.removeprefix("legacy-"))
    if former or square is None:
        return replace(recipe, reduce=False, first=square or "")
    return replace(recipe, fit=square, resample="lanczos", fill=0, reduce=False, short=0)


def from_processor(folder: Path) -> Recipe:
    """The recipe of a checkpoint's `preprocessor_config.json`.

    Resizing the short side and cutting the centre becomes `crop` (with `short` where the resize is
    larger than the cut, as in DINOv2), resizing both sides `stretch`. Raises ModelError for what
    a recipe cannot say.
    """
    path = folder / "preprocessor_config.json"
    if path.is_file():
        data = read_json(path)
    else:  # newer checkpoints keep it inside the configuration of the whole processor
        path = folder / "processor_config.json"
        data = read_json(path).get("image_processor", {})
    thing = str(path)
    if not isinstance(data, dict):
        raise ModelError(thing, f"a {type(data).__name__}", expected="an object")
    try:
        return _processor(data, thing)
    except (KeyError, TypeError, ValueError, ArithmeticError, InputError) as error:
        raise ModelError(thing, f"{type(error).__name__}: {error}", expected="sizes") from error


def _processor(data: Mapping[str, Any], thing: str) -> Recipe:
    size = data.get("size", 224)
    square = isinstance(size, dict) and size.get("height", 0) == size.get("width")
    padded = data.get("pad_size") or (data.get("do_pad") and not square)  # nothing pads a square
    if data.get("do_resize") is False or padded:
        raise ModelError(thing, "a processor without resize, or with padding", expected="a resize")
    resample = data.get("resample", 3)
    if resample not in _RESAMPLE:
        raise ModelError(thing, f"resample {resample}", expected="1, 2 or 3 (Pillow's numbers)")
    scale = float(data.get("rescale_factor", 1 / 255)) if data.get("do_rescale", True) else 1.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if data.get("do_normalize", True):
        mean, std = _three(data["image_mean"]), _three(data["image_std"])
    cut = data.get("do_center_crop", False)
    if isinstance(size, int):
        size = {"shortest_edge": size} if cut else {"height": size, "width": size}
    if "shortest_edge" in size:
        if not cut:
            raise ModelError(thing, "keeps the aspect without a crop", expected="a square")
        short = int(size["shortest_edge"])
        side = _square(data.get("crop_size", short), thing)
        fit: Literal["stretch", "crop"] = "crop"
    else:
        side, short, fit = _square(size, thing), 0, "stretch"
        if cut and _square(data.get("crop_size", side), thing) != side:
            raise ModelError(thing, "a squash and a crop", expected="one of them")
    return Recipe(
        side,
        fit,
        _RESAMPLE[resample],
        tuple(value / scale for value in mean),  # type: ignore[arg-type]
        tuple(value / scale for value in std),  # type: ignore[arg-type]
        short=0 if short == side else short,
    )


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _square(size: Any, thing: str) -> int:
    if isinstance(size, int):
        return size
    if size["height"] != size["width"]:
        raise ModelError(thing, f"{size['width']} × {size['height']} pixels", expected="a square")
    return int(size["height"])


def checkpoint_width(folder: Path) -> int:
    """Columns of the image readout of a checkpoint by its `config.json`, 0 where it cannot tell."""
    config = read_json(folder / "config.json")
    kind, vision = config.get("model_type"), config.get("vision_config")
    if kind in ("clip", "clip_vision_model"):
        width = config.get("projection_dim", 512)
    elif isinstance(vision, dict):
        width = vision.get("hidden_size") if kind == "siglip" else 0
    else:
        width = config.get("hidden_size")
    return width if type(width) is int and width > 0 else 0
