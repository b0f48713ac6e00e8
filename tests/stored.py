"""References with vectors drawn by a seed, for tests of stores."""

from __future__ import annotations

import numpy as np

from kenspeckle.store import Enrolled, Manifest
from kenspeckle.types import Calibration, Fingerprint, Promise, Recipe, Reference

WIDTH = 24
FINGERPRINT = Fingerprint("small", "ab" * 32, Recipe(32), WIDTH)
MANIFEST = Manifest(FINGERPRINT, "plain", "pictures", "2026-01-31", {"views": "2"})
ODD = "dir/na\udcffme \u00fc\U0001f600 #%.jpg"

CALIBRATION = Calibration(
    score="margin",
    threshold=0.25,
    slope=12.0,
    intercept=-3.0,
    promises=(Promise("general", 0.01, 0.004, 0.02, 900, 300),),
    fpir=0.01,
    regions="whole",
    space_id=FINGERPRINT.space_id,
    items=7,
    references=9,
    change=1,
    date="2026-01-31",
    mated_trials=20,
    named_right=0.9,
)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def enrolled(count: int, seed: int = 0, prefix: str = "") -> list[Enrolled]:
    return [
        Enrolled(
            Reference(
                key=f"{prefix}item{n // 2}",
                label=f"Item {n // 2}",
                path=f"{prefix}{n // 2}/{n:04}.jpg",
                variant="b" if n % 2 else "",
                sha256=f"{n:064x}",
                size=1000 + n,
                mtime_ns=10**18 + n,
                metadata={"colour": ("red", "green", "blue")[n % 3]} if n % 5 else {},
            ),
            row,
            b"\xff\xd8" + bytes([n % 256]),
        )
        for n, row in enumerate(vectors(count, seed))
    ]
