"""References photographed anew, for tests: turned a little on a table, blurred, as a JPEG."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import kenspeckle.cli

DEMO = Path(kenspeckle.cli.__file__).parent / "demo_pictures"


def table(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A surface of one colour with a grain."""
    colour = rng.integers(60, 200, 3)
    grain = rng.normal(0, 6, (size[1], size[0], 1))
    return Image.fromarray(np.clip(colour + grain, 0, 255).astype(np.uint8))


def laid(
    ground: Image.Image, thing: Image.Image, centre: tuple[int, int], height: int, angle: float
) -> None:
    """Lay a thing on a surface, turned by so many degrees, `height` pixels high before the turn."""
    width = max(1, round(thing.width * height / thing.height))
    small = thing.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    mask = Image.new("L", small.size, 255)
    turned = small.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    cover = mask.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    place = (centre[0] - turned.width // 2, centre[1] - turned.height // 2)
    ground.paste(turned, place, cover)


def taken(image: Image.Image, blur: float = 1.0) -> bytes:
    """A picture as a camera hands it over: a little soft, JPEG of quality 85."""
    file = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(blur)).save(file, "JPEG", quality=85)
    return file.getvalue()


def photo(thing: Image.Image, seed: int, *, fill: float = 0.85) -> bytes:
    """One thing on a table, turned by at most 15 degrees; `fill` of the height of the photo."""
    rng = np.random.default_rng((21, seed))
    shape = (480, 640) if thing.height >= thing.width else (640, 480)
    ground = table(rng, shape)
    high = fill * min(shape[1], shape[0] * thing.height / thing.width)
    angle = float(rng.uniform(-15, 15))
    laid(ground, thing, (shape[0] // 2, shape[1] // 2), round(high * 0.85), angle)
    return taken(ground, float(rng.uniform(0.5, 1.2)))


SCENES = (
    *("astronaut", "brick", "camera", "cell", "chelsea", "clock_motion", "coffee", "coins"),
    *("grass", "gravel", "horse", "ihc", "moon", "motorcycle_left", "page", "text"),
)
"""Pictures that the wheel of scikit-image ships, each of another thing."""


def scenes() -> dict[str, Image.Image]:
    """Real pictures of unlike things, by name."""
    folder = Path(find_spec("skimage").origin).parent / "data"  # type: ignore[union-attr,arg-type]
    found = {}
    for name in SCENES:
        image = Image.open(folder / f"{name}.png").convert("RGB")
        image.thumbnail((480, 480))
        found[name] = image
    return found


def prints() -> dict[str, Image.Image]:
    """The printed signs of the demo, by name."""
    files = sorted((DEMO / "prints").glob("*.png"))
    return {file.stem: Image.open(file).convert("RGB") for file in files}


def unrelated() -> list[Image.Image]:
    """Pictures of none of these things: the demo's strangers and other prints."""
    files = [*(DEMO / "strangers").glob("*.jpg"), *(DEMO / "other-prints").glob("*.png")]
    return [Image.open(file).convert("RGB") for file in sorted(files)]
