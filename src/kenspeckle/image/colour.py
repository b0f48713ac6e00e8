"""Any mode and any colour profile → RGB, 8 bits, sRGB."""

from __future__ import annotations

import functools
import hashlib
import io
import threading
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kenspeckle.image.header import MAX_PROFILE
from kenspeckle.types import Intake

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_BACKGROUND = {"white": (255, 255, 255), "black": (0, 0, 0)}
_CLOSE = 2
"""Levels of 255 by which a profile may differ from sRGB and still be taken for it."""


def to_rgb(image: Image.Image, profile: bytes, intake: Intake) -> Image.Image:
    """`image` in mode RGB: colours to sRGB by `profile`, alpha composited, 16 bits scaled to 8.

    Raw colours are those of Pillow's own conversion: no profile, and wide numbers cut off at 255.
    The result may share its pixels with `image`.
    """
    if image.mode == "RGB" and not profile and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        image = _scaled(image) if intake.colour == "srgb" else image.convert("L")
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


def _scaled(image: Image.Image) -> Image.Image:
    """Numbers wider than 8 bits → mode L.

    16 bits span 0 … 65535. Wider numbers and fractions say nothing about their range: values that
    lie in 0 … 1 (fractions), 0 … 255 or 0 … 65535 are taken for that range, all else is stretched
    from its least to its greatest value.
    """
    values = np.asarray(image)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return Image.fromarray((values >> 8).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    np.clip(values, -1e30, 1e30, out=values)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 65535:
        fractions = image.mode == "F" and high <= 1
        low, high = 0.0, 1.0 if fractions else 255.0 if high <= 255 else 65535.0
    values -= low
    values *= 255.0 / max(high - low, 1e-20)
    return Image.fromarray((values + 0.5).astype(np.uint8))


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
