"""From bytes to pixels."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps

from kenspeckle.config import ImageSettings
from kenspeckle.errors import PictureError
from kenspeckle.types import Intake, Picture

SUFFIXES = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .avif .heic .heif".split())


def read(path: str | os.PathLike[str], limits: ImageSettings) -> bytes:
    """The bytes of a file. Raises PictureError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise PictureError(str(path), error.strerror or "unreadable") from error
    if len(data) > limits.max_bytes:
        raise PictureError(str(path), "too large", expected=f"{limits.max_bytes} bytes")
    return data


def decode(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    name: str = "",
    intake: Intake = Intake(),
    limits: ImageSettings = ImageSettings(),
) -> Picture:
    """A picture from a path, bytes or a file object. Raises PictureError."""
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, (str, os.PathLike)):
        name, data = name or str(source), read(source, limits)
    else:
        data = source.read(limits.max_bytes + 1)
    try:
        image = Image.open(io.BytesIO(data))
        kind = image.format or ""
        if intake.rotate:
            ImageOps.exif_transpose(image, in_place=True)
        image = image.convert("RGB")
    except Exception as error:
        raise PictureError(name, str(error), expected="a picture") from error
    return Picture(image, name, kind, hashlib.sha256(data).hexdigest())
