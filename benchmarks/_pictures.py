"""Pictures and indexes drawn from a seed, for the benchmarks.

Photographs are pieced together from the demo's real photos (crops, mirrored, enlarged, toned) with
sensor noise on top, so that a JPEG of 1024 × 768 has the 150 to 250 kB of a camera's and costs as
much to decode.
"""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

SIZES = {"348": (348, 348), "1024": (1024, 768), "12M": (4000, 3000)}
QUALITY = {"348": 78, "1024": 88, "12M": 92}
NOISE = {"348": 0.5, "1024": 4.0, "12M": 3.0}
WIDTH = 384


@lru_cache(maxsize=1)
def _sources() -> list[Image.Image]:
    import kenspeckle.cli

    folder = Path(kenspeckle.cli.__path__[0]) / "demo_pictures"
    return [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.jpg"))]


def photograph(kind: str, number: int, seed: int = 0) -> bytes:
    """One JPEG of the kind `348`, `1024` or `12M`."""
    rng = np.random.default_rng((seed, number, *SIZES[kind]))
    size, sources = SIZES[kind], _sources()
    tile = (size[0] // 2, size[1] // 2)
    canvas = Image.new("RGB", size)
    for left in (0, size[0] - tile[0]):
        for top in (0, size[1] - tile[1]):
            source = sources[int(rng.integers(len(sources)))]
            side = int(rng.integers(120, min(source.size) + 1))
            x, y = (int(rng.integers(0, edge - side + 1)) for edge in source.size)
            piece = source.resize(tile, Image.Resampling.BICUBIC, (x, y, x + side, y + side))
            if rng.random() < 0.5:
                piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            canvas.paste(piece, (left, top))
    canvas = ImageEnhance.Brightness(canvas).enhance(float(rng.uniform(0.8, 1.2)))
    noise = rng.normal(0, NOISE[kind], (size[1] // 2, size[0] // 2, 1)).astype(np.float32)
    fine = (
        np.repeat(np.repeat(noise, 2, 0), 2, 1) + rng.choice(noise.ravel(), size[::-1])[..., None]
    )
    pixels = np.clip(np.asarray(canvas, np.float32) + fine, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY[kind])
    return file.getvalue()


def _write(given: tuple[str, str, int, int]) -> int:
    folder, kind, number, seed = given
    path = Path(folder) / f"item-{number // 2:05d}__{number % 2 + 1}.jpg"
    data = photograph(kind, number, seed)
    path.write_bytes(data)
    return len(data)


def folder_of(folder: Path, kind: str, count: int, seed: int = 0) -> float:
    """Write `count` JPEGs, two to an item; their mean size in kB."""
    folder.mkdir(parents=True, exist_ok=True)
    work = [(str(folder), kind, number, seed) for number in range(count)]
    with ProcessPoolExecutor() as pool:
        return sum(pool.map(_write, work, chunksize=8)) / count / 1000


def unit_rows(count: int, seed: int = 0, *, each: int = 2, spread: float = 0.6) -> Any:
    """`(count, 384)` float32 unit rows: items of `each` references around centres."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((-(-count // each), WIDTH), dtype=np.float32)
    rows = np.repeat(centres, each, 0)[:count]
    rows += spread * rng.standard_normal(rows.shape, dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def synthetic_index(path: Path, count: int, seed: int = 0, drawn: Any = None) -> None:
    """An index file of `count` drawn references of the default model, with a rule.

    Their rows are those of `unit_rows`, or `drawn` ones.
    """
    from kenspeckle.config import ModelSettings
    from kenspeckle.store import create_store
    from kenspeckle.store.base import Enrolled, Manifest
    from kenspeckle.types import Calibration, Promise, Reference
    from kenspeckle.vectors.embed import open_embedder

    fingerprint = open_embedder(ModelSettings()).fingerprint
    rows = unit_rows(count, seed) if drawn is None else drawn
    with create_store(path, Manifest(fingerprint, naming="plain")) as store:
        for start in range(0, count, 2000):
            store.add(
                [
                    Enrolled(
                        Reference(f"item-{n // 2}", f"Item {n // 2}", f"{n // 2}/{n}.jpg"), rows[n]
                    )
                    for n in range(start, min(start + 2000, count))
                ]
            )
        promise = Promise("general", 0.01, 0.006, 0.014, 2723, 2723)
        rule = Calibration(
            score="margin",
            threshold=0.1,
            slope=20.0,
            intercept=-2.0,
            promises=(promise,),
            fpir=0.01,
            regions="whole",
            space_id=fingerprint.space_id,
            items=count // 2,
            references=count,
            change=store.standing().change,
            date="2026-01-01",
            mated_trials=100,
            named_right=0.9,
        )
        store.set_calibration(rule)
