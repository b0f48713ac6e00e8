"""Do batches pay for this model on this device? Measured once, then remembered."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from kenspeckle.engines.base import Engine
from kenspeckle.engines.lock import write_json
from kenspeckle.engines.recipes import read_json
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32, Recipe
from kenspeckle.vectors.admit import drawn_batch

BATCH = 8
"""Size of a batch, where batches are used."""

WORTH = 1.1
"""Least gain for which batches are used."""

FILE = "probes.json"


def gain(engine: Engine, batch: Float32, rounds: int = 4) -> float:
    """Seconds of single calls over seconds of one batch, for the same pictures `(B, 3, s, s)`.

    The sides alternate and the best of each counts, so a busy machine disturbs both alike.
    """
    singles, batches = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        for planes in batch:
            engine.run(planes[None])
        middle = time.perf_counter()
        engine.run(batch)
        singles.append(middle - start)
        batches.append(time.perf_counter() - middle)
    return min(singles[1:]) / min(batches[1:])


def batch_size(engine: Engine, weights: str, recipe: Recipe, home: Path) -> int:
    """`BATCH` where batches pay, else 1. The answer is kept in the model home.

    A home that cannot be read or written costs a new measurement, nothing else.
    """
    key = f"{weights} {engine.device}"
    try:
        known = read_json(home / FILE) if (home / FILE).is_file() else {}
    except ModelError:
        known = {}
    entry = known.get(key)
    if not isinstance(entry, (int, float)):
        entry = round(gain(engine, drawn_batch(recipe, BATCH)), 3)
        with contextlib.suppress(OSError):  # a read-only home: the next start measures again
            write_json(home / FILE, {**known, key: entry})
    return BATCH if entry >= WORTH else 1
