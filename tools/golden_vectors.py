"""The golden vectors: 20 drawn pictures by both embedded models.

python tools/golden_vectors.py            # how far the vectors of now are from the stored ones
python tools/golden_vectors.py --write    # store those of now, on purpose
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from kenspeckle.config import ModelSettings
from kenspeckle.vectors.embed import open_embedder

FILE = Path(__file__).parent.parent / "tests" / "golden" / "vectors.npz"
MODELS = ("default", "fast")


def draw(number: int) -> Image.Image:
    """Picture `number`: shapes, stripes and a gradient of whole numbers, the same everywhere."""
    width, height = 180 + 37 * (number % 7), 160 + 53 * (number % 5)
    y, x = np.mgrid[:height, :width]
    planes = [
        (x * (1 + number % 3) + y * 2) % 256,
        (x * y // (40 + number)) % 256,
        np.where((x // (8 + number)) % 2 == 0, 40 + 9 * number, 210 - 7 * number),
    ]
    picture = Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for i in range(4):
        left, top = (number * 31 + i * 47) % (width // 2), (number * 17 + i * 61) % (height // 2)
        colour = ((number * 53 + i * 90) % 256, (i * 75) % 256, (number * 29) % 256)
        box = (left, top, left + 40 + 9 * i, top + 70 - 8 * i)
        (pen.rectangle if (number + i) % 2 else pen.ellipse)(box, fill=colour)
    return picture


def vectors(model: str) -> np.ndarray:
    embedder = open_embedder(ModelSettings(name=model))
    return embedder.vectors([draw(number) for number in range(20)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    now = {model: vectors(model) for model in MODELS}
    if FILE.is_file():
        with np.load(FILE) as stored:
            for model in MODELS:
                old = stored[model].astype(np.float32)
                cosines = (old * now[model]).sum(1) / np.linalg.norm(old, axis=1)
                print(f"{model}: cosine to the stored ones {cosines.min():.6f} at least")
    if write:
        np.savez_compressed(FILE, **{m: rows.astype(np.float16) for m, rows in now.items()})
        print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
