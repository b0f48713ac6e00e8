"""The nouns: frozen values that every room shares, checked when they are made.

Boxes are pixels `(x0, y0, x1, y1)`, half-open, after the EXIF rotation. Similarities are cosines,
-1 … 1. Confidences are 0 … 1, calibrated, or absent. Times are seconds, angles degrees.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from kenspeckle.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


class _Empty(dict[str, str]):
    """A table that takes no entry, yet is copied, pickled and written as JSON like any other."""

    def __setitem__(self, key: str, value: str) -> None:
        raise TypeError("a reference cannot be changed: make another")


NO_METADATA: Mapping[str, str] = _Empty()


@dataclass(frozen=True, slots=True)
class Intake:
    """How a picture is read: our default rotates by EXIF, puts alpha on white, converts to sRGB.

    A surface that has to see pictures as another program did hands in its own value.
    """

    rotate: bool = True
    alpha: Literal["white", "black", "drop"] = "white"
    colour: Literal["srgb", "raw"] = "srgb"


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture.

    `image` is a Pillow image in mode RGB, after the intake. `name` is what people call it (a path,
    an address, `stdin`). `sha256` is of the undecoded bytes, empty for a picture made in memory.
    """

    image: Image
    name: str
    format: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.image.mode != "RGB":
            raise InputError(
                self.name,
                f"a picture in mode {self.image.mode}",
                expected="mode RGB",
                do="Read it with kenspeckle.image.decode",
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """A copy of the pixels: `(height, width, 3)` uint8, RGB."""
        return np.asarray(self.image)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture. The whole picture is a region.

    `kind` is the rule that found it. `corners` are four `(x, y)` of a flat object, clockwise from
    its own top left; a region with corners is flattened when it is cut out.
    """

    box: Box
    kind: str = "whole"
    score: float = 1.0
    label: str = ""
    corners: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        if x0 >= x1 or y0 >= y1:
            raise InputError("region", f"an empty box {self.box}", expected="x0 < x1 and y0 < y1")
        if self.corners is not None and len(self.corners) != 4:
            raise InputError("region", f"{len(self.corners)} corners", expected="four")


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


@dataclass(frozen=True, slots=True)
class Reference:
    """One enrolled picture of an item.

    `path` identifies it inside a gallery: relative to the references folder with `/`, or an
    address. `filename` is its last part. `view` names the camera view it was made by, empty for
    the picture itself; a view is never counted as a reference. `size` and `mtime_ns` are those of
    the file when it was embedded. `origin` is empty for what the references folder or table lists
    and `added` for what was added by hand, which a later sync with the folder leaves alone.
    """

    key: str
    label: str
    path: str
    variant: str = ""
    sha256: str = ""
    size: int = -1
    mtime_ns: int = -1
    view: str = ""
    origin: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)

    @property
    def filename(self) -> str:
        """The last part of the path, without folder."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing with an identity. `references` counts its pictures, views left out."""

    key: str
    label: str
    variants: tuple[str, ...] = ()
    references: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item proposed for one region: its score and the reference that gave it.

    `similarity` is the cosine of the best reference of that item.
    """

    key: str
    label: str
    similarity: float
    reference: Reference
    reference_id: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a second look said about a candidate, with its numbers."""

    kind: str
    verdict: Literal["agrees", "disagrees", "abstains"]
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Promise:
    """A false-positive rate that trials support, for one kind of stranger.

    `fpir` is the expected rate, `low` and `high` its 95 % interval, measured on `trials` trials of
    `items` independent stranger items.
    """

    strangers: Literal["given", "like your items", "general"]
    fpir: float
    low: float
    high: float
    trials: int
    items: int


@dataclass(frozen=True, slots=True)
class SecondLookRule:
    """How much agreeing local features count, as fitted on trials.

    Of the `shortlist` best items each cosine is raised by `weight` times its evidence (formula in
    `kenspeckle.match.second_look`) before the score is taken. A weight of 0 abstains.
    """

    features: str
    estimator: str
    shortlist: int
    weight: float


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said about an answer.

    `confirmed`: the photo shows the item `key`. `rejected`: it does not, though it was named so.
    `rows` are the unit vectors `(k, D)` of the photo's regions under the rule `regions`; `name` is
    what the photo was called, `sha256` of its bytes. `id` is the store's number, 0 before.
    """

    kind: Literal["confirmed", "rejected"]
    key: str
    name: str
    sha256: str
    date: str
    regions: str
    rows: Float32
    id: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The rule fitted for one gallery, one space and one region rule.

    score
        Which number is compared with the threshold: `cosine`, `margin`, `cohort`,
        `margin+cohort` or `3margin+cohort` (formulas in `kenspeckle.match.aggregate`).
    threshold
        A region is named when its score is above it.
    slope, intercept
        Confidence = 1 / (1 + exp(-(slope · score + intercept))).
    promises
        What the threshold keeps, for which strangers, on how many trials. Empty means that the
        trials supported no rate at all.
    variant_margin
        By how much the best print of an item must lead its next print to be certain, as a cosine;
        None when the trials could not tell.
    view_level
        The cosine to its own reference that nine in ten camera views stay below; references of
        two items that are nearer to each other are look-alikes.
    second_look
        How the second look takes part; None: it does not.
    confidence_from, labelled
        Whether the confidence was fitted on camera `views` (synthetic) or on labelled `photos`,
        and how many of those there were.
    feedback
        The store's feedback counter at the time.
    """

    score: Literal["cosine", "margin", "cohort", "margin+cohort", "3margin+cohort"]
    threshold: float
    slope: float
    intercept: float
    promises: tuple[Promise, ...]
    fpir: float
    regions: str
    space_id: str
    items: int
    references: int
    change: int
    date: str
    mated_trials: int
    named_right: float
    method: Literal["quick", "full"] = "quick"
    notes: tuple[str, ...] = ()
    variant_margin: float | None = None
    view_level: float | None = None
    second_look: SecondLookRule | None = None
    confidence_from: Literal["views", "photos"] = "views"
    labelled: int = 0
    feedback: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """Read back what `to_dict` wrote. Raises KeyError or TypeError on foreign data."""
        promises = tuple(Promise(**promise) for promise in data["promises"])
        look = data.get("second_look")
        return cls(
            **{
                **data,
                "promises": promises,
                "notes": tuple(data["notes"]),
                "second_look": SecondLookRule(**look) if look else None,
            }
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one picture: an item or unknown, and why.

    key, label, variant
        The item, empty when unknown. `variant_certain` is false when two prints of the item
        score alike; the item stands all the same.
    score
        The calibrated score of the best region (see `Calibration.score`).
    similarity, margin
        Cosine of the best item, and its distance to the best other item (None when the gallery
        has one item only).
    confidence
        Chance that the name is right, or None when the gallery is not calibrated.
    reasons
        Short sentences, the rule that decided first.
    """

    known: bool
    key: str
    label: str
    variant: str
    variant_certain: bool
    score: float
    threshold: float | None
    similarity: float
    margin: float | None
    confidence: float | None
    region: Region
    candidates: tuple[Candidate, ...]
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()
