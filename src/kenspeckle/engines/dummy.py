"""A model without weights: a hash of colours and edges with a real geometry."""

from __future__ import annotations

import numpy as np

from kenspeckle.types import Float32

CELLS, SIDE, WIDTH = 4, 64, 192
"""A grid of cells on the square, its side in pixels, and columns of a vector."""


class DummyModel:
    """Same calls as a loaded network, in plain numpy.

    Pictures that look alike get near vectors: mean colours and the strength of edges in a grid,
    mixed by a fixed matrix. For tests, and for trying things out where speed is no matter.
    """

    width, side, device = WIDTH, SIDE, "cpu"

    def __init__(self) -> None:
        columns = CELLS * CELLS * 5
        mixing = np.random.default_rng(20_240_607).standard_normal((columns, WIDTH))
        self._mixing: Float32 = (mixing / np.sqrt(columns)).astype(np.float32)

    def run(self, batch: Float32) -> Float32:
        """Features `(B, 192)` of pictures `(B, 3, 64, 64)` with values 0 … 1."""
        grey = batch.mean(axis=1, keepdims=True)
        across = np.abs(np.diff(grey, axis=3, append=grey[..., -1:]))
        down = np.abs(np.diff(grey, axis=2, append=grey[:, :, -1:]))
        maps = np.concatenate([batch - 0.5, 2 * across, 2 * down], axis=1)
        cell = SIDE // CELLS
        cells = maps.reshape(len(batch), 5, CELLS, cell, CELLS, cell).mean(axis=(3, 5))
        # One row at a time: a matrix product of several rows may round differently than of one.
        rows = [row.reshape(1, -1) @ self._mixing for row in cells]
        return np.concatenate(rows).astype(np.float32) + np.float32(1e-3)

    def close(self) -> None:
        """Nothing to give back."""
