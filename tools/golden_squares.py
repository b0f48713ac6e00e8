"""Write the golden squares of the preprocessing modes: Pillow's own calls, in the order documented.

Nothing of the package is used, so that the test compares two ways to the same pixels. Every
sixteenth pixel is kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

FILE = Path(__file__).parent.parent / "tests" / "golden" / "squares.npz"
SIZES = {"wide": (400, 150), "tall": (131, 372), "square": (300, 300), "small": (90, 41)}
MODELS = {"clip": (224, 224), "clip-336": (336, 336), "dinov2": (256, 224)}
"""Short side after the resize, and side of the crop."""
MODES = ("letterbox", "stretch", "legacy-default", "legacy-letterbox", "legacy-stretch")
STEP = 16

Resampling = Image.Resampling


def drawn(size: tuple[int, int]) -> Image.Image:
    """A picture by whole numbers only: rings, stripes and a diagonal."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    red = (x * x + y * y) // 37 % 256
    green = (x // 5 * 40 + y * 2) % 256
    blue = np.where((x + y) // 9 % 2 == 0, 230, (x * 3) % 200)
    return Image.fromarray(np.stack([red, green, blue], 2).astype(np.uint8))


def letterbox(image: Image.Image, side: int) -> Image.Image:
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), (0, 0, 0))
    square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    return square.resize((side, side), Resampling.LANCZOS)


def processor(image: Image.Image, short: int, side: int) -> Image.Image:
    least = min(image.size)
    size = (int(short * image.width / least), int(short * image.height / least))
    image = image.resize(size, Resampling.BICUBIC)
    left, top = (round((length - side) / 2.0) for length in size)
    return image.crop((left, top, left + side, top + side))


def square(image: Image.Image, mode: str, short: int, side: int) -> Image.Image:
    if mode == "letterbox":
        return letterbox(image, side)
    if mode == "stretch":
        return image.resize((side, side), Resampling.LANCZOS)
    if mode == "legacy-letterbox":
        image = letterbox(image, 224)
    elif mode == "legacy-stretch":
        image = image.resize((224, 224), Resampling.LANCZOS)
    return processor(image, short, side)


def main() -> None:
    arrays = {
        f"{name} {model} {mode}": np.asarray(square(drawn(size), mode, *sides))[::STEP, ::STEP]
        for name, size in SIZES.items()
        for model, sides in MODELS.items()
        for mode in MODES
    }
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE.name}: {len(arrays)} squares, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
