"""What the rest of the house may ask of whatever makes vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kenspeckle.config import ModelSettings
from kenspeckle.errors import ModelError
from kenspeckle.types import Fingerprint, Float32

if TYPE_CHECKING:
    from PIL.Image import Image

    from kenspeckle.vectors.pipeline import StageTimes
    from kenspeckle.vectors.preprocess import Size


class Embedder(Protocol):
    """Pictures to unit vectors of one space. All calls may come from many threads at once."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the vectors; known without loading the model where the table knows it."""

    @property
    def space_id(self) -> str:
        """Short for the fingerprint."""

    @property
    def width(self) -> int:
        """Columns D of a vector."""

    @property
    def device(self) -> str:
        """Where the model really runs. Loads it."""

    @property
    def note(self) -> str:
        """Why the device is not the one asked for; empty when it is. Loads the model."""

    @property
    def joined(self) -> int:
        """Pictures of different callers that make one call of the model, at most; 1 where each
        goes alone, and until the model is loaded."""

    @property
    def cohort(self) -> Float32 | None:
        """Unit rows `(C, D)` of unrelated pictures, or None when the model has none."""

    def vector(
        self, image: Image, times: StageTimes | None = None, full: Size | None = None
    ) -> Float32:
        """The unit vector `(D,)` of one picture in mode RGB.

        `full` is the size before `reduced`, for a picture that was reduced already: the vector is
        then that of the picture before.
        """

    def vectors(self, images: Sequence[Image], times: StageTimes | None = None) -> Float32:
        """Unit rows `(N, D)`, in the order of the pictures."""

    def close(self) -> None:
        """Give the memory of the model back, once the calls that run are done.

        The next call loads it again.
        """


Opener = Callable[[ModelSettings], Embedder]
"""Opens the embedder that settings name."""


def unit_rows(rows: Float32, thing: str) -> Float32:
    """Rows `(N, D)` scaled to length 1. Raises ModelError for rows that have no direction."""
    wide = np.array(rows, np.float64)  # a copy: it is scaled in place
    for row in wide:
        length = math.sqrt(row @ row)
        if not 0 < length < math.inf:
            raise ModelError(thing, "vectors that are zero or not finite", expected="features")
        row /= length
    return wide.astype(np.float32)
