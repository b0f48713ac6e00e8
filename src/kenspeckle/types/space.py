"""What makes a vector, and vectors that it made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from kenspeckle.errors import InputError
from kenspeckle.types.arrays import Float32


@dataclass(frozen=True, slots=True)
class Recipe:
    """Preprocessing as data: what turns the pixels of a region into the input of a model.

    fit
        `stretch` squashes the region to the square; `letterbox` pads it to a square of `fill`
        first; `crop` resizes the short side to `short` (0: to `side`) and cuts the centre square
        of `side`.
    resample
        Pillow's filter by name: `bicubic`, `bilinear`, `lanczos`.
    mean, std
        Per channel, in units of the pixel value 0 … 255: `(value - mean) / std`.
    reduce
        First box-reduce by the largest whole factor that keeps the short side at least twice
        `side`.
    first
        What a former program did before: squash to (`stretch`), or pad with black and shrink to
        (`letterbox`), 224 × 224 pixels by Lanczos. Empty: nothing.
    """

    side: int
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    resample: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    fill: int = 0
    reduce: bool = True
    short: int = 0
    first: Literal["", "stretch", "letterbox"] = ""

    def __post_init__(self) -> None:
        if self.side < 1:
            raise InputError("recipe", f"side {self.side}", expected="at least 1")
        if min(self.std) <= 0:
            raise InputError("recipe", f"std {self.std}", expected="numbers above 0")
        if self.short and (self.fit != "crop" or self.short < self.side):
            raise InputError("recipe", f"short {self.short}", expected="crop, at least the side")
        for name in ("mean", "std"):  # 255 and 255.0 are one number, but not one text
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What made a vector. Two vectors may be compared only if their fingerprints are equal.

    `model` is the name people use and takes no part in the identity; `weights` is the sha256 of
    the weights file, `head` that of the projection head, or empty.
    """

    model: str
    weights: str
    recipe: Recipe
    width: int
    head: str = ""

    @property
    def space_id(self) -> str:
        """Sixteen hex digits that stand for weights, recipe, width and head.

        What a recipe leaves at its default is left out, so that a field which a later release adds
        changes no space that exists.
        """
        return _space_id(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fingerprint:
        """Read back what `to_dict` wrote. Raises KeyError or TypeError on foreign data."""
        recipe = dict(data["recipe"])
        recipe["mean"], recipe["std"] = tuple(recipe["mean"]), tuple(recipe["std"])
        return cls(**{**data, "recipe": Recipe(**recipe)})

    def __str__(self) -> str:
        head = f" + head {self.head[:12]}" if self.head else ""
        return f"{self.model} ({self.weights[:12]}{head}, {self.width} wide)"


@lru_cache(maxsize=64)
def _space_id(fingerprint: Fingerprint) -> str:
    parts = {k: v for k, v in fingerprint.to_dict().items() if k != "model"}
    usual = asdict(Recipe(fingerprint.recipe.side))
    parts["recipe"] = {k: v for k, v in parts["recipe"].items() if k == "side" or v != usual[k]}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Unit rows of one space: `rows` is `(N, D)` float32, each of length 1 within 1e-3."""

    rows: Float32
    space_id: str

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.rows.dtype != np.float32:
            raise InputError(
                "vectors", f"{self.rows.dtype} {self.rows.shape}", expected="float32 (N, D)"
            )
        if len(self.rows):
            length = np.sqrt(np.einsum("ij,ij->i", self.rows, self.rows))
            if not bool(np.all(np.abs(length - 1) <= 1e-3)):
                raise InputError("vectors", "rows that are not finite or not of length 1")

    def __len__(self) -> int:
        return len(self.rows)
