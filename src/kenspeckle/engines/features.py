"""Local features of a picture: where its corners and blobs are and what each looks like.

Two kinds with the same calls, `sift` and `orb`, both by OpenCV (extra `geometry`) and both found
however a thing is turned. Descriptors are rows whose product is a cosine, whatever the kind.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from PIL import Image

from kenspeckle.errors import InputError, SettingError
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from numpy.typing import NDArray

FeatureKind = Literal["sift", "orb"]
KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)

SIDE = 320
"""Longest side, in pixels, of the picture in which features are looked for."""
MOST = 500
"""Most features that are kept of one picture, the surest ones."""
LAYOUT = 192
"""Longest side of the small picture that is kept beside the features, to compare colours."""

_HEAD = struct.Struct("<4sBHHHHI")
_MAGIC = b"KLF1"
_NUMBER: Mapping[str, int] = MappingProxyType({kind: n for n, kind in enumerate(KINDS)})
_WIDTH: Mapping[str, int] = MappingProxyType({"sift": 128, "orb": 256})


@dataclass(frozen=True, slots=True)
class Features:
    """What was found in one picture.

    kind
        What found it; features of two kinds cannot be compared.
    points
        `(n, 2)` float32, x and y in pixels of the picture as it was given.
    poses
        `(n, 2)` float32, the diameter of each in those pixels and its angle in radians.
    descriptors
        `(n, d)` float32 rows of length 1.
    size
        Width and height of the picture as it was given.
    layout
        `(h, w, 3)` uint8, the picture itself, its longest side at most `LAYOUT`.
    """

    kind: FeatureKind
    points: Float32
    poses: Float32
    descriptors: Float32
    size: tuple[int, int]
    layout: NDArray[np.uint8]

    def __post_init__(self) -> None:
        shapes = self.points.shape, self.poses.shape
        if shapes != ((len(self.descriptors), 2),) * 2 or self.descriptors.ndim != 2:
            raise InputError(
                "features",
                f"points {shapes[0]}, poses {shapes[1]}, descriptors {self.descriptors.shape}",
                expected="(n, 2), (n, 2) and (n, d)",
            )

    def __len__(self) -> int:
        return len(self.points)

    def to_bytes(self) -> bytes:
        """A compact form: descriptors of one byte a number, the layout as JPEG."""
        rows = np.clip(np.round(self.descriptors * _scale(self.kind)), -127, 127).astype(np.int8)
        packed = np.packbits(rows > 0, axis=1) if self.kind == "orb" else rows
        file = io.BytesIO()
        Image.fromarray(self.layout).save(file, "JPEG", quality=90)
        head = _HEAD.pack(
            _MAGIC,
            _NUMBER[self.kind],
            len(self),
            self.descriptors.shape[1],
            *self.size,
            len(file.getvalue()),
        )
        points = np.hstack((self.points, self.poses)).astype("<f4")
        return b"".join((head, points.tobytes(), packed.tobytes(), file.getvalue()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Features:
        """Read back what `to_bytes` wrote. Raises InputError on anything else."""
        if len(data) < _HEAD.size:
            raise _damaged(f"{len(data)} bytes")
        magic, number, count, width, *size, picture = _HEAD.unpack_from(data)
        if magic != _MAGIC or number >= len(KINDS):
            raise _damaged("another format")
        kind = KINDS[number]
        row = width // 8 if kind == "orb" else width
        first = _HEAD.size + 16 * count
        last = first + row * count
        if width != _WIDTH[kind] or min(size) < 1 or len(data) != last + picture:
            raise _damaged(f"{len(data)} bytes for {count} features of {width}")
        spots = np.frombuffer(data, "<f4", 4 * count, _HEAD.size).reshape(count, 4)
        if not np.isfinite(spots).all() or not (spots[:, 2] > 0).all():
            raise _damaged("points that are not finite, or without a size")
        points, poses = spots[:, :2].astype(np.float32), spots[:, 2:].astype(np.float32)
        layout = _picture(data[last:])
        raw = np.frombuffer(data, np.uint8, row * count, first).reshape(count, row)
        rows = _signs(raw) if kind == "orb" else raw.view(np.int8).astype(np.float32)
        return cls(kind, points, poses, unit(rows), (size[0], size[1]), layout)


class Extractor(Protocol):
    """Finds features of one kind. `extract` may be called from many threads at once."""

    @property
    def kind(self) -> FeatureKind:
        """The kind it finds."""

    def extract(self, image: Image.Image) -> Features:
        """Features of an RGB picture, the surest `MOST` of them."""

    def close(self) -> None:
        """Give the memory back."""


def open_features(kind: str) -> Extractor:
    """The extractor of that kind. Raises SettingError, MissingExtra."""
    from kenspeckle.engines.corners import Corners

    if kind in KINDS:
        return Corners(kind)
    raise SettingError("features", repr(kind), expected=" or ".join(KINDS))


def working(image: Image.Image) -> tuple[Image.Image, Float32]:
    """The picture with its longest side at `SIDE`, and pixels of the original per pixel of it.

    Small pictures are enlarged: features are found at the scale that the references have.
    """
    factor = SIDE / max(image.size)
    sides = [max(1, round(edge * factor)) for edge in image.size]
    size = (sides[0], sides[1])
    filters = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX
    small = image if size == image.size else image.resize(size, filters, reducing_gap=2.0)
    return small, np.array([image.width / size[0], image.height / size[1]], np.float32)


def layout_of(image: Image.Image) -> NDArray[np.uint8]:
    """The small picture that is kept beside features: `(h, w, 3)` uint8."""
    small = image.copy()
    small.thumbnail((LAYOUT, LAYOUT), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(small)


def unit(rows: Float32) -> Float32:
    """Rows of length 1; a row of zeros stays one."""
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    made: Float32 = (rows / np.maximum(length, 1e-9)).astype(np.float32)
    return made


def _scale(kind: FeatureKind) -> float:
    """Factor from a component of a unit row to a signed byte: few reach half of the length."""
    return 16.0 if kind == "orb" else 254.0


def _signs(packed: NDArray[np.uint8]) -> Float32:
    """Bits as −1 and 1."""
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def _picture(data: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if max(image.size) > LAYOUT:
                raise _damaged(f"a layout of {image.size}")
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise _damaged("a layout that is no picture") from error


def _damaged(found: str) -> InputError:
    return InputError("cached features", found, expected="what this release wrote")
