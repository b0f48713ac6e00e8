"""Large pictures are converted in bands, and no more of them is held than has to be."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenspeckle.image import colour
from kenspeckle.image.colour import to_rgb
from kenspeckle.image.decode import decode
from kenspeckle.types import Intake

SIDES = 97, 61


def pictures() -> dict[str, Image.Image]:
    noise = np.random.default_rng(5).integers(0, 256, (*SIDES[::-1], 4), dtype=np.uint8)
    rgba, rgb = Image.fromarray(noise), Image.fromarray(noise[..., :3])
    palette = rgb.quantize(16)
    palette.info["transparency"] = 3
    key = rgb.copy()
    key.info["transparency"] = tuple(int(one) for one in noise[0, 0, :3])
    grey = noise[..., 0]
    return {
        "RGBA": rgba,
        "LA": rgba.convert("LA"),
        "P": palette,
        "key": key,
        "CMYK": rgb.convert("CMYK"),
        "L": rgb.convert("L"),
        "1": rgb.convert("1"),
        "16 bits": Image.fromarray(grey.astype(np.uint16) * 201),
        "wide": Image.fromarray(grey.astype(np.int32) * 700_001),
        "fractions": Image.fromarray(grey.astype(np.float32) / 255),
        "negative": Image.fromarray(grey.astype(np.float32) - 99.5),
    }


@pytest.mark.parametrize("intake", [Intake(), Intake(alpha="drop"), Intake(colour="raw")])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("name", pictures())
def test_bands_change_no_pixel(
    name: str, inverted: bool, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = pictures()[name]
    inverted = inverted and name == "CMYK"
    whole = to_rgb(picture, b"", intake, inverted=inverted)
    for pixels in (1, SIDES[0] * 7, SIDES[0] * SIDES[1] - 1):
        monkeypatch.setattr(colour, "BAND", pixels)
        parts = to_rgb(picture, b"", intake, inverted=inverted)
        assert (parts.mode, parts.size) == ("RGB", SIDES)
        assert parts.tobytes() == whole.tobytes()


def test_a_webp_keeps_nothing_beside_its_pixels() -> None:
    file = io.BytesIO()
    pictures()["RGBA"].convert("RGB").save(file, "WEBP", lossless=True)
    image = decode(file.getvalue()).image
    assert type(image) is Image.Image
    assert image.tobytes() == pictures()["RGBA"].convert("RGB").tobytes()


ALONE = """
import resource, sys
from kenspeckle.image.decode import decode

data = open(sys.argv[1], "rb").read()
decode(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode(data)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize(("kind", "most"), [("webp", 14.5), ("png", 13.0)])
def test_the_peak_for_each_pixel(kind: str, most: float, tmp_path: Path) -> None:
    """Four bytes a pixel are the picture itself; before it there is what its decoder needs."""
    mode = "RGBA" if kind == "png" else "RGB"
    large = Image.linear_gradient("L").resize((7000, 5000))
    for name, image in (("large", large), ("small", large.resize((70, 50)))):
        given = Image.merge(mode, [image] * len(mode))
        given.save(tmp_path / name, kind, compress_level=1, method=0)
    words = [sys.executable, "-c", ALONE, tmp_path / "large", tmp_path / "small"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    told = subprocess.run(words, capture_output=True, text=True, check=True, env=env)
    assert int(told.stdout) / (7000 * 5000) < most
