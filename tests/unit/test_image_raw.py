"""Raw intake is Pillow's own plain conversion of what is stored, for surfaces that promise it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hostile import picture
from PIL import Image

from kenspeckle.image.decode import decode
from kenspeckle.types import Intake

RAW = Intake(rotate=False, alpha="drop", colour="raw")
PHOTO = picture(4, (90, 60))


def wide() -> Image.Image:
    values = np.arange(90 * 60, dtype=np.uint16).reshape(60, 90) * 11
    return Image.fromarray(values)


def with_alpha(mode: str) -> Image.Image:
    image = PHOTO.convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    return image


def indexed() -> Image.Image:
    image = PHOTO.quantize(32)
    image.info["transparency"] = 3
    return image


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    PHOTO.save(file, "JPEG", exif=exif)
    return file.getvalue()


def saved(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def without_adobe(data: bytes) -> bytes:
    """A JPEG without the marker by which Adobe's programs say that ink is stored inverted."""
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]


CASES = {
    "alpha": saved(with_alpha("RGB"), "PNG"),
    "grey and alpha": saved(with_alpha("L"), "PNG"),
    "indexed": saved(indexed(), "PNG"),
    "16 bits": saved(wide(), "PNG"),
    "16 bits tiff": saved(wide(), "TIFF"),
    "two tones": saved(PHOTO.convert("1"), "PNG"),
    "ink": saved(PHOTO.convert("CMYK"), "JPEG"),
    "ink, not Adobe's": without_adobe(saved(PHOTO.convert("CMYK"), "JPEG")),
    "turned": turned(),
}


@pytest.mark.parametrize("name", CASES)
def test_raw_is_what_pillow_makes_of_it(name: str) -> None:
    data = CASES[name]
    with Image.open(io.BytesIO(data)) as image:
        plain = np.asarray(image.convert("RGB"))
    assert np.array_equal(np.asarray(decode(data, intake=RAW).image), plain)


@pytest.mark.parametrize("name", ["alpha", "16 bits", "ink, not Adobe's", "turned"])
def test_ours_is_not(name: str) -> None:
    data = CASES[name]
    raw, ours = decode(data, intake=RAW).image, decode(data).image
    assert raw.size != ours.size or not np.array_equal(np.asarray(raw), np.asarray(ours))
