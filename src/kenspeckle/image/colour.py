"""Any mode and any colour profile → RGB, 8 bits, sRGB."""

from __future__ import annotations

import functools
import hashlib
import io
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops

from kenspeckle.image.header import MAX_PROFILE
from kenspeckle.types import Float32, Intake

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_BACKGROUND = {"white": (255, 255, 255), "black": (0, 0, 0)}
BAND = 1024 * 1024
"""Pixels that are converted at once."""
_CLOSE = 2
"""Levels of 255 by which a profile may differ from sRGB and still be taken for it."""


def to_rgb(
    image: Image.Image, profile: bytes, intake: Intake, *, inverted: bool = False
) -> Image.Image:
    """`image` in mode RGB: colours to sRGB by `profile`, alpha composited, 16 bits scaled to 8.

    Raw colours are those of Pillow's own conversion: no profile, and wide numbers cut off at 255.
    With `inverted` the values are turned over first. The result may share its pixels with `image`.
    Large pictures are converted in bands, so that only they and the result are held as a whole.
    """
    if image.mode == "RGB" and not profile and "transparency" not in image.info:
        return image
    wide = image.mode.startswith(("I", "F"))
    if not (wide or profile or inverted or image.has_transparency_data):
        return image.convert("RGB")
    span = _span(image) if wide and intake.colour == "srgb" else None

    def converted(part: Image.Image) -> Image.Image:
        if wide:
            part = part.convert("L") if span is None else _scaled(part, *span)
        return _converted(ImageChops.invert(part) if inverted else part, profile, intake)

    if image.width * image.height <= BAND:
        return converted(image)
    result = Image.new("RGB", image.size)
    for top, part in _bands(image):
        result.paste(converted(part), (0, top))
    return result


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """A picture in bands of at most `BAND` pixels, each with its first row."""
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _converted(image: Image.Image, profile: bytes, intake: Intake) -> Image.Image:
    alpha = None
    if image.has_transparency_data:
        if intake.alpha != "drop":
            alpha = image.convert("RGBA").getchannel("A")
            if alpha.getextrema() == (255, 255):
                alpha = None
        image = _opaque(image)
    colours = _by_profile(image, profile) if profile and intake.colour == "srgb" else None
    if colours is None:
        colours = image if image.mode == "RGB" else image.convert("RGB")
    if alpha is None:
        return colours
    ground = Image.new("RGB", image.size, _BACKGROUND[intake.alpha])
    ground.paste(colours, mask=alpha)
    return ground


def _opaque(image: Image.Image) -> Image.Image:
    """The colours of a picture with alpha, undimmed."""
    if image.mode in ("La", "LA"):
        return image.convert("LA").getchannel("L")
    if image.mode == "RGBA":
        return image.convert("RGB")
    return image.convert("RGBA").convert("RGB")


def _span(image: Image.Image) -> tuple[float, float]:
    """The values of numbers wider than 8 bits that become black and white.

    16 bits span 0 … 65535. Wider numbers and fractions say nothing about their range: values that
    lie in 0 … 1 (fractions), 0 … 255 or 0 … 65535 are taken for that range, all else is stretched
    from its least to its greatest value.
    """
    first = np.asarray(image.crop((0, 0, 1, 1))).dtype
    if first.kind == "u" and first.itemsize == 2:
        return 0.0, 65535.0
    ends = [(float(part.min()), float(part.max())) for part in map(_finite, _parts(image))]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if low < 0 or high > 65535:
        return low, high
    fractions = image.mode == "F" and high <= 1
    return 0.0, 1.0 if fractions else 255.0 if high <= 255 else 65535.0


def _parts(image: Image.Image) -> Iterator[Image.Image]:
    return (part for _, part in _bands(image))


def _finite(image: Image.Image) -> Float32:
    values = np.asarray(image).astype(np.float32)
    np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(values, -1e30, 1e30, out=values)


def _scaled(image: Image.Image, low: float, high: float) -> Image.Image:
    """Numbers wider than 8 bits → mode L."""
    given = np.asarray(image)
    if given.dtype.kind == "u" and given.dtype.itemsize == 2:
        return Image.fromarray((given >> 8).astype(np.uint8))
    values = _finite(image)
    values -= low
    values *= 255.0 / max(high - low, 1e-20)
    values += 0.5
    return Image.fromarray(values.astype(np.uint8))


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """`image` in sRGB, or None when the profile changes nothing or cannot be used."""
    if image.mode in ("1", "P"):
        image = image.convert("RGB" if image.mode == "P" else "L")
    if len(profile) > MAX_PROFILE or image.mode not in ("RGB", "L", "CMYK"):
        return None
    transform = _TRANSFORMS.of(profile, image.mode)
    return transform.apply(image) if transform is not None else None


class _Transforms:
    """The transforms of the last few profiles: pictures of one camera share one.

    Profiles are known by their sha256, so that they need not be kept.
    """

    def __init__(self, most: int = 64) -> None:
        self._most, self._lock = most, threading.Lock()
        self._known: dict[tuple[bytes, str], ImageCmsTransform | None] = {}

    def of(self, profile: bytes, mode: str) -> ImageCmsTransform | None:
        """The transform of `mode` to sRGB; None for profiles that are broken or sRGB."""
        key = (hashlib.sha256(profile).digest(), mode)
        with self._lock:
            if key not in self._known:
                if len(self._known) >= self._most:
                    del self._known[next(iter(self._known))]
                self._known[key] = _transform(profile, mode)
            return self._known[key]


_TRANSFORMS = _Transforms()


def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    from PIL import ImageCms

    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        if mode == "CMYK":
            return transform
        probe = _probe().convert(mode)
        moved = np.asarray(transform.apply(probe), np.int16) - np.asarray(
            probe.convert("RGB"), np.int16
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if int(np.abs(moved).max()) > _CLOSE else None


@functools.cache
def _probe() -> Image.Image:
    """A picture of 729 colours, nine levels a channel."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return Image.fromarray(grid.reshape(27, 27, 3))
